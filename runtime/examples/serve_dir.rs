//! Serves an app from a directory, without a platform:
//! `serve_dir APP.wasm [DIR] [--port 8080] [--env K=V]… [-- ARGS…]` for a component of its own,
//! `serve_dir --stack STACK.wasm DIR … -- ARGS…` for files on a shared stack.
use std::{collections::BTreeMap, error::Error, fs, future::ready, path::Path, sync::Arc};

use wpaas_runtime::Node;
use wpaas_slug::feed::{AppSpec, Change, NodeLink, ReleaseSpec, Scale};
use wpaas_slug::log::{LogLine, LogSink};
use wpaas_slug::{ComponentRef, Digest, FileEntry, Limits, store::Error::NotFound};
use wpaas_slug::{ProcessType, Slug, SlugConfig, Store, World};

struct Terminal;
impl LogSink for Terminal {
    fn write(&self, line: LogLine) {
        println!("{}", line.render());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut on_stack, mut port, mut config) = (false, "8080".to_owned(), BTreeMap::new());
    let (mut paths, mut arguments) = (Vec::new(), std::env::args().skip(1));
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--" => break,
            "--stack" => on_stack = true,
            "--port" => port = arguments.next().ok_or("--port needs a number")?,
            "--env" => {
                let var = arguments.next().unwrap_or_default();
                let (name, value) = var.split_once('=').ok_or("--env needs K=V")?;
                config.insert(name.to_owned(), value.to_owned());
            }
            _ => paths.push(argument),
        }
    }
    let cache = std::env::temp_dir().join("wpaas-serve-dir").join(&port);
    let store = Store::local(&cache.join("store"))?;
    let wasm = fs::read(paths.first().ok_or("usage: serve_dir APP.wasm [DIR]")?)?;
    let digest = Digest::of(&wasm);
    let own = ComponentRef::Own { digest, size: wasm.len() as u64 };
    let component = if on_stack { ComponentRef::Stack } else { own };
    store.put(wasm.into()).await?;
    let web = ProcessType::new("", component, World::Http, arguments.collect());
    let (buildpack, stack) = ("none".to_owned(), on_stack.then(|| "stack".to_owned()));
    let files = files(&store, paths.get(1)).await?;
    let slug = SlugConfig {
        buildpack,
        stack,
        processes: [("web".into(), web)].into(),
        programs: [].into(),
        files,
    };
    let slug = Slug::new(slug, &Limits::default())?;
    store.put_slug(&slug, |blob| ready(Err(NotFound(blob)))).await?;

    let node = Node::builder(store, cache).log_sink(Arc::new(Terminal)).single_app(true).build()?;
    node.apply(Change::Stack { name: "stack".into(), component: digest }).await?;
    let (id, name, domains, maintenance) = (uuid::Uuid::nil(), "app".to_owned(), vec![], false);
    let egress = vec![];
    let release = Some(ReleaseSpec { id, version: 1, slug: slug.digest, config, egress });
    let formation = [("web".to_owned(), Scale { min: 0, max: 10 })].into();
    let app = AppSpec { id, owner: id, name, domains, maintenance, release, formation };
    node.apply(Change::App(Arc::new(app))).await?;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://127.0.0.1:{port}");
    Ok(node.serve(listener, std::future::pending()).await?)
}

/// Puts the files below `dir` into the store.
async fn files(store: &Store, dir: Option<&String>) -> Result<Vec<FileEntry>, Box<dyn Error>> {
    let Some(dir) = dir.map(Path::new) else { return Ok(Vec::new()) };
    let (mut files, mut open) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(path)?.flatten().map(|entry| entry.path()));
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
