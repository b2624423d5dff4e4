//! The rendezvous of one-off dynos under clients that mean no good.

use tokio::{io::AsyncReadExt as _, net::TcpStream};

use super::support::{PATIENCE, Project, Server};

/// A connection that says nothing.
async fn silent(address: &str) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Waits until the server has ended a connection.
async fn ended(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // By a reset as well: it has never read what was sent.
    assert!(read.is_ok(), "it stays open");
}

#[tokio::test]
async fn connections_that_say_nothing_are_bounded_in_number_and_time() {
    let limits = [("WPAAS_LIMIT_ATTACH_CONNECTIONS", "2"), ("WPAAS_LIMIT_ATTACH_HELLO_MS", "2000")];
    let server = Server::start_with(&[], &limits).await;
    let address = server.said("run ");
    let address = address.split(' ').next().unwrap().replace("localhost", "127.0.0.1");
    let (first, second) = (silent(&address).await, silent(&address).await);
    // All places are taken, and nobody waits for one.
    ended(silent(&address).await).await;
    // They are free again when nothing was said for so long.
    ended(first).await;
    ended(second).await;
    let project = Project::new([
        ("package.json", "{}"),
        ("Procfile", "worker: node worker.js\n"),
        ("worker.js", "console.log('hello');"),
    ]);
    server.deploy(project.path(), "app").await;
    let run = server.run(&["run", "-a", "app", "worker"]).await.ok();
    assert_eq!(run.stdout, "hello\n");
}
