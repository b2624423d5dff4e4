//! What an app may connect to: rules by the command line, enforced by the node, told in the log.

use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::support::{Identity, Postgres, Project, Redis, Server, checkout};

/// An app that connects where it is told to: by TCP, which echoes, and by HTTP.
pub(crate) fn connects() -> Project {
    let package = r#"{"name": "connects", "version": "1.0.0", "engines": {"node": "20.x"},
        "scripts": {"start": "node server.js"}}"#;
    Project::new([("package.json", package), ("server.js", SERVER)])
}

const SERVER: &str = r#"
const http = require('node:http');
const net = require('node:net');

function talk(host, port) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.on('connect', () => socket.write('hello'));
    socket.on('data', (data) => resolve(`${data}`) || socket.destroy());
    socket.on('error', (error) => resolve(error.code));
  });
}

function get(host, port) {
  return new Promise((resolve) => {
    const request = http.get({ host, port }, (answer) => {
      answer.on('data', (data) => resolve(`${data}`));
    });
    request.on('error', (error) => resolve(error.code));
  });
}

http
  .createServer(async (req, res) => {
    const { searchParams } = new URL(req.url, 'http://app');
    const [host, port] = [searchParams.get('host'), Number(searchParams.get('port'))];
    if (host === null) return res.end('ready');
    const tcp = await talk(host, port);
    const web = await get(host, port);
    res.end(JSON.stringify({ tcp, web }));
  })
  .listen(process.env.PORT);
"#;

