//! Switching releases.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use wpaas_slug::{
    Digest,
    feed::{Change, DynoState, NodeLink, Snapshot},
};

use crate::support::{app, configure, guest, host, host_in, slug, soon};

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_releases_change() {
    let host = Arc::new(host(|_| {}).await);
    let mut app = host.deploy("app", "attack").await;
    let (done, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (host, done, answered) = (host.clone(), done.clone(), answered.clone());
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    assert!(host.get("/env").await.ok().contains("PORT=8080"));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for version in 0..30 {
        let version = version.to_string();
        configure(&mut app, &[("VERSION", &version)]);
        host.apply(&app).await;
        let seen = host.get("/env").await.ok();
        assert!(seen.contains(&format!("VERSION={version}\n")), "live when apply returns: {seen}");
    }
    done.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 0);
    assert!(!host.log.lines().iter().any(|line| line.contains("at=error")));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_under_way_finish_on_their_release() {
    let host = host(|_| {}).await;
    let mut app = host.deploy("app", "attack").await;
    let change = async {
        host.dyno_is(&app, DynoState::Up).await;
        configure(&mut app, &[("NEW", "1")]);
        host.apply(&app).await;
        assert!(host.get("/env").await.ok().contains("NEW=1"));
    };
    let (slow, ()) = tokio::join!(host.get("/slow?ms=500"), change);
    assert_eq!(slow.ok(), "slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_finish_are_cut_after_the_drain() {
    let host = host(|limits| limits.drain_ms = 100).await;
    let mut app = host.deploy("app", "attack").await;
    let change = async {
        host.dyno_is(&app, DynoState::Up).await;
        configure(&mut app, &[("NEW", "1")]);
        host.apply(&app).await;
    };
    let (slow, ()) = tokio::join!(host.get("/slow?ms=60000"), change);
    slow.is_page("H13");
    host.log.line("heroku[web.1]: Stopping remaining request: its release was replaced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_cannot_run_changes_nothing() {
    let host = host(|_| {}).await;
    let mut good = host.deploy("app", "attack").await;
    let apply = |app: &wpaas_slug::feed::AppSpec| {
        let node = host.node.clone();
        let app = Arc::new(app.clone());
        async move { node.apply(Change::App(app)).await }
    };
    for (digest, permanent) in [
        (Digest::of(b"not in the store"), false),
        (slug(&host.store, b"not wasm".to_vec(), &[], false).await, true),
        // A component without exports.
        (slug(&host.store, b"\0asm\x0d\0\x01\0".to_vec(), &[], false).await, true),
    ] {
        let mut bad = good.clone();
        configure(&mut bad, &[]);
        bad.release.as_mut().unwrap().slug = digest;
        let error = apply(&bad).await.unwrap_err();
        assert_eq!(error.permanent, permanent, "{error}");
        assert_eq!(host.get("/ok").await.ok(), "ok");
    }
    configure(&mut good, &[("A", "1")]);
    apply(&good).await.unwrap();
    assert!(host.get("/env").await.ok().contains("A=1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn preparing_does_not_switch_and_makes_the_switch_need_no_store() {
    let host = host(|_| {}).await;
    let slug = slug(&host.store, guest("attack"), &[("f", "x")], false).await;
    let app = app("app", Some(slug));
    host.node.prepare(Arc::new(app.clone())).await.unwrap();
    assert_eq!(host.get("/ok").await.status, 404);
    std::fs::remove_dir_all(host.directory.path().join("store")).unwrap();
    host.apply(&app).await;
    assert_eq!(host.get("/ok").await.ok(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_again_without_the_store() {
    let first = host(|_| {}).await;
    let app = first.deploy_files("app", "attack", &[("f", "x")]).await;
    let directory = first.directory;
    drop(first.node);
    first.server.abort();
    std::fs::remove_dir_all(directory.path().join("store")).unwrap();

    let second = host_in(directory, |_| {}, |builder| builder).await;
    let snapshot = Snapshot { apps: vec![Arc::new(app)], ..Snapshot::default() };
    second.node.load(snapshot).await;
    assert_eq!(second.get("/read?path=/app/f").await.ok(), "x");
    second.node.load(Snapshot::default()).await;
    assert_eq!(second.get("/ok").await.status, 404, "a snapshot replaces what was there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loaded_release_that_is_broken_is_reported_to_its_app() {
    let host = host(|_| {}).await;
    let broken = slug(&host.store, b"not wasm".to_vec(), &[], false).await;
    let apps = vec![
        Arc::new(app("app", Some(broken))),
        Arc::new(app("gone", Some(Digest::of(b"not in the store")))),
    ];
    host.node.load(Snapshot { apps, ..Snapshot::default() }).await;
    host.get("/ok").await.is_page("H10");
    host.log.line("heroku[web.1]: Cannot start: component").await;
    host.get_from("gone.localhost", "/").await.is_page("H99");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_stack_reaches_apps_without_a_release() {
    let host = host(|_| {}).await;
    let on_stack = slug(&host.store, guest("attack"), &[], true).await;
    for (name, expected) in [("attack", "ok"), ("component-hello", "not found\n")] {
        let (component, _) = host.store.put(guest(name).into()).await.unwrap();
        let stack = Change::Stack { name: "test-stack".into(), component };
        host.node.apply(stack).await.unwrap();
        if name == "attack" {
            host.apply(&app("app", Some(on_stack))).await;
        }
        assert_eq!(host.get("/ok").await.text(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_finishes_requests_and_accepts_no_more() {
    let mut host = host(|_| {}).await;
    let app = host.deploy("app", "attack").await;
    let shutdown = host.shutdown.take().unwrap();
    let end = async {
        host.dyno_is(&app, DynoState::Up).await;
        shutdown.send(()).unwrap();
    };
    let (slow, ()) = soon(async { tokio::join!(host.get("/slow?ms=300"), end) }).await;
    assert_eq!(slow.ok(), "slow");
    soon(&mut host.server).await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(host.address).await.is_err());
}
