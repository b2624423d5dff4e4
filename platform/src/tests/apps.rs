use serde_json::json;

use super::harness::Server;

#[tokio::test]
async fn an_apps_life() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    let app = api.get("/apps/demo", "app").await;
    assert_eq!(app["web_url"], "http://demo.localhost:8080/");
    assert_eq!(app["owner"]["email"], server.owner.as_ref().unwrap().email);
    assert_eq!(api.get(&format!("/apps/{id}"), "app").await, app, "ids and names both work");
    assert_eq!(api.get("/users/~/apps", "[app]").await, json!([app]));
    let spec = server.node.app(id).unwrap();
    assert_eq!((spec.name.as_str(), spec.release.is_none()), ("demo", true));

    let releases = api.get("/apps/demo/releases", "[release]").await;
    assert_eq!(releases[0]["description"], "Initial release");
    assert_eq!(releases[0]["version"], 1);
    for (path, shape) in [
        ("/apps/demo/config-vars", "config-vars"),
        ("/apps/demo/formation", "[formation]"),
        ("/apps/demo/dynos", "[dyno]"),
        ("/apps/demo/domains", "[domain]"),
        ("/apps/demo/builds", "[build]"),
        ("/apps/demo/addons", "[add-on]"),
        ("/apps/demo/features", "[app-feature]"),
        ("/apps/demo/collaborators", "[collaborator]"),
        ("/apps/demo/available-stacks", "[stack]"),
        ("/apps/demo/releases/1", "release"),
        ("/apps/demo/releases/v1/config-vars", "config-vars"),
        ("/account", "account"),
        ("/users/~", "account"),
        ("/account/features", "[account-feature]"),
        ("/account/keys", "[key]"),
        ("/regions", "[region]"),
        ("/regions/us", "region"),
        ("/stacks", "[stack]"),
        ("/stacks/wasm", "stack"),
    ] {
        api.get(path, shape).await;
    }

    let body = json!({"name": "renamed", "maintenance": true});
    let renamed = api.call("PATCH", "/apps/demo", Some(body), (200, "app")).await;
    assert_eq!(renamed.body["maintenance"], true);
    let spec = server.node.app(id).unwrap();
    assert_eq!((spec.name.as_str(), spec.maintenance), ("renamed", true));
    api.call("GET", "/apps/demo", None, (404, "error")).await;
    api.call("PATCH", "/apps/renamed", Some(json!({"maintenance": false})), (200, "app")).await;
    assert_eq!(api.verification("renamed").await["entries"], 5);

    let log = api.log("renamed").await;
    let email = &server.owner.as_ref().unwrap().email;
    assert_eq!(
        log,
        [
            "Initial release",
            "Release v1 created",
            "Renamed to renamed",
            "Maintenance mode on",
            "Maintenance mode off"
        ]
        .map(|what| format!("app[api]: {what} by user {email}"))
    );

    api.call("DELETE", "/apps/renamed", None, (200, "app")).await;
    assert!(server.node.app(id).is_none());
    api.call("GET", "/apps/renamed", None, (404, "error")).await;
    api.create("renamed").await;
}

#[tokio::test]
async fn names_are_checked_and_unique() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let message = api.refused("POST", "/apps", json!({"name": "demo"}), 422).await;
    assert_eq!(message, "Name demo is already taken.");
    for bad in ["Demo", "de", "-demo", "demo-", "de_mo", "1demo"] {
        let message = api.refused("POST", "/apps", json!({"name": bad}), 422).await;
        assert!(message.starts_with("Name "), "{message}");
    }
    api.create("demo2").await;
    let message = api.refused("PATCH", "/apps/demo2", json!({"name": "demo"}), 422).await;
    assert_eq!(message, "Name demo is already taken.");
    assert_eq!(api.get("/apps/demo2", "app").await["name"], "demo2");
    let named = api.call("POST", "/apps", None, (201, "app")).await;
    assert!(named.text("name").len() > 5);
    api.refused("POST", "/apps", json!({"stack": "container"}), 422).await;
    api.refused("POST", "/apps", json!({"region": "eu"}), 422).await;
    let body = json!({"region": {"name": "us"}, "stack": "heroku-24"});
    api.call("POST", "/apps", Some(body), (201, "app")).await;
}

#[tokio::test]
async fn domains() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.create("other").await;
    let body = json!({"hostname": "WWW.Example.org", "sni_endpoint": null});
    let domain = api.call("POST", "/apps/demo/domains", Some(body), (201, "domain")).await;
    assert_eq!(domain.text("hostname"), "www.example.org");
    assert_eq!(domain.text("cname"), "demo.localhost");
    assert_eq!(server.node.app(id).unwrap().domains, ["www.example.org"]);
    for which in ["www.example.org", &domain.text("id"), "demo.localhost"] {
        api.get(&format!("/apps/demo/domains/{which}"), "domain").await;
    }
    let taken = json!({"hostname": "www.example.org"});
    let message = api.refused("POST", "/apps/other/domains", taken, 422).await;
    assert!(message.contains("in use"), "{message}");
    for bad in ["x", "a b.org", "other.localhost", "1.2.3.4"] {
        api.refused("POST", "/apps/demo/domains", json!({"hostname": bad}), 422).await;
    }
    let list = api.ranged("/apps/demo/domains", "id ..; max=1000;", (200, "[domain]")).await;
    let kinds: Vec<_> = list.body.as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&&json!("heroku")) && kinds.contains(&&json!("custom")));
    api.call("DELETE", "/apps/demo/domains/www.example.org", None, (200, "domain")).await;
    assert!(server.node.app(id).unwrap().domains.is_empty());
    api.call("DELETE", "/apps/demo/domains/www.example.org", None, (404, "error")).await;
    assert_eq!(api.verification("demo").await["valid"], true);
}

