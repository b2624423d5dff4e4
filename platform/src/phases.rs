//! The release phase: the process type `release` of a slug runs once, as a one-off dyno of the release to be,
//! before that release goes live. When it fails, the release before it stays.
//!
//! Such a release is recorded when its phase begins, as pending: its ledger entry says that it has a phase. A second entry
//! says how the phase ended. While it runs the app's lock is free, so that the app can be scaled or put into
//! maintenance, but nobody else can make a release. A platform that starts finds the phases that an earlier process left,
//! and records that they failed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use sqlx::AnyConnection;
use tokio::sync::watch;
use uuid::Uuid;
use wpaas_slug::{
    feed::AppSpec,
    one_off::{Input, OneOff, Output as To, Release as Of},
};

use crate::{
    Ctx, Error, Inner, apps,
    auth::{self, User},
    builds::{self, LineWriter, Output},
    db, feed,
    ledger::{self, Event, PhaseEvent},
    releases::{self, Release},
    webhooks::Action,
};

/// The process type that is run.
pub(crate) const PROCESS_TYPE: &str = "release";

/// The last line of an output that the platform's end cut short.
const INTERRUPTED: &str = " !     Release command interrupted: the platform stopped";

/// How a release phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Succeeded,
    Failed,
}

impl Status {
    /// Heroku's word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    fn of(name: &str) -> Result<Self, Error> {
        let all = [Self::Pending, Self::Succeeded, Self::Failed];
        let found = all.into_iter().find(|status| status.name() == name);
        found.ok_or_else(|| Error::Corrupt(format!("release phase: status {name:?}")))
    }
}

/// The phase of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phase {
    pub(crate) status: Status,
    /// Opens its output.
    pub(crate) token: String,
    pub(crate) updated_at: String,
}

/// The phases of those of an app's releases that have one, by version.
pub(crate) async fn of(
    db: &mut AnyConnection,
    app: Uuid,
    releases: &[Release],
) -> Result<BTreeMap<u64, Phase>, Error> {
    let versions: Vec<u64> =
        releases.iter().filter(|one| one.event.phase).map(|one| one.version).collect();
    let mut found = BTreeMap::new();
    for versions in versions.chunks(db::BATCH) {
        // Numbers of ours, and the database takes no list as one parameter.
        let list: Vec<String> = versions.iter().map(u64::to_string).collect();
        let sql = format!(
            "SELECT version, status, stream_token, updated_at FROM release_phases \
             WHERE app_id = $1 AND version IN ({})",
            list.join(", ")
        );
        let rows: Vec<(i64, String, String, String)> =
            db::fetch_all(db, sql, [app.to_string()]).await?;
        for (version, status, token, updated_at) in rows {
            let status = Status::of(&status)?;
            found.insert(db::unsigned(version), Phase { status, token, updated_at });
        }
    }
    Ok(found)
}

/// The phase of one release.
pub(crate) async fn of_one(
    db: &mut AnyConnection,
    release: &Release,
) -> Result<Option<Phase>, Error> {
    let all = of(db, release.app, std::slice::from_ref(release)).await?;
    Ok(all.into_values().next())
}

/// The status of each phase of an app as it is stored, by version.
pub(crate) async fn stored(
    db: &mut AnyConnection,
    app: Uuid,
) -> Result<BTreeMap<u64, String>, Error> {
    let sql = "SELECT version, status FROM release_phases WHERE app_id = $1".to_owned();
    let rows: Vec<(i64, String)> = db::fetch_all(db, sql, [app.to_string()]).await?;
    Ok(rows.into_iter().map(|(version, status)| (db::unsigned(version), status)).collect())
}

/// The release whose output this token opens.
pub(crate) async fn by_stream_token(db: &mut AnyConnection, token: &str) -> Result<Uuid, Error> {
    let row: Option<(String,)> =
        sqlx::query_as("SELECT release_id FROM release_phases WHERE stream_token = $1")
            .bind(token.to_owned())
            .fetch_optional(db)
            .await?;
    db::id(&row.ok_or(Error::NotFound("release"))?.0)
}

