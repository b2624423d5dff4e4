//! What requests share, as a process type chooses.

use wpaas_slug::{Isolation, World, feed::Scale};

use crate::support::{app, host, process_type, slug_of};

#[tokio::test(flavor = "multi_thread")]
async fn each_request_gets_an_instance_of_its_own_when_the_app_wants_it() {
    let host = host(|_| {}).await;
    let mut web = process_type(&host.store, "attack", World::Http).await;
    web.isolation = Isolation::Request;
    let mut app = app("app", Some(slug_of(&host.store, vec![("web", web)]).await));
    app.formation.insert("web".into(), Scale { min: 0, max: 1 });
    host.apply(&app).await;
    let first = host.get("/instance").await.ok();
    assert_ne!(host.get("/instance").await.ok(), first);
    host.get("/write-tmp").await.ok();
    assert!(host.get("/read?path=/tmp/attack").await.ok().starts_with("refused"));
    assert_eq!(host.get("/count").await.ok(), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_with_much_memory_is_replaced_after_its_request() {
    let host =
        crate::support::attacked(|limits| limits.instance_recycle_memory_bytes = 16 << 20).await;
    let first = host.get("/instance").await.ok();
    assert!(host.get("/alloc?bytes=1000000").await.ok().contains("kept"));
    assert_eq!(host.get("/instance").await.ok(), first);
    assert!(host.get("/alloc?bytes=20000000").await.ok().contains("kept"));
    assert_ne!(host.get("/instance").await.ok(), first);
    assert!(!host.log.lines().iter().any(|line| line.contains("R14")));
}
