//! Routing to apps, and what clients get when there is no dyno for them.

use std::sync::Arc;

use async_trait::async_trait;
use wpaas_runtime::Gate;
use wpaas_slug::feed::{Change, DynoState, NodeLink, Scale};

use crate::support::{app, attacked, host, host_with};

#[tokio::test(flavor = "multi_thread")]
async fn names_and_domains_lead_to_apps() {
    let host = host(|_| {}).await;
    host.deploy("hello", "component-hello").await;
    let mut other = host.deploy("other", "attack").await;
    other.domains = vec!["www.example.com".into()];
    host.apply(&other).await;

    let hello = host.get_from("hello.localhost:8080", "/").await;
    assert!(hello.ok().starts_with("Hello from a component!"));
    assert_eq!(host.get_from("other.localhost", "/ok").await.ok(), "ok");
    assert_eq!(host.get_from("WWW.example.com", "/ok").await.ok(), "ok");
    let nobody = host.get_from("nobody.localhost", "/").await;
    assert_eq!(nobody.status, 404);
    assert!(nobody.text().contains("No such app"));

    other.name = "renamed".into();
    host.apply(&other).await;
    assert_eq!(host.get_from("other.localhost", "/ok").await.status, 404);
    assert_eq!(host.get_from("renamed.localhost", "/ok").await.ok(), "ok");
    host.node.apply(Change::AppRemoved { id: other.id }).await.unwrap();
    assert_eq!(host.get_from("renamed.localhost", "/ok").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_cannot_serve_say_why() {
    let host = attacked(|_| {}).await;
    host.apply(&app("blank", None)).await;
    host.get_from("blank.localhost", "/").await.is_page("H81");
    host.log.line("at=error code=H81 desc=\"Blank app\"").await;

    let mut off = host.deploy("off", "attack").await;
    off.maintenance = true;
    host.apply(&off).await;
    host.get_from("off.localhost", "/ok").await.is_page("H80");
    off.maintenance = false;
    off.formation.insert("web".into(), Scale { min: 0, max: 0 });
    host.apply(&off).await;
    host.get_from("off.localhost", "/ok").await.is_page("H14");
    host.log.line("at=error code=H14 desc=\"No web processes running\"").await;
    assert!(host.node.dynos(off.id).is_empty());
    off.formation.insert("web".into(), Scale { min: 0, max: 1 });
    host.apply(&off).await;
    assert_eq!(host.get_from("off.localhost", "/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn dynos_are_shown_as_they_are() {
    let host = host(|_| {}).await;
    let mut app = host.deploy_alone().await;
    let states = || {
        let dynos = host.node.dynos(app.id).into_iter();
        dynos.map(|dyno| (dyno.name, dyno.state)).collect::<Vec<_>>()
    };
    let only = |state| vec![("web.1".to_owned(), state)];
    assert_eq!(states(), only(DynoState::Idle));
    let dyno = host.node.dynos(app.id).remove(0);
    assert_eq!((dyno.process_type.as_str(), dyno.command.as_str()), ("web", "the command"));
    assert_eq!(dyno.release_version, 1);

    host.get("/ok").await.ok();
    host.log.line("at=info").await;
    assert_eq!(states(), only(DynoState::Up));
    host.get("/trap").await;
    host.log.line("code=H13").await;
    assert_eq!(states(), only(DynoState::Crashed));
    let first = host.get("/instance").await.ok();
    host.dyno_is(&app, DynoState::Up).await;
    host.node.restart(app.id, Some("web.1".into())).await;
    assert_ne!(host.get("/instance").await.ok(), first);

    app.formation.insert("web".into(), Scale { min: 0, max: 0 });
    host.apply(&app).await;
    assert!(host.node.dynos(app.id).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_minimum_runs_without_requests() {
    let host = host(|_| {}).await;
    let mut app = host.deploy("app", "attack").await;
    app.formation.insert("web".into(), Scale { min: 2, max: 3 });
    host.apply(&app).await;
    let up = || host.node.dynos(app.id).iter().filter(|dyno| dyno.state == DynoState::Up).count();
    crate::support::soon(async {
        while up() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    host.get("/ok").await.ok();
    assert!(host.log.line("at=info").await.contains("start=warm"));
}

struct Closed;

#[async_trait]
impl Gate for Closed {
    async fn ready(&self) -> Result<(), String> {
        Err("build failed: <syntax>".into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_gate_shows_its_text() {
    let host = host_with(|_| {}, |builder| builder.gate(Arc::new(Closed)).single_app(true)).await;
    host.deploy("app", "attack").await;
    let reply = host.get("/ok").await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("build failed: &lt;syntax&gt;"), "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_app_has_every_host() {
    let host = host_with(|_| {}, |builder| builder.single_app(true)).await;
    host.deploy("app", "attack").await;
    assert_eq!(host.get_from("127.0.0.1:5006", "/ok").await.ok(), "ok");
}
