//! Compiled code: made once per component by the compiler, kept as files, mapped when needed.

pub(crate) mod files;
mod map;
mod renew;
mod wanted;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Instant,
};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::{
    Engine,
    component::{Component, InstancePre, Linker},
};
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::{p2::bindings::ProxyPre, p3::bindings::ServicePre};
use wpaas_slug::{Digest, Limits, World};

use crate::{
    Error,
    blobs::Blobs,
    compile::{Compiler, Shape, Urgency, compile, shape},
    dyno::DynoState,
    engine,
    keyed::KeyedLocks,
    metrics::CodeStats,
    p3,
};
use files::Files;
use wanted::Wanted;

/// Components compiled at the same time because somebody waits; each may take the compiler's whole
/// memory limit. One more may be compiled because it will be needed.
const CONCURRENT_COMPILES: usize = 2;
/// Code that no release uses but that stays mapped, so that what was prepared is there when it is applied.
const RECENT: usize = 16;

/// A component's code, linked to the host.
pub(crate) struct Code {
    component: Digest,
    pre: InstancePre<DynoState>,
}

/// Code of which it is known that it exports what its process type's world wants.
#[derive(Clone)]
pub(crate) enum GuestPre {
    /// [`World::Http`], one request at a time.
    Http(ProxyPre<DynoState>),
    /// [`World::Http`], many requests at once.
    HttpP3(ServicePre<DynoState>),
    /// [`World::Cgi`]: a command that answers a request.
    Cgi(CommandPre<DynoState>),
    /// [`World::Cli`]
    Command(CommandPre<DynoState>),
}

impl Code {
    /// The code as a guest of `world`, which it may not be.
    pub(crate) fn guest(&self, world: World) -> Result<GuestPre, Error> {
        let pre = self.pre.clone();
        let guest = match world {
            World::Http if p3::is_service(&pre) => ServicePre::new(pre).map(GuestPre::HttpP3),
            World::Http => ProxyPre::new(pre).map(GuestPre::Http),
            World::Cgi => CommandPre::new(pre).map(GuestPre::Cgi),
            World::Cli => CommandPre::new(pre).map(GuestPre::Command),
        };
        guest.map_err(|error| Error::component(self.component, format!("{error:#}")))
    }
}

/// The code of all components of a node. Clones are handles of the same.
#[derive(Clone)]
pub(crate) struct CodeCache {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    linker: Linker<DynoState>,
    shape: Shape,
    files: Arc<Files>,
    blobs: Blobs,
    compiler: Compiler,
    limits: Arc<Limits>,
    compiles: Semaphore,
    later: Semaphore,
    locks: KeyedLocks<Digest>,
    wanted: Wanted,
    loaded: Mutex<HashMap<Digest, Loaded>>,
    recent: Mutex<VecDeque<Arc<Code>>>,
    stats: CodeStats,
}

struct Loaded {
    code: Weak<Code>,
    path: PathBuf,
}

