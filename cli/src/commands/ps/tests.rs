use super::*;
use crate::{
    commands::testing::{context, target},
    testing::{Answer, Server},
};

#[test]
fn scales_are_absolute_a_range_or_relative() {
    let parsed = |text| parse_scale(text).map(|update| (update.process_type, update.quantity));
    let is = |process_type: &str, quantity: &str| Ok((process_type.into(), quantity.into()));
    assert_eq!(parsed("web=3"), is("web", "3"));
    assert_eq!(parsed("web=0"), is("web", "0"));
    assert_eq!(parsed("web=0..20"), is("web", "0..20"));
    assert_eq!(parsed("web=2..2"), is("web", "2..2"));
    assert_eq!(parsed("web+1"), is("web", "+1"));
    assert_eq!(parsed("web-1"), is("web", "-1"));
    assert_eq!(parsed("image-worker-2"), is("image-worker", "-2"));
    assert_eq!(parsed("image-worker=2"), is("image-worker", "2"));
    for bad in [
        "",
        "web",
        "web=",
        "web=x",
        "web=-1",
        "web=+1",
        "web=1..",
        "web=..2",
        "web=5..2",
        "=1",
        "+1",
        "web+",
        "web=1:Basic",
        "web=1...2",
        "a b=1",
        "web=4294967296",
    ] {
        assert!(parse_scale(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn restarts_are_of_a_dyno_or_a_process_type() {
    assert_eq!(parse_which("web.1"), Ok(Which::Dyno("web.1".into())));
    assert_eq!(parse_which("web"), Ok(Which::ProcessType("web".into())));
    for bad in ["", ".", "..", "web.", "web.x", ".1", "web.1.2", "a/b"] {
        assert!(parse_which(bad).is_err(), "{bad:?}");
    }
}

fn formation() -> Value {
    json!([
        {"type": "web", "command": "npm start", "quantity": 20, "quantity_min": 0},
        {"type": "clock", "command": "node clock.js", "quantity": 1, "quantity_min": 1}
    ])
}

#[tokio::test]
async fn dynos_are_listed_by_process_type() {
    let server = Server::start(|seen| match seen.line.as_str() {
        "GET /apps/demo/formation" => Answer::json(200, formation()),
        "GET /apps/demo/dynos" => Answer::json(
            200,
            json!([{"name": "web.1", "type": "web", "command": "npm start", "state": "idle",
                    "updated_at": "2026-01-02T03:04:05Z"},
                   {"name": "web.2", "type": "web", "command": "npm start", "state": "up",
                    "updated_at": "2026-01-02T03:04:05Z", "isolation": "instance", "concurrency": 50},
                   {"name": "web.3", "type": "web", "command": "npm start", "state": "up",
                    "updated_at": "2026-01-02T03:04:05Z", "isolation": "request", "concurrency": 1}]),
        ),
        other => panic!("{other}"),
    })
    .await;
    let (context, streams, _directory) = context(&server);
    list(&context, &ListArgs { json: false, target: target() }).await.unwrap();
    let expected = "=== clock: node clock.js (1)\n\nno dynos now\n\n\
                    === web: npm start (0..20)\n\nweb.1: idle 2026/01/02 03:04:05 +0000\n\
                    web.2: up 2026/01/02 03:04:05 +0000, up to 50 requests at once\n\
                    web.3: up 2026/01/02 03:04:05 +0000, a fresh instance for each request\n";
    assert_eq!(streams.out(), expected);
}

#[tokio::test]
async fn scaling_sends_the_expression_and_shows_what_became_of_it() {
    let server = Server::start(|_| Answer::json(200, formation())).await;
    let (context, streams, _directory) = context(&server);
    let scales = vec![parse_scale("web=0..20").unwrap()];
    scale(&context, &ScaleArgs { scales, json: false, target: target() }).await.unwrap();
    assert_eq!(server.lines(), ["PATCH /apps/demo/formation"]);
    let updates = json!({"updates": [{"type": "web", "quantity": "0..20"}]});
    assert_eq!(server.seen()[0].json(), updates);
    assert_eq!(streams.err(), "Scaling dynos... done, now running web at 0..20\n");

    scale(&context, &ScaleArgs { scales: vec![], json: false, target: target() }).await.unwrap();
    assert_eq!(streams.out(), "web=0..20 clock=1\n");
}

#[tokio::test]
async fn restarting_asks_for_exactly_what_was_named() {
    let server = Server::start(|_| Answer::json(202, json!({}))).await;
    let (context, _streams, _directory) = context(&server);
    for dyno in [None, Some("web.1"), Some("web")] {
        let dyno = dyno.map(|text| parse_which(text).unwrap());
        restart(&context, &RestartArgs { dyno, target: target() }).await.unwrap();
    }
    let paths = ["dynos", "dynos/web.1", "formations/web"];
    assert_eq!(server.lines(), paths.map(|path| format!("DELETE /apps/demo/{path}")));
}