/// Records that the phase of a new release begins, inside the release's transaction.
pub(crate) async fn begin(db: &mut AnyConnection, release: &Release) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO release_phases (app_id, version, release_id, status, stream_token, updated_at) \
         VALUES ($1, $2, $3, 'pending', $4, $5)",
    )
    .bind(release.app.to_string())
    .bind(db::big(release.version))
    .bind(release.id.to_string())
    .bind(auth::secret()?)
    .bind(db::now())
    .execute(db)
    .await?;
    Ok(())
}

/// Records how a phase ended, with its entry in the ledger.
async fn end(
    db: &mut AnyConnection,
    app: Uuid,
    user: &User,
    event: PhaseEvent,
) -> Result<(), Error> {
    let status = if event.succeeded { Status::Succeeded } else { Status::Failed };
    let version = event.version;
    ledger::append(db, app, user, db::new_id(), &Event::Phase(event)).await?;
    sqlx::query(
        "UPDATE release_phases SET status = $1, updated_at = $2 WHERE app_id = $3 AND version = $4",
    )
    .bind(status.name())
    .bind(db::now())
    .bind(app.to_string())
    .bind(db::big(version))
    .execute(db)
    .await?;
    Ok(())
}

/// The releases whose outputs are beyond the limit.
pub(crate) async fn old_outputs(
    db: &mut AnyConnection,
    app: Uuid,
    limit: u64,
) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT release_id FROM release_phases WHERE app_id = $1 ORDER BY version DESC \
         LIMIT 10 OFFSET $2",
    )
    .bind(app.to_string())
    .bind(db::big(limit))
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// The phases that run, one an app at most.
#[derive(Default)]
pub(crate) struct Phases {
    running: Mutex<HashMap<Uuid, (u64, watch::Receiver<()>)>>,
}

impl Phases {
    /// The version that an app's phase is to release.
    pub(crate) fn running(&self, app: Uuid) -> Option<u64> {
        self.running.lock().get(&app).map(|(version, _)| *version)
    }

    /// Waits until none runs. Another may have begun since.
    pub(crate) async fn ended(&self, app: Uuid) {
        let running = self.running.lock().get(&app).map(|(_, ended)| ended.clone());
        if let Some(mut ended) = running {
            // Its sender says nothing; it goes with the phase.
            while ended.changed().await.is_ok() {}
        }
    }
}

/// A phase that has begun.
pub(crate) struct Begun {
    pub(crate) release: Release,
    pub(crate) spec: Arc<AppSpec>,
    /// The Procfile's command.
    pub(crate) command: String,
    pub(crate) user: User,
    /// Where its output goes beside its own file: that of the build that made the release.
    pub(crate) echo: Option<Output>,
}

impl Inner {
    /// Runs a phase in a task of its own. Returns what becomes true when it succeeds and false when it fails.
    pub(crate) fn start_phase(
        self: &Ctx,
        begun: Begun,
    ) -> Result<watch::Receiver<Option<bool>>, Error> {
        let release = &begun.release;
        let (app, id, version) = (release.app, release.id, release.version);
        let log = self.data.release_log(id);
        let output = Output::create(&log, self.limits.release_output_bytes)?;
        self.builds.live.add(id, &output);
        let (running, ended) = watch::channel(());
        self.phases.running.lock().insert(app, (version, ended));
        let (told, outcome) = watch::channel(None);
        let inner = self.clone();
        self.builds.tasks.spawn(async move {
            let succeeded = inner.phase(&begun, &output).await;
            output.finish();
            inner.builds.live.remove(id);
            inner.phases.running.lock().remove(&app);
            drop(running);
            told.send_replace(Some(succeeded));
        });
        Ok(outcome)
    }

    async fn phase(&self, begun: &Begun, output: &Output) -> bool {
        let Begun { release, user, .. } = begun;
        let version = release.version;
        self.say(
            release.app,
            format!("Running release v{version} commands by user {}", user.email),
        );
        let last_words = |text: &str| {
            output.last_words(text);
            begun.echo.iter().for_each(|echo| echo.last_words(text));
        };
        let ran = self.run_release_process(begun, output).await;
        let (succeeded, status) = match ran {
            Ok(Some(status)) => (status == 0, Some(status)),
            Ok(None) => {
                last_words(INTERRUPTED);
                (false, None)
            }
            Err(error) => {
                last_words(&format!(" !     Release command could not be started: {error}"));
                (false, None)
            }
        };
        if let Some(status) = status.filter(|status| *status != 0) {
            last_words(&format!(" !     Release command failed: it exited with status {status}"));
        }
        match self.phase_ended(begun, PhaseEvent { version, succeeded, status }).await {
            Ok(()) => succeeded,
            // Nobody is interested any more.
            Err(Error::NotFound("app")) => false,
            Err(error) => {
                tracing::error!(%error, release = %release.id, "the end of a release phase");
                last_words(&format!(" !     {error}"));
                false
            }
        }
    }

