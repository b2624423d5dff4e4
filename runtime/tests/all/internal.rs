//! `http://APP.internal`: apps of one owner reach each other inside the node.

use http::Request;
use http_body_util::Full;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    feed::{AppSpec, DynoState, EgressRule, Scale},
};

use crate::{
    socket::socket_app,
    support::{Host, app, guest, host, slug},
};

/// A node with the app `app` of the attack guest, which asks, and a limit.
async fn asking(change: impl FnOnce(&mut Limits)) -> Host {
    let host = host(change).await;
    host.deploy("app", "attack").await;
    host
}

/// What `app` gets when it asks `url`.
async fn asked(host: &Host, url: &str) -> String {
    host.get(&format!("/outgoing?url={}", escaped(url))).await.ok()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escape = |byte: u8| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(escape).collect()
}

/// What `app` gets when it sends this head over a socket; `|` ends a line.
async fn told(host: &Host, to: &str, head: &str) -> String {
    host.get(&format!("/ask?to={to}&text={}", escaped(head))).await.ok()
}

/// The attack guest as the app `name` of somebody.
async fn another(host: &Host, name: &str, owner: u128) -> AppSpec {
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let mut app = app(name, Some(slug));
    app.owner = Uuid::from_u128(owner);
    host.apply(&app).await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_asks_another_of_its_owner_by_http_and_by_sockets() {
    let host = asking(|_| {}).await;
    another(&host, "backend", 1).await;
    let seen = asked(&host, "http://backend.internal/request?a=%20b").await;
    let by_socket = told(
        &host,
        "backend.internal:80",
        "GET /request?a=%20b HTTP/1.1|Host: backend.internal|Connection: close",
    )
    .await;
    assert!(
        seen.starts_with("200\n") && by_socket.starts_with("HTTP/1.1 200 OK\r\n"),
        "{by_socket}"
    );
    for seen in [seen, by_socket] {
        for line in [
            "method: GET",
            "authority: backend.internal",
            "target: /request?a=%20b",
            "header x-forwarded-for: 198.18.0.1",
            "header x-forwarded-proto: http",
            "header x-forwarded-port: 80",
            "header x-request-id: ",
            "header via: 1.1 wpaas",
        ] {
            assert!(seen.contains(line), "no {line:?} in {seen}");
        }
    }
    // Its log says so as of any request.
    host.log.line("method=GET path=\"/request?a=%20b\" host=backend.internal").await;
    host.log.line("fwd=\"198.18.0.1\" dyno=web.1").await;
    // A body each way.
    let url = escaped("http://BACKEND.internal:80/whole");
    let request = Request::post(format!("/outgoing?url={url}")).header("host", "app.localhost");
    let request = request.body(Full::new(vec![b'x'; 300_000].into())).unwrap();
    let echoed = host.send(request).await.ok();
    assert!(echoed.starts_with("200\n") && echoed.matches('x').count() >= 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_listens_asks_and_is_asked() {
    let host = host(|_| {}).await;
    let mut sockets = socket_app(&host, &[]).await;
    sockets.name = "sockets".into();
    sockets.id = Uuid::from_u128(99);
    host.apply(&sockets).await;
    host.deploy("app", "attack").await;
    let seen = asked(&host, "http://sockets.internal/headers").await;
    assert!(seen.starts_with("200\n") && seen.contains("host: sockets.internal"), "{seen}");
    // Two requests on one connection, of which the second one ends it.
    let twice = "GET / HTTP/1.1|Host: x||GET / HTTP/1.1|Host: x|Connection: close";
    let said = told(&host, "sockets.internal:80", twice).await;
    assert_eq!(said.matches("hello from web.1").count(), 2, "{said}");
    // Another protocol, as a WebSocket is one.
    let head = "GET /upgrade HTTP/1.1\r\nHost: sockets.internal\r\nConnection: upgrade\r\nUpgrade: shout/1\r\n\r\nhello";
    let said = host.get(&format!("/talk?to=sockets.internal:80&text={}", escaped(head))).await.ok();
    assert!(said.starts_with("HTTP/1.1 101 ") && said.ends_with("HELLO"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_app_is_as_absent_as_one_that_was_never_made() {
    let host = asking(|_| {}).await;
    let theirs = another(&host, "theirs", 2).await;
    let mut own = app("app", Some(slug(&host.store, guest("attack"), &[], false).await));
    // No rule opens it either.
    let all = EgressRule { host: "*".into(), port: None, tls: None, ca: None };
    own.release.as_mut().unwrap().egress = vec![all];
    host.apply(&own).await;
    for name in ["theirs", "nobody"] {
        let refused = asked(&host, &format!("http://{name}.internal/")).await;
        assert_eq!(refused, "refused: ErrorCode::HttpRequestDenied");
        let refused =
            told(&host, &format!("{name}.internal:80"), "GET / HTTP/1.1|Host: theirs.localhost")
                .await;
        assert_eq!(refused, "refused: \"access-denied\"");
        let line = format!(
            "heroku[web.1]: Connection to {name}.internal:80 denied: this app's owner has no app {name} here"
        );
        host.log.line(&line).await;
    }
    // The name that is dialled decides, and not `Host`.
    another(&host, "mine", 1).await;
    let head = "GET /request HTTP/1.1|Host: theirs.localhost|Connection: close";
    assert!(told(&host, "mine.internal:80", head).await.contains("authority: theirs.localhost"));
    host.log.line("host=theirs.localhost").await;
    assert_eq!(host.node_dynos(&theirs), [("web.1".to_owned(), DynoState::Idle)], "never asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_http_on_port_80_leads_to_an_app() {
    let host = asking(|_| {}).await;
    another(&host, "backend", 1).await;
    for url in ["https://backend.internal/", "http://backend.internal:8080/"] {
        assert_eq!(asked(&host, url).await, "refused: ErrorCode::HttpRequestDenied", "{url}");
    }
    host.log
        .line("another app of yours is reached at http://backend.internal, by HTTP on port 80")
        .await;
    let refused = told(&host, "backend.internal:22", "x").await;
    assert_eq!(refused, "refused: \"access-denied\"");
    // A name of the DNS below some zone is no app.
    let refused = asked(&host, "http://db.backend.internal/").await;
    assert_eq!(refused, "refused: ErrorCode::HttpRequestDenied");
    host.log.line("Connection to db.backend.internal:80 denied: no rule of this release").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_what_it_is_from_outside() {
    let host = asking(|_| {}).await;
    let mut backend = another(&host, "backend", 1).await;
    let url = "http://backend.internal/status?code=418";
    assert_eq!(asked(&host, url).await, "418\nstatus", "started from zero");
    backend.maintenance = true;
    host.apply(&backend).await;
    let page = asked(&host, url).await;
    assert!(page.starts_with("503\n") && page.contains("H80"), "{page}");
    backend.maintenance = false;
    backend.formation.insert("web".into(), Scale { min: 0, max: 0 });
    host.apply(&backend).await;
    assert!(asked(&host, url).await.contains("H14"));
    backend.release = None;
    host.apply(&backend).await;
    assert!(asked(&host, url).await.contains("H81"));
    host.log.line("code=H81").await;
    backend.name = "renamed".into();
    host.apply(&backend).await;
    assert_eq!(asked(&host, url).await, "refused: ErrorCode::HttpRequestDenied");
    assert!(asked(&host, "http://renamed.internal/").await.contains("H81"));
    // A dyno that crashes in the middle is an error, and no short answer.
    another(&host, "crashes", 1).await;
    assert!(asked(&host, "http://crashes.internal/trap").await.contains("H13"));
    let broken = asked(&host, "http://crashes.internal/partial?then=trap").await;
    assert!(!broken.starts_with("200\n") || broken.contains("refused"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_that_call_each_other_in_a_circle_are_stopped() {
    let host = asking(|limits| limits.internal_requests = 3).await;
    let nested = |calls: usize| {
        (0..calls).fold("/ok".to_owned(), |path, _| {
            format!("/outgoing?url={}", escaped(&format!("http://app.internal{path}")))
        })
    };
    assert_eq!(host.get(&nested(3)).await.ok(), "200\n200\n200\nok");
    let stopped = host.get(&nested(4)).await.ok();
    assert_eq!(stopped, "200\n200\n200\nrefused: ErrorCode::ConnectionLimitReached");
    let line = "this app has 3 requests to other apps under way, which is the limit; do apps call each other";
    host.log.line(line).await;
    assert_eq!(host.get(&nested(3)).await.ok(), "200\n200\n200\nok", "the places are free again");
}
