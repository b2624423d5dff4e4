//! `git push` with the real git.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use super::support::{PATIENCE, Project, Server};

/// What a finished git left.
pub(crate) struct Git {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

impl Git {
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.said);
        self.said
    }

    #[track_caller]
    pub(crate) fn fails(self, text: &str) -> String {
        assert_ne!(self.code, Some(0), "{}", self.said);
        assert!(self.said.contains(text), "no {text:?} in {}", self.said);
        self.said
    }
}

/// git in `directory`, as somebody without any configuration.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .env_remove("GIT_DIR")
        .env_remove("GIT_SSL_CAINFO")
        .env("NO_PROXY", "localhost")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs git to its end.
pub(crate) async fn git(directory: &Path, arguments: &[&str]) -> Git {
    let output = command(directory, arguments).output();
    let output = tokio::time::timeout(PATIENCE, output).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Git { code: output.status.code(), said: String::from_utf8_lossy(&said).into_owned() }
}

/// Commits all files of a directory, which becomes a repository.
pub(crate) async fn commit(directory: &Path) {
    if !directory.join(".git").exists() {
        git(directory, &["init", "--quiet", "--initial-branch=main"]).await.ok();
    }
    git(directory, &["add", "--all"]).await.ok();
    git(directory, &["commit", "--quiet", "--message", "a change"]).await.ok();
}

