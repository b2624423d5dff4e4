//! What the person deploying is told, and that a failed build leaves nothing half-made.

use wpaas_builder::Kind;
use wpaas_slug::Limits;

use crate::support::{Platform, http_component, tree};

#[tokio::test]
async fn no_such_directory() {
    let platform = Platform::new();
    let empty = tree(&[]);
    let outcome = platform
        .build_with("app", empty.path(), |request| request.source = "/nonexistent/app".into())
        .await;
    let error = outcome.error();
    assert_eq!(error.kind(), Kind::NoDirectory);
    assert_eq!(error.to_string(), "/nonexistent/app: no such directory");
}

#[tokio::test]
async fn no_language() {
    let platform = Platform::new();
    let app = tree(&[("README.md", b"x"), ("main.cob", b"x")]);
    let error = platform.build("app", app.path()).await.error();
    assert_eq!(error.kind(), Kind::NoLanguage);
    let expected = "No language found: looked for Procfile with a .wasm, package.json (Node.js), \
                    requirements.txt, pyproject.toml or Pipfile (Python), Cargo.toml (Rust); \
                    or set BUILDPACK_URL. The source holds README.md, main.cob";
    assert_eq!(error.to_string(), expected);
    let error = platform.build("app", tree(&[]).path()).await.error().to_string();
    assert!(error.ends_with("The source holds no files"), "{error}");
}

