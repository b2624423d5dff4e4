//! How dynos that listen begin and end.

use wpaas_slug::feed::{DynoState, Scale};

use super::{socket, socket_app};
use crate::{
    raw::Raw,
    support::{configure, host, soon},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_until_the_dyno_listens() {
    let (host, app) = socket(&["slow", "200"], |_| {}).await;
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
    let dynos = host.node_dynos(&app);
    assert_eq!(dynos, [("web.1".to_owned(), DynoState::Up)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_listens_is_r10() {
    let (host, app) = socket(&["silent"], |limits| limits.boot_ms = 300).await;
    host.get("/").await.is_page("H20");
    let r10 = host.log.line("heroku[web.1]: Error R10 (Boot timeout)").await;
    assert!(r10.contains("failed to bind to $PORT"), "{r10}");
    host.log.line("heroku[web.1]: State changed from starting to crashed").await;
    assert_eq!(host.node_dynos(&app), [("web.1".to_owned(), DynoState::Crashed)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_before_it_listens_is_h10_and_rests() {
    let (host, app) = socket(&["crash"], |limits| limits.crash_rest_ms = 3_600_000).await;
    host.get("/").await.is_page("H10");
    host.log.line("heroku[web.1]: Process exited with status 1").await;
    // Once at once, and then not before the rest is over.
    host.get("/").await.is_page("H10");
    let starts =
        || host.log.lines().iter().filter(|line| line.contains("Starting process")).count();
    assert_eq!(starts(), 2);
    host.get("/").await.is_page("H10");
    assert_eq!(starts(), 2, "{:#?}", host.log.lines());
    // Unless somebody wants it to.
    host.restart(&app).await;
    host.get("/").await.is_page("H10");
    assert_eq!(starts(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_of_the_minimum_are_started_again() {
    let host = host(|limits| limits.crash_rest_ms = 1).await;
    let mut app = socket_app(&host, &[]).await;
    app.formation.insert("web".into(), Scale { min: 2, max: 2 });
    host.apply(&app).await;
    host.log.line("heroku[web.1]: State changed from starting to up").await;
    host.log.line("heroku[web.2]: State changed from starting to up").await;
    for _ in 0..3 {
        let from = host.log.lines().len();
        let reply = host.get("/exit?code=1").await;
        reply.is_page("H13");
        host.log.line_from(from, "State changed from up to crashed").await;
        host.log.line_from(from, "State changed from starting to up").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_one_may_have_start_another() {
    let host = host(|limits| limits.dyno_requests = 2).await;
    let mut app = socket_app(&host, &[]).await;
    app.formation.insert("web".into(), Scale { min: 0, max: 3 });
    host.apply(&app).await;
    let mut hanging = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::connect(host.address).await;
        let from = host.log.lines().len();
        raw.send("GET /hang HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
        host.log.line_from(from, "hanging").await;
        hanging.push(raw);
    }
    assert_eq!(host.node_dynos(&app).len(), 3);
    assert_eq!(host.get("/").await.ok().len(), "hello from web.1".len(), "one place is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_without_connections_ends() {
    let (host, app) = socket(&[], |limits| limits.instance_idle_ms = 100).await;
    host.get("/").await.ok();
    host.log.line("heroku[web.1]: State changed from up to down").await;
    assert_eq!(host.node_dynos(&app), [("web.1".to_owned(), DynoState::Idle)]);
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_release_lets_requests_finish() {
    let (host, mut app) = socket(&[], |_| {}).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /sse?n=5&ms=100 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    raw.until("data: 1\n\n").await.unwrap();
    configure(&mut app, &[("A", "1")]);
    host.apply(&app).await;
    host.log.line("app[web.1]: asked to end").await;
    assert_eq!(host.get("/").await.ok(), "hello from web.1", "of the new release");
    raw.until("data: 5\n\n").await.unwrap();
    host.log.line("heroku[web.1]: State changed from up to down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn and_ends_those_that_do_not() {
    let (host, mut app) = socket(&[], |limits| limits.drain_ms = 200).await;
    let mut raw = Raw::connect(host.address).await;
    raw.send("GET /sse?n=1000000&ms=10 HTTP/1.1\r\nhost: app.localhost\r\n\r\n").await;
    raw.until("data: 1\n\n").await.unwrap();
    configure(&mut app, &[("A", "1")]);
    host.apply(&app).await;
    soon(async { while raw.more().await {} }).await;
    assert!(host.log.line("path=\"/sse").await.contains("code=H18"));
    host.log.line("heroku[web.1]: State changed from up to down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_computes_is_killed_all_the_same() {
    let (host, mut app) = socket(&[], |limits| {
        limits.drain_ms = 100;
        limits.first_byte_ms = 60_000;
    })
    .await;
    host.get("/").await.ok();
    let spinning = host.get("/spin");
    let ended = async {
        host.log.line("heroku[web.1]: State changed from up to down").await;
    };
    let replaced = async {
        host.log.line("app[web.1]: spinning").await;
        configure(&mut app, &[("A", "1")]);
        host.apply(&app).await;
        ended.await;
    };
    let (reply, ()) = tokio::join!(spinning, replaced);
    reply.is_page("H13");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_ends_them() {
    let (host, _) = socket(&[], |_| {}).await;
    host.get("/").await.ok();
    soon(host.node.stop_processes()).await;
    host.log.line("heroku[web.1]: State changed from up to down").await;
}
