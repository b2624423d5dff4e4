//! schemathesis (`tests/setup/schemathesis.sh`) asks the Platform API whatever Heroku's schema allows, and what it does not
//! allow: no answer may be a server error.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::support::{Project, Server, test_cache};

/// Test cases for each endpoint, beside those that its schema calls for.
const EXAMPLES: &str = "20";

/// Links that would end what the others ask about.
const SPARED: [(&str, &str); 2] = [("DELETE", "/apps/{app}"), ("POST", "/apps/{app}/log-sessions")];

/// What wpaas has besides: method, path, and what the body is like.
fn own() -> Vec<(&'static str, &'static str, Value)> {
    let object = || json!({"type": "object"});
    let egress = json!({"type": "object", "properties": {
        "add": {"type": "array", "items": {"type": ["string", "object"]}},
        "remove": {"type": "array", "items": {"type": "string"}},
    }});
    let digests = json!({"type": "object", "properties": {
        "digests": {"type": "array", "items": {"type": "string"}},
    }});
    vec![
        ("GET", "/apps/{app}/egress", Value::Null),
        ("PATCH", "/apps/{app}/egress", egress),
        ("GET", "/apps/{app}/releases/verification", Value::Null),
        ("GET", "/apps/{app}/releases/{release}/egress", Value::Null),
        ("DELETE", "/apps/{app}/formations/{formation}", Value::Null),
        ("GET", "/certificate-authority", Value::Null),
        ("POST", "/blobs/missing", digests),
        ("PUT", "/blobs/{digest}", object()),
        ("GET", "/{repository}/info/refs", Value::Null),
        ("POST", "/{repository}/git-upload-pack", object()),
    ]
}

/// `/apps/{(%23%2Fdefinitions%2Fapp%2Fdefinitions%2Fidentity)}` as `/apps/{app}`.
fn path(href: &str) -> String {
    let mut path = String::new();
    let mut rest = href;
    while let Some((before, after)) = rest.split_once("{(") {
        let (reference, after) = after.split_once(")}").unwrap();
        let name = reference.trim_start_matches("%23%2Fdefinitions%2F");
        path.push_str(&format!("{before}{{{}}}", name.split("%2F").next().unwrap()));
        rest = after;
    }
    path + rest
}

/// The names in braces.
fn parameters(path: &str) -> Vec<&str> {
    path.split('{').skip(1).map(|part| part.split('}').next().unwrap()).collect()
}

/// Whether the API has such an endpoint. Nothing comes of asking without a token.
async fn is_there(server: &Server, method: &str, path: &str) -> bool {
    let filled: Vec<&str> =
        path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
    let url = format!("{}{}", server.api(), filled.join("/"));
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let answer = reqwest::Client::new().request(method, url).send().await.unwrap();
    answer.status() == 401
}

/// What there is of the hyper-schema, as a document of OpenAPI. `known` are values for parameters of paths that name
/// something.
async fn openapi(server: &Server, known: &Value) -> Value {
    let schema = include_str!("../fixtures/heroku-platform-api-schema.json");
    let mut schema: Value = serde_json::from_str(schema).unwrap();
    let mut links: Vec<(String, String, Value)> = Vec::new();
    for definition in schema["definitions"].as_object_mut().unwrap().values_mut() {
        let definition = definition.as_object_mut().unwrap();
        definition.remove("id");
        definition.remove("$schema");
        let found = definition.remove("links").unwrap_or_default();
        for link in found.as_array().into_iter().flatten() {
            let text = |name: &str| link[name].as_str().unwrap();
            links.push((text("method").into(), path(text("href")), link["schema"].clone()));
        }
    }
    links.extend(own().into_iter().map(|(method, path, body)| (method.into(), path.into(), body)));
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, body) in links {
        let spared = SPARED.contains(&(method.as_str(), path.as_str()));
        if spared || !is_there(server, &method, &path).await {
            continue;
        }
        let parameter = |name: &&str| {
            let any = json!({"type": "string", "minLength": 1, "maxLength": 100});
            let schema = match &known[*name] {
                Value::Null => any,
                known if *name == "app" => json!({"enum": known}),
                known => json!({"anyOf": [{"enum": known}, any]}),
            };
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        };
        let parameters: Vec<Value> = parameters(&path).iter().map(parameter).collect();
        let mut operation =
            json!({"parameters": parameters, "responses": {"default": {"description": "any"}}});
        if !body.is_null() {
            operation["requestBody"] = json!({"content": {"application/json": {"schema": body}}});
        }
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[method.to_ascii_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Platform API", "version": "3"},
        "paths": paths,
        "definitions": schema["definitions"],
    })
}

/// Of the methods that a path does not have, those that would not end the app.
const SETTINGS: &str =
    "[phases.coverage]\nunexpected-methods = [\"PUT\", \"OPTIONS\", \"TRACE\"]\n";

async fn run(server: &Server, document: &Path, directory: &Path) {
    let mut command =
        tokio::process::Command::new(test_cache().join("schemathesis/bin/schemathesis"));
    command
        .args(["run", "--no-color", "--url", server.api(), "--checks", "not_a_server_error"])
        .args(["--header", &format!("Authorization: Bearer {}", server.token())])
        .args(["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES])
        .args(["--workers", "2", "--continue-on-failure", "--no-shrink", "--warnings", "off"])
        .args(["--suppress-health-check", "all"])
        .args(["--generation-deterministic", "--request-timeout", "30"])
        .arg(document)
        .current_dir(directory)
        .kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(400), command.output());
    let output = output.await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
}

#[tokio::test]
async fn whatever_is_asked_is_no_server_error() {
    let server = Server::start_with(&[], &[("WPAAS_LOG", "wpaas_platform=debug")]).await;
    let project = Project::copy_of("component-hello");
    server.deploy(project.path(), "fuzzed").await;
    let app = server.run(&["info", "-a", "fuzzed", "--json"]).await.ok().json()["app"].take();
    let known = json!({
        "app": ["fuzzed", app["id"], "absent"],
        "release": ["1", "2", "v2"],
        "formation": ["web", "worker"],
        "dyno": ["web.1", "web"],
        "domain": ["www.example.org"],
        "region": ["us"],
        "stack": ["wasm", "heroku-24"],
        "account": ["~", "owner@wpaas.localhost"],
        "repository": ["fuzzed.git"],
        "digest": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    });
    let document = openapi(&server, &known).await;
    let endpoints: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|one| one.as_object().unwrap().len())
        .sum();
    assert!(endpoints > 60, "{endpoints}");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).unwrap();
    std::fs::write(directory.path().join("schemathesis.toml"), SETTINGS).unwrap();
    run(&server, &file, directory.path()).await;

    // It was heard: of the answers, many were what was asked for.
    let said = server.all_said();
    let answers = |status: &str| said.lines().filter(|line| line.contains(status)).count();
    let (good, bad, errors) = (answers("status=2"), answers("status=4"), answers("status=5"));
    assert!(good > 200 && bad > 1_000 && errors == 0, "{good} {bad} {errors}");

    // And the app serves on, whatever became of its name.
    let url = format!("{}/apps/{}", server.api(), app["id"].as_str().unwrap());
    let client = reqwest::Client::new();
    let well = json!({"name": "served", "maintenance": false});
    for (url, body) in
        [(url.clone(), well), (format!("{url}/formation/web"), json!({"quantity": 1}))]
    {
        let request = client.patch(url).bearer_auth(server.token()).json(&body);
        assert_eq!(request.send().await.unwrap().status(), 200, "{body}");
    }
    assert_eq!(server.get("served", "/").await.0, 200);
}