    /// The exit status; none when the platform stops.
    async fn run_release_process(
        &self,
        begun: &Begun,
        output: &Output,
    ) -> Result<Option<i32>, Error> {
        let outputs = [Some(output.clone()), begun.echo.clone()].into_iter().flatten().collect();
        let job = OneOff {
            release: Of::Of(begun.spec.clone()),
            command: vec![PROCESS_TYPE.to_owned()],
            shown: begun.command.clone(),
            kind: PROCESS_TYPE.to_owned(),
            env: Vec::new(),
            input: Input::Silent,
            output: To::Both(Box::new(LineWriter::new(outputs, &self.limits))),
            terminal: false,
            longest: Duration::from_millis(self.limits.release_phase_ms),
        };
        let mut run =
            self.node.run(job).await.map_err(|error| Error::Invalid(error.to_string()))?;
        tokio::select! {
            status = run.wait() => Ok(Some(status)),
            () = self.stop.cancelled() => {
                run.stop();
                Ok(None)
            }
        }
    }

    /// Records the outcome; a success goes live.
    async fn phase_ended(&self, begun: &Begun, event: PhaseEvent) -> Result<(), Error> {
        let Release { app, version, .. } = begun.release;
        let _lock = self.locks.app(app).await;
        let succeeded = event.succeeded;
        let mut write = self.db.write().await?;
        let found = apps::by_id(&mut write, app).await?;
        end(&mut write, app, &begun.user, event).await?;
        let (user, release) = (&begun.user, &begun.release);
        self.tell_release(&mut write, &found, user, Action::Update, release).await?;
        let old = old_outputs(&mut write, app, self.limits.release_outputs_per_app).await?;
        let spec = match succeeded {
            true => Some(feed::spec(&mut write, &found).await?),
            false => None,
        };
        if spec.is_some() {
            feed::bump(&mut write).await?;
        }
        write.commit().await?;
        self.data.forget_release_logs(old).await;
        match spec {
            Some(spec) => {
                self.say(app, format!("Release v{version} command succeeded"));
                self.publish(spec).await
            }
            None => {
                self.say(
                    app,
                    format!("Release v{version} command failed; the release before it stays"),
                );
                Ok(())
            }
        }
    }

    /// Whether a release may be made now: not while another one's phase runs.
    pub(crate) fn check_no_phase(&self, app: Uuid) -> Result<(), Error> {
        match self.phases.running(app) {
            None => Ok(()),
            Some(version) => Err(Error::Conflict(format!(
                "The release command of v{version} is running; try again when it has ended. \
                 `wpaas ps` shows it, and `wpaas ps:stop` ends it."
            ))),
        }
    }

    /// Fails the phases that an earlier process left behind.
    pub(crate) async fn fail_interrupted_phases(&self) -> Result<(), Error> {
        let mut write = self.db.write().await?;
        let pending: Vec<(String, i64)> = sqlx::query_as(
            "SELECT app_id, version FROM release_phases WHERE status = 'pending' \
             ORDER BY app_id, version",
        )
        .fetch_all(&mut *write)
        .await?;
        for (app, version) in pending {
            let (app, version) = (db::id(&app)?, db::unsigned(version));
            let release = releases::find(&mut write, app, &version.to_string()).await?;
            builds::append(&self.data.release_log(release.id), INTERRUPTED)?;
            let event = PhaseEvent { version, succeeded: false, status: None };
            let (found, user) = (apps::by_id(&mut write, app).await?, release.user()?);
            end(&mut write, app, &user, event).await?;
            self.tell_release(&mut write, &found, &user, Action::Update, &release).await?;
        }
        write.commit().await
    }
}
