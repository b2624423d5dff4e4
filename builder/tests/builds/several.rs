//! Several buildpacks after one another, and buildpacks that are fetched.

use std::{fs, path::Path, process::Command};

use wpaas_builder::{Kind, LocalBuildpacks};
use wpaas_slug::{Limits, pack};

use crate::support::{Outcome, Platform, files, http_component, tree};

/// Writes a word to the tree, exports a variable and a program, and shows what it got.
const FIRST: &[u8] = b"#!/bin/sh\nset -e\necho first > \"$1/first.txt\"\nmkdir -p \"$1/tools\"\n\
    printf '#!/bin/sh\\necho tool\\n' > \"$1/tools/tool\"\nchmod +x \"$1/tools/tool\"\n\
    echo \"export TREE='$1'; export LD_PRELOAD=/nowhere; HIDDEN=1\" > \"$2/said\"\n";
const EXPORT: &[u8] =
    b"export PATH=\"$PWD/tools:$PATH\"\nexport GREETING='hello, $you'\nHIDDEN=1\n";
const SECOND: &[u8] = b"#!/bin/sh\nset -e\necho \"tool is $(tool), greeting is $GREETING, hidden is ${HIDDEN:-none}\"\n\
    cat \"$1/first.txt\"\ncp \"$(dirname \"$0\")/../app.wasm\" \"$1/app.wasm\"\n\
    echo 'web: app.wasm' > \"$1/Procfile\"\n";

async fn build(platform: &Platform, source: &Path, buildpacks: &[&str]) -> Outcome {
    let buildpacks: Vec<String> = buildpacks.iter().map(|&text| text.to_owned()).collect();
    platform.build_with("app", source, |request| request.buildpacks = buildpacks).await
}

fn git(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(dir);
    assert!(command.status().unwrap().success(), "git {arguments:?}");
}

/// A bare repository of `tree`, on branch main.
fn repository(platform: &Platform, tree: &Path, name: &str) -> String {
    git(tree, &["init", "--quiet", "--initial-branch=main"]);
    git(tree, &["add", "--all"]);
    git(tree, &["commit", "--quiet", "--message=one"]);
    let bare = platform.path(name);
    git(tree, &["clone", "--quiet", "--bare", ".", bare.to_str().unwrap()]);
    format!("file://{}", bare.display())
}

#[tokio::test]
async fn each_builds_on_what_those_before_left_and_the_last_decides() {
    let platform = Platform::new();
    // Neither has bin/detect: nobody asks.
    let first = tree(&[("bin/compile", FIRST), ("export", EXPORT)]);
    let wasm = http_component();
    let second = tree(&[("bin/compile", SECOND), ("app.wasm", &wasm)]);
    let [first, second] = [&first, &second].map(|dir| dir.path().to_str().unwrap().to_owned());
    let app = tree(&[("note.txt", b"x")]);
    for last in [None, Some("wpaas/component")] {
        let mut all = vec![first.as_str(), &second];
        all.extend(last);
        let outcome = build(&platform, app.path(), &all).await;
        assert!(outcome.printed("-----> Using buildpacks:"), "{outcome:#?}");
        assert!(outcome.printed(&format!("       2. {second}")), "{outcome:#?}");
        let said = "tool is tool, greeting is hello, $you, hidden is none";
        assert!(outcome.printed(said) && outcome.printed("       first"), "{outcome:#?}");
        let built = outcome.built();
        assert_eq!(built.slug.config.processes["web"].args, ["app.wasm"]);
        assert!(files(&built.slug).contains(&"first.txt"));
    }
    // The first alone has no process type, and a language's own cannot come first but for Node.js.
    let error = build(&platform, app.path(), &[&first, &first]).await.error();
    assert!(error.to_string().contains("declares a process type"), "{error}");
    let error = build(&platform, app.path(), &["wpaas/rust", &second]).await.error();
    assert!(error.to_string().contains("can only be the last"), "{error}");
    let error = build(&platform, app.path(), &[&first, "wpaas/rust"]).await.error();
    assert!(error.to_string().contains("wpaas/rust: the source is no Rust app"), "{error}");
    let many = ["wpaas/component"; 11];
    let error = build(&platform, app.path(), &many).await.error();
    assert!(error.to_string().contains("at most 10 buildpacks"), "{error}");
}

