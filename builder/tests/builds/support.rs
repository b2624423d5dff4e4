//! A builder with a cache and a store of its own, and trees made of strings.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use wpaas_builder::{Builder, Built, Error, LocalBuildpacks, Options, Output, Request};
use wpaas_slug::{Limits, Slug, Store};

/// Everything that a platform would keep.
pub(crate) struct Platform {
    pub(crate) root: tempfile::TempDir,
    pub(crate) store: Store,
    pub(crate) builder: Builder,
    limits: Limits,
}

/// A build's result with what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) result: Result<Built, Error>,
    pub(crate) lines: Vec<String>,
}

impl Outcome {
    pub(crate) fn built(self) -> Built {
        match self.result {
            Ok(built) => built,
            Err(error) => panic!("{error}\n{}", self.lines.join("\n")),
        }
    }

    pub(crate) fn error(self) -> Error {
        self.result.expect_err("the build should fail")
    }

    pub(crate) fn printed(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }
}

impl Platform {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with(limits, LocalBuildpacks::Anywhere)
    }

    pub(crate) fn allowing(local_buildpacks: LocalBuildpacks) -> Self {
        Self::with(Limits::default(), local_buildpacks)
    }

    fn with(limits: Limits, local_buildpacks: LocalBuildpacks) -> Self {
        let root = tempfile::tempdir().unwrap();
        // Kept between runs of the tests: stacks are installed once per machine.
        let cache_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        let store = Store::local(&root.path().join("data/store")).unwrap();
        fs::write(root.path().join("data/token"), "s3cret").unwrap();
        let options = Options {
            cache_dir,
            store: store.clone(),
            limits: limits.clone(),
            hidden: vec![root.path().join("data")],
            snapshots: None,
            local_buildpacks,
        };
        let builder = Builder::new(options).unwrap();
        Self { root, store, builder, limits }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A request for the app `app`, whose source is a copy of `source`.
    pub(crate) fn request(&self, app: &str, source: &Path) -> (Request, Arc<Mutex<Vec<String>>>) {
        let scratch = tempfile::tempdir_in(self.root.path()).unwrap().keep();
        wpaas_builder::source::copy(source, &scratch, &self.limits).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let request = Request {
            source: scratch,
            cache: self.path("caches").join(app),
            env: BTreeMap::new(),
            buildpacks: Vec::new(),
            output: Output::new(move |line| sink.lock().unwrap().push(line.to_owned())),
        };
        (request, lines)
    }

    /// Builds a copy of `source` as the app `app`.
    pub(crate) async fn build(&self, app: &str, source: &Path) -> Outcome {
        self.build_with(app, source, |_| {}).await
    }

    pub(crate) async fn build_with(
        &self,
        app: &str,
        source: &Path,
        change: impl FnOnce(&mut Request),
    ) -> Outcome {
        let (mut request, lines) = self.request(app, source);
        change(&mut request);
        let result = self.builder.build(request).await;
        Outcome { result, lines: lines.lock().unwrap().clone() }
    }
}

/// Paths and contents of a tree.
pub(crate) type Files<'a> = &'a [(&'a str, &'a [u8])];

/// A tree of files; those that start with `#!` are executable.
pub(crate) fn tree(files: Files<'_>) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        if content.starts_with(b"#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    root
}

/// A component that exports an interface by name, enough for a builder.
pub(crate) fn component(export: &str) -> Vec<u8> {
    let text = format!("(component (instance $i) (export {export:?} (instance $i)))");
    wat::parse_str(text).unwrap()
}

pub(crate) fn http_component() -> Vec<u8> {
    component("wasi:http/incoming-handler@0.2.10")
}

/// The slug's files.
pub(crate) fn files(slug: &Slug) -> Vec<&str> {
    slug.config.files.iter().map(|file| file.path.as_str()).collect()
}
