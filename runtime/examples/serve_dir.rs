//! Serves one app from a directory, without a platform:
//!
//! `serve_dir APP.wasm [DIR] [--port 8080] [--env K=V]… [-- ARGS…]` for a component of one's own,
//! `serve_dir --stack STACK.wasm DIR … -- ARGS…` for files on a shared stack.

use std::{collections::BTreeMap, error::Error, fs, path::Path, sync::Arc};

use uuid::Uuid;
use wpaas_runtime::Node;
use wpaas_slug::feed::{AppSpec, Change, NodeLink, ReleaseSpec, Scale};
use wpaas_slug::log::{LogLine, LogSink};
use wpaas_slug::{ComponentRef, FileEntry, Limits, ProcessType, Slug, SlugConfig, Store, World};

struct Terminal;

impl LogSink for Terminal {
    fn write(&self, line: LogLine) {
        println!("{}", line.render());
    }
}

/// Puts the files below `dir` into the store.
async fn files(store: &Store, dir: &Path) -> Result<Vec<FileEntry>, Box<dyn Error>> {
    let (mut files, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<
                    Vec<_>,
                    _,
                >>(
                )?,
            );
            continue;
        }
        let content = fs::read(&path)?;
        let size = content.len() as u64;
        let (digest, _) = store.put(content.into()).await?;
        let path = path.strip_prefix(dir)?.to_string_lossy().into_owned();
        files.push(FileEntry { path, digest, size, executable: false });
    }
    Ok(files)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut stack, mut port, mut env, mut paths) =
        (None, "8080".to_owned(), BTreeMap::new(), Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--" => break,
            "--stack" => stack = arguments.next(),
            "--port" => port = arguments.next().unwrap_or(port),
            "--env" => env.extend(arguments.next().and_then(|var| {
                Some(var.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()))?)
            })),
            _ => paths.push(argument),
        }
    }
    let cache = std::env::temp_dir().join("wpaas-serve-dir");
    let (store, limits) = (Store::local(&cache.join("store"))?, Limits::default());
    let mut paths = paths.into_iter();
    let wasm = stack.clone().or_else(|| paths.next()).ok_or("usage: serve_dir APP.wasm [DIR]")?;
    let wasm = fs::read(wasm)?;
    let size = wasm.len() as u64;
    let (digest, _) = store.put(wasm.into()).await?;
    let component =
        if stack.is_some() { ComponentRef::Stack } else { ComponentRef::Own { digest, size } };
    let web = ProcessType {
        command: "serve_dir".into(),
        component,
        world: World::Http,
        args: arguments.collect(),
    };
    let files = match paths.next() {
        Some(dir) => files(&store, Path::new(&dir)).await?,
        None => Vec::new(),
    };
    let config = SlugConfig {
        buildpack: "serve_dir".into(),
        stack: stack.map(|_| "stack".into()),
        processes: [("web".into(), web)].into(),
        files,
    };
    let slug = Slug::new(config, &limits)?;
    store
        .put_slug(&slug, |digest| async move { Err(wpaas_slug::store::Error::NotFound(digest)) })
        .await?;

    let node = Node::builder(store, cache).log_sink(Arc::new(Terminal)).single_app(true).build()?;
    node.apply(Change::Stack { name: "stack".into(), component: digest }).await?;
    let release = ReleaseSpec { id: Uuid::nil(), version: 1, slug: slug.digest, config: env };
    let formation = [("web".into(), Scale { min: 0, max: 10 })].into();
    let app = AppSpec {
        id: Uuid::nil(),
        name: "app".into(),
        domains: vec![],
        maintenance: false,
        release: Some(release),
        formation,
    };
    node.apply(Change::App(Arc::new(app))).await?;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://{}", listener.local_addr()?);
    node.serve(listener, std::future::pending()).await?;
    Ok(())
}
