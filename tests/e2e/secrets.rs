//! Secrets after a day of use: nothing that the server logs, nor any app's log, has one.

use std::process::Stdio;

use super::{
    git_push::{commit, git},
    support::{Project, Server},
};

const PASSWORD: &str = "correct-horse-battery";
const VALUE: &str = "value-of-a-config-var";
const DRAIN: &str = "password-of-a-drain";
const HOOK: &str = "secret-of-a-webhook";

async fn with_password(server: &Server, arguments: &[&str], password: &str) -> String {
    let mut command = server.command(arguments);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, password.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[tokio::test]
async fn no_log_has_a_secret_after_a_days_use() {
    let mut server = Server::start_with(&[], &[("WPAAS_LOG", "debug")]).await;
    let token = server.token();
    let mut said = with_password(&server, &["password", "--password-stdin"], PASSWORD).await;
    let project = Project::copy_of("component-hello");
    server.deploy(project.path(), "app").await;
    server.run(&["config:set", "-a", "app", &format!("KEY={VALUE}")]).await.ok();
    let drain = format!("https://user:{DRAIN}@drain.invalid/{DRAIN}?key={DRAIN}");
    server.run(&["drains:add", "-a", "app", &drain]).await.ok();
    let client = reqwest::Client::new();
    let api = |method: &str, path: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        client.request(method, format!("{}{path}", server.api()))
    };
    let hook = serde_json::json!({
        "include": ["api:release"], "level": "sync", "secret": HOOK, "authorization": HOOK,
        "url": format!("https://user:{HOOK}@hook.invalid/{HOOK}?key={HOOK}"),
    });
    let added = api("POST", "/apps/app/webhooks").bearer_auth(&token).json(&hook).send().await;
    assert_eq!(added.unwrap().status(), 201);

    // Releases that are told, builds that fail, pushes, one-off dynos, and what is refused.
    server.run(&["config:set", "-a", "app", "OTHER=1"]).await.ok();
    let broken = Project::new([("Procfile", "web: app.wasm\n")]);
    let broken = broken.path().to_str().unwrap().to_owned();
    let mut runs = vec![
        server.run(&["deploy", &broken, "-a", "app"]).await,
        server.run(&["run", "-a", "app", "sh"]).await,
        server.run(&["ps", "-a", "app"]).await,
        server.run(&["releases", "-a", "app"]).await,
        server.run(&["config:set", "-a", "app", &format!("BAD NAME={VALUE}")]).await,
        server.run(&["info", "-a", "absent"]).await,
    ];
    commit(project.path()).await;
    let url = format!("{}/app.git", server.api().replace("http://", &format!("http://x:{token}@")));
    git(project.path(), &["push", &url, "main"]).await;
    server.get("app", "/").await;
    runs.push(server.run(&["logs", "-a", "app", "-n", "1500"]).await.ok());
    for run in &runs {
        said.push_str(&run.stdout);
        said.push_str(&run.stderr);
    }
    for (method, path) in [
        ("GET", "/apps/absent"),
        ("POST", "/apps"),
        ("PATCH", "/apps/app/config-vars"),
        ("POST", "/apps/app/webhooks"),
        ("GET", "/nonsense"),
    ] {
        for body in ["{", "[]", "{\"name\": 7, \"KEY\": {}}"] {
            let request = api(method, path).bearer_auth(&token).body(body);
            said.push_str(&request.send().await.unwrap().text().await.unwrap());
        }
    }
    for password in [PASSWORD, "wrong-horse-battery"] {
        let request = api("POST", "/oauth/authorizations").body("{\"expires_in\": -1}");
        let request = request.basic_auth("owner@wpaas.localhost", Some(password));
        said.push_str(&request.send().await.unwrap().text().await.unwrap());
    }
    server.stop().await;
    said.push_str(&server.all_said());
    assert!(said.contains("API request"), "the server was to say more: {said}");
    for secret in [token.as_str(), PASSWORD, "wrong-horse-battery", VALUE, DRAIN, HOOK] {
        let line = said.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    // Of tokens and passwords the data directory has hashes alone, but for the file that says the first token to the operator.
    let owners = server.data().join("owner.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&owners.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let mut directories = vec![server.data()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            if path == owners {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            for secret in [token.as_str(), PASSWORD] {
                let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                assert!(!found, "{secret} is in {}", path.display());
            }
        }
    }
}
