//! One build, from its turn to its release or its failure.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use uuid::Uuid;
use wpaas_slug::pack;

use super::{Done, Output, Wanted, queue::Place};
use crate::{
    Ctx, Error, Inner, apps,
    auth::User,
    buildpacks,
    compile::{Compiled, Job},
    error::io,
    releases::{self, Draft, Made, Slug},
    slugs::SlugRow,
};

/// The source archive's name in the build's scratch directory.
pub(crate) const ARCHIVE: &str = "source.tgz";

/// The last line of a build that the platform's end cut short.
pub(crate) const INTERRUPTED: &str = " !     Build interrupted: the platform stopped";

/// A build that is in the queue.
pub(crate) struct Run {
    pub(crate) id: Uuid,
    pub(crate) app: Uuid,
    pub(crate) user: User,
    pub(crate) wanted: Wanted,
    pub(crate) scratch: TempDir,
    pub(crate) place: Place,
    pub(crate) output: Output,
}

impl Inner {
    /// Runs a build in a task of its own.
    pub(crate) fn start_build(self: &Ctx, run: Run) {
        self.builds.live.add(run.id, &run.output);
        let inner = self.clone();
        self.builds.tasks.spawn(async move {
            if let Err(error) = inner.build(&run).await {
                inner.build_failed(&run, error).await;
            }
            run.output.finish();
            inner.builds.live.remove(run.id);
            // Removing a source tree takes a while, and nobody waits for it any more.
            if let Err(error) = tokio::task::spawn_blocking(move || drop(run)).await {
                tracing::warn!(%error, "a build's scratch directory stays");
            }
        });
    }

    async fn build_failed(&self, run: &Run, error: Error) {
        match &error {
            Error::Stopping => run.output.last_words(INTERRUPTED),
            Error::NotFound("app") => {
                run.output.last_words(" !     Build cancelled: the app was deleted");
            }
            error => {
                for line in error.to_string().lines() {
                    run.output.last_words(&format!(" !     {line}"));
                }
            }
        }
        // The release is in the ledger: the build itself did its work.
        if matches!(error, Error::NotApplied(_)) {
            return;
        }
        run.output.last_words(" !     Build failed");
        let recorded = async {
            let mut write = self.db.write().await?;
            self.failed(&mut write, &run.id.to_string()).await?;
            write.commit().await
        };
        if let Err(error) = recorded.await {
            tracing::error!(build = %run.id, %error, "a build's failure is not recorded");
        }
        self.say(run.app, "Build failed -- check your build output".to_owned());
    }

    async fn build(self: &Ctx, run: &Run) -> Result<(), Error> {
        let _turn = tokio::select! {
            turn = run.place.turn() => turn?,
            error = self.ended(run) => return Err(error),
        };
        // Only this part can be cut short: what comes after it is a commit and its announcement.
        let (compiled, unpacked) = tokio::select! {
            compiled = self.compile(run) => compiled?,
            error = self.ended(run) => return Err(error),
        };
        if let Some((name, component)) = &compiled.stack {
            self.publish_stack(name, *component).await?;
        }
        run.output.line("-----> Launching...");
        let Made { release, phase } = self.release_build(run, compiled, unpacked).await?;
        if let Some(mut phase) = phase {
            run.output.line(&format!("-----> Running release v{} command...", release.version));
            let ended = phase.wait_for(Option::is_some).await;
            if !ended.is_ok_and(|succeeded| *succeeded == Some(true)) {
                // Why was said by the phase. The build itself did its work.
                run.output.last_words(&format!(" !     Release v{} failed", release.version));
                return Ok(());
            }
        }
        run.output.line(&format!("       Released v{}", release.version));
        let name = {
            let mut db = self.db.read().await?;
            apps::by_id(&mut db, run.app).await?.name
        };
        run.output.line(&format!("       {} deployed to wpaas", self.urls.apps.of(&name)));
        Ok(())
    }

