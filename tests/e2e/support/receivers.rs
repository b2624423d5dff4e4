//! Receivers of log drains: rsyslog, and an HTTPS server.

use std::{path::PathBuf, process::Stdio, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    PATIENCE,
    services::{Identity, answers, free_port},
};

/// A running rsyslog that writes what it receives to a file.
pub(crate) struct Rsyslog {
    directory: tempfile::TempDir,
    child: Option<Child>,
    port: u16,
}

impl Rsyslog {
    /// Takes TCP connections, or with an identity those with TLS and no others.
    pub(crate) async fn start(identity: Option<&Identity>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let tls = identity.map(|Identity { authority, certificate, key, .. }| {
            (
                format!(
                    "global(defaultNetstreamDriver=\"ossl\"\n\
                     defaultNetstreamDriverCAFile=\"{}\"\n\
                     defaultNetstreamDriverCertFile=\"{}\"\n\
                     defaultNetstreamDriverKeyFile=\"{}\")\n",
                    authority.display(),
                    certificate.display(),
                    key.display()
                ),
                "StreamDriver.Name=\"ossl\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=\"anon\"",
            )
        });
        let (global, module) = tls.unwrap_or_default();
        let config = format!(
            "{global}module(load=\"imtcp\" {module})\n\
             input(type=\"imtcp\" port=\"{port}\" address=\"127.0.0.1\")\n\
             template(name=\"t\" type=\"string\" string=\"%pri% %hostname% %app-name% %procid%%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{}\" template=\"t\")\n",
            directory.path().join("log").display()
        );
        std::fs::write(directory.path().join("rsyslog.conf"), config).unwrap();
        let mut rsyslog = Self { directory, child: None, port };
        rsyslog.start_again().await;
        rsyslog
    }

    /// Starts it on the same port and file.
    pub(crate) async fn start_again(&mut self) {
        let file = |name: &str| self.directory.path().join(name);
        let mut child = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f"])
            .arg(file("rsyslog.conf"))
            .arg("-i")
            .arg(file("pid"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("rsyslog is installed (tests/setup/debian.sh)");
        answers(self.port, &mut child).await;
        self.child = Some(child);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let mut child = self.child.take().unwrap();
        let id = rustix::process::Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it has received so far.
    pub(crate) fn log(&self) -> String {
        let file: PathBuf = self.directory.path().join("log");
        std::fs::read_to_string(file).unwrap_or_default()
    }
}

/// A request that an [`HttpReceiver`] got.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An HTTPS server that keeps what is posted to it, or answers 503 while it is told to be down.
pub(crate) struct HttpReceiver {
    pub(crate) port: u16,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) down: Arc<Mutex<bool>>,
    acceptor: TlsAcceptor,
    /// The listener and all connections; none while it is stopped.
    tasks: Option<JoinSet<std::io::Result<()>>>,
}

impl HttpReceiver {
    pub(crate) async fn start(identity: &Identity) -> Self {
        let mut receiver = Self {
            port: free_port(),
            received: Arc::default(),
            down: Arc::default(),
            acceptor: identity.acceptor(),
            tasks: None,
        };
        receiver.start_again().await;
        receiver
    }

    /// Closes its port and all connections.
    pub(crate) async fn stop(&mut self) {
        self.tasks.take().unwrap().shutdown().await;
    }

    /// Listens on its port again.
    pub(crate) async fn start_again(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (all, down) = (Arc::clone(&self.received), Arc::clone(&self.down));
        let acceptor = self.acceptor.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await?;
                connections.spawn(connection(stream, acceptor.clone(), all.clone(), down.clone()));
            }
        });
        self.tasks = Some(tasks);
    }
}

async fn connection(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    all: Arc<Mutex<Vec<Received>>>,
    down: Arc<Mutex<bool>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(acceptor.accept(stream).await?);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await?;
        let is_down = *down.lock();
        let answer = match is_down {
            true => "HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n",
            false => "HTTP/1.1 204 Taken\r\n\r\n",
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        // Afterwards, so that what was received is not sent again when a test stops this.
        if !is_down {
            all.lock().push(Received { head, body: String::from_utf8(body).unwrap() });
        }
    }
}
