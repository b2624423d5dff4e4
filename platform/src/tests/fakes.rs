//! A node and a builder that take notes.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use uuid::Uuid;
use wpaas_slug::{
    ComponentRef, Digest, FileEntry, Limits, ProcessType, Slug, SlugConfig, Store, World,
    feed::{AppSpec, ApplyError, Change, DynoState, DynoStatus, EgressRule, NodeLink},
    one_off::{OneOff, OneOffError, Run},
};

use crate::{
    Error,
    compile::{Compile, Compiled, Job, Lines},
};

#[derive(Default)]
pub(crate) struct FakeNode {
    /// Every change, in order.
    pub(crate) changes: Mutex<Vec<Change>>,
    /// Every spec that was prepared.
    pub(crate) prepared: Mutex<Vec<Arc<AppSpec>>>,
    pub(crate) restarts: Mutex<Vec<(Uuid, Option<String>)>>,
    pub(crate) refuse_prepare: Mutex<bool>,
    pub(crate) refuse_apply: Mutex<bool>,
}

impl FakeNode {
    /// What the node now has of an app.
    pub(crate) fn app(&self, id: Uuid) -> Option<Arc<AppSpec>> {
        self.apps().remove(&id)
    }

    pub(crate) fn apps(&self) -> HashMap<Uuid, Arc<AppSpec>> {
        let mut apps = HashMap::new();
        for change in self.changes.lock().iter() {
            match change {
                Change::App(spec) => {
                    apps.insert(spec.id, spec.clone());
                }
                Change::AppRemoved { id } => {
                    apps.remove(id);
                }
                Change::Stack { .. } => {}
            }
        }
        apps
    }

    /// The versions of an app's releases in the order in which the node got them, each once.
    pub(crate) fn versions(&self, id: Uuid) -> Vec<u64> {
        let mut versions = Vec::new();
        for change in self.changes.lock().iter() {
            if let Change::App(spec) = change
                && spec.id == id
                && let Some(release) = &spec.release
                && versions.last() != Some(&release.version)
            {
                versions.push(release.version);
            }
        }
        versions
    }
}

fn refused() -> ApplyError {
    ApplyError { message: "the component has no start".into(), permanent: true }
}

#[async_trait::async_trait]
impl NodeLink for FakeNode {
    async fn apply(&self, change: Change) -> Result<(), ApplyError> {
        // A real node takes its time, which is when others could overtake.
        tokio::task::yield_now().await;
        if *self.refuse_apply.lock() {
            return Err(refused());
        }
        self.changes.lock().push(change);
        Ok(())
    }

    async fn prepare(&self, app: Arc<AppSpec>) -> Result<(), ApplyError> {
        tokio::task::yield_now().await;
        if *self.refuse_prepare.lock() {
            return Err(refused());
        }
        self.prepared.lock().push(app);
        Ok(())
    }

    async fn check_egress(&self, rules: &[EgressRule]) -> Result<(), ApplyError> {
        match rules.iter().find(|rule| rule.host == "10.0.0.7") {
            Some(_) => Err(ApplyError { message: "10.0.0.7 is private".into(), permanent: true }),
            None => Ok(()),
        }
    }

    fn dynos(&self, app: Uuid) -> Vec<DynoStatus> {
        let Some(release) = self.app(app).and_then(|app| app.release.clone()) else {
            return Vec::new();
        };
        let dyno = |n: u32| DynoStatus {
            name: format!("web.{n}"),
            process_type: "web".into(),
            command: "app.wasm".into(),
            state: DynoState::Idle,
            since: "2026-11-21T01:02:03.5Z".parse().unwrap(),
            release_id: release.id,
            release_version: release.version,
            isolation: wpaas_slug::Isolation::Instance,
            concurrency: std::num::NonZeroU32::new(n),
        };
        vec![dyno(1), dyno(2)]
    }

    async fn restart(&self, app: Uuid, dyno: Option<String>) {
        self.restarts.lock().push((app, dyno));
    }

    async fn run(&self, job: OneOff) -> Result<Run, OneOffError> {
        let _ = job;
        Err(OneOffError::Stopping)
    }
}

/// Builds a slug from any source with a file `app.wasm`. A source with a file `fail` fails, one with a file
/// `wait` waits for a permit of `go` first.
pub(crate) struct FakeBuilder {
    pub(crate) store: Store,
    pub(crate) go: Semaphore,
    /// Apps' environments, as builds saw them.
    pub(crate) environments: Mutex<Vec<crate::config::Vars>>,
    pub(crate) running: Mutex<(usize, usize)>,
}

impl FakeBuilder {
    pub(crate) fn new(store: Store) -> Self {
        let go = Semaphore::new(0);
        Self { store, go, environments: Mutex::default(), running: Mutex::default() }
    }
}

/// A slug whose component is `content`, with process types web and worker.
pub(crate) fn slug(content: &[u8], stack: Option<&str>) -> Slug {
    let digest = Digest::of(content);
    let component = ComponentRef::Own { digest, size: content.len() as u64 };
    let process = |command: &str| ProcessType::new(command, component.clone(), World::Http, vec![]);
    let config = SlugConfig {
        buildpack: "Component".into(),
        stack: stack.map(str::to_owned),
        processes: [("web", process("app.wasm")), ("worker", process("work.wasm"))]
            .map(|(name, process)| (name.to_owned(), process))
            .into(),
        programs: [].into(),
        files: vec![FileEntry {
            path: "app.wasm".into(),
            digest,
            size: content.len() as u64,
            executable: false,
        }],
    };
    Slug::new(config, &Limits::default()).unwrap()
}

struct Running<'a>(&'a Mutex<(usize, usize)>);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().0 -= 1;
    }
}

#[async_trait::async_trait]
impl Compile for FakeBuilder {
    async fn build(&self, job: Job) -> Result<Compiled, Error> {
        let _running = {
            let mut running = self.running.lock();
            running.0 += 1;
            running.1 = running.1.max(running.0);
            Running(&self.running)
        };
        self.environments.lock().push(job.env);
        (job.output)("-----> Component app detected");
        if job.source.join("wait").exists() {
            self.go.acquire().await.unwrap().forget();
        }
        if job.source.join("fail").exists() {
            (job.output)("error[E0425]: cannot find value");
            return Err(Error::Build("cargo build failed with status 101".into()));
        }
        let content = std::fs::read(job.source.join("app.wasm"))
            .map_err(|_| Error::Build("No language found: looked for app.wasm".into()))?;
        let stack = job.source.join("stack").exists().then_some("node-20");
        let slug = slug(&content, stack);
        let written = self.store.put_slug(&slug, |_| async { Ok(content.clone().into()) }).await?;
        Ok(Compiled {
            slug,
            uploaded_blobs: written.new_blobs,
            stack: stack.map(|name| (name.to_owned(), Digest::of(name.as_bytes()))),
            steps: vec![("compile".into(), std::time::Duration::from_millis(5))],
        })
    }

    async fn ensure_stack(&self, name: &str, output: Lines) -> Result<Digest, Error> {
        output("-----> Installing");
        Ok(Digest::of(name.as_bytes()))
    }
}
