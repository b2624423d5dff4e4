use std::{fs, path::Path};

use wpaas_builder::Kind;
use wpaas_slug::pack;

use crate::support::{Platform, files, http_component, tree};

const DETECT: &[u8] = b"#!/bin/sh\n[ -f \"$1/app.conf\" ] && echo Conf || exit 1\n";
const RELEASE: &[u8] =
    b"#!/bin/sh\nprintf -- '---\\naddons: []\\ndefault_process_types:\\n  web: out/app.wasm --default\\n'\n";

/// Copies the component that lies beside it, counts its runs in the cache, and shows what it was given.
const COMPILE: &[u8] = br#"#!/bin/sh
set -e
here=$(cd "$(dirname "$0")/.." && pwd)
echo "-----> Conf: greeting is $(cat "$3/GREETING"), in the environment: ${GREETING:-nothing}"
echo run >> "$2/runs"
echo "runs: $(wc -l < "$2/runs")"
mkdir "$1/out"
cp "$here/app.wasm" "$1/out/app.wasm"
"#;

fn buildpack(compile: &[u8]) -> tempfile::TempDir {
    let wasm = http_component();
    tree(&[
        ("bin/detect", DETECT),
        ("bin/compile", compile),
        ("bin/release", RELEASE),
        ("app.wasm", &wasm),
    ])
}

async fn build(platform: &Platform, url: &str, source: &Path) -> crate::support::Outcome {
    platform
        .build_with("app", source, |request| {
            request.env.insert("GREETING".into(), "hello".into());
            request.env.insert("BUILDPACK_URL".into(), url.into());
        })
        .await
}

#[tokio::test]
async fn a_directory_is_a_buildpack() {
    let platform = Platform::new();
    let buildpack = buildpack(COMPILE);
    let app = tree(&[("app.conf", b"x"), ("package.json", b"{}")]);
    let url = format!("file://{}", buildpack.path().display());
    for run in 1..=2 {
        let outcome = build(&platform, &url, app.path()).await;
        assert!(outcome.printed("greeting is hello, in the environment: nothing"), "{outcome:#?}");
        assert!(outcome.printed(&format!("       runs: {run}")), "the cache is kept: {outcome:#?}");
        assert!(outcome.printed("Default types for"), "{outcome:#?}");
        let built = outcome.built();
        let web = &built.slug.config.processes["web"];
        assert_eq!(web.args, ["out/app.wasm", "--default"]);
        assert_eq!(files(&built.slug), ["app.conf", "package.json"]);
    }
}

#[tokio::test]
async fn a_tarball_is_a_buildpack_and_the_procfile_goes_first() {
    let platform = Platform::new();
    let buildpack = buildpack(COMPILE);
    let app = tree(&[("app.conf", b"x"), ("Procfile", b"web: out/app.wasm --mine")]);
    // As archives of repositories are: everything in one directory.
    let outer = tempfile::tempdir().unwrap();
    fs::rename(buildpack.path(), outer.path().join("conf-1.0")).unwrap();
    let names = ["app.wasm", "bin/compile", "bin/detect", "bin/release"];
    let names = names.map(|name| Path::new("conf-1.0").join(name));
    let tarball = platform.path("conf.tgz");
    pack::pack(outer.path(), &names, fs::File::create(&tarball).unwrap()).unwrap();

    let outcome = build(&platform, tarball.to_str().unwrap(), app.path()).await;
    assert!(outcome.printed("Procfile declares types -> web"), "{outcome:#?}");
    assert!(outcome.printed("-----> Conf app detected"), "{outcome:#?}");
    let built = outcome.built();
    assert_eq!(built.slug.config.processes["web"].args, ["out/app.wasm", "--mine"]);
}

#[tokio::test]
async fn a_failing_build_shows_its_own_output() {
    let platform = Platform::new();
    let compile = b"#!/bin/sh\necho 'app.conf:1: syntax error' >&2\nexit 3\n";
    let buildpack = buildpack(compile);
    let app = tree(&[("app.conf", b"x")]);
    let outcome = build(&platform, buildpack.path().to_str().unwrap(), app.path()).await;
    assert!(outcome.printed("       app.conf:1: syntax error"), "{outcome:#?}");
    let error = outcome.error();
    assert_eq!(error.kind(), Kind::BuildFailed);
    assert_eq!(error.to_string(), "build failed: `bin/compile` exited with status 3");
}

#[tokio::test]
async fn the_platforms_data_is_out_of_sight() {
    let platform = Platform::new();
    let token = platform.path("data/token");
    let compile = format!("#!/bin/sh\ncat {} && exit 0\necho HIDDEN; exit 1\n", token.display());
    let buildpack = buildpack(compile.as_bytes());
    let app = tree(&[("app.conf", b"x")]);
    let outcome = build(&platform, buildpack.path().to_str().unwrap(), app.path()).await;
    if !outcome.printed("not isolated") {
        assert!(outcome.printed("HIDDEN") && !outcome.printed("s3cret"), "{outcome:#?}");
    }
}

#[tokio::test]
async fn unusable_buildpacks_are_refused_with_the_reason() {
    let platform = Platform::new();
    let app = tree(&[("other", b"x")]);
    let good = buildpack(COMPILE);
    let empty = tree(&[("README", b"x")]);
    let bad_yaml = tree(&[
        ("bin/detect", b"#!/bin/sh\n"),
        ("bin/compile", b"#!/bin/sh\n"),
        ("bin/release", b"#!/bin/sh\necho 'default_process_types: [1'\n"),
    ]);
    let no_web = tree(&[("bin/detect", b"#!/bin/sh\n"), ("bin/compile", b"#!/bin/sh\n")]);
    let text = platform.path("buildpack.txt");
    fs::write(&text, "x").unwrap();
    let tarball = platform.path("buildpack.tgz");
    fs::write(&tarball, "not a tarball").unwrap();
    fs::create_dir_all(platform.path("data/pack/bin")).unwrap();
    let of = |dir: &tempfile::TempDir| dir.path().to_str().unwrap().to_owned();
    for (url, says) in [
        ("scheme://host/x".to_owned(), "no https:// or git:// address"),
        ("relative/path".to_owned(), "it is no buildpack of wpaas"),
        ("/nonexistent/buildpack".to_owned(), "nothing at that path"),
        (platform.path("data/pack").display().to_string(), "where the platform keeps its data"),
        (text.display().to_string(), "found another file"),
        (tarball.display().to_string(), "gzip"),
        (of(&empty), "it has no bin/compile"),
        (of(&good), "bin/detect does not take this app"),
        (of(&bad_yaml), "YAML"),
        (of(&no_web), "declares a process type"),
    ] {
        let error = build(&platform, &url, app.path()).await.error();
        assert_eq!(error.kind(), Kind::Buildpack, "{url}: {error}");
        let error = error.to_string();
        assert!(error.contains(says) && error.contains(&url), "{url}: {error}");
    }
}