    /// Waits until the build has no reason to go on.
    async fn ended(&self, run: &Run) -> Error {
        tokio::select! {
            () = self.stop.cancelled() => Error::Stopping,
            () = run.place.cancelled.cancelled() => Error::NotFound("app"),
        }
    }

    async fn compile(&self, run: &Run) -> Result<(Compiled, Duration), Error> {
        let (env, set) = {
            let mut db = self.db.read().await?;
            let config = releases::current_config(&mut db, run.app).await;
            let config = config.map_err(|error| match error {
                Error::NotFound(_) => Error::NotFound("app"),
                error => error,
            })?;
            (config, buildpacks::list(&mut db, run.app).await?)
        };
        let started = Instant::now();
        let source = self.unpack(run.scratch.path()).await?;
        let unpacked = started.elapsed();
        let cache = self.data.cache(run.app);
        tokio::fs::create_dir_all(&cache).await.map_err(io("build cache"))?;
        let output = run.output.clone();
        let told = &run.wanted.buildpacks;
        let job = Job {
            source,
            cache,
            // Without either the builder looks at the config vars.
            buildpacks: if told.is_empty() { set } else { told.clone() },
            env,
            output: Box::new(move |line: &str| output.line(line)),
        };
        // The builder bounds its own steps; this is for what it does not see coming. A first build may
        // install a toolchain as well.
        let limit =
            Duration::from_millis(self.limits.build_ms.saturating_add(self.limits.toolchain_ms));
        let compiled = tokio::time::timeout(limit, self.builder.build(job)).await;
        let compiled = compiled.map_err(|_| {
            Error::Build(format!("The build took longer than {} s", limit.as_secs()))
        })?;
        Ok((compiled?, unpacked))
    }

    async fn release_build(
        self: &Ctx,
        run: &Run,
        compiled: Compiled,
        unpacked: Duration,
    ) -> Result<Made, Error> {
        let lock = loop {
            let lock = self.locks.app(run.app).await;
            if self.phases.running(run.app).is_none() {
                break lock;
            }
            // A change of config vars, say, came before it.
            drop(lock);
            tokio::select! {
                () = self.phases.ended(run.app) => {}
                error = self.ended(run) => return Err(error),
            }
        };
        let mut db = self.db.read().await?;
        // The settings of now: they may have changed while the build ran.
        let settings = releases::current_settings(&mut db, run.app).await?;
        drop(db);
        let slug = SlugRow {
            commit: run.wanted.version.clone(),
            commit_description: run.wanted.version_description.clone(),
            ..SlugRow::new(run.app, &compiled.slug)
        };
        let mut steps = compiled.steps;
        steps.insert(0, ("unpack".into(), unpacked));
        let done =
            Done { id: run.id, slug: slug.clone(), steps, uploaded_blobs: compiled.uploaded_blobs };
        let draft = Draft {
            description: releases::deploy_description(&slug),
            slug: Some(Slug::New(Box::new(slug))),
            settings,
            rollback_of: None,
            said: format!("Deployed by user {}", run.user.email),
            build: Some(done),
            echo: Some(run.output.clone()),
        };
        self.release(&lock, &run.user, draft).await
    }

    /// Unpacks the archive beside itself, bounded.
    async fn unpack(&self, scratch: &Path) -> Result<PathBuf, Error> {
        let archive = scratch.join(ARCHIVE);
        let to = scratch.join("source");
        let bounds =
            pack::Bounds { bytes: self.limits.source_bytes, entries: self.limits.source_files };
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir(&to).map_err(io("scratch directory"))?;
            let file = File::open(&archive).map_err(io("source archive"))?;
            let refused = |error: pack::Error| Error::Build(format!("Source {error}"));
            pack::unpack(std::io::BufReader::new(file), &to, bounds).map_err(refused)?;
            Ok(to)
        })
        .await
        .map_err(|error| io("source archive")(std::io::Error::other(error)))?
    }
}
