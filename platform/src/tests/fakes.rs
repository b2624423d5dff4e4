//! A node and a builder that take notes.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::AsyncWriteExt,
    sync::{Semaphore, watch},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_slug::{
    ComponentRef, Digest, FileEntry, Limits, ProcessType, Slug, SlugConfig, Store, World,
    feed::{AppSpec, ApplyError, Change, DynoState, DynoStatus, EgressRule, NodeLink},
    one_off::{Input, OneOff, OneOffError, Output, Release, Run},
    outbound::{Connection, Destination},
};

use crate::{
    Error,
    compile::{Compile, Compiled, Job, Lines},
};

pub(crate) struct FakeNode {
    /// Every change, in order.
    pub(crate) changes: Mutex<Vec<Change>>,
    /// Every spec that was prepared.
    pub(crate) prepared: Mutex<Vec<Arc<AppSpec>>>,
    pub(crate) restarts: Mutex<Vec<(Uuid, Option<String>)>>,
    pub(crate) refuse_prepare: Mutex<bool>,
    pub(crate) refuse_apply: Mutex<bool>,
    /// One-off dynos that were started.
    pub(crate) ran: Mutex<Vec<OneOffSaid>>,
    /// With what they exit.
    pub(crate) status: Mutex<i32>,
    /// Lets those that read nothing end.
    pub(crate) ends: Arc<Semaphore>,
}

impl Default for FakeNode {
    fn default() -> Self {
        Self {
            changes: Mutex::default(),
            prepared: Mutex::default(),
            restarts: Mutex::default(),
            refuse_prepare: Mutex::default(),
            refuse_apply: Mutex::default(),
            ran: Mutex::default(),
            status: Mutex::default(),
            ends: Arc::new(Semaphore::new(0)),
        }
    }
}

/// What a one-off dyno was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OneOffSaid {
    /// The version, where it was not the current release.
    pub(crate) release: Option<u64>,
    pub(crate) command: Vec<String>,
    pub(crate) shown: String,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) terminal: bool,
    pub(crate) longest: std::time::Duration,
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

    async fn connect(&self, to: &Destination) -> Result<Box<dyn Connection>, String> {
        let address = (to.host.to_string(), to.port);
        let made = tokio::net::TcpStream::connect(address).await;
        made.map(|stream| Box::new(stream) as _).map_err(|error| error.to_string())
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
        if job.command.first().is_some_and(|word| word == "bash") {
            let known = "a dyno has no shell".to_owned();
            return Err(OneOffError::UnknownCommand { command: "bash".into(), known });
        }
        let (told, status) = watch::channel(None);
        let (asked, killed) = (CancellationToken::new(), CancellationToken::new());
        let run = Run::new(format!("{}.1000", job.kind), asked.clone(), killed.clone(), status);
        let (ends, code) = (self.ends.clone(), *self.status.lock());
        let said = OneOffSaid {
            release: match &job.release {
                Release::Of(spec) => spec.release.as_ref().map(|release| release.version),
                Release::Current(_) => None,
            },
            command: job.command,
            shown: job.shown,
            env: job.env,
            terminal: job.terminal,
            longest: job.longest,
        };
        self.ran.lock().push(said);
        tokio::spawn(async move {
            let (Output::Stream(mut output) | Output::Both(mut output)) = job.output else {
                return;
            };
            output.write_all(b"hello\n").await.unwrap();
            let copied = async {
                if let Input::Stream(mut input) = job.input {
                    tokio::io::copy(&mut input, &mut output).await.unwrap();
                    return;
                }
                ends.acquire().await.unwrap().forget();
            };
            let ended = tokio::select! {
                () = copied => code,
                () = asked.cancelled() => 143,
                () = killed.cancelled() => 137,
            };
            output.write_all(b"bye\n").await.unwrap();
            output.shutdown().await.unwrap();
            told.send_replace(Some(ended));
        });
        Ok(run)
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

/// A slug whose component is `content`, with process types web and worker, and release where it says that it migrates.
pub(crate) fn slug(content: &[u8], stack: Option<&str>) -> Slug {
    let digest = Digest::of(content);
    let component = ComponentRef::Own { digest, size: content.len() as u64 };
    let process = |command: &str| ProcessType::new(command, component.clone(), World::Http, vec![]);
    let mut processes = vec![("web", process("app.wasm")), ("worker", process("work.wasm"))];
    if content.starts_with(b"migrates") {
        processes.push(("release", process("migrate.wasm --all")));
    }
    let config = SlugConfig {
        buildpack: "Component".into(),
        stack: stack.map(str::to_owned),
        processes: processes
            .into_iter()
            .map(|(name, process)| (name.to_owned(), process))
            .collect(),
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

    fn buildpack(&self, text: &str) -> Result<String, Error> {
        match text.starts_with("wpaas/") {
            true => Ok(text.to_owned()),
            false => Err(Error::Invalid(format!("Buildpack {text}: it is none."))),
        }
    }

    async fn ensure_stack(&self, name: &str, output: Lines) -> Result<Digest, Error> {
        output("-----> Installing");
        Ok(Digest::of(name.as_bytes()))
    }
}
