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
