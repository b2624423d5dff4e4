//! The directory that `wpaas dev` serves: its copy, its builds, its releases.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use parking_lot::Mutex;
use uuid::Uuid;
use wpaas_builder::{Builder, LocalBuildpacks, Output, Request, source};
use wpaas_runtime::Node;
use wpaas_slug::{
    Digest, Limits, Store,
    feed::{AppSpec, Change, EgressRule, NodeLink as _, ReleaseSpec, Scale},
};

use super::{dotenv, egress, watch::Watch};

/// What a build led to.
pub(super) enum Outcome {
    /// Code and config vars are what they were.
    Unchanged,
    /// This version serves now.
    Released(u64),
}

/// What the project's directory says of a release, beside its code.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    config: BTreeMap<String, String>,
    egress: Vec<EgressRule>,
}

/// A project under development.
pub(super) struct Project {
    directory: PathBuf,
    scratch: PathBuf,
    builder: Builder,
    limits: Limits,
    node: Node,
    watch: Arc<Watch>,
    id: Uuid,
    current: Option<ReleaseSpec>,
    /// Whether what is in the copy has been built, and with which settings.
    built: Option<Settings>,
}

impl Project {
    /// Opens `directory`; builds happen in a copy under `cache`, so nothing is written to the project.
    pub(super) fn open(
        directory: &Path,
        cache: &Path,
        store: Store,
        limits: Limits,
        node: Node,
        watch: Arc<Watch>,
    ) -> anyhow::Result<Self> {
        let directory = directory.canonicalize().context("no such directory")?;
        if !directory.is_dir() {
            anyhow::bail!("it is not a directory");
        }
        let name = Digest::of(directory.as_os_str().as_encoded_bytes()).short();
        let scratch = cache.join("dev/projects").join(name);
        std::fs::create_dir_all(&scratch)
            .with_context(|| format!("cannot create {}", scratch.display()))?;
        let builder = Builder::new(wpaas_builder::Options {
            cache_dir: cache.to_owned(),
            store,
            limits: limits.clone(),
            hidden: vec![crate::dirs::config()?],
            snapshots: crate::snapshot::program(),
            local_buildpacks: LocalBuildpacks::Anywhere,
        })?;
        Ok(Self {
            directory,
            scratch,
            builder,
            limits,
            node,
            watch,
            id: Uuid::new_v4(),
            current: None,
            built: None,
        })
    }

    /// The project's directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Copies, builds and releases what is in the directory now.
    pub(super) async fn build(&mut self) -> anyhow::Result<Outcome> {
        // Watching comes before reading, so that a file saved in between is noticed.
        self.watch.set(self.directories()?)?;
        let source = self.scratch.join("source");
        let copied = source::copy(&self.directory, &source, &self.limits)?;
        let settings = Settings { config: self.config()?, egress: self.egress()? };
        // A save is often several events, and a build may have begun with the first of them.
        let before = self.built.take();
        if copied == source::Copied::default() && before.as_ref() == Some(&settings) {
            self.built = before;
            return Ok(Outcome::Unchanged);
        }
        let lines = Arc::new(Mutex::new(Vec::new()));
        let verbose = self.current.is_none();
        let output = Output::new({
            let lines = Arc::clone(&lines);
            move |line: &str| {
                if verbose {
                    eprintln!("{line}");
                } else {
                    lines.lock().push(line.to_owned());
                }
            }
        });
        let request = Request {
            source,
            cache: self.scratch.join("cache"),
            env: settings.config.clone(),
            buildpacks: Vec::new(),
            output,
        };
        let built = self.builder.build(request).await.inspect_err(|_| {
            // Rebuilds are quiet unless they fail.
            for line in lines.lock().drain(..) {
                eprintln!("{line}");
            }
        })?;
        let slug = built.slug.digest;
        let same = |now: &ReleaseSpec| {
            now.slug == slug && now.config == settings.config && now.egress == settings.egress
        };
        if self.current.as_ref().is_some_and(same) {
            self.built = Some(settings);
            return Ok(Outcome::Unchanged);
        }
        if verbose {
            // The first use of a stack on this machine compiles it, which takes a while.
            eprintln!("-----> Launching...");
        }
        if let Some(stack) = built.stack {
            let change = Change::Stack { name: stack.name, component: stack.component };
            self.node.apply(change).await?;
        }
        let version = self.current.as_ref().map_or(1, |release| release.version + 1);
        let Settings { config, egress } = settings.clone();
        let release = ReleaseSpec { id: Uuid::new_v4(), version, slug, config, egress };
        let web = Scale { min: 0, max: 20 };
        let app = AppSpec {
            id: self.id,
            owner: self.id,
            name: "dev".into(),
            domains: Vec::new(),
            maintenance: false,
            release: Some(release.clone()),
            formation: BTreeMap::from([("web".into(), web)]),
        };
        self.node.apply(Change::App(Arc::new(app))).await?;
        self.built = Some(settings);
        self.current = Some(release);
        Ok(Outcome::Released(version))
    }

    /// The directories whose files are the app's source, and the project itself for `.env` and `.egress`.
    fn directories(&self) -> anyhow::Result<BTreeSet<PathBuf>> {
        let mut directories = BTreeSet::from([self.directory.clone()]);
        for file in source::files(&self.directory, &self.limits)? {
            directories.extend(file.ancestors().skip(1).map(|above| self.directory.join(above)));
        }
        Ok(directories)
    }

    /// What dynos may connect to, from `.egress`.
    fn egress(&self) -> anyhow::Result<Vec<EgressRule>> {
        let path = self.directory.join(".egress");
        match std::fs::read_to_string(&path) {
            Ok(text) => egress::parse(&text, &self.directory)
                .with_context(|| format!("{} is malformed", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context(path.display().to_string()),
        }
    }

    /// Config vars from `.env`.
    fn config(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let path = self.directory.join(".env");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                dotenv::parse(&text).with_context(|| format!("{} is malformed", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error).context(path.display().to_string()),
        }
    }
}
