//! Databases for apps under test: real servers with throw-away data.

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
};

use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::PATIENCE;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// A port that nothing listens on, below those that systems give to clients (RFC 6335 §6: from 49,152; Linux: from
/// 32,768), so that it stays free while its server restarts and connections come and go. Each call has another one.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const PORTS: std::ops::Range<u16> = 12_000..32_000;
    // Test programs that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(101);
    let free = std::iter::repeat_with(|| {
        let count = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = begin.wrapping_add(count) % u32::from(PORTS.end - PORTS.start);
        PORTS.start + u16::try_from(offset).unwrap()
    });
    let mut free = free.take(PORTS.len());
    free.find(|&port| std::net::TcpListener::bind((LOCALHOST, port)).is_ok()).expect("a free port")
}

pub(super) async fn answers(port: u16, child: &mut Child) {
    let waiting = async {
        while TcpStream::connect((LOCALHOST, port)).await.is_err() {
            assert!(child.try_wait().unwrap().is_none(), "the server ended");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the server starts");
}

/// A program of PostgreSQL, which Debian does not put on `PATH`; the newest version.
fn postgres_program(name: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed (tests/setup/debian.sh)")
        .map(|entry| entry.unwrap().path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL's server is installed")
}

/// PostgreSQL refuses to run as root; then its own user runs it.
fn as_postgres(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    command
}

/// A certificate of an authority that is made for the test, and its key, as files.
pub(crate) struct Identity {
    directory: tempfile::TempDir,
    /// The authority's certificate in PEM.
    pub(crate) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Identity {
    /// Of a server with this name.
    pub(crate) fn of(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: String| {
            let path = directory.path().join(file);
            std::fs::write(&path, text).unwrap();
            path
        };
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
        // Named, so that it is not taken for the certificate that it signs.
        authority.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let authority = write("authority.pem", pem);
        let certificate = write("certificate.pem", certificate);
        let key = write("key.pem", key.serialize_pem());
        Self { directory, authority, certificate, key }
    }

    /// What does TLS with it, as a server.
    pub(crate) fn acceptor(&self) -> tokio_rustls::TlsAcceptor {
        use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
        let chain = CertificateDer::pem_file_iter(&self.certificate).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        std::sync::Arc::new(config.with_single_cert(chain, key).unwrap()).into()
    }

    /// The authority's file, as an argument.
    pub(crate) fn authority(&self) -> &str {
        self.authority.to_str().unwrap()
    }

    /// Lets PostgreSQL's user read it, and nobody else, as PostgreSQL wants its key to be.
    async fn give_to_postgres(&self) {
        let mode = std::os::unix::fs::PermissionsExt::from_mode;
        std::fs::set_permissions(&self.key, mode(0o600)).unwrap();
        give_to_postgres(self.directory.path()).await;
    }
}

async fn give_to_postgres(directory: &Path) {
    if rustix::process::geteuid().is_root() {
        let run = Command::new("chown").args(["-R", "postgres"]).arg(directory).status();
        assert!(run.await.unwrap().success());
    }
}

/// A running PostgreSQL that asks for a password (SCRAM).
pub(crate) struct Postgres {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) port: u16,
    pub(crate) url: String,
}

impl Postgres {
    /// Without TLS.
    pub(crate) async fn start() -> Self {
        Self::run(None).await
    }

    /// Takes connections with TLS and no others.
    pub(crate) async fn with_tls(identity: &Identity) -> Self {
        identity.give_to_postgres().await;
        Self::run(Some(identity)).await
    }

    async fn run(identity: Option<&Identity>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (cluster, password) = (data.path().join("cluster"), data.path().join("password"));
        std::fs::write(&password, "secret").unwrap();
        give_to_postgres(data.path()).await;
        let made = as_postgres(&postgres_program("initdb"))
            .args(["--username=app", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(&cluster)
            .current_dir("/")
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let kind = if identity.is_some() { "hostssl" } else { "host" };
        let rules = cluster.join("pg_hba.conf");
        std::fs::write(&rules, format!("{kind} all all 127.0.0.1/32 scram-sha-256\n")).unwrap();
        let port = free_port();
        let mut command = as_postgres(&postgres_program("postgres"));
        command
            .arg("-D")
            .arg(&cluster)
            .args(["-c", "listen_addresses=127.0.0.1", "-p", &port.to_string()])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"]);
        if let Some(Identity { certificate, key, .. }) = identity {
            command.args(["-c", "ssl=on"]);
            command.arg("-c").arg(format!("ssl_cert_file={}", certificate.display()));
            command.arg("-c").arg(format!("ssl_key_file={}", key.display()));
        }
        let mut child = command
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        answers(port, &mut child).await;
        let url = format!("postgres://app:secret@localhost:{port}/postgres");
        Self { _data: data, _child: child, port, url }
    }
}

/// A running Redis that asks for a password.
pub(crate) struct Redis {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) port: u16,
    pub(crate) url: String,
}

impl Redis {
    /// Without TLS.
    pub(crate) async fn start() -> Self {
        Self::run(None).await
    }

    /// Takes connections with TLS and no others.
    pub(crate) async fn with_tls(identity: &Identity) -> Self {
        Self::run(Some(identity)).await
    }

    async fn run(identity: Option<&Identity>) -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut command = Command::new("redis-server");
        match identity {
            None => command.args(["--port", &port.to_string()]),
            Some(Identity { certificate, key, .. }) => command
                .args(["--port", "0", "--tls-port", &port.to_string(), "--tls-auth-clients", "no"])
                .arg("--tls-cert-file")
                .arg(certificate)
                .arg("--tls-key-file")
                .arg(key)
                // It insists on one, although it asks clients for no certificate.
                .arg("--tls-ca-cert-file")
                .arg(certificate),
        };
        let mut child = command
            .args(["--bind", "127.0.0.1"])
            .args(["--requirepass", "secret", "--save", "", "--appendonly", "no", "--dir"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed (tests/setup/debian.sh)");
        answers(port, &mut child).await;
        let scheme = if identity.is_some() { "rediss" } else { "redis" };
        let url = format!("{scheme}://:secret@localhost:{port}");
        Self { _data: data, _child: child, port, url }
    }
}

/// A running MariaDB that asks for a password.
pub(crate) struct MariaDb {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) url: String,
}

impl MariaDb {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let (database, users) = (data.path().join("database"), data.path().join("users.sql"));
        // Who may connect is said at the start: the tables that the installation makes know only a local root.
        std::fs::write(
            &users,
            "CREATE DATABASE app;\nGRANT ALL ON app.* TO 'app'@'%' IDENTIFIED BY 'secret';\n",
        )
        .unwrap();
        // Root runs it as root: its data is in a directory that only this user sees.
        let as_root = rustix::process::geteuid().is_root().then_some("--user=root");
        let made = Command::new("mariadb-install-db")
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args(as_root)
            .arg(format!("--datadir={}", database.display()))
            .output()
            .await
            .expect("MariaDB is installed (tests/setup/debian.sh)");
        assert!(made.status.success(), "{made:?}");
        let port = free_port();
        let mut child = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"])
            .args(as_root)
            .arg(format!("--datadir={}", database.display()))
            .arg(format!("--init-file={}", users.display()))
            .arg(format!("--socket={}", data.path().join("socket").display()))
            .args(["--bind-address=127.0.0.1".to_owned(), format!("--port={port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("mariadbd is installed (tests/setup/debian.sh)");
        answers(port, &mut child).await;
        Self { _data: data, _child: child, url: format!("mysql://app:secret@localhost:{port}/app") }
    }
}

/// The HTTP server that apps under test call (`tests/apps/node/services/upstream.js`).
pub(crate) struct Upstream {
    _child: Child,
    pub(crate) url: String,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let port = free_port();
        let mut child = Command::new("node")
            .arg(super::checkout().join("tests/apps/node/services/upstream.js"))
            .args(["127.0.0.1", &port.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is installed");
        answers(port, &mut child).await;
        Self { _child: child, url: format!("http://localhost:{port}") }
    }
}

/// A server that says `hello` to any request, over TLS only.
pub(crate) struct Secure {
    pub(crate) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Secure {
    pub(crate) async fn start(identity: &Identity) -> Self {
        use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
        let acceptor = identity.acceptor();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let mut stream = BufReader::new(acceptor.accept(stream).await?);
                    let mut line = String::new();
                    while stream.read_line(&mut line).await? > 2 {
                        line.clear();
                    }
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
                    stream.write_all(answer).await?;
                    stream.shutdown().await
                });
            }
        });
        Self { port, task }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}
