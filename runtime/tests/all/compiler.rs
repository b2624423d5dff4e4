//! The compiler as a process of its own: this test program, started again.

use std::{path::Path, process::Stdio};

use wpaas_runtime::{Compiler, compile_main};
use wpaas_slug::Limits;

use crate::{
    hostile_code::bomb,
    support::{app, guest, host_in, slug, soon},
};

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
    if let Err(error) = compile_main(Path::new(input), Path::new(output), &limits, false) {
        eprintln!("{error}");
        std::process::exit(1);
    }
    // By now the process can open nothing, nor connect to anything.
    assert!(std::fs::File::open("/dev/null").is_err());
    assert!(std::net::TcpListener::bind("127.0.0.1:0").is_err());
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
async fn a_compiler_ends_with_its_node() {
    let Compiler::Process { program, args } = compiler() else { unreachable!() };
    let directory = tempfile::tempdir().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out.tmp"));
    std::fs::write(&input, bomb(1_000)).unwrap();
    let mut compiler = tokio::process::Command::new(program)
        .args(args)
        .arg(input)
        .arg(output)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The kernel closes the pipe when the node is killed.
    drop(compiler.stdin.take());
    let status = soon(compiler.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
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
