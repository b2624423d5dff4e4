//! Databases for apps under test: real servers with throw-away data.

use std::{
    net::{IpAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use super::PATIENCE;

/// An address of this machine that is not loopback, which inside a dyno is the dyno itself.
pub(crate) fn own_address() -> IpAddr {
    // Sends nothing: connecting a UDP socket only asks the routing table.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("203.0.113.1:9").expect("this machine has a route to the internet");
    socket.local_addr().unwrap().ip()
}

async fn free_port(address: IpAddr) -> u16 {
    TcpListener::bind((address, 0)).await.unwrap().local_addr().unwrap().port()
}

async fn answers(address: IpAddr, port: u16, child: &mut Child) {
    let waiting = async {
        while TcpStream::connect((address, port)).await.is_err() {
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

/// A running PostgreSQL that asks for a password (SCRAM).
pub(crate) struct Postgres {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) url: String,
}

impl Postgres {
    pub(crate) async fn start(address: IpAddr) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (cluster, password) = (data.path().join("cluster"), data.path().join("password"));
        std::fs::write(&password, "secret").unwrap();
        if rustix::process::geteuid().is_root() {
            let run = Command::new("chown").args(["-R", "postgres"]).arg(data.path()).status();
            assert!(run.await.unwrap().success());
        }
        let made = as_postgres(&postgres_program("initdb"))
            .args(["--username=app", "--auth=scram-sha-256", "--encoding=UTF8", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(&cluster)
            .current_dir("/")
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let rules = cluster.join("pg_hba.conf");
        std::fs::write(&rules, "host all all 0.0.0.0/0 scram-sha-256\n").unwrap();
        let port = free_port(address).await;
        let mut child = as_postgres(&postgres_program("postgres"))
            .arg("-D")
            .arg(&cluster)
            .args(["-c", &format!("listen_addresses={address}"), "-p", &port.to_string()])
            .args(["-c", "unix_socket_directories=", "-c", "fsync=off"])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        answers(address, port, &mut child).await;
        let url = format!("postgres://app:secret@{address}:{port}/postgres");
        Self { _data: data, _child: child, url }
    }
}

/// A running Redis that asks for a password.
pub(crate) struct Redis {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) url: String,
}

impl Redis {
    pub(crate) async fn start(address: IpAddr) -> Self {
        let data = tempfile::tempdir().unwrap();
        let port = free_port(address).await;
        let mut child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", &address.to_string()])
            .args(["--requirepass", "secret", "--save", "", "--appendonly", "no", "--dir"])
            .arg(data.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed (tests/setup/debian.sh)");
        answers(address, port, &mut child).await;
        Self { _data: data, _child: child, url: format!("redis://:secret@{address}:{port}") }
    }
}

/// A running MariaDB that asks for a password.
pub(crate) struct MariaDb {
    _data: tempfile::TempDir,
    _child: Child,
    pub(crate) url: String,
}

impl MariaDb {
    pub(crate) async fn start(address: IpAddr) -> Self {
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
        let port = free_port(address).await;
        let mut child = Command::new("/usr/sbin/mariadbd")
            .args(["--no-defaults", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0"])
            .args(as_root)
            .arg(format!("--datadir={}", database.display()))
            .arg(format!("--init-file={}", users.display()))
            .arg(format!("--socket={}", data.path().join("socket").display()))
            .args([format!("--bind-address={address}"), format!("--port={port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("mariadbd is installed (tests/setup/debian.sh)");
        answers(address, port, &mut child).await;
        Self { _data: data, _child: child, url: format!("mysql://app:secret@{address}:{port}/app") }
    }
}

/// The HTTP server that apps under test call (`tests/apps/node/services/upstream.js`).
pub(crate) struct Upstream {
    _child: Child,
    pub(crate) url: String,
}

impl Upstream {
    pub(crate) async fn start(address: IpAddr) -> Self {
        let port = free_port(address).await;
        let mut child = Command::new("node")
            .arg(super::checkout().join("tests/apps/node/services/upstream.js"))
            .args([address.to_string(), port.to_string()])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js is installed");
        answers(address, port, &mut child).await;
        Self { _child: child, url: format!("http://{address}:{port}") }
    }
}
