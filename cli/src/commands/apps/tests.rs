use super::*;
use crate::{
    api,
    commands::testing::{context, target},
    testing::{Answer, Server},
};

fn destroy_args(app: Option<&str>, confirm: Option<&str>) -> DestroyArgs {
    let target = Target { app: app.map(str::to_owned), ..target() };
    DestroyArgs { confirm: confirm.map(str::to_owned), target }
}

fn create_args(name: Option<&str>) -> CreateArgs {
    let name = name.map(str::to_owned);
    CreateArgs { name, no_remote: false, json: false, server: target().server }
}

#[tokio::test]
async fn create_prints_the_address_and_remembers_the_app_of_a_project() {
    let server = Server::start(|seen| {
        let name = seen.json()["name"].as_str().unwrap_or("calm-river-7").to_owned();
        Answer::json(201, sample(&name))
    })
    .await;
    let (context, streams, directory) = context(&server);
    create(&context, &create_args(None)).await.unwrap();
    assert_eq!(app_context::recall(directory.path()).unwrap(), None, "not a project's directory");

    std::fs::write(directory.path().join("Procfile"), "web: x").unwrap();
    create(&context, &create_args(Some("demo"))).await.unwrap();
    create(&context, &create_args(Some("second"))).await.unwrap();
    let remembered = app_context::recall(directory.path()).unwrap().unwrap();
    assert_eq!((remembered.app.as_str(), remembered.api.as_str()), ("demo", server.url()));
    let urls = ["calm-river-7", "demo", "second"].map(|n| format!("http://{n}.localhost:8080/\n"));
    assert_eq!(streams.out(), urls.concat());
    assert!(streams.err().starts_with("Creating app... done, calm-river-7\n"), "{}", streams.err());
}

#[tokio::test]
async fn a_taken_name_is_told_in_the_servers_words() {
    let server = Server::start(|_| {
        let message = "Name demo is already taken";
        Answer::json(422, json!({"id": "invalid_params", "message": message}))
    })
    .await;
    let (context, streams, _directory) = context(&server);
    let error = create(&context, &create_args(Some("demo"))).await.unwrap_err();
    assert_eq!(error.to_string(), "Name demo is already taken");
    assert_eq!(crate::exit::code(&error), crate::exit::FAILED);
    assert_eq!((streams.out(), streams.err()), (String::new(), "Creating app... !\n".into()));
}

#[tokio::test]
async fn destroy_needs_the_right_name() {
    let server = Server::start(|_| Answer::json(200, sample("demo"))).await;
    let (context, _streams, directory) = context(&server);
    app_context::remember(directory.path(), "demo", server.url()).unwrap();
    let error = destroy(&context, &destroy_args(Some("demo"), Some("dem0"))).await.unwrap_err();
    assert!(error.is::<Usage>() && error.to_string().contains("nothing was removed"), "{error}");
    assert_eq!(server.lines(), ["GET /apps/demo"]);
    assert!(app_context::recall(directory.path()).unwrap().is_some());

    destroy(&context, &destroy_args(None, Some("demo"))).await.unwrap();
    assert_eq!(server.lines()[2], "DELETE /apps/demo");
    assert_eq!(app_context::recall(directory.path()).unwrap(), None);
}

#[tokio::test]
async fn info_shows_what_there_is() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /apps/demo" => Answer::json(200, sample("demo")),
        "GET /apps/demo/formation" => Answer::json(
            200,
            json!([{"type": "web", "command": "npm start", "quantity": 20, "quantity_min": 0}]),
        ),
        _ => Answer::json(
            200,
            json!([
                {"hostname": "demo.localhost", "kind": "heroku", "cname": null, "status": "none"},
                {"hostname": "www.example.org", "kind": "custom", "cname": "x", "status": "none"}
            ]),
        ),
    })
    .await;
    let (context, streams, _directory) = context(&server);
    info(&context, &InfoArgs { json: false, target: target() }).await.unwrap();
    let out = streams.out();
    for line in [
        "=== demo",
        "Created:    2026/11/20 10:00:00 +0000",
        "Dynos:      web: 0..20",
        "Domains:    www.example.org",
        "Slug Size:  1.0 MB",
        "Web URL:    http://demo.localhost:8080/",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
    assert!(!out.contains("Released:") && !out.contains("Maintenance:"), "{out}");
}

#[tokio::test]
async fn an_app_that_does_not_exist_is_an_api_error() {
    let server = Server::start(|_| {
        Answer::json(404, json!({"id": "not_found", "message": "Couldn't find that app."}))
    })
    .await;
    let (context, _streams, _directory) = context(&server);
    let error = info(&context, &InfoArgs { json: true, target: target() }).await.unwrap_err();
    assert!(error.downcast_ref::<api::Error>().unwrap().is_not_found());
}