#[tokio::test]
async fn a_repository_is_fetched_once_for_each_commit() {
    let platform = Platform::new();
    let wasm = http_component();
    let source = tree(&[("bin/compile", SECOND), ("app.wasm", &wasm)]);
    let first = tree(&[("bin/compile", FIRST), ("export", EXPORT)]);
    let first = repository(&platform, first.path(), "first.git");
    let second = repository(&platform, source.path(), "second.git");
    let app = tree(&[("note.txt", b"x")]);
    let caches = platform.path("caches/app/buildpacks");
    let fetched = || {
        let dirs = fs::read_dir(&caches).unwrap().map(|dir| dir.unwrap().path().join("version"));
        let mut all: Vec<_> =
            dirs.map(|file| (file.metadata().unwrap().modified().unwrap(), file)).collect();
        all.sort_by(|one, other| one.1.cmp(&other.1));
        all
    };
    let url = format!("{second}#main");
    build(&platform, app.path(), &[&first, &url]).await.built();
    let before = fetched();
    assert_eq!(before.len(), 2);
    build(&platform, app.path(), &[&first, &url]).await.built();
    assert_eq!(fetched(), before, "nothing is fetched anew");

    // A new commit is taken, and a buildpack that is not the app's any more goes.
    fs::write(source.path().join("bin/compile"), "#!/bin/sh\necho 'the new one'; exit 9\n")
        .unwrap();
    git(source.path(), &["commit", "--quiet", "--all", "--message=two"]);
    let bare = second.strip_prefix("file://").unwrap();
    git(source.path(), &["push", "--quiet", bare, "main"]);
    let outcome = build(&platform, app.path(), &[&url]).await;
    assert!(outcome.result.as_ref().is_err_and(|error| error.kind() == Kind::Buildpack));
    assert!(outcome.result.unwrap_err().to_string().contains("no bin/detect"));
    assert_eq!(fetched().len(), 1);
    let outcome = build(&platform, app.path(), &[&url, "wpaas/component"]).await;
    assert!(outcome.printed("the new one"), "{outcome:#?}");

    let absent = format!("{second}#nowhere");
    let error = build(&platform, app.path(), &[&absent]).await.error();
    assert!(error.to_string().contains("the repository has no nowhere"), "{error}");
    let nothing = format!("file://{}", platform.path("nothing.git").display());
    let error = build(&platform, app.path(), &[&nothing]).await.error();
    assert!(error.to_string().contains("git cannot reach the repository"), "{error}");
}

#[tokio::test]
async fn a_buildpack_over_the_limits_is_refused() {
    let limits = Limits { buildpack_bytes: 100_000, ..Limits::default() };
    let platform = Platform::with_limits(limits);
    let app = tree(&[("note.txt", b"x")]);
    // Too much to send, and little that unpacks to too much.
    let noise: Vec<u8> =
        (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, content) in [("noise.git", noise), ("bomb.git", vec![0; 300_000])] {
        let large = tree(&[("bin/compile", b"#!/bin/sh\n"), ("large", &content)]);
        let url = repository(&platform, large.path(), name);
        let error = build(&platform, app.path(), &[&url]).await.error();
        assert_eq!(error.kind(), Kind::Buildpack);
        assert!(error.to_string().contains("100000 bytes"), "{error}");
    }
    let large = tree(&[("bin/compile", b"#!/bin/sh\n"), ("large", &[0; 300_000])]);
    let names = ["bin/compile", "large"].map(Into::into);
    let tarball = platform.path("bomb.tgz");
    pack::pack(large.path(), &names, fs::File::create(&tarball).unwrap()).unwrap();
    let error = build(&platform, app.path(), &[tarball.to_str().unwrap()]).await.error();
    assert!(error.to_string().contains("100000 bytes"), "{error}");
    // A repository that never answers.
    let limits = Limits { buildpack_fetch_ms: 300, ..Limits::default() };
    let platform = Platform::with_limits(limits);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/silent.git", listener.local_addr().unwrap());
    let error = build(&platform, app.path(), &[&url]).await.error();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
}

#[tokio::test]
async fn paths_are_the_operators_to_allow() {
    let pack = tree(&[("bin/compile", b"#!/bin/sh\n"), ("bin/detect", b"#!/bin/sh\n")]);
    let inside = pack.path().to_str().unwrap().to_owned();
    let platform = Platform::allowing(LocalBuildpacks::Below(vec![pack.path().join("bin")]));
    let app = tree(&[("note.txt", b"x")]);
    let link = platform.path("link");
    std::os::unix::fs::symlink(pack.path(), &link).unwrap();
    for url in [inside.clone(), format!("file://{inside}#main"), link.display().to_string()] {
        let error = build(&platform, app.path(), &[&url]).await.error().to_string();
        assert!(error.contains("--buildpack-dir"), "{error}");
        assert!(platform.builder.buildpack(&url).is_err());
    }
    let platform = Platform::allowing(LocalBuildpacks::Below(vec![pack.path().to_owned()]));
    assert_eq!(platform.builder.buildpack(&inside).unwrap(), inside);
    let error = build(&platform, app.path(), &[&inside]).await.error().to_string();
    assert!(error.contains("declares a process type"), "{error}");
    let name = platform.builder.buildpack("urn:buildpack:heroku/nodejs").unwrap();
    assert_eq!(name, "heroku/nodejs");
}
