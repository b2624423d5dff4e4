//! A node with apps on it, a log that can be awaited, and a client.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OnceCell, oneshot},
    task::JoinHandle,
};
use uuid::Uuid;
use wpaas_runtime::{Builder, Node};
use wpaas_slug::{
    ComponentRef, Digest, FileEntry, Limits, ProcessType, Slug, SlugConfig, Store, World,
    feed::{AppSpec, Change, DynoState, NodeLink, ReleaseSpec, Scale},
    log::{LogLine, LogSink, Source},
};

/// Longest wait for anything; hitting it is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

/// Where the scripts of tests/setup put what they make.
pub fn test_cache() -> PathBuf {
    std::env::var_os("WPAAS_TEST_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
        cache.unwrap_or_else(home).join("wpaas-tests")
    })
}

/// A guest built by tests/setup/guests.sh.
pub fn guest(name: &str) -> Vec<u8> {
    let path = test_cache().join("guests").join(format!("{name}.wasm"));
    let missing = format!("{} is missing: run tests/setup/guests.sh", path.display());
    std::fs::read(path).expect(&missing)
}

/// A log whose lines can be awaited.
#[derive(Default)]
pub struct Log {
    lines: Mutex<Vec<LogLine>>,
    added: Notify,
}

impl LogSink for Log {
    fn write(&self, line: LogLine) {
        self.lines.lock().push(line);
        self.added.notify_waiters();
    }
}

impl Log {
    /// All lines so far as `SOURCE[DYNO]: TEXT`.
    pub fn lines(&self) -> Vec<String> {
        let source = |source| if source == Source::App { "app" } else { "heroku" };
        let lines = self.lines.lock();
        let show =
            |line: &LogLine| format!("{}[{}]: {}", source(line.source), line.dyno, line.text);
        lines.iter().map(show).collect()
    }

    /// The first line that contains `text`, which must come.
    pub async fn line(&self, text: &str) -> String {
        self.line_from(0, text).await
    }

    /// The same, without the first `from` lines.
    pub async fn line_from(&self, from: usize, text: &str) -> String {
        let wait = async {
            loop {
                let added = self.added.notified();
                let found = |line: &String| line.contains(text);
                if let Some(line) = self.lines().into_iter().skip(from).find(found) {
                    return line;
                }
                added.await;
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(line) => line,
            Err(_) => panic!("no line with {text:?} after {from} in {:#?}", self.lines()),
        }
    }
}

/// A node that serves.
pub struct Host {
    pub node: Node,
    pub log: Arc<Log>,
    pub store: Store,
    pub address: SocketAddr,
    pub directory: tempfile::TempDir,
    /// Ends [`Node::serve`].
    pub shutdown: Option<oneshot::Sender<()>>,
    pub server: JoinHandle<std::io::Result<()>>,
}

/// Compiled code that all tests of this run share; `code` of each cache directory leads there.
async fn shared_code() -> &'static Path {
    static SHARED: OnceCell<tempfile::TempDir> = OnceCell::const_new();
    let shared = SHARED.get_or_init(|| async {
        let shared = tempfile::tempdir().unwrap();
        let store = Store::local(&shared.path().join("store")).unwrap();
        let node = Node::builder(store.clone(), shared.path().join("cache")).build().unwrap();
        let (http, command) = (World::Http, World::Cli);
        for (name, process, world) in [
            ("attack", "web", http),
            ("component-hello", "web", http),
            ("cgi", "command", command),
            ("socket", "command", command),
            ("worker", "command", command),
        ] {
            let slug =
                slug_of(&store, vec![(process, process_type(&store, name, world).await)]).await;
            node.prepare(Arc::new(app("warm", Some(slug)))).await.unwrap();
        }
        shared
    });
    shared.await.path()
}

pub async fn host(change: impl FnOnce(&mut Limits)) -> Host {
    host_with(change, |builder| builder).await
}

pub async fn host_with(
    change: impl FnOnce(&mut Limits),
    build: impl FnOnce(Builder) -> Builder,
) -> Host {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::os::unix::fs::symlink(shared_code().await.join("cache/code"), cache.join("code")).unwrap();
    host_in(directory, change, build).await
}

