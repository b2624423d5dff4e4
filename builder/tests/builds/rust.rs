//! Rust apps, compiled by the toolchain that this machine has.

use std::path::Path;

use wpaas_builder::Kind;
use wpaas_slug::World;

use crate::support::{Outcome, Platform, files, tree};

/// Builds with a cache that is kept between runs of the tests: where the standard library comes as source only,
/// compiling it is most of the work.
async fn build(platform: &Platform, app: &str, source: &Path) -> Outcome {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rust").join(app);
    platform.build_with(app, source, |request| request.cache = cache).await
}

const MANIFEST: &[u8] = b"[package]\nname = \"job\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

#[tokio::test]
async fn path_dependencies_out_of_the_tree_are_refused() {
    let platform = Platform::new();
    let manifest = [MANIFEST, b"[dependencies]\nsdk = { path = \"../sdk\" }\n"].concat();
    let app = tree(&[("Cargo.toml", &manifest), ("src/main.rs", b"fn main() {}")]);
    let error = platform.build("app", app.path()).await.error();
    assert_eq!(error.kind(), Kind::CargoToml);
    assert!(error.to_string().contains("sdk has the path ../sdk"), "{error}");
}

#[tokio::test]
async fn a_crate_is_compiled_and_rebuilt() {
    let platform = Platform::new();
    let source = |main: &'static [u8]| {
        tree(&[
            ("Cargo.toml", MANIFEST),
            ("Cargo.lock", b"version = 3\n\n[[package]]\nname = \"job\"\nversion = \"0.1.0\"\n"),
            ("src/main.rs", main),
            ("templates/page.html", b"hello"),
        ])
    };
    let hello = source(b"fn main() { println!(\"hello\"); }\n");
    // Nobody can see whether a program will listen on $PORT, so it is taken for one that does.
    let outcome = build(&platform, "job", hello.path()).await;
    assert!(outcome.printed("-----> Rust app detected"), "{outcome:#?}");
    if matches!(&outcome.result, Err(error) if error.kind() == Kind::Toolchain) {
        return;
    }
    assert_eq!(outcome.built().slug.config.processes["web"].world, World::Cli);

    let broken = source(b"fn main() { nonsense }\n");
    let outcome = build(&platform, "job", broken.path()).await;
    assert!(outcome.printed("cannot find value `nonsense`"), "{outcome:#?}");
    assert!(!outcome.printed("Compiling std"), "the standard library is kept: {outcome:#?}");
    assert_eq!(outcome.error().kind(), Kind::BuildFailed);
}

#[tokio::test]
async fn the_example_serves_http() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rust-hello");
    let platform = Platform::new();
    let outcome = build(&platform, "rust-hello", &example).await;
    if matches!(&outcome.result, Err(error) if error.kind() == Kind::Toolchain) {
        return;
    }
    let built = outcome.built();
    let web = &built.slug.config.processes["web"];
    assert_eq!((web.world, web.command.as_str()), (World::Http, "rust-hello"));
    assert!(!files(&built.slug).iter().any(|file| file.ends_with(".rs")), "{:?}", built.slug);
    let again = build(&platform, "rust-hello", &example).await.built();
    assert_eq!(again.slug.digest, built.slug.digest);
    assert_eq!(again.written.new_blobs, 0);
}