/// Answers `hello` with itself and anything else as an HTTP server.
pub(crate) async fn listener(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut first = [0; 5];
                if stream.read_exact(&mut first).await.is_err() {
                    return;
                }
                if &first == b"hello" {
                    let _ = stream.write_all(&first).await;
                } else {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
                    let _ = stream.write_all(answer).await;
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    port
}

impl Server {
    /// What `/` of the app says of a connection to `host` and `port`.
    async fn connects(&self, host: &str, port: u16) -> Value {
        let (status, text) = self.get("app", &format!("/?host={host}&port={port}")).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }
}

fn reached() -> Value {
    json!({"tcp": "hello", "web": "hello"})
}

fn refused() -> Value {
    json!({"tcp": "EACCES", "web": "EACCES"})
}

/// Answers of the system's resolver that a test can change (Debian's nss_wrapper).
struct Names {
    file: tempfile::NamedTempFile,
    library: PathBuf,
}

impl Names {
    fn new(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let library = std::fs::read_dir("/usr/lib")
            .unwrap()
            .map(|entry| entry.unwrap().path().join("libnss_wrapper.so"))
            .find(|library| library.exists())
            .expect("libnss-wrapper is installed (tests/setup/debian.sh)");
        Self { file, library }
    }

    fn variables(&self) -> [(&str, &str); 2] {
        let hosts = self.file.path().to_str().unwrap();
        [("LD_PRELOAD", self.library.to_str().unwrap()), ("NSS_WRAPPER_HOSTS", hosts)]
    }

    fn change(&self, text: &str) {
        std::fs::write(self.file.path(), text).unwrap();
        // The wrapper reads the file again when its time is another one, in whole seconds.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        self.file.as_file().set_modified(later).unwrap();
    }
}

#[tokio::test]
async fn only_what_a_rule_allows_is_reached_and_the_log_says_why_not() {
    let port = listener("127.0.0.1").await;
    let other = listener("127.0.0.1").await;
    let neighbour = listener("127.0.0.2").await;
    let names = Names::new(
        "127.0.0.1 service.example\n127.0.0.1 other.example\n169.254.169.254 metadata.example\n\
         127.0.0.1 rebinds.example\n",
    );
    let server =
        Server::start_with(&["--egress-network", "127.0.0.1/32"], &names.variables()).await;
    server.run(&["create", "app"]).await.ok();
    let allow = |rules: Vec<String>| {
        let server = &server;
        async move {
            let mut arguments = vec!["egress:allow", "-a", "app", "--json"];
            arguments.extend(rules.iter().map(String::as_str));
            server.run(&arguments).await.ok().json()
        }
    };
    let before = allow(vec![format!("service.example:{port}")]).await;
    assert_eq!(before, json!([{"host": "service.example", "port": port}]));
    server.deploy(connects().path(), "app").await;
    let denied =
        |host: &str, port: u16| format!("heroku[web.1]: Connection to {host}:{port} denied: ");

    assert_eq!(server.connects("service.example", port).await, reached());
    // Another port, another name for the same server, its address.
    for (host, to) in [("service.example", other), ("other.example", port), ("10.255.255.1", port)]
    {
        assert_eq!(server.connects(host, to).await, refused(), "{host}:{to}");
        let line = format!("{}no rule of this release allows it", denied(host, to));
        server.log_has("app", &line).await;
        let advice = format!("open it with `wpaas egress:allow {host}:{to}`");
        server.log_has("app", &advice).await;
    }
    // Loopback is the dyno itself, and never the node's own port for apps.
    let router = server.apps_port();
    let own = json!({"tcp": "ECONNREFUSED", "web": "EACCES"});
    assert_eq!(server.connects("127.0.0.1", router).await, own);
    assert_eq!(server.connects("service.example", router).await, refused());

    // A release's rules are in force for its dynos, old ones and new.
    let rules = ["rebinds.example", "metadata.example", "neighbour.example"];
    let port_of = |host: &str| if host == "neighbour.example" { neighbour } else { port };
    allow(rules.map(|host| format!("{host}:{}", port_of(host))).into()).await;
    assert_eq!(server.connects("rebinds.example", port).await, reached());
    names.change(
        "127.0.0.1 service.example\n10.255.255.1 rebinds.example\n\
         169.254.169.254 metadata.example\n127.0.0.2 neighbour.example\n",
    );
    for (host, kind) in [
        ("rebinds.example", "its address 10.255.255.1 is a private address"),
        ("metadata.example", "its address 169.254.169.254 is a cloud metadata address"),
        ("neighbour.example", "its address 127.0.0.2 is a loopback address"),
    ] {
        assert_eq!(server.connects(host, port_of(host)).await, refused(), "{host}");
        let line =
            format!("{}{kind}; the operator of this node has not", denied(host, port_of(host)));
        server.log_has("app", &line).await;
    }
    // The metadata service itself, by its address.
    assert_eq!(server.connects("169.254.169.254", 80).await, refused());

    // Removing a rule closes it; a rollback brings rules and code back together.
    let service = format!("service.example:{port}");
    server.run(&["egress:deny", "-a", "app", &service]).await.ok();
    assert_eq!(server.connects("service.example", port).await, refused());
    server.run(&["rollback", "v3", "-a", "app"]).await.ok();
    assert_eq!(server.connects("service.example", port).await, reached());
    let listed = server.run(&["egress", "-a", "app"]).await.ok();
    assert!(listed.stdout.contains(&service), "{listed:?}");
    assert!(!listed.stdout.contains("metadata.example"), "{listed:?}");
    server.run(&["releases:verify", "-a", "app"]).await.ok();

    // And after a restart, from the database.
    let server = server.kill_and_restart().await;
    assert_eq!(server.connects("service.example", port).await, reached());
    assert_eq!(server.connects("metadata.example", port).await, refused());
}

#[tokio::test]
async fn loopback_is_the_dyno_itself_and_the_node_where_a_rule_says_so() {
    let port = listener("127.0.0.1").await;
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    server.deploy(connects().path(), "app").await;
    assert_eq!(server.connects("localhost", port).await["tcp"], "ECONNREFUSED");
    assert_eq!(server.connects("localhost", port).await["web"], "EACCES");
    let place = format!("localhost:{port}");
    server.run(&["egress:allow", &place, "-a", "app"]).await.ok();
    assert_eq!(server.connects("localhost", port).await, reached());
    assert_eq!(server.connects("127.0.0.1", port).await["tcp"], "hello");
}

#[tokio::test]
async fn rules_that_cannot_be_are_refused_and_change_nothing() {
    let server = Server::start().await;
    server.run(&["create", "app"]).await.ok();
    let allow = async |rule: &str| server.run(&["egress:allow", rule, "-a", "app"]).await;
    allow("example.com").await.fails(2, "HOST:PORT");
    allow("http://example.com").await.fails(2, "HOST:PORT");
    allow("example.com:0").await.fails(2, "1 to 65535");
    for (rule, what) in [
        ("127.0.0.1:5432", "127.0.0.1 is a loopback address"),
        ("localhost:5432", "localhost is the dyno itself"),
        ("10.0.0.7:5432", "10.0.0.7 is a private address"),
        ("169.254.169.254:80", "169.254.169.254 is a cloud metadata address"),
        ("[fd00:ec2::254]:80", "fd00:ec2::254 is a cloud metadata address"),
        ("0.0.0.0/0:80", "a network with addresses that are not public"),
    ] {
        let run = allow(rule).await.fails(1, what);
        assert!(run.stderr.contains("wpaas serve --egress-network"), "{run:?}");
    }
    allow("web.internal:80").await.fails(1, "needs no rule");
    let run = server.run(&["egress:deny", "example.com:443", "-a", "app"]).await;
    run.fails(1, "No egress rule for example.com:443");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let ca = file.path().to_str().unwrap();
    let run = server.run(&["egress:allow", "a.com:1", "--tls", "--ca", ca, "-a", "app"]).await;
    run.fails(1, "certificates of authorities for a.com:1");
    let listed = server.run(&["egress", "-a", "app", "--json"]).await.ok();
    assert_eq!(listed.json(), json!([]));
    let releases = server.run(&["releases", "-a", "app", "--json"]).await.ok();
    assert_eq!(releases.json().as_array().unwrap().len(), 1);
}

/// An app that answers with pg and ioredis, and says its URLs.
fn databases() -> Project {
    let project = Project::new([]);
    project.copy_from(&checkout().join("tests/apps/node/pg-redis"));
    let said = "app.get('/urls', (req, res) => res.json([process.env.DATABASE_URL, process.env.REDIS_URL]));\n\n";
    project.edit("server.js", "app.post('/setup'", &format!("{said}app.post('/setup'"));
    project
}

#[tokio::test]
async fn databases_that_want_tls_are_reached_by_an_app_without() {
    let identity = Identity::of("localhost");
    let (postgres, redis) = (Postgres::with_tls(&identity).await, Redis::with_tls(&identity).await);
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    server.run(&["create", "app"]).await.ok();
    let pg = format!("localhost:{}", postgres.port);
    let cache = format!("localhost:{}", redis.port);
    let database = format!("DATABASE_URL={}?sslmode=verify-full&application_name=x", postgres.url);
    server
        .run(&["config:set", &database, &format!("REDIS_URL={}", redis.url), "-a", "app"])
        .await
        .ok();
    let ca = identity.authority();
    for (place, how) in [(&pg, "--pgtls"), (&cache, "--tls")] {
        server.run(&["egress:allow", place, how, "--ca", ca, "-a", "app"]).await.ok();
    }
    server.deploy(databases().path(), "app").await;

    // The guest speaks plain text, as its URLs say; the developer's stay as they were set.
    let (_, urls) = server.get("app", "/urls").await;
    let plain = [
        format!("{}?application_name=x&sslmode=disable", postgres.url),
        redis.url.replacen("rediss", "redis", 1),
    ];
    assert_eq!(serde_json::from_str::<Value>(&urls).unwrap(), json!(plain));
    let set = server.run(&["config:get", "REDIS_URL", "-a", "app"]).await.ok();
    assert_eq!(set.stdout.trim(), redis.url);
    // And it works: both servers take nothing but TLS.
    assert_eq!(server.post("app", "/setup").await.0, 204);
    let (status, made) = server.post("app", "/notes").await;
    assert_eq!((status, made.contains("23502")), (500, true), "PostgreSQL answers: {made}");
    let (_, count) = server.get("app", "/notes/count").await;
    assert_eq!(count, r#"{"count":0,"from":"postgres"}"#);
    let (_, count) = server.get("app", "/notes/count").await;
    assert_eq!(count, r#"{"count":0,"from":"redis"}"#);

    // Without TLS, the server says no.
    server.run(&["egress:allow", &pg, "-a", "app"]).await.ok();
    let (status, text) = server.get("app", "/parallel").await;
    assert_eq!(status, 500, "{text}");

    // An authority that did not sign the certificate; the system's, without one of the rule's own.
    let other = Identity::of("localhost");
    for arguments in [&["--pgtls", "--ca", other.authority()][..], &["--pgtls"]] {
        let mut command = vec!["egress:allow", &pg, "-a", "app"];
        command.extend(arguments);
        let run = server.run(&command).await.ok();
        let release = run.stderr.rsplit(' ').next().unwrap().trim().to_owned();
        let (status, text) = server.get("app", "/parallel").await;
        assert_eq!(status, 500, "{text}");
        assert!(text.contains("ECONNREFUSED"), "{text}");
        let created = format!("Release {release} created");
        let line = format!("Connection to {pg} failed in its TLS handshake: invalid peer");
        server.log_has_in_order("app", &[&created, &line]).await;
    }
    server.run(&["rollback", "v5", "-a", "app"]).await.ok();
    assert_eq!(server.get("app", "/parallel").await, (200, "[1,2,3]".to_owned()));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let identity = Identity::of("elsewhere.example");
    let redis = Redis::with_tls(&identity).await;
    let server = Server::start_with(&["--egress-network", "127.0.0.1/32"], &[]).await;
    server.deploy(connects().path(), "app").await;
    let place = format!("localhost:{}", redis.port);
    let ca = identity.authority();
    server.run(&["egress:allow", &place, "--tls", "--ca", ca, "-a", "app"]).await.ok();
    assert_eq!(server.connects("localhost", redis.port).await["tcp"], "ECONNREFUSED");
    let line = format!("heroku[web.1]: Connection to {place} failed in its TLS handshake: ");
    let log = server.log_has("app", &line).await;
    assert!(log.contains("not valid for name \"localhost\""), "{log}");
}

#[tokio::test]
async fn apps_of_one_owner_reach_each_other_inside() {
    let server = Server::start().await;
    server.deploy(Project::copy_of("node-http").path(), "backend").await;
    server.run(&["config:set", "GREETING=from inside", "-a", "backend"]).await.ok();
    let front = r#"
const http = require('node:http');
const net = require('node:net');

function get(path) {
  return new Promise((resolve) => {
    http
      .get(`http://backend.internal${path}`, (answer) => {
        let text = '';
        answer.on('data', (data) => (text += data)).on('end', () => resolve([answer.statusCode, text]));
      })
      .on('error', (error) => resolve([error.code]));
  });
}

function talk(host) {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port: 80 });
    let text = '';
    socket.on('connect', () => socket.write('GET /env HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'));
    socket.on('data', (data) => (text += data)).on('end', () => resolve([text]));
    socket.on('error', (error) => resolve([error.code]));
  });
}