/// `wpaas git:remote` in a directory.
pub(crate) async fn remote(server: &Server, directory: &Path, app: &str) {
    let mut command = server.command(&["git:remote", "-a", app]);
    let output = command.current_dir(directory).output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The version that an app runs.
pub(crate) async fn current(server: &Server, app: &str) -> i64 {
    let releases = server.run(&["releases", "-a", app, "--json"]).await.ok().json();
    let all = releases.as_array().unwrap();
    all.iter().find(|release| release["current"] == true).unwrap()["version"].as_i64().unwrap()
}

#[tokio::test]
async fn a_push_is_built_and_served_and_a_broken_one_is_rejected() {
    let server = Server::start().await;
    server.run(&["create", "pushed"]).await.ok();
    let project = Project::copy_of("component-hello");
    let directory = project.path();
    commit(directory).await;
    remote(&server, directory, "pushed").await;

    let said = git(directory, &["push", "wpaas", "main"]).await.ok();
    for line in [
        "remote: Building source:",
        "remote: -----> ",
        "deployed to wpaas",
        "Verifying deploy... done.",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    let (status, hello) = server.get("pushed", "/").await;
    assert_eq!(status, 200, "{hello}");
    let version = current(&server, "pushed").await;
    let again = git(directory, &["push", "wpaas", "main"]).await.ok();
    assert!(again.contains("Everything up-to-date"), "{again}");

    // Other branches are kept and do nothing.
    git(directory, &["checkout", "--quiet", "-b", "feature"]).await.ok();
    project.write("note.txt", "of the branch");
    commit(directory).await;
    let said = git(directory, &["push", "wpaas", "feature"]).await.ok();
    assert!(said.contains("Pushed to non-main branch, skipping build."), "{said}");
    assert_eq!(current(&server, "pushed").await, version);

    // A build that fails: the ref stays, the old release serves.
    git(directory, &["checkout", "--quiet", "main"]).await.ok();
    project.write("Procfile", "web: nothing.wasm");
    commit(directory).await;
    let said = git(directory, &["push", "wpaas", "main"]).await.fails("pre-receive hook declined");
    assert!(said.contains("remote:  !     Build failed"), "{said}");
    assert!(said.contains("Push rejected to pushed."), "{said}");
    assert_eq!(current(&server, "pushed").await, version);
    assert_eq!(server.get("pushed", "/").await.1, hello);

    // What is there can be cloned, without what was rejected.
    let clone = Project::new([]);
    git(clone.path(), &["init", "--quiet"]).await.ok();
    remote(&server, clone.path(), "pushed").await;
    git(clone.path(), &["fetch", "--quiet", "wpaas"]).await.ok();
    git(clone.path(), &["checkout", "--quiet", "-b", "main", "wpaas/main"]).await.ok();
    let clone = clone.path();
    let log = git(clone, &["log", "--all", "--format=%d"]).await.ok();
    assert!(log.contains("wpaas/feature") && log.contains("wpaas/main"), "{log}");
    assert!(
        !std::fs::read_to_string(clone.join("Procfile")).unwrap_or_default().contains("nothing")
    );

    // The deployed branch stays; force is git's own affair.
    git(directory, &["push", "wpaas", ":main"]).await.fails("cannot be deleted");
    git(directory, &["push", "wpaas", ":feature"]).await.ok();
}

#[tokio::test]
async fn strangers_neither_push_nor_fetch() {
    let server = Server::start().await;
    server.run(&["create", "private"]).await.ok();
    let project = Project::new([("note.txt", "x")]);
    let directory = project.path();
    commit(directory).await;
    let ca = server.run(&["certs:ca", "--json"]).await.ok().json();
    let ca = format!("http.sslCAInfo={}", ca["path"].as_str().unwrap());
    let url = server.tls();
    let with = |password: &str| url.replace("//", &format!("//any:{password}@"));
    for server in [url.clone(), with("wrong")] {
        let address = format!("{server}/private.git");
        git(directory, &["-c", &ca, "push", &address, "main"]).await.fails("fatal: ");
        git(directory, &["-c", &ca, "ls-remote", &address]).await.fails("fatal: ");
    }
    let nowhere = format!("{}/nowhere.git", with(&server.token()));
    git(directory, &["-c", &ca, "push", &nowhere, "main"]).await.fails("not found");
}

#[tokio::test]
async fn node_python_and_rust_are_deployed_by_push() {
    let server = Server::start().await;
    let expected = [
        ("node-express", "Hello from Express"),
        ("python-flask", "Hello from Flask"),
        ("rust-hello", "Hello from Rust"),
    ];
    for (app, body) in expected {
        server.run(&["create", app]).await.ok();
        let project = Project::copy_of(app);
        commit(project.path()).await;
        remote(&server, project.path(), app).await;
        let said = git(project.path(), &["push", "wpaas", "main"]).await.ok();
        assert!(said.contains("remote:        Released v2"), "{said}");
        let (status, text) = server.get(app, "/").await;
        assert!(status == 200 && text.contains(body), "{app}: {status} {text}");
    }
}

#[tokio::test]
async fn pushes_of_one_app_follow_one_another() {
    let server = Server::start().await;
    server.run(&["create", "both"]).await.ok();
    let projects = [Project::copy_of("component-hello"), Project::copy_of("component-hello")];
    for (number, project) in projects.iter().enumerate() {
        project.write("which.txt", &number.to_string());
        commit(project.path()).await;
        remote(&server, project.path(), "both").await;
    }
    let (first, second) = tokio::join!(
        git(projects[0].path(), &["push", "wpaas", "main"]),
        git(projects[1].path(), &["push", "wpaas", "main"])
    );
    // Their histories have nothing in common, so whoever comes second has to be refused.
    let (good, bad) = if first.code == Some(0) { (first, second) } else { (second, first) };
    good.ok();
    bad.fails("rejected");
    assert_eq!(current(&server, "both").await, 2);
}

#[tokio::test]
async fn the_buildpack_that_was_set_is_used() {
    let server = Server::start().await;
    server.run(&["create", "chosen"]).await.ok();
    let url = format!("{}/apps/chosen/buildpack-installations", server.api());
    let set = async |name: &str| {
        let updates = serde_json::json!({"updates": [{"buildpack": name}]});
        let request = reqwest::Client::new().put(&url).bearer_auth(server.token()).json(&updates);
        request.send().await.unwrap().status().as_u16()
    };
    let project = Project::copy_of("component-hello");
    commit(project.path()).await;
    remote(&server, project.path(), "chosen").await;
    assert_eq!(set("heroku/php").await, 422);
    assert_eq!(set("heroku/python").await, 200);
    let push = ["push", "wpaas", "main"];
    git(project.path(), &push).await.fails("heroku/python: the source is no Python app");
    assert_eq!(set("urn:buildpack:wpaas/component").await, 200);
    let said = git(project.path(), &push).await.ok();
    assert!(said.contains("Component app detected"), "{said}");
}
