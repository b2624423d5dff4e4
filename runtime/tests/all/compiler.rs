//! The compiler as a process of its own: this test program, started again.

use std::path::Path;

use wpaas_runtime::{Compiler, compile_main};
use wpaas_slug::Limits;

use crate::support::{app, guest, host_in, slug};

/// What the process runs. As an ordinary test it has nothing to do.
#[test]
fn child() {
    let arguments: Vec<String> = std::env::args().collect();
    let [.., input, output] = arguments.as_slice() else { return };
    if !input.starts_with('/') || !output.ends_with(".tmp") {
        return;
    }
    let vars = std::env::vars().filter(|(name, _)| name.starts_with("WPAAS_LIMIT_"));
    let limits = Limits::from_env(vars).unwrap();
    if let Err(error) = compile_main(Path::new(input), Path::new(output), &limits) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

/// The compiler of a node in these tests.
pub fn compiler() -> Compiler {
    let arguments = ["--exact", "compiler::child", "--nocapture"];
    Compiler::Process {
        program: std::env::current_exe().unwrap(),
        args: arguments.map(Into::into).into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_compiled_by_another_process_runs() {
    let directory = tempfile::tempdir().unwrap();
    let host = host_in(directory, |_| {}, |builder| builder.compiler(compiler())).await;
    host.deploy("app", "component-hello").await;
    assert!(host.get("/").await.ok().starts_with("Hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compiler_without_enough_memory_fails_alone() {
    use wpaas_slug::feed::{Change, NodeLink};
    let directory = tempfile::tempdir().unwrap();
    let limit = |limits: &mut Limits| limits.compile_memory_bytes = 64 << 20;
    let host = host_in(directory, limit, |builder| builder.compiler(compiler())).await;
    let slug = slug(&host.store, guest("attack"), &[], false).await;
    let change = Change::App(std::sync::Arc::new(app("app", Some(slug))));
    let error = host.node.apply(change).await.unwrap_err();
    assert!(error.permanent && error.message.contains("does not compile"), "{error}");
}
