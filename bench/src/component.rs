//! The component under test, and slugs made from it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use wpaas_slug::{ComponentRef, Digest, Limits, ProcessType, Slug, SlugConfig, Store};

use crate::{
    app::{checkout, copy_example},
    server::{self, Server},
};

/// Where peers and the component are kept between runs.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => PathBuf::from(std::env::var_os("HOME").context("set HOME")?).join(".cache"),
    };
    Ok(base.join("wpaas-bench"))
}

/// examples/rust-hello as a component, built by wpaas' own buildpack unless that was done before.
pub(crate) async fn rust_hello() -> anyhow::Result<PathBuf> {
    let source = checkout().join("examples/rust-hello");
    let component = cache()?.join(format!("rust-hello-{}.wasm", digest_of(&source)?.short()));
    if !component.is_file() {
        eprintln!("building examples/rust-hello");
        let home = server::home()?;
        let server = Server::start(&home, &[]).await?;
        // Of a copy: a deploy leaves a mark in the directory.
        let copy = tempfile::tempdir()?;
        copy_example("rust-hello", copy.path())?;
        server.deploy("rust-hello", copy.path()).await?;
        let slug = server.slug("rust-hello").await?;
        let (digest, size) = own_component(&slug.config)?;
        let bytes = server.store()?.get(digest, size).await?;
        std::fs::create_dir_all(cache()?)?;
        let new = component.with_extension("new");
        std::fs::write(&new, bytes)?;
        std::fs::rename(new, &component)?;
    }
    Ok(component)
}

/// A directory to deploy: the component and a Procfile that names it.
pub(crate) fn app(component: &Path) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    std::fs::copy(component, directory.path().join("app.wasm"))?;
    std::fs::write(directory.path().join("Procfile"), "web: app.wasm\n")?;
    Ok(directory)
}

/// The slug with its web process type changed, put into the store.
pub(crate) async fn variant(
    store: &Store,
    slug: &Slug,
    change: impl FnOnce(&mut ProcessType),
) -> anyhow::Result<Digest> {
    let mut config = slug.config.clone();
    change(config.processes.get_mut("web").context("no web process")?);
    let slug = Slug::new(config, &Limits::default())?;
    let missing = |blob| std::future::ready(Err(wpaas_slug::store::Error::NotFound(blob)));
    store.put_slug(&slug, missing).await?;
    Ok(slug.digest)
}

/// The slug with a component that does the same and is another: a custom section at its end says `number`.
pub(crate) async fn distinct(store: &Store, slug: &Slug, number: u32) -> anyhow::Result<Digest> {
    let (digest, size) = own_component(&slug.config)?;
    let mut bytes = store.get(digest, size).await?.to_vec();
    let name = b"wpaas-bench";
    let content = number.to_le_bytes();
    // Section 0, its length, the length of its name, its name, and anything; lengths below 128 are one byte.
    let length = u8::try_from(1 + name.len() + content.len())?;
    bytes.extend([0, length, u8::try_from(name.len())?]);
    bytes.extend(name);
    bytes.extend(content);
    let size = bytes.len() as u64;
    let (digest, _) = store.put(bytes.into()).await?;
    let own = ComponentRef::Own { digest, size };
    variant(store, slug, |web| web.component = own).await
}

fn own_component(config: &SlugConfig) -> anyhow::Result<(Digest, u64)> {
    match config.processes.get("web").map(|web| &web.component) {
        Some(ComponentRef::Own { digest, size }) => Ok((*digest, *size)),
        _ => anyhow::bail!("the slug brings no component of its own"),
    }
}

/// The digest of a directory's sources.
fn digest_of(directory: &Path) -> anyhow::Result<Digest> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(path) = open.pop() {
        if path.file_name().is_some_and(|name| name == "target" || name == ".wpaas") {
            continue;
        }
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        } else {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{} is empty", directory.display());
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(file.strip_prefix(directory)?.to_string_lossy().as_bytes());
        all.extend(std::fs::read(&file)?);
    }
    Ok(Digest::of(&all))
}
