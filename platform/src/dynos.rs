//! One-off dynos as the API starts them: `run` attached to its client, `run:detached` with its output in the log.

use std::time::Duration;

use wpaas_slug::{
    Limits,
    feed::DynoStatus,
    one_off::{Input, OneOff, OneOffError, Output, Release},
};

use crate::{
    Ctx, Error, Inner,
    apps::App,
    auth::User,
    config::Vars,
    releases,
    rendezvous::{InputEnd, Session},
    scripts::Followed,
    slugs::SlugRow,
    words,
};

/// What a request for a one-off dyno says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// As somebody wrote it for a shell.
    pub(crate) command: String,
    /// Whether the client comes for its streams.
    pub(crate) attach: bool,
    /// The process type that it counts as; its name is `run.N` whatever that is.
    pub(crate) process_type: Option<String>,
    /// Variables beyond the config vars.
    pub(crate) env: Vars,
    /// That there is no terminal, whatever the variables say.
    pub(crate) no_terminal: bool,
    /// The longest life that the client wants.
    pub(crate) longest: Option<Duration>,
    /// *wpaas*: the client ends its direction of the connection in place of sending 0x04.
    pub(crate) ends_direction: bool,
}

/// A one-off dyno that was started.
pub(crate) struct Started {
    pub(crate) status: DynoStatus,
    /// Where its client finds it.
    pub(crate) attach_url: Option<String>,
}

impl Inner {
    /// Starts a one-off dyno of the app's current release.
    pub(crate) async fn run_one_off(
        self: &Ctx,
        app: &App,
        user: &User,
        wanted: Wanted,
    ) -> Result<Started, Error> {
        let given: usize = wanted.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        let most = self.limits.one_off_command_bytes;
        if (given + wanted.command.len()) as u64 > most {
            return Err(Error::Invalid(format!(
                "The command and its variables take more than the limit of {most} bytes. Send long input on \
                 standard input."
            )));
        }
        let (command, wants_status) = words::without_status(&wanted.command);
        let (release, slug, mut vars) = {
            let mut db = self.db.read().await?;
            let (release, slug) = releases::current_with_slug(&mut db, app).await?;
            let vars = releases::config(&mut db, &release).await?;
            (release, slug, vars)
        };
        vars.extend(wanted.env.clone());
        if let Some(kind) = &wanted.process_type {
            let has = |slug: &SlugRow| slug.process_types.contains_key(kind);
            if kind != "run" && !slug.as_ref().is_some_and(has) {
                return Err(Error::Invalid(format!("The app has no process type {kind}.")));
            }
        }
        let words = words::split(command, &vars)?;
        let digest = slug.map(|slug| slug.digest);
        let Followed { words, env } = self.follow_scripts(digest, words, &vars).await?;
        if words.is_empty() {
            return Err(Error::Invalid(
                "Say which command to run: node script.js, for example.".into(),
            ));
        }
        let rendezvous = self.urls.rendezvous.as_ref().filter(|_| wanted.attach);
        if wanted.attach && rendezvous.is_none() {
            return Err(Error::Invalid(
                "This platform has no rendezvous, so nobody can attach to a dyno; run it detached."
                    .into(),
            ));
        }
        // The size of its window is what a client with a terminal says, and no other.
        let terminal = wanted.attach && !wanted.no_terminal && wanted.env.contains_key("COLUMNS");
        let capacity = Limits::size(self.limits.attach_buffer_bytes);
        let (ours, theirs) = tokio::io::duplex(capacity.max(1));
        let (input, output) = match wanted.attach {
            true => {
                self.waiting.check_room()?;
                let (input, output) = tokio::io::split(theirs);
                (Input::Stream(Box::new(input)), Output::Stream(Box::new(output)))
            }
            false => (Input::Empty, Output::Log),
        };
        let most = Limits::ms(self.limits.one_off_ms);
        let job = OneOff {
            release: Release::Current(app.id),
            command: words,
            shown: command.to_owned(),
            kind: "run".to_owned(),
            // What somebody asked for goes before what a script sets.
            env: env.into_iter().chain(wanted.env).collect(),
            input,
            output,
            terminal,
            longest: wanted.longest.map_or(most, |longest| longest.min(most)),
        };
        let run = self.node.run(job).await.map_err(|error| match error {
            OneOffError::TooMany { .. } => Error::Busy(format!("{error}.")),
            OneOffError::Stopping => Error::Stopping,
            error => Error::Invalid(format!("{error}.")),
        })?;
        let dyno = run.dyno().to_owned();
        // A short one may have ended already.
        let status = self.node.dynos(app.id).into_iter().find(|status| status.name == dyno);
        let status = status.unwrap_or_else(|| ended(&dyno, command, &release));
        self.say(
            app.id,
            format!("Starting process with command `{command}` by user {}", user.email),
        );
        let attach_url = match rendezvous {
            None => None,
            Some(place) => {
                let input_end = match (terminal, wanted.ends_direction) {
                    (true, _) => InputEnd::Terminal,
                    (false, true) => InputEnd::Direction,
                    (false, false) => InputEnd::Byte,
                };
                let session = Session { app: app.id, run, stream: ours, input_end, wants_status };
                Some(format!("rendezvous://{place}/{}", self.await_client(session)?))
            }
        };
        Ok(Started { status, attach_url })
    }
}

/// A dyno that is gone from the node's list.
fn ended(dyno: &str, command: &str, release: &releases::Release) -> DynoStatus {
    DynoStatus {
        name: dyno.to_owned(),
        process_type: "run".to_owned(),
        command: command.to_owned(),
        state: wpaas_slug::feed::DynoState::Starting,
        since: jiff::Timestamp::now(),
        release_id: release.id,
        release_version: release.version,
        isolation: wpaas_slug::Isolation::Instance,
        concurrency: None,
    }
}
