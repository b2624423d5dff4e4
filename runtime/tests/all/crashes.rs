//! Guests that fail: the client's page, the log, and that the app goes on.

use wpaas_slug::feed::{Change, NodeLink};

use crate::support::{app, attacked, guest, host, slug};

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_is_h13_with_a_backtrace_in_the_log() {
    let host = attacked(|_| {}).await;
    host.get("/ok").await.ok();
    host.get("/trap").await.is_page("H13");
    host.log.line("app[web.1]: asked for a trap").await;
    host.log.line("heroku[web.1]: error while executing at wasm backtrace").await;
    host.log.line("heroku[web.1]: State changed from up to crashed").await;
    let line = host.log.line("code=H13 desc=\"Connection closed without response\"").await;
    assert!(line.contains(" dyno=web.1 ") && line.contains(" status=503 bytes=0 "), "{line}");
    assert_eq!(host.get("/count").await.ok(), "1", "the next request has a new instance");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_ways_to_end_without_a_response() {
    let host = attacked(|_| {}).await;
    host.get("/exit?code=3").await.is_page("H13");
    // WASI's exit has success or failure only.
    host.log.line("heroku[web.1]: Process exited with status 1").await;
    host.get("/stack").await.is_page("H13");
    host.log.line("call stack exhausted").await;
    host.get("/no-response").await.is_page("H13");
    host.log.line("heroku[web.1]: The request's handler ended without a response").await;
    host.get("/error").await.is_page("H13");
    host.log.line("heroku[web.1]: Request failed without a response: asked for").await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_breaks_off_is_cut() {
    let host = attacked(|limits| limits.idle_ms = 300).await;
    for (how, code) in [("trap", "H18"), ("end", "H18"), ("hang", "H15")] {
        let reply = host.get(&format!("/partial?how={how}")).await;
        assert_eq!(reply.status, 200);
        assert!(reply.body.is_err(), "{how}: the client must notice");
        let line = host.log.line(&format!("path=\"/partial?how={how}\"")).await;
        assert!(line.contains(&format!("at=error code={code} ")), "{line}");
    }
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_stack_the_first_request_boots_the_app() {
    let host = host(|limits| {
        limits.boot_ms = 400;
        limits.first_byte_ms = 200;
    })
    .await;
    let slug = slug(&host.store, guest("attack"), &[], true).await;
    let (component, _) = host.store.put(guest("attack").into()).await.unwrap();
    let unknown = app("app", Some(slug));
    let change = Change::App(std::sync::Arc::new(unknown.clone()));
    let error = host.node.apply(change).await.unwrap_err();
    assert!(error.message.contains("stack test-stack is not installed"), "{error}");

    let stack = Change::Stack { name: "test-stack".into(), component };
    host.node.apply(stack).await.unwrap();
    host.apply(&unknown).await;
    assert_eq!(host.get("/args").await.ok(), "--boot-timeout-ms=400\none\ntwo");
    host.get("/trap").await.is_page("H13");
    host.get("/trap").await.is_page("H10");
    host.log.line("heroku[web.1]: State changed from starting to crashed").await;
    host.get("/spin").await.is_page("H20");
    host.log.line("heroku[web.1]: Error R10 (Boot timeout) -> Web process failed to bind").await;
    assert_eq!(host.get("/slow?ms=400").await.ok(), "slow", "booting has more time");
    host.get("/slow?ms=400").await.is_page("H12");
}
