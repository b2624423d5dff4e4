//! What a dyno sees of the world.

use crate::support::{attacked, configure, host};

#[tokio::test(flavor = "multi_thread")]
async fn environment_arguments_and_input() {
    let host = host(|_| {}).await;
    let mut app = host.deploy("app", "attack").await;
    configure(&mut app, &[("GREETING", "hi"), ("PORT", "1"), ("DYNO", "x")]);
    host.apply(&app).await;
    assert_eq!(host.get("/env").await.ok(), "DYNO=web.1\nGREETING=hi\nPORT=8080\n");
    assert_eq!(host.get("/args").await.ok(), "one\ntwo");
    assert_eq!(host.get("/stdin").await.ok(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_read_only_and_has_no_way_out() {
    let host = host(|_| {}).await;
    host.deploy_files("app", "attack", &[("index.html", "<p>"), ("a/b.txt", "deep")]).await;
    assert_eq!(host.get("/read?path=/app/index.html").await.ok(), "<p>");
    assert_eq!(host.get("/read?path=/app/a/b.txt").await.ok(), "deep");
    assert_eq!(host.get("/ls?path=/app").await.ok(), "a\nindex.html");
    for path in [
        "/write-app",
        "/write?path=/app/index.html",
        "/read?path=/etc/passwd",
        "/read?path=/app/../config.json",
        "/read?path=/tmp/../../../../../../etc/passwd",
        "/symlink?target=/etc/passwd&path=/tmp/link",
        "/symlink?target=x&path=/app/link",
        "/write?path=/escaped",
    ] {
        let text = host.get(path).await.ok();
        assert!(text.starts_with("refused: "), "{path}: {text}");
    }
    assert_eq!(host.get("/symlink?target=../../../etc/passwd&path=/tmp/up").await.status, 200);
    let text = host.get("/read?path=/tmp/up").await.ok();
    assert!(text.starts_with("refused: "), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tmp_belongs_to_one_dyno() {
    let host = attacked(|_| {}).await;
    assert_eq!(host.get("/write-tmp?bytes=10").await.ok(), "10 bytes written");
    assert_eq!(host.get("/read?path=/tmp/attack").await.ok(), "w".repeat(10));
    host.get("/trap").await;
    host.log.line("code=H13").await;
    assert!(host.get("/read?path=/tmp/attack").await.ok().starts_with("refused: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_becomes_lines() {
    let host = attacked(|limits| limits.log_line_bytes = 100).await;
    host.get("/log?lines=2&bytes=30").await.ok();
    host.get("/log?lines=1&bytes=250&to=stderr").await.ok();
    host.get("/log-raw?text=no+newline").await.ok();
    host.log.line("app[web.1]: no newline").await;
    let lines = host.log.lines();
    let of = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(of("app[web.1]: line 0 "), 2);
    assert_eq!(of("app[web.1]: line 1 "), 1);
    assert!(lines.iter().all(|line| line.len() <= 100 + "heroku[router]: ".len()), "{lines:#?}");
    let dots = lines.iter().filter(|line| line.starts_with("app[web.1]: ."));
    assert_eq!(dots.count(), 2, "the rest of the long line");
}
