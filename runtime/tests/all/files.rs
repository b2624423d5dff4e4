//! A dyno's files as its guest sees them, and what they may cost the node.

use wpaas_slug::feed::Scale;

use crate::support::{Host, attacked, host};

/// A node with these apps of one slug with files, each with one dyno.
async fn with_files(apps: &[&str]) -> Host {
    let host = host(|_| {}).await;
    for name in apps {
        let files = [("index.html", "<p>"), ("a/b.txt", "deep")];
        let mut app = host.deploy_files(name, "attack", &files).await;
        app.formation.insert("web".into(), Scale { min: 0, max: 1 });
        host.apply(&app).await;
    }
    host
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_can_be_changed_by_each_dyno_for_itself() {
    let host = with_files(&["app", "other"]).await;
    for (path, expected) in [
        ("/read?path=/app/index.html", "<p>"),
        ("/fs/append?path=/app/index.html&text=more", "appended"),
        ("/read?path=/app/index.html", "<p>more"),
        ("/fs/put?path=/app/new.txt&text=new", "put"),
        ("/fs/rename?path=/app/a&to=/tmp/moved", "renamed"),
        ("/read?path=/tmp/moved/b.txt", "deep"),
        ("/ls?path=/app", "index.html\nnew.txt"),
        ("/fs/unlinked?path=/app/index.html", "<p>more and more"),
        ("/ls?path=/app", "new.txt"),
        ("/fs/round-trip?path=/app/new", "ok"),
        ("/fs/round-trip?path=/tmp/new", "ok"),
        ("/ls?path=/tmp", "moved"),
    ] {
        assert_eq!(host.get(path).await.ok(), expected, "{path}");
    }
    // Another dyno of the same slug, and the next one of this app, start from the slug.
    host.get("/trap").await;
    host.log.line("code=H13").await;
    for app in ["app.localhost", "other.localhost"] {
        assert_eq!(host.get_from(app, "/read?path=/app/index.html").await.ok(), "<p>");
        assert_eq!(host.get_from(app, "/ls?path=/app").await.ok(), "a\nindex.html");
        assert_eq!(host.get_from(app, "/ls?path=/tmp").await.ok(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out() {
    let host = with_files(&["app"]).await;
    for (target, path) in [
        ("..", "/app/up"),
        ("../../../../etc", "/tmp/etc"),
        ("a/../..", "/app/around"),
        ("up/..", "/app/twice"),
        ("../tmp/x", "/app/sideways"),
        ("a", "/app/to-a"),
        ("index.html", "/app/to-index"),
        ("loop", "/app/loop"),
    ] {
        let made = host.get(&format!("/symlink?target={target}&path={path}")).await.ok();
        assert_eq!(made, format!("{path} -> {target}"));
    }
    for (mount, path, expected) in [
        ("/app", "index.html", "<p>"),
        ("/app", "to-index", "<p>"),
        ("/app", "to-a/b.txt", "deep"),
        ("/app", "a/../index.html", "<p>"),
        ("/app", "to-a/../index.html", "<p>"),
        ("/app", "../etc/passwd", "refused: not-permitted"),
        ("/app", "..", "refused: not-permitted"),
        ("/app", "a/../../app/index.html", "refused: not-permitted"),
        ("/app", "/etc/passwd", "refused: not-permitted"),
        ("/app", "/app/index.html", "refused: not-permitted"),
        ("/app", "up/etc/passwd", "refused: not-permitted"),
        ("/app", "up", "refused: not-permitted"),
        ("/app", "around/etc/passwd", "refused: not-permitted"),
        ("/app", "twice/etc/passwd", "refused: not-permitted"),
        ("/app", "sideways", "refused: not-permitted"),
        ("/tmp", "etc/passwd", "refused: not-permitted"),
        ("/tmp", "../app/index.html", "refused: not-permitted"),
        ("/app", "index.html/", "refused: not-directory"),
        ("/app", "to-index/", "refused: not-directory"),
        ("/app", "index.html/..", "refused: not-directory"),
        ("/app", "loop", "refused: loop"),
        ("/app", "", "refused: no-entry"),
        ("/app", "config.json", "refused: no-entry"),
        ("/", "etc/passwd", "refused: no such directory"),
    ] {
        let got = host.get(&format!("/fs/at?to={mount}&path={path}")).await.ok();
        assert_eq!(got, expected, "{mount} {path}");
    }
    for path in [
        "/read?path=/etc/passwd",
        "/read?path=/app/../config.json",
        "/read?path=/tmp/../../../../../../etc/passwd",
        "/symlink?target=/etc/passwd&path=/tmp/link",
        "/write?path=/escaped",
        "/write?path=/app/up/escaped",
        "/fs/rename?path=/app/index.html&to=/app/up/escaped",
        "/fs/rename?path=/app/up/etc&to=/app/stolen",
        "/fs/link?path=/app/up/etc/passwd&to=/app/stolen",
        "/fs/mkdir?path=/app/up/escaped",
        "/fs/rm?path=/app/up/etc/passwd",
        // A directory cannot move below itself, nor away from under a path that is in use.
        "/fs/rename?path=/app/a&to=/app/a/b",
    ] {
        let text = host.get(path).await.ok();
        assert!(text.starts_with("refused: "), "{path}: {text}");
    }
    // What was inside stays inside when the directory that a link counts on moves up.
    for (path, expected) in [
        ("/fs/mkdir?path=/app/a/c", "made"),
        (
            "/symlink?target=../../index.html&path=/app/a/c/link",
            "/app/a/c/link -> ../../index.html",
        ),
        ("/read?path=/app/a/c/link", "<p>"),
        ("/fs/rename?path=/app/a/c&to=/app/c", "renamed"),
        ("/fs/at?to=/app&path=c/link", "refused: not-permitted"),
    ] {
        assert_eq!(host.get(path).await.ok(), expected, "{path}");
    }
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
async fn a_full_disk_is_said_once_and_can_be_cleared() {
    let host = attacked(|limits| limits.dyno_disk_bytes = 1 << 20).await;
    let full = "refused: No space left on device (os error 51) after 1048576 bytes";
    assert_eq!(host.get("/write-tmp?bytes=10000000").await.ok(), full);
    assert!(host.get("/write-app?bytes=1").await.ok().starts_with("refused: No space left"));
    let hole = host.get("/fs/grow?path=/tmp/hole&bytes=1000000000000").await.ok();
    assert!(hole.starts_with("refused: No space left"), "{hole}");
    assert_eq!(host.get("/fs/rm?path=/tmp/attack").await.ok(), "removed");
    assert_eq!(host.get("/write-app?bytes=1000000").await.ok(), "1000000 bytes written");
    host.log.line("heroku[web.1]: Disk quota of 1 MB exceeded").await;
    let said = host.log.lines().iter().filter(|line| line.contains("quota")).count();
    assert_eq!(said, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_end_are_refused() {
    let host = attacked(|limits| limits.dyno_files = 1000).await;
    assert!(host.get("/fs/fill?path=/tmp").await.ok().starts_with("499 made, refused: No space"));
    host.log.line("heroku[web.1]: Disk quota of 1000 files exceeded").await;
    assert_eq!(host.get("/fs/rm?path=/tmp/7").await.ok(), "removed");
    assert_eq!(host.get("/fs/put?path=/tmp/7&text=x").await.ok(), "put");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_files_do_not_use_up_those_of_the_node() {
    let host = with_files(&["app"]).await;
    let open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let all = all.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
        all.filter(|path| path.starts_with(host.directory.path())).count()
    };
    assert_eq!(host.get("/read?path=/app/index.html").await.ok(), "<p>");
    let before = open();
    assert_eq!(host.get("/fs/open?to=/app&path=index.html&n=3000").await.ok(), "3000 open");
    assert_eq!(host.get("/write-tmp").await.ok(), "5 bytes written");
    assert_eq!(host.get("/fs/open?to=/tmp&path=attack&n=3000").await.ok(), "3000 open");
    assert!(open() <= before + 2, "{} after {before}", open());
}