/// A node on a directory that another one may have used.
pub async fn host_in(
    directory: tempfile::TempDir,
    change: impl FnOnce(&mut Limits),
    build: impl FnOnce(Builder) -> Builder,
) -> Host {
    let mut limits = Limits { dynos_per_node: 20, ..Limits::default() };
    change(&mut limits);
    let store = Store::local(&directory.path().join("store")).unwrap();
    let log = Arc::new(Log::default());
    let builder = Node::builder(store.clone(), directory.path().join("cache"))
        .limits(limits)
        .log_sink(log.clone());
    let node = build(builder).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, ended) = oneshot::channel();
    let serving = node.clone();
    let server = tokio::spawn(async move {
        serving
            .serve(listener, async {
                let _ = ended.await;
            })
            .await
    });
    Host { node, log, store, address, directory, shutdown: Some(shutdown), server }
}

/// A node with the app `app` made of the attack guest, with one dyno: of several, the next request may get
/// another one while the first is still returning from its call.
pub async fn attacked(change: impl FnOnce(&mut Limits)) -> Host {
    let host = host(change).await;
    host.deploy_alone().await;
    host
}

/// Puts a slug with one web process into the store.
pub async fn slug(
    store: &Store,
    wasm: Vec<u8>,
    app_files: &[(&str, &str)],
    on_stack: bool,
) -> Digest {
    let size = wasm.len() as u64;
    let (digest, _) = store.put(wasm.into()).await.unwrap();
    let mut files = Vec::new();
    for (path, content) in app_files {
        let (digest, _) = store.put(Bytes::from(content.to_string())).await.unwrap();
        let size = content.len() as u64;
        files.push(FileEntry { path: path.to_string(), digest, size, executable: false });
    }
    let component = if on_stack { ComponentRef::Stack } else { ComponentRef::Own { digest, size } };
    let args = vec!["one".into(), "two".into()];
    let web = ProcessType::new("the command", component, World::Http, args);
    let config = SlugConfig {
        buildpack: "Test".into(),
        stack: on_stack.then(|| "test-stack".into()),
        processes: [("web".into(), web)].into(),
        programs: [].into(),
        files,
    };
    let slug = Slug::new(config, &Limits::default()).unwrap();
    store.put_slug(&slug, |_| async { unreachable!("all blobs are there") }).await.unwrap();
    slug.digest
}

/// A process type that runs a guest of its own.
pub async fn process_type(store: &Store, guest_name: &str, world: World) -> ProcessType {
    let component = own(store, guest(guest_name)).await;
    ProcessType::new("the command", component, world, vec![format!("{guest_name}.wasm")])
}

/// Puts a component into the store.
pub async fn own(store: &Store, wasm: Vec<u8>) -> ComponentRef {
    let size = wasm.len() as u64;
    let (digest, _) = store.put(wasm.into()).await.unwrap();
    ComponentRef::Own { digest, size }
}

/// Puts the files below `directory` into the store, as those of a slug below `at`.
pub async fn files(store: &Store, directory: &Path, at: &str) -> Vec<FileEntry> {
    let missing = format!("{} is missing: run scripts/test.sh", directory.display());
    assert!(directory.is_dir(), "{missing}");
    let (mut files, mut open) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let content = std::fs::read(&path).unwrap();
            let size = content.len() as u64;
            let (digest, _) = store.put(content.into()).await.unwrap();
            let inner = path.strip_prefix(directory).unwrap().to_str().unwrap();
            files.push(FileEntry { path: format!("{at}{inner}"), digest, size, executable: false });
        }
    }
    files
}

/// Puts a slug of these process types into the store.
pub async fn slug_of(store: &Store, processes: Vec<(&str, ProcessType)>) -> Digest {
    slug_with(store, processes, vec![]).await
}

