use wpaas_builder::Kind;
use wpaas_slug::{ComponentRef, Digest, World};

use crate::support::{Files, Platform, component, files, http_component, tree};

#[tokio::test]
async fn a_prebuilt_component_becomes_a_slug() {
    let platform = Platform::new();
    let wasm = http_component();
    let app = tree(&[
        (".wpaas/web.cjs", b"an earlier build's"),
        ("Procfile", b"web: ./bin/app.wasm --verbose 'a b'\n"),
        ("bin/app.wasm", &wasm),
        ("public/index.html", b"hello"),
        (".env", b"SECRET=1"),
        ("node_modules/x/index.js", b"x"),
    ]);
    // In place, as `wpaas dev` builds the same tree again and again.
    let outcome = platform
        .build_with("app", app.path(), |request| request.source = app.path().to_owned())
        .await;
    let expected = [
        "-----> Building on the wpaas stack",
        "-----> Component app detected",
        "-----> Discovering process types",
        "       Procfile declares types -> web",
        "-----> Compressing...",
        "       Done: 0.0M",
    ];
    let shown: Vec<_> = outcome.lines.iter().filter(|line| !line.starts_with(" !")).collect();
    assert_eq!(shown, expected);

    let built = outcome.built();
    assert!(built.stack.is_none());
    let web = &built.slug.config.processes["web"];
    assert_eq!(web.command, "./bin/app.wasm --verbose 'a b'");
    assert_eq!(web.args, ["bin/app.wasm", "--verbose", "a b"]);
    assert_eq!(web.world, World::Http);
    let ComponentRef::Own { digest, size } = web.component else { panic!("{web:?}") };
    assert_eq!((digest, size), (Digest::of(&wasm), wasm.len() as u64));
    assert_eq!(files(&built.slug), ["Procfile", "public/index.html"]);
    assert_eq!(platform.store.get(digest, 1_000).await.unwrap(), wasm);
    let limits = wpaas_slug::Limits::default();
    assert_eq!(platform.store.get_slug(built.slug.digest, &limits).await.unwrap(), built.slug);
    assert!(built.steps.iter().any(|(name, _)| name == "slug"), "{:?}", built.steps);
}

#[tokio::test]
async fn the_same_source_gives_the_same_slug_and_uploads_nothing() {
    let platform = Platform::new();
    let wasm = http_component();
    let source: [(&str, &[u8]); 3] =
        [("Procfile", b"web: app.wasm"), ("app.wasm", &wasm), ("data/x.txt", b"x")];
    let first = platform.build("one", tree(&source).path()).await.built();
    assert_eq!(first.written.new_blobs, 3 + 2, "two files, a component, two documents");
    let again = platform.build("two", tree(&source).path()).await.built();
    assert_eq!(again.slug.digest, first.slug.digest);
    assert_eq!((again.written.new_blobs, again.written.new_bytes), (0, 0));
    let changed = [source[0], source[1], ("data/x.txt", b"y")];
    let changed = platform.build("one", tree(&changed).path()).await.built();
    assert_ne!(changed.slug.digest, first.slug.digest);
    assert_eq!(changed.written.new_blobs, 1 + 2);
}

#[tokio::test]
async fn several_process_types_and_worlds() {
    let platform = Platform::new();
    let (web, run) = (http_component(), component("wasi:cli/run@0.2.0"));
    let procfile = b"web: web.wasm\nworker: run.wasm queue\nclock: run.wasm tick\n";
    let app = tree(&[("Procfile", procfile), ("web.wasm", &web), ("run.wasm", &run)]);
    let outcome = platform.build("app", app.path()).await;
    assert!(outcome.printed("Procfile declares types -> clock, web, worker"));
    let built = outcome.built();
    let processes = &built.slug.config.processes;
    assert_eq!(processes["worker"].world, World::Cli);
    assert_eq!(processes["worker"].component, processes["clock"].component);
    assert_eq!(processes["clock"].args, ["run.wasm", "tick"]);
}

#[tokio::test]
async fn what_is_no_component_is_described() {
    let platform = Platform::new();
    let (http, other) = (http_component(), component("wasi:http/handler@1.0.0"));
    let cases: [(&str, Files<'_>, &str); 6] = [
        ("web: app.wasm", &[("app.wasm", b"<html>")], "app.wasm: expected a WebAssembly component"),
        ("web: app.wasm", &[("app.wasm", &other)], "exports wasi:http/handler@1.0.0"),
        ("web: app.wasm", &[("other.wasm", &http)], "the source has other.wasm"),
        ("web: app.wasm", &[], "there is no .wasm file in the source"),
        ("web: ../app.wasm", &[], "expected a path inside"),
        ("web: app.wasm", &[("app.wasm/x", b"")], "found a directory"),
    ];
    for (procfile, more, says) in cases {
        let mut source: Vec<(&str, &[u8])> = vec![("Procfile", procfile.as_bytes())];
        source.extend(more);
        let error = platform.build("app", tree(&source).path()).await.error();
        assert_eq!(error.kind(), Kind::Component, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.is_the_apps());
    }
    let shell = tree(&[("Procfile", b"web: app.wasm --host $HOST"), ("app.wasm", &http)]);
    let error = platform.build("app", shell.path()).await.error();
    assert_eq!(error.kind(), Kind::Command);
    assert!(error.to_string().contains("no shell to fill in $HOST"), "{error}");
}

#[tokio::test]
async fn settings_say_how_a_component_serves() {
    let platform = Platform::new();
    let wasm = component("wasi:cli/run@0.2.0");
    let cgi: &[u8] = b"[processes.web]\nserve = \"cgi\"\n[processes.worker]\nconcurrency = 2\n";
    let source: [(&str, &[u8]); 3] = [
        ("Procfile", b"web: app.wasm\nworker: app.wasm --work"),
        ("app.wasm", &wasm),
        ("wpaas.toml", cgi),
    ];
    let built = platform.build("one", tree(&source).path()).await.built();
    let processes = &built.slug.config.processes;
    assert_eq!((processes["web"].world, processes["worker"].world), (World::Cgi, World::Cli));
    assert_eq!(processes["worker"].concurrency, Some(2));
    assert_eq!(files(&built.slug), ["Procfile", "wpaas.toml"]);

    // Of itself it is a server that listens on $PORT.
    let built = platform.build("two", tree(&source[..2]).path()).await.built();
    assert_eq!(built.slug.config.processes["web"].world, World::Cli);
    let http = [source[0], source[1], ("wpaas.toml", b"[processes.web]\nserve = \"http\"\n")];
    let error = platform.build("two", tree(&http).path()).await.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Component);
    let message = error.to_string();
    assert!(
        message.contains("`serve = \"cgi\"` under `[processes.web]` in wpaas.toml"),
        "{message}"
    );
    let broken = [source[0], source[1], ("wpaas.toml", b"[processes.web]\nservers = 1\n")];
    let error = platform.build("three", tree(&broken).path()).await.result.unwrap_err();
    assert_eq!(error.kind(), Kind::Settings { line: Some(2) });
    assert!(error.is_the_apps());
}