http
  .createServer(async (req, res) => {
    const url = new URL(req.url, 'http://front');
    const host = url.searchParams.get('talk');
    const answer = host === null ? await get(url.pathname) : await talk(host);
    res.end(JSON.stringify(answer));
  })
  .listen(process.env.PORT);
"#;
    let project = connects();
    project.write("server.js", front);
    server.deploy(project.path(), "front").await;
    let (_, text) = server.get("front", "/env").await;
    assert!(text.starts_with("[200,") && text.contains("from inside"), "{text}");
    let (_, text) = server.get("front", "/?talk=backend.internal").await;
    assert!(text.contains("HTTP/1.1 200 OK") && text.contains("from inside"), "{text}");
    server.log_has("backend", "host=backend.internal").await;
    // Also after a restart, and with what the app is by then.
    let server = server.kill_and_restart().await;
    server.run(&["config:set", "GREETING=new release", "-a", "backend"]).await.ok();
    assert!(server.get("front", "/env").await.1.contains("new release"));
    server.run(&["destroy", "-a", "backend", "--confirm", "backend"]).await.ok();
    assert_eq!(server.get("front", "/env").await.1, r#"["EACCES"]"#);
    assert_eq!(server.get("front", "/?talk=backend.internal").await.1, r#"["EACCES"]"#);
    let line = "heroku[web.1]: Connection to backend.internal:80 denied: this app's owner has no app backend";
    server.log_has("front", line).await;
}