/// The same with files, whose contents are in the store.
pub async fn slug_with(
    store: &Store,
    processes: Vec<(&str, ProcessType)>,
    files: Vec<FileEntry>,
) -> Digest {
    let config = SlugConfig {
        buildpack: "Test".into(),
        stack: None,
        processes: processes.into_iter().map(|(name, process)| (name.into(), process)).collect(),
        programs: [].into(),
        files,
    };
    let slug = Slug::new(config, &Limits::default()).unwrap();
    store.put_slug(&slug, |_| async { unreachable!("all blobs are there") }).await.unwrap();
    slug.digest
}

/// An app with up to five web dynos.
pub fn app(name: &str, slug: Option<Digest>) -> AppSpec {
    let release = slug.map(|slug| ReleaseSpec {
        id: Uuid::from_u128(7),
        version: 1,
        slug,
        config: BTreeMap::new(),
        egress: vec![],
    });
    AppSpec {
        id: Uuid::from_slice(&Digest::of(name.as_bytes()).hex().as_bytes()[..16]).unwrap(),
        owner: Uuid::from_u128(1),
        name: name.into(),
        domains: vec![],
        maintenance: false,
        release,
        formation: [("web".into(), Scale { min: 0, max: 5 })].into(),
    }
}

/// Gives the app new config vars, which makes a new release.
pub fn configure(app: &mut AppSpec, vars: &[(&str, &str)]) {
    let release = app.release.as_mut().unwrap();
    release.version += 1;
    release.id = Uuid::from_u128(u128::from(release.version));
    release.config = vars.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
}

impl Host {
    pub async fn deploy(&self, name: &str, guest_name: &str) -> AppSpec {
        self.deploy_files(name, guest_name, &[]).await
    }

    /// The app `app` made of the attack guest, with one dyno.
    pub async fn deploy_alone(&self) -> AppSpec {
        let slug = slug(&self.store, guest("attack"), &[], false).await;
        let mut app = app("app", Some(slug));
        app.formation.insert("web".into(), Scale { min: 0, max: 1 });
        self.apply(&app).await;
        app
    }

    pub async fn deploy_files(
        &self,
        name: &str,
        guest_name: &str,
        files: &[(&str, &str)],
    ) -> AppSpec {
        let slug = slug(&self.store, guest(guest_name), files, false).await;
        let app = app(name, Some(slug));
        self.apply(&app).await;
        app
    }

    /// Waits until the app's first dyno is in this state, which nothing announces.
    pub async fn dyno_is(&self, app: &AppSpec, state: DynoState) {
        soon(async {
            while self.node.dynos(app.id).first().is_none_or(|dyno| dyno.state != state) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// The app's dynos with their states.
    pub fn node_dynos(&self, app: &AppSpec) -> Vec<(String, DynoState)> {
        self.node.dynos(app.id).into_iter().map(|dyno| (dyno.name, dyno.state)).collect()
    }

    /// Restarts all dynos of the app.
    pub async fn restart(&self, app: &AppSpec) {
        self.node.restart(app.id, None).await;
    }

    pub async fn apply(&self, app: &AppSpec) {
        self.node.apply(Change::App(Arc::new(app.clone()))).await.unwrap();
    }

    /// GETs `path` of the app `app`.
    pub async fn get(&self, path: &str) -> Reply {
        self.get_from("app.localhost", path).await
    }

    pub async fn get_from(&self, host: &str, path: &str) -> Reply {
        let request = Request::get(path).header("host", host);
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// Sends a request on a connection of its own.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Reply {
        soon(async {
            let mut client = Client::connect(self.address).await;
            client.send(request).await
        })
        .await
    }
}

/// A connection.
pub struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Reply {
        self.sender.ready().await.unwrap();
        let response = self.sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await;
        Reply {
            status: parts.status,
            headers: parts.headers,
            body: body.map(|body| body.to_bytes()).map_err(|error| error.to_string()),
        }
    }
}

/// A response; `body` is an error when it was cut.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Result<Bytes, String>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().unwrap()).into_owned()
    }

    /// The text of a response that must be good.
    pub fn ok(&self) -> String {
        assert_eq!(self.status, 200, "{self:?}");
        self.text()
    }

    /// Checks for a page with this code.
    pub fn is_page(&self, code: &str) {
        assert_eq!(self.status, 503, "{self:?}");
        assert!(self.text().contains(code), "{self:?}");
    }
}