#[tokio::test]
async fn formation_and_dynos() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    let web = json!({"updates": [{"type": "web", "quantity": 1}]});
    api.refused("PATCH", "/apps/demo/formation", web, 404).await;
    api.deploy("demo", "one").await;
    let scales = |spec: &wpaas_slug::feed::AppSpec| {
        spec.formation
            .iter()
            .map(|(name, scale)| (name.clone(), scale.min, scale.max))
            .collect::<Vec<_>>()
    };
    let spec = server.node.app(id).unwrap();
    assert_eq!(scales(&spec), [("web".into(), 0, 20), ("worker".into(), 0, 0)]);
    let formation = api.get("/apps/demo/formation", "[formation]").await;
    assert_eq!((&formation[0]["type"], &formation[0]["quantity"]), (&json!("web"), &json!(20)));

    let body = json!({"updates": [
        {"type": "web", "quantity": "+5"}, {"type": "worker", "quantity": 2, "size": "basic"},
    ]});
    api.call("PATCH", "/apps/demo/formation", Some(body), (200, "[formation]")).await;
    let spec = server.node.app(id).unwrap();
    assert_eq!(scales(&spec), [("web".into(), 0, 25), ("worker".into(), 2, 2)]);
    let web = api.get("/apps/demo/formation/web", "formation").await;
    let path = format!("/apps/demo/formation/{}", web["id"].as_str().unwrap());
    let body = Some(json!({"quantity": "1..3"}));
    let web = api.call("PATCH", &path, body, (200, "formation")).await;
    assert_eq!(web.body["quantity"], 3);
    assert_eq!(api.extended(&path).await["quantity_min"], 1);
    for bad in [json!("x"), json!(101), json!(-1), json!("5..1"), json!([1]), json!(1.5)] {
        let body = json!({"updates": [{"type": "worker", "quantity": 7}, {"type": "web", "quantity": bad}]});
        api.refused("PATCH", "/apps/demo/formation", body, 422).await;
    }
    let body = json!({"updates": [{"type": "web", "quantity": 1, "size": "Standard-1X"}]});
    api.refused("PATCH", "/apps/demo/formation", body, 422).await;
    let spec = server.node.app(id).unwrap();
    assert_eq!(scales(&spec), [("web".into(), 1, 3), ("worker".into(), 2, 2)], "all or nothing");
    let log = api.log("demo").await.join("\n");
    assert!(log.contains("Scaled to web@0..25:Basic worker@2:Basic by user"), "{log}");

    let dynos = api.get("/apps/demo/dynos", "[dyno]").await;
    assert_eq!(dynos[0]["name"], "web.1");
    let extended = api.extended("/apps/demo/dynos").await;
    assert_eq!(extended[1]["concurrency"], 2, "what Heroku's clients do not get");
    assert_eq!(extended[1]["isolation"], "instance");
    let dyno = dynos[1]["id"].as_str().unwrap();
    api.get(&format!("/apps/demo/dynos/{dyno}"), "dyno").await;
    api.call("DELETE", "/apps/demo/dynos", None, (202, "empty")).await;
    api.call("DELETE", &format!("/apps/demo/dynos/{dyno}"), None, (202, "empty")).await;
    api.call("DELETE", "/apps/demo/formations/web", None, (202, "empty")).await;
    api.call("DELETE", "/apps/demo/dynos/web.9", None, (404, "error")).await;
    let restarts: Vec<_> =
        server.node.restarts.lock().iter().map(|(_, dyno)| dyno.clone()).collect();
    let name = |n: &str| Some(n.to_owned());
    assert_eq!(restarts, [None, name("web.2"), name("web.1"), name("web.2")]);
}

#[tokio::test]
async fn a_name_given_up_reaches_the_node_before_it_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    for round in 0..10 {
        api.create("demo").await;
        let old = format!("/apps/{}", api.get("/apps/demo", "app").await["id"].as_str().unwrap());
        let to = format!("old-{round}");
        let renaming = api.call("PATCH", &old, Some(json!({"name": to})), (200, "app"));
        let taking = async {
            loop {
                let request = api.request("POST", "/apps").json(&json!({"name": "demo"}));
                let token = server.platform.issue_token().await.unwrap().unwrap().token;
                if request.bearer_auth(token).send().await.unwrap().status() == 201 {
                    break;
                }
            }
        };
        tokio::join!(renaming, taking);
        api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    }
    // At no point may two apps have had one name in the node's eyes.
    let changes = server.node.changes.lock();
    let mut names = std::collections::HashMap::new();
    for change in changes.iter() {
        match change {
            wpaas_slug::feed::Change::App(spec) => {
                names.retain(|_, id| *id != spec.id);
                assert_eq!(names.insert(spec.name.clone(), spec.id), None, "{}", spec.name);
            }
            wpaas_slug::feed::Change::AppRemoved { id } => names.retain(|_, known| known != id),
            wpaas_slug::feed::Change::Stack { .. } => {}
        }
    }
}
