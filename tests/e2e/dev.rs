//! `wpaas dev`: the next request after a save gets the new code.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout},
};

use super::{
    egress,
    support::{PATIENCE, Project, dev_command, run_alone},
};

/// A running `wpaas dev`.
pub(crate) struct Dev {
    url: String,
    log: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _home: tempfile::TempDir,
}

impl Dev {
    pub(crate) async fn start(project: &Project) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut child =
            dev_command(home.path(), &[project.path().to_str().unwrap(), "--port", "0"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let serving = async {
            let mut all = String::new();
            while let Some(line) = said.next_line().await.unwrap() {
                if let Some((_, url)) = line.split_once(" on http://") {
                    return format!("http://{url}");
                }
                all.push_str(&line);
                all.push('\n');
            }
            panic!("wpaas dev ended: {all}");
        };
        let url = tokio::time::timeout(PATIENCE, serving).await.expect("wpaas dev serves");
        tokio::spawn(async move { while let Ok(Some(_)) = said.next_line().await {} });
        let log = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { url, log, _child: child, _home: home }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = reqwest::get(format!("{}{path}", self.url)).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Reads the log in the terminal up to a line with `text`.
    async fn log_has(&mut self, text: &str) {
        let found = async {
            while let Some(line) = self.log.next_line().await.unwrap() {
                if line.contains(text) {
                    return true;
                }
            }
            false
        };
        assert!(tokio::time::timeout(PATIENCE, found).await.unwrap(), "no {text:?} in the log");
    }
}

#[tokio::test]
async fn the_request_after_a_save_gets_the_new_code() {
    let project = Project::copy_of("node-express");
    project.write(".env", "GREETING=from dotenv\n");
    let mut dev = Dev::start(&project).await;
    assert!(dev.get("/").await.1.contains("Hello from Express"));
    assert!(dev.get("/env").await.1.contains("from dotenv"));
    dev.log_has("app[web.1]: Saying hello").await;

    let mut shown = "Hello from Express".to_owned();
    for round in 0..5 {
        let next = format!("Hello again {round}");
        project.edit("server.js", &shown, &next);
        // No wait in between: the very next request.
        let (status, text) = dev.get("/").await;
        assert!(status == 200 && text.contains(&next), "round {round}: {status} {text}");
        shown = next;
    }
    project.write(".env", "GREETING=changed\n");
    assert!(dev.get("/env").await.1.contains("changed"));
    // A new directory is watched too.
    project.write("public/new/page.txt", "first");
    assert_eq!(dev.get("/public/new/page.txt").await.1, "first");
    project.write("public/new/page.txt", "second");
    assert_eq!(dev.get("/public/new/page.txt").await.1, "second");
}

#[tokio::test]
async fn the_app_reaches_what_its_file_allows() {
    let port = egress::listener("127.0.0.1").await;
    let project = egress::connects();
    let mut dev = Dev::start(&project).await;
    let path = format!("/?host=localhost&port={port}");
    assert_eq!(dev.get(&path).await.1, r#"{"tcp":"ECONNREFUSED","web":"EACCES"}"#);
    dev.log_has(&format!("heroku[web.1]: Connection to localhost:{port} denied: ")).await;
    // The next request, without a change of the code.
    project.write(".egress", &format!("# the database\nlocalhost:{port}\n"));
    assert_eq!(dev.get(&path).await.1, r#"{"tcp":"hello","web":"hello"}"#);
    project.write(".egress", "localhost\n");
    let (status, page) = dev.get(&path).await;
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("line 1") && page.contains("does not name a port"), "{page}");
}

#[tokio::test]
async fn a_mistake_is_shown_and_mended() {
    let project = Project::copy_of("node-http");
    let dev = Dev::start(&project).await;
    assert_eq!(dev.get("/").await.0, 200);
    let good = std::fs::read_to_string(project.path().join("server.js")).unwrap();
    project.write("server.js", "this is not JavaScript");
    let (status, page) = dev.get("/").await;
    assert_eq!(status, 503, "{page}");
    assert!(page.contains("server.js"), "{page}");
    project.write("server.js", &good);
    assert_eq!(dev.get("/").await.0, 200);
}

#[tokio::test]
async fn what_cannot_be_served_ends_the_command() {
    let home = tempfile::tempdir().unwrap();
    run_alone(home.path(), &["dev", "/no/such/directory"]).await.fails(1, "no such directory");
    let empty = Project::new([("readme.txt", "hello")]);
    let run = run_alone(home.path(), &["dev", empty.path().to_str().unwrap(), "--port", "0"]).await;
    run.fails(1, "package.json");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let project = Project::copy_of("component-hello");
    let directory = project.path().to_str().unwrap();
    run_alone(home.path(), &["dev", directory, "--port", &port]).await.fails(1, "in use");
}