impl CodeCache {
    pub(crate) fn new(
        engine: Engine,
        directory: PathBuf,
        blobs: Blobs,
        compiler: Compiler,
        limits: Arc<Limits>,
    ) -> Result<Self, Error> {
        let files = Files::open(directory.clone()).map_err(Error::cache(&directory))?;
        let inner = Inner {
            linker: engine::linker(&engine)?,
            shape: shape(&engine),
            engine,
            files: Arc::new(files),
            blobs,
            compiler,
            limits,
            compiles: Semaphore::new(CONCURRENT_COMPILES),
            later: Semaphore::new(1),
            locks: KeyedLocks::new(),
            wanted: Wanted::new(),
            loaded: Mutex::new(HashMap::new()),
            recent: Mutex::new(VecDeque::new()),
            stats: CodeStats::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The code of a component: from memory, else from its file, else compiled now.
    ///
    /// What somebody waits for goes on when they no longer do (a request gives up after `boot_ms`), so that
    /// the next one finds it done. What nobody waits for is given up as soon as somebody does, and
    /// started again with their priority.
    pub(crate) async fn get(
        &self,
        component: Digest,
        urgency: Urgency,
    ) -> Result<Arc<Code>, Error> {
        if let Some(code) = self.inner.loaded(component) {
            self.inner.stats.hit();
            return Ok(code);
        }
        if urgency == Urgency::Later {
            return self.inner.later(component, || self.inner.find(component, urgency)).await;
        }
        let inner = Arc::clone(&self.inner);
        let task = tokio::spawn(async move {
            let _wanted = inner.wanted.register(component);
            let _alone = inner.locks.lock(component).await;
            inner.find(component, urgency).await
        });
        task.await.map_err(|error| Error::Engine(format!("loading code: {error}")))?
    }

    /// What metrics tell of the cache.
    pub(crate) fn stats(&self) -> &CodeStats {
        &self.inner.stats
    }

    /// Components compiled so far.
    pub(crate) fn compiled(&self) -> u64 {
        self.inner.stats.compiles()
    }
}

impl Inner {
    /// Does `work` for a component while no request or deploy needs the same component.
    async fn later<T, F: Future<Output = T>>(&self, component: Digest, work: impl Fn() -> F) -> T {
        loop {
            let alone = self.locks.lock(component).await;
            tokio::select! {
                biased;
                () = self.wanted.wait(component) => {}
                done = work() => return done,
            }
            drop(alone);
            self.wanted.wait_until_not(component).await;
        }
    }

    fn loaded(&self, component: Digest) -> Option<Arc<Code>> {
        self.loaded.lock().get(&component).and_then(|loaded| loaded.code.upgrade())
    }

    /// The component's code, wherever it is. The caller holds the component's lock.
    async fn find(&self, component: Digest, urgency: Urgency) -> Result<Arc<Code>, Error> {
        if let Some(code) = self.loaded(component) {
            return Ok(code);
        }
        let found = self.find_file(component).await?;
        let is_new = found.is_none();
        let (path, compiled) = match found {
            Some(found) => {
                self.stats.hit();
                found
            }
            None => {
                let path = self.compile(component, urgency).await?;
                let compiled = self.map(&path).await?;
                let gone = || Error::cache(&path)(std::io::ErrorKind::NotFound.into());
                let compiled = compiled.ok_or_else(gone)?;
                (path, compiled)
            }
        };
        let refused = |reason| Error::component(component, reason);
        let code = Arc::new(self.link(component, &compiled.map_err(refused)?)?);
        self.remember(component, &code, path);
        if is_new {
            self.prune().await;
        }
        Ok(code)
    }

    /// The first of the component's files that may be loaded, if there is one, and what came of it.
    async fn find_file(&self, component: Digest) -> Result<Option<Mapped>, Error> {
        let own = self.files.path(component, &self.shape.name);
        if let Some(compiled) = self.map(&own).await? {
            return Ok(Some((own, compiled)));
        }
        if self.shape.exact {
            return Ok(None);
        }
        // Without a compiler the node does not know its shape: whatever loads has the right one.
        let mut refused = None;
        for path in self.others(component).await? {
            match self.map(&path).await? {
                Some(Ok(compiled)) => return Ok(Some((path, Ok(compiled)))),
                Some(Err(reason)) => refused = Some(reason),
                None => {}
            }
        }
        if let Some(reason) = refused {
            tracing::warn!(component = component.short(), "its code is for another node: {reason}");
        }
        Ok(None)
    }

    fn remember(&self, component: Digest, code: &Arc<Code>, path: PathBuf) {
        let mut loaded = self.loaded.lock();
        loaded.retain(|_, loaded| loaded.code.strong_count() > 0);
        loaded.insert(component, Loaded { code: Arc::downgrade(code), path });
        drop(loaded);
        let mut recent = self.recent.lock();
        recent.push_back(Arc::clone(code));
        let forgotten = if recent.len() > RECENT { recent.pop_front() } else { None };
        drop(recent);
        drop(forgotten);
    }

    /// Files that are mapped by this process.
    fn mapped(&self) -> HashSet<PathBuf> {
        let loaded = self.loaded.lock();
        let used = loaded.values().filter(|loaded| loaded.code.strong_count() > 0);
        used.map(|loaded| loaded.path.clone()).collect()
    }

    /// Compiles a component, and returns the code's file.
    async fn compile(&self, component: Digest, urgency: Urgency) -> Result<PathBuf, Error> {
        if matches!(self.compiler, Compiler::None) {
            return Err(Error::NotCompiled { component: component.short() });
        }
        let input = self.blobs.verified_file(component, self.limits.component_bytes).await?;
        let slots = if urgency == Urgency::Now { &self.compiles } else { &self.later };
        let permit = slots.acquire().await;
        let output = self.files.temporary().map_err(Error::cache(self.files.directory()))?;
        let started = Instant::now();
        let how = (urgency, engine::Wasi::of(&self.engine));
        let compiled = compile(&self.compiler, component, &input, &output, &self.limits, how).await;
        self.stats.compiled(started.elapsed(), compiled.is_ok());
        compiled?;
        drop(permit);
        tracing::info!(
            component = component.short(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "compiled"
        );
        let path = self.files.path(component, &self.shape.name);
        let to = path.clone();
        self.on_files(move |files| files.install(output, &to)).await?;
        Ok(path)
    }

    /// Maps a code file, or `None` when there is none that may be trusted.
    async fn map(&self, path: &Path) -> Result<Option<Result<Component, String>>, Error> {
        let (engine, path) = (self.engine.clone(), path.to_owned());
        self.on_files(move |files| Ok(map::map(&engine, files, &path))).await
    }

    fn link(&self, component: Digest, compiled: &Component) -> Result<Code, Error> {
        let refused = |error: wasmtime::Error| Error::component(component, format!("{error:#}"));
        let pre = self.linker.instantiate_pre(compiled).map_err(refused)?;
        Ok(Code { component, pre })
    }

    /// Does what blocks on the disk.
    async fn on_files<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let files = Arc::clone(&self.files);
        let done = tokio::task::spawn_blocking(move || work(&files)).await;
        done.map_err(std::io::Error::other)
            .and_then(|done| done)
            .map_err(Error::cache(self.files.directory()))
    }
}

/// A code file and the component in it, or why the engine refuses it.
type Mapped = (PathBuf, Result<Component, String>);

#[cfg(test)]
mod tests;
