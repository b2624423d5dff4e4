//! Config vars, releases, rollback, scaling, domains.

use super::support::{Project, Server};

#[tokio::test]
async fn config_and_rollback_take_effect_on_the_next_request() {
    let server = Server::start().await;
    let project = Project::copy_of("node-http");
    server.deploy(project.path(), "app").await;
    server.run(&["config:set", "GREETING=one", "OTHER=x", "-a", "app"]).await.ok();
    assert!(server.get("app", "/env").await.1.contains("one"));
    let get = server.run(&["config:get", "GREETING", "-a", "app"]).await.ok();
    assert_eq!(get.stdout.trim(), "one");

    // v4: other code; v5: other config.
    project.edit("server.js", "Hello from node:http", "Changed code");
    server.deploy(project.path(), "app").await;
    server.run(&["config:set", "GREETING=two", "-a", "app"]).await.ok();
    assert!(server.get("app", "/").await.1.contains("Changed code"));
    assert!(server.get("app", "/env").await.1.contains("two"));

    // Back to v3: code and config together.
    server.run(&["rollback", "v3", "-a", "app"]).await.ok();
    assert!(server.get("app", "/").await.1.contains("Hello from node:http"));
    assert!(server.get("app", "/env").await.1.contains("one"));
    let config = server.run(&["config", "-a", "app", "--json"]).await.ok().json();
    assert_eq!(config, serde_json::json!({"GREETING": "one", "OTHER": "x"}));

    // Without a version: to the release before.
    server.run(&["rollback", "-a", "app"]).await.ok();
    assert!(server.get("app", "/env").await.1.contains("two"));

    let releases = server.run(&["releases", "-a", "app", "--json"]).await.ok().json();
    let list: Vec<_> = releases
        .as_array()
        .unwrap()
        .iter()
        .map(|release| {
            assert!(release["user"]["email"].as_str().unwrap().contains('@'), "{release}");
            assert!(release["created_at"].as_str().unwrap().starts_with("20"), "{release}");
            let version = release["version"].as_u64().unwrap();
            (version, release["description"].as_str().unwrap().to_owned())
        })
        .collect();
    let versions: Vec<u64> = list.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [7, 6, 5, 4, 3, 2, 1], "{list:?}");
    assert!(list[1].1.contains("Rollback to v3"), "{list:?}");
    assert!(list[4].1.contains("Set GREETING, OTHER"), "{list:?}");
    server.run(&["releases:verify", "-a", "app"]).await.ok();
    let info = server.run(&["releases:info", "v3", "-a", "app"]).await.ok();
    assert!(info.stdout.contains("Set GREETING"), "{info:?}");

    server.run(&["config:unset", "GREETING", "-a", "app"]).await.ok();
    let config = server.run(&["config", "-a", "app", "--json"]).await.ok().json();
    assert_eq!(config, serde_json::json!({"OTHER": "x"}));
}

#[tokio::test]
async fn scaling_to_nothing_and_back() {
    let server = Server::start().await;
    server.deploy(Project::copy_of("component-hello").path(), "app").await;
    server.run(&["ps:scale", "web=0", "-a", "app"]).await.ok();
    let (status, page) = server.get("app", "/").await;
    assert_eq!(status, 503, "{page}");
    server.log_has("app", "code=H14").await;
    server.run(&["ps:scale", "web=0..20", "-a", "app"]).await.ok();
    assert_eq!(server.get("app", "/").await.0, 200);
    let ps = server.run(&["ps", "-a", "app"]).await.ok();
    assert!(ps.stdout.contains("web.1"), "{ps:?}");
    server.log_has("app", "app[api]: Scaled to web").await;
}

#[tokio::test]
async fn custom_domains_choose_the_app() {
    let server = Server::start().await;
    server.deploy(Project::copy_of("component-hello").path(), "app").await;
    let ask = async |host: &str| {
        let request = server.request("app", "/").header("host", host).build().unwrap();
        let mut request = request;
        request.headers_mut().insert("host", host.parse().unwrap());
        reqwest::Client::new().execute(request).await.unwrap().status().as_u16()
    };
    assert_eq!(ask("www.example.com").await, 404);
    server.run(&["domains:add", "www.example.com", "-a", "app"]).await.ok();
    assert_eq!(ask("www.example.com").await, 200);
    assert_eq!(ask("WWW.Example.COM:8080").await, 200);
    let domains = server.run(&["domains", "-a", "app"]).await.ok();
    assert!(domains.stdout.contains("www.example.com"), "{domains:?}");
    server.run(&["domains:remove", "www.example.com", "-a", "app"]).await.ok();
    assert_eq!(ask("www.example.com").await, 404);
}

#[tokio::test]
async fn destroying_an_app_takes_it_off_the_node() {
    let server = Server::start().await;
    server.deploy(Project::copy_of("component-hello").path(), "app").await;
    server.run(&["destroy", "-a", "app", "--confirm", "other"]).await.fails(2, "app");
    assert_eq!(server.get("app", "/").await.0, 200);
    server.run(&["destroy", "-a", "app", "--confirm", "app"]).await.ok();
    assert_eq!(server.get("app", "/").await.0, 404);
    server.run(&["info", "-a", "app"]).await.fails(1, "app");
}
