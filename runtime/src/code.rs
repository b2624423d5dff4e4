//! Compiled code: made once per component by the compiler, kept as files, mapped when needed.
//!
//! `<key>.cwasm` is the machine code and `<key>.sha256` its digest. The key covers the
//! component and everything that shapes the code, so another compiler, CPU or setting uses other files.

use std::{
    collections::{HashMap, VecDeque},
    hash::{Hash, Hasher},
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;
use wasmtime::{
    Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::p2::bindings::ProxyPre;
use wpaas_slug::{Digest, Limits};

use crate::{
    Error,
    blobs::{Blobs, digest_of_file},
    compile::{Compiler, compile},
    dyno::DynoState,
    engine::{self, WASMTIME_VERSION},
    keyed::KeyedLocks,
    metrics::CodeStats,
};

/// Components compiled at the same time; each may take the compiler's whole memory limit.
const CONCURRENT_COMPILES: usize = 2;
/// Code that no release uses but that stays mapped, so that what was prepared is there when it is applied.
const RECENT: usize = 16;

/// A component's code, linked to the host, ready to instantiate.
pub(crate) struct Code {
    pub(crate) pre: ProxyPre<DynoState>,
}

/// The code of all components of a node.
pub(crate) struct CodeCache {
    engine: Engine,
    linker: Linker<DynoState>,
    directory: PathBuf,
    compatibility: String,
    blobs: Blobs,
    compiler: Compiler,
    limits: Arc<Limits>,
    compiles: Semaphore,
    locks: KeyedLocks<Digest>,
    loaded: Mutex<HashMap<Digest, Weak<Code>>>,
    recent: Mutex<VecDeque<Arc<Code>>>,
    pub(crate) stats: CodeStats,
}

impl CodeCache {
    pub(crate) fn new(
        engine: Engine,
        directory: PathBuf,
        blobs: Blobs,
        compiler: Compiler,
        limits: Arc<Limits>,
    ) -> Result<Self, Error> {
        std::fs::create_dir_all(&directory).map_err(Error::cache(&directory))?;
        Ok(Self {
            linker: engine::linker(&engine)?,
            compatibility: compatibility(&engine),
            engine,
            directory,
            blobs,
            compiler,
            limits,
            compiles: Semaphore::new(CONCURRENT_COMPILES),
            locks: KeyedLocks::new(),
            loaded: Mutex::new(HashMap::new()),
            recent: Mutex::new(VecDeque::new()),
            stats: CodeStats::default(),
        })
    }

    /// The code of a component: from memory, else from its file, else compiled now.
    pub(crate) async fn get(&self, component: Digest) -> Result<Arc<Code>, Error> {
        if let Some(code) = self.loaded(component) {
            self.stats.hit();
            return Ok(code);
        }
        let _alone = self.locks.lock(component).await;
        if let Some(code) = self.loaded(component) {
            self.stats.hit();
            return Ok(code);
        }
        let path = self.directory.join(self.key(component)).with_extension("cwasm");
        let compiled = match self.map(&path).await? {
            Some(compiled) => {
                self.stats.hit();
                compiled
            }
            None => {
                self.compile(component, &path).await?;
                self.map(&path).await?.ok_or_else(|| {
                    Error::compile(component, "the compiler's output does not load")
                })?
            }
        };
        let code = Arc::new(self.link(component, &compiled)?);
        let mut loaded = self.loaded.lock();
        loaded.retain(|_, code| code.strong_count() > 0);
        loaded.insert(component, Arc::downgrade(&code));
        drop(loaded);
        let mut recent = self.recent.lock();
        recent.push_back(Arc::clone(&code));
        let forgotten = if recent.len() > RECENT { recent.pop_front() } else { None };
        drop(recent);
        drop(forgotten);
        Ok(code)
    }

    fn loaded(&self, component: Digest) -> Option<Arc<Code>> {
        self.loaded.lock().get(&component).and_then(Weak::upgrade)
    }

    /// File name of a component's code.
    fn key(&self, component: Digest) -> String {
        Digest::of(format!("{component} {}", self.compatibility).as_bytes()).hex()
    }

    async fn compile(&self, component: Digest, path: &Path) -> Result<(), Error> {
        let input = self.blobs.verified_file(component, self.limits.component_bytes).await?;
        let permit = self.compiles.acquire().await;
        let output = tempfile::Builder::new()
            .suffix(".tmp")
            .tempfile_in(&self.directory)
            .map_err(Error::cache(&self.directory))?
            .into_temp_path();
        let started = std::time::Instant::now();
        let compiled = compile(&self.compiler, component, &input, &output, &self.limits).await;
        self.stats.compiled(started.elapsed(), compiled.is_ok());
        compiled?;
        drop(permit);
        tracing::info!(
            component = component.short(),
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "compiled"
        );
        let path = path.to_owned();
        on_blocking_thread(move || {
            let digest = digest_of_file(&output)?;
            let sidecar = path.with_extension("sha256");
            write_whole(&sidecar, digest.to_string().as_bytes())?;
            output.persist(&path).map_err(|error| error.error)
        })
        .await
        .map_err(Error::cache(&self.directory))
    }

    /// Maps a code file, or `None` when there is none that may be trusted.
    async fn map(&self, path: &Path) -> Result<Option<Component>, Error> {
        let (engine, path) = (self.engine.clone(), path.to_owned());
        on_blocking_thread(move || Ok(map_verified(&engine, &path)))
            .await
            .map_err(Error::cache(&self.directory))
    }

    fn link(&self, component: Digest, compiled: &Component) -> Result<Code, Error> {
        let refused = |error: wasmtime::Error| Error::component(component, format!("{error:#}"));
        let pre = self.linker.instantiate_pre(compiled).map_err(refused)?;
        Ok(Code { pre: ProxyPre::new(pre).map_err(refused)? })
    }
}

/// Everything but the component that shapes machine code, as text.
pub(crate) fn compatibility(engine: &Engine) -> String {
    let mut hasher = Sha256Hasher(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{WASMTIME_VERSION} {}", hex::encode(hasher.0.finalize()))
}

/// [`Hasher`] gives 64 bits only; a key of a cache that is never checked again should have more.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

fn map_verified(engine: &Engine, path: &Path) -> Option<Component> {
    let recorded = std::fs::read_to_string(path.with_extension("sha256")).ok()?;
    let recorded: Digest = recorded.parse().ok()?;
    let actual = digest_of_file(path).ok()?;
    if actual != recorded {
        tracing::warn!(path = %path.display(), "compiled code is damaged; compiling it again");
        return None;
    }
    #[expect(
        unsafe_code,
        reason = "machine code cannot be checked, only its origin: this directory is the node's \
                  own, files get into it only from our compiler, and the digest that was recorded \
                  then has just been compared"
    )]
    let component = unsafe { Component::deserialize_file(engine, path) };
    component
        .inspect_err(|error| tracing::warn!(path = %path.display(), "stale code: {error:#}"))
        .ok()
}

/// Writes a file so that it appears whole or not at all.
fn write_whole(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    std::io::Write::write_all(&mut file, content)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests;