#[tokio::test]
async fn procfiles() {
    let platform = Platform::new();
    let wasm = http_component();
    for (procfile, line, says) in [
        (&b"# nothing\n"[..], None, "Procfile: it declares no process type"),
        (b"web: app.wasm\n\nworker\n", Some(3), "Procfile line 3: expected `NAME: COMMAND`"),
        (b"web: app.wasm\nx: \xff\n", Some(2), "Procfile line 2: it is not UTF-8"),
        (b"web: a\nweb: b\n", Some(2), "declared twice"),
    ] {
        let app = tree(&[("Procfile", procfile), ("app.wasm", &wasm)]);
        let error = platform.build("app", app.path()).await.error();
        assert_eq!(error.kind(), Kind::Procfile { line }, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let many: String = (0..60).map(|n| format!("p{n}: app.wasm\n")).collect();
    let many = format!("web: app.wasm\n{many}");
    let both = wat::parse_str(
        r#"(component (instance $i) (export "wasi:cli/run@0.2.0" (instance $i))
            (export "wasi:http/incoming-handler@0.2.0" (instance $i)))"#,
    );
    let app = tree(&[("Procfile", many.as_bytes()), ("app.wasm", &both.unwrap())]);
    let error = platform.build("app", app.path()).await.error();
    assert_eq!(error.kind(), Kind::Slug);
    assert!(error.to_string().contains("61 process types"), "{error}");
}

#[tokio::test]
async fn source_over_the_limit() {
    let platform = Platform::with_limits(Limits { source_bytes: 1_000, ..Limits::default() });
    let (mut request, _) = platform.request("app", tree(&[]).path());
    let app = tree(&[("big", &[0; 1_001])]);
    request.source = app.path().to_owned();
    let error = platform.builder.build(request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::SourceTooLarge);
    assert!(error.to_string().contains("1000 bytes"), "{error}");
}

#[tokio::test]
async fn slug_over_the_limit_stores_nothing() {
    let platform = Platform::with_limits(Limits { slug_bytes: 2_000, ..Limits::default() });
    let wasm = http_component();
    let app = tree(&[("Procfile", b"web: app.wasm"), ("app.wasm", &wasm), ("big", &[0; 3_000])]);
    let error = platform.build("app", app.path()).await.error();
    assert_eq!(error.kind(), Kind::Slug);
    assert!(error.to_string().contains("more than the limit of 2000"), "{error}");
    let stored = std::fs::read_dir(platform.path("data/store")).unwrap().count();
    assert_eq!(stored, 0);
}

#[tokio::test]
async fn a_build_over_its_time_is_stopped_and_the_next_one_works() {
    let platform = Platform::with_limits(Limits { build_ms: 3_000, ..Limits::default() });
    let slow = tree(&[
        ("bin/detect", b"#!/bin/sh\n"),
        ("bin/compile", b"#!/bin/sh\nmkfifo \"$1/never\"; cat \"$1/never\"\n"),
    ]);
    let app = tree(&[("x", b"x")]);
    let url = slow.path().display().to_string();
    let outcome =
        platform.build_with("app", app.path(), |request| request.buildpacks = vec![url]).await;
    let error = outcome.error();
    assert_eq!(error.kind(), Kind::Timeout);
    let expected = "build stopped: `bin/compile` was not done after 3 s";
    assert_eq!(error.to_string(), expected);

    let wasm = http_component();
    let app = tree(&[("Procfile", b"web: app.wasm"), ("app.wasm", &wasm)]);
    platform.build("app", app.path()).await.built();
}

#[tokio::test]
async fn dropping_a_build_ends_its_programs_and_frees_the_app() {
    let platform = Platform::new();
    // The test reads the other end of a pipe, which ends when every writer is dead.
    let compile =
        b"#!/bin/sh\nexec 3> \"$1/fifo\"; echo up; (cat \"$1/never\") & cat \"$1/never\"\n";
    let forever = tree(&[("bin/detect", b"#!/bin/sh\n"), ("bin/compile", compile)]);
    let app = tree(&[("x", b"x")]);
    let (mut request, lines) = platform.request("app", app.path());
    for name in ["fifo", "never"] {
        let fifo = request.source.join(name);
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    }
    let fifo = request.source.join("fifo");
    let reader = tokio::task::spawn_blocking(move || std::fs::read(fifo).unwrap());
    request.buildpacks = vec![forever.path().display().to_string()];
    let up = async {
        while !lines.lock().unwrap().iter().any(|line| line.contains("up")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = platform.builder.build(request) => panic!("ended by itself: {result:?}"),
        () = up => {}
    }
    reader.await.unwrap();

    let wasm = http_component();
    let app = tree(&[("Procfile", b"web: app.wasm"), ("app.wasm", &wasm)]);
    platform.build("app", app.path()).await.built();
}

/// What the next test runs in a process of its own.
#[tokio::test]
#[ignore = "builds until it is killed"]
async fn helper_that_builds_until_killed() {
    let source = std::env::var_os("WPAAS_TEST_SOURCE").unwrap();
    let platform = Platform::new();
    let (mut request, _) = platform.request("app", tree(&[]).path());
    request.source = source.into();
    request.buildpacks = vec![std::env::var("WPAAS_TEST_BUILDPACK").unwrap()];
    let _ = platform.builder.build(request).await;
}

#[tokio::test]
async fn a_builds_programs_die_with_a_killed_platform() {
    let app = tree(&[("x", b"x")]);
    for name in ["fifo", "never"] {
        let fifo = app.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    }
    let compile = b"#!/bin/sh\nexec 3> \"$1/fifo\"; echo up >&3; read line < \"$1/never\"\n";
    let forever = tree(&[("bin/detect", b"#!/bin/sh\n"), ("bin/compile", compile)]);
    let mut platform = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "errors::helper_that_builds_until_killed"])
        .env("WPAAS_TEST_SOURCE", app.path())
        .env("WPAAS_TEST_BUILDPACK", forever.path())
        .spawn()
        .unwrap();
    let fifo = app.path().join("fifo");
    let read = tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader, Read};
        let mut pipe = BufReader::new(std::fs::File::open(fifo).unwrap());
        let mut line = String::new();
        pipe.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        platform.kill().unwrap();
        platform.wait().unwrap();
        // Ends when no program of the build is left.
        pipe.read_to_end(&mut Vec::new()).unwrap()
    });
    assert_eq!(read.await.unwrap(), 0);
}
