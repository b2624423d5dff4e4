//! `kill -9` of the server at any moment of a deploy loses nothing.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::support::{Project, Server};

/// Points at which the server is killed: after this many lines of the deploy's output.
const POINTS: usize = 10;

#[tokio::test]
async fn a_killed_deploy_leaves_every_release_serving() {
    let mut server = Server::start().await;
    let project = Project::copy_of("node-express");
    server.deploy(project.path(), "app").await;
    let mut interrupted = 0;
    let mut known = builds(&server).await.len();
    for point in 0..POINTS {
        let marker = format!("Code of round {point}");
        project.write("public/round.txt", &marker);
        let mut deploy = server
            .command(&["deploy", project.path().to_str().unwrap(), "-a", "app"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(deploy.stdout.take().unwrap()).lines();
        for _ in 0..point {
            // A deploy with fewer lines is killed at its end.
            if lines.next_line().await.unwrap().is_none() {
                break;
            }
        }
        server = server.kill_and_restart().await;
        drop(deploy);

        let (status, text) = server.get("app", "/").await;
        assert_eq!(status, 200, "point {point}: {text}");
        server.run(&["releases:verify", "-a", "app"]).await.ok();
        let builds = builds(&server).await;
        for build in &builds {
            assert_ne!(build["status"], "pending", "point {point}: {build}");
        }
        // The killed deploy may have come too early to make a build, or so late that it was complete.
        let this = (builds.len() > known).then(|| builds.iter().max_by_key(created).unwrap());
        interrupted += usize::from(this.is_some_and(|build| build["status"] == "failed"));
        let complete = this.is_some_and(|build| build["status"] == "succeeded");
        // What the ledger calls current is what is served.
        let releases = server.run(&["releases", "-a", "app", "--json"]).await.ok().json();
        let current = releases.as_array().unwrap().iter().filter(|r| r["current"] == true).count();
        assert_eq!(current, 1, "{releases}");
        let (_, round) = server.get("app", "/public/round.txt").await;
        assert_eq!(round == marker, complete, "point {point}: {round}, {this:?}");

        server.deploy(project.path(), "app").await;
        assert_eq!(server.get("app", "/public/round.txt").await.1, marker, "point {point}");
        known = self::builds(&server).await.len();
    }
    assert!(interrupted > 0, "no kill came during a build");
}

fn created(build: &&serde_json::Value) -> String {
    build["created_at"].as_str().unwrap().to_owned()
}

async fn builds(server: &Server) -> Vec<serde_json::Value> {
    let request = reqwest::Client::new()
        .get(format!("{}/apps/app/builds", server.api()))
        .header("accept", "application/vnd.heroku+json; version=3")
        .header("range", "id ..; max=1000")
        .bearer_auth(server.token());
    let text = request.send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
