//! Commands that run by themselves: workers and one-off dynos.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use wpaas_slug::{
    Limits, World,
    feed::{AppSpec, Change, DynoState, NodeLink, Scale},
    one_off::{Input, OneOff, OneOffError, Output, Release, Run},
};

use crate::support::{Host, app, configure, host, process_type, slug_of, soon};

/// An app whose process type `worker` does `what`.
async fn worker_app(host: &Host, what: &[&str]) -> AppSpec {
    let web = process_type(&host.store, "attack", World::Http).await;
    let mut worker = process_type(&host.store, "worker", World::Cli).await;
    worker.args.extend(what.iter().map(ToString::to_string));
    let slug = slug_of(&host.store, vec![("web", web), ("worker", worker)]).await;
    let mut app = app("app", Some(slug));
    app.formation.insert("worker".into(), Scale { min: 1, max: 1 });
    app
}

async fn worker(what: &[&str], change: impl FnOnce(&mut Limits)) -> (Host, AppSpec) {
    let host = host(change).await;
    let app = worker_app(&host, what).await;
    host.apply(&app).await;
    (host, app)
}

/// The states of the workers.
fn workers(host: &Host, app: &AppSpec) -> Vec<(String, DynoState)> {
    let dynos = host.node.dynos(app.id).into_iter();
    let workers = dynos.filter(|dyno| dyno.process_type == "worker");
    workers.map(|dyno| (dyno.name, dyno.state)).collect()
}

fn up(names: &[&str]) -> Vec<(String, DynoState)> {
    names.iter().map(|name| (name.to_string(), DynoState::Up)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_run_without_requests_as_many_as_the_scale_says() {
    let (host, mut app) = worker(&["serve"], |_| {}).await;
    host.log.line("heroku[worker.1]: Starting process with command `the command`").await;
    host.log.line("heroku[worker.1]: State changed from starting to up").await;
    host.log.line("app[worker.1]: ready").await;
    assert_eq!(workers(&host, &app), up(&["worker.1"]));

    app.formation.insert("worker".into(), Scale { min: 3, max: 3 });
    host.apply(&app).await;
    host.log.line("app[worker.3]: ready").await;
    host.log.line("app[worker.2]: ready").await;
    assert_eq!(workers(&host, &app), up(&["worker.1", "worker.2", "worker.3"]));

    app.formation.insert("worker".into(), Scale { min: 1, max: 1 });
    host.apply(&app).await;
    for number in [2, 3] {
        host.log.line(&format!("app[worker.{number}]: bye: Ok(0)")).await;
        let status = format!("heroku[worker.{number}]: Process exited with status 0");
        host.log.line(&status).await;
        host.log.line(&format!("heroku[worker.{number}]: State changed from up to down")).await;
    }
    assert_eq!(workers(&host, &app), up(&["worker.1"]));

    host.node.apply(Change::AppRemoved { id: app.id }).await.unwrap();
    host.log.line("heroku[worker.1]: State changed from up to down").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_release_replaces_workers_and_a_restart_starts_them_again() {
    let (host, mut app) = worker(&["serve"], |_| {}).await;
    host.log.line("app[worker.1]: ready").await;
    let before = host.log.lines().len();
    configure(&mut app, &[("A", "1")]);
    host.apply(&app).await;
    host.log.line_from(before, "app[worker.1]: bye").await;
    host.log.line_from(before, "app[worker.1]: ready").await;
    host.log.line_from(before, "heroku[worker.1]: State changed from up to down").await;
    assert_eq!(host.node.dynos(app.id).last().unwrap().release_version, 2);

    let before = host.log.lines().len();
    host.node.restart(app.id, Some("worker.1".into())).await;
    host.log.line_from(before, "app[worker.1]: bye").await;
    host.log.line_from(before, "heroku[worker.1]: State changed from up to starting").await;
    host.log.line_from(before, "app[worker.1]: ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_only_prepared_runs_no_workers() {
    let host = host(|_| {}).await;
    let app = worker_app(&host, &["serve"]).await;
    host.node.prepare(Arc::new(app.clone())).await.unwrap();
    assert_eq!(workers(&host, &app), []);
    let snapshot = wpaas_slug::feed::Snapshot { apps: vec![Arc::new(app)], ..Default::default() };
    host.node.load(snapshot).await;
    host.log.line("app[worker.1]: ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_crash_are_started_again_after_a_rest() {
    let (host, app) = worker(&["exit", "3"], |limits| limits.crash_rest_ms = 60_000).await;
    host.log.line("app[worker.1]: out").await;
    host.log.line("app[worker.1]: err").await;
    host.log.line("heroku[worker.1]: Process exited with status 1").await;
    host.log.line("heroku[worker.1]: State changed from up to crashed").await;
    let again = "heroku[worker.1]: State changed from crashed to starting";
    host.log.line(again).await;
    soon(async {
        while workers(&host, &app) != [("worker.1".into(), DynoState::Crashed)] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let count = |text: &str| host.log.lines().iter().filter(|line| line.contains(text)).count();
    assert_eq!(count(again), 1, "the second time it rests");
    // Whoever restarts it does not want to wait.
    let before = host.log.lines().len();
    host.node.restart(app.id, None).await;
    host.log.line_from(before, again).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_end_is_killed_after_its_time() {
    for what in ["deaf", "spin"] {
        let (host, mut app) = worker(&[what], |limits| limits.drain_ms = 100).await;
        host.log.line("app[worker.1]: ready").await;
        app.formation.insert("worker".into(), Scale { min: 0, max: 0 });
        host.apply(&app).await;
        host.log.line("heroku[worker.1]: Error R12 (Exit timeout)").await;
        host.log.line("heroku[worker.1]: Process exited with status 137").await;
        host.log.line("heroku[worker.1]: State changed from up to down").await;
        assert_eq!(workers(&host, &app), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn traps_and_memory_of_workers_are_told() {
    let (host, _) = worker(&["trap"], |limits| limits.crash_rest_ms = 60_000).await;
    host.log.line("app[worker.1]: asked for a trap").await;
    host.log.line("heroku[worker.1]: error while executing at wasm backtrace").await;
    host.log.line("heroku[worker.1]: Process exited with status 134").await;
    let memory = |limits: &mut Limits| {
        limits.dyno_memory_bytes = 16 << 20;
        limits.crash_rest_ms = 60_000;
    };
    let (host, _) = worker(&["alloc"], memory).await;
    host.log.line("heroku[worker.1]: Error R15 (Memory quota vastly exceeded)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_end_with_the_node() {
    let (host, app) = worker(&["serve"], |_| {}).await;
    host.log.line("app[worker.1]: ready").await;
    soon(host.node.stop_processes()).await;
    host.log.line("app[worker.1]: bye").await;
    assert_eq!(workers(&host, &app), []);
    let run = host.node.run(one_off(&app, &["worker", "args"])).await;
    assert!(matches!(run, Err(OneOffError::Stopping)));
}

fn one_off(app: &AppSpec, command: &[&str]) -> OneOff {
    OneOff {
        release: Release::Current(app.id),
        command: command.iter().map(ToString::to_string).collect(),
        shown: command.join(" "),
        kind: "run".into(),
        env: vec![],
        input: Input::Empty,
        output: Output::Log,
        terminal: false,
        longest: std::time::Duration::from_secs(3_600),
    }
}

/// A one-off dyno whose output can be read.
fn watched(app: &AppSpec, command: &[&str]) -> (OneOff, DuplexStream) {
    let (theirs, ours) = duplex(16);
    (OneOff { output: Output::Stream(Box::new(theirs)), ..one_off(app, command) }, ours)
}

async fn text(mut stream: DuplexStream) -> String {
    let mut text = String::new();
    soon(stream.read_to_string(&mut text)).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_dyno_runs_once_to_its_end() {
    let (host, mut app) = worker(&["deaf"], |_| {}).await;
    configure(&mut app, &[("A", "config"), ("B", "config"), ("DYNO", "fake")]);
    host.apply(&app).await;
    let (job, output) = watched(&app, &["worker.wasm", "env"]);
    let job = OneOff { env: vec![("B".into(), "own".into())], ..job };
    let mut run = host.node.run(job).await.unwrap();
    let env = text(output).await;
    assert!(env.contains("A=config\nB=own\n"), "{env}");
    assert!(env.contains(&format!("DYNO={}\n", run.dyno())), "{env}");
    assert_eq!(soon(run.wait()).await, 0);
    let dyno = run.dyno().to_owned();
    assert!(dyno.starts_with("run."), "{dyno}");
    for line in [
        "Starting process with command `worker.wasm env`",
        "State changed from starting to up",
        "Process exited with status 0",
        "State changed from up to complete",
    ] {
        host.log.line(&format!("heroku[{dyno}]: {line}")).await;
    }
    assert!(!host.node.dynos(app.id).iter().any(|other| other.name == dyno));

    // A process type, with further words.
    let mut run = host.node.run(one_off(&app, &["worker", "more"])).await.unwrap();
    let dyno = run.dyno().to_owned();
    soon(async {
        while !host.node.dynos(app.id).iter().any(|other| other.name == dyno) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    host.log.line(&format!("app[{dyno}]: ready")).await;
    run.kill();
    assert_eq!(soon(run.wait()).await, 137);

    let mut run = host.node.run(one_off(&app, &["worker.wasm", "exit", "3"])).await.unwrap();
    assert_eq!(soon(run.wait()).await, 1, "WASI's exit has success or failure only");
    host.log.line(&format!("app[{}]: err", run.dyno())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_one_off_dyno_wait_for_the_slower_side() {
    let (host, app) = worker(&["deaf"], |limits| limits.guest_pipe_bytes = 4096).await;
    let (job, output) = watched(&app, &["worker.wasm", "cat"]);
    let (mut input, stdin) = duplex(16);
    let job = OneOff { input: Input::Stream(Box::new(stdin)), ..job };
    let mut run = host.node.run(job).await.unwrap();
    let sent = "0123456789".repeat(10_000);
    let send = async {
        input.write_all(sent.as_bytes()).await.unwrap();
        drop(input);
    };
    let ((), received) = tokio::join!(send, text(output));
    assert_eq!(received, sent);
    assert_eq!(soon(run.wait()).await, 0);

    // It prints for ever until the reader is gone.
    let (job, mut output) = watched(&app, &["worker.wasm", "flood"]);
    let mut run = host.node.run(job).await.unwrap();
    soon(output.read_exact(&mut [0; 100_000])).await.unwrap();
    drop(output);
    assert_eq!(soon(run.wait()).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_off_dynos_can_be_stopped_and_do_not_run_for_ever() {
    let (host, app) = worker(&["deaf"], |limits| {
        limits.drain_ms = 100;
        limits.one_offs_per_app = 1;
    })
    .await;
    let start = async |what: &str| {
        let (job, mut output) = watched(&app, &["worker.wasm", what]);
        let (input, stdin) = duplex(16);
        let run =
            host.node.run(OneOff { input: Input::Stream(Box::new(stdin)), ..job }).await.unwrap();
        soon(output.read_exact(&mut [0; 6])).await.unwrap();
        (run, output, input)
    };
    let (mut run, output, _input) = start("serve").await;
    let refused = host.node.run(one_off(&app, &["worker"])).await;
    assert!(matches!(refused, Err(OneOffError::TooMany { limit: 1, .. })));
    run.stop();
    assert_eq!(text(output).await, "bye: Ok(0)\n");
    assert_eq!(soon(run.wait()).await, 0);

    let (mut run, _output, _input) = start("deaf").await;
    host.node.restart(app.id, Some(run.dyno().into())).await;
    assert_eq!(soon(run.wait()).await, 137);
    host.log.line(&format!("heroku[{}]: Error R12 (Exit timeout)", run.dyno())).await;

    let longest = std::time::Duration::from_millis(100);
    let job = OneOff { longest, ..one_off(&app, &["worker.wasm", "spin"]) };
    let mut run = host.node.run(job).await.unwrap();
    assert_eq!(soon(run.wait()).await, 137);
    host.log.line("Stopping process: it ran for").await;
}

/// A one-off dyno at a terminal: what is typed goes in, what is shown comes out.
async fn at_terminal(host: &Host, app: &AppSpec, what: &str) -> (Run, DuplexStream) {
    let (theirs, ours) = duplex(1024);
    let (read, write) = tokio::io::split(theirs);
    let job = OneOff {
        input: Input::Stream(Box::new(read)),
        output: Output::Stream(Box::new(write)),
        terminal: true,
        ..one_off(app, &["worker.wasm", what])
    };
    (host.node.run(job).await.unwrap(), ours)
}

async fn shows(screen: &mut DuplexStream, text: &str) {
    let mut shown = vec![0; text.len()];
    soon(screen.read_exact(&mut shown)).await.unwrap();
    assert_eq!(String::from_utf8(shown).unwrap(), text);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_lines_are_edited_and_control_c_ends_the_process() {
    let (host, app) = worker(&["deaf"], |_| {}).await;
    let (mut run, mut terminal) = at_terminal(&host, &app, "tty").await;
    shows(&mut terminal, "true true\r\n").await;
    terminal.write_all(b"abd\x7fc\r").await.unwrap();
    shows(&mut terminal, "abd\x08 \x08c\r\ngot \"abc\"\r\n").await;
    terminal.write_all(b"\x04").await.unwrap();
    shows(&mut terminal, "end\r\n").await;
    assert_eq!(soon(run.wait()).await, 0);

    for what in ["spin", "deaf"] {
        let (mut run, mut terminal) = at_terminal(&host, &app, what).await;
        shows(&mut terminal, "ready\r\n").await;
        terminal.write_all(b"\x03").await.unwrap();
        shows(&mut terminal, "^C\r\n").await;
        assert_eq!(soon(run.wait()).await, 130);
    }
    let (mut run, mut terminal) = at_terminal(&host, &app, "deaf").await;
    shows(&mut terminal, "ready\r\n").await;
    drop(terminal);
    assert_eq!(soon(run.wait()).await, 129, "who typed is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_may_go_to_the_log_as_well() {
    let (host, app) = worker(&["deaf"], |_| {}).await;
    let (job, output) = watched(&app, &["worker.wasm", "exit", "0"]);
    let Output::Stream(stream) = job.output else { unreachable!() };
    let job = OneOff { output: Output::Both(stream), input: Input::Silent, ..job };
    let mut run = host.node.run(job).await.unwrap();
    assert_eq!(text(output).await, "out\nerr\n");
    assert_eq!(soon(run.wait()).await, 0);
    host.log.line(&format!("app[{}]: out", run.dyno())).await;
    host.log.line(&format!("app[{}]: err", run.dyno())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_are_none_are_refused() {
    let (host, app) = worker(&["deaf"], |_| {}).await;
    let error = |command: &'static [&'static str]| {
        let run = host.node.run(one_off(&app, command));
        async { run.await.unwrap_err().to_string() }
    };
    assert!(error(&["web"]).await.contains("answers requests"));
    let unknown = error(&["bash", "-l"]).await;
    let says =
        "\"bash\" is no command of this app; a dyno has no shell, and its process types are worker";
    assert_eq!(unknown, says);
    let unknown = error(&["workers"]).await;
    assert!(
        unknown.ends_with("is no command of this app; its process types are worker"),
        "{unknown}"
    );
    assert!(error(&[]).await.contains("no command"));
    assert!(error(&["attack.wasm"]).await.contains("cannot run as a dyno"));
    let nobody = crate::support::app("nobody", None);
    let run = host.node.run(one_off(&nobody, &["worker"])).await;
    assert!(matches!(run, Err(OneOffError::NoRelease)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_runs_a_command_before_it_is_current() {
    let host = host(|_| {}).await;
    let app = worker_app(&host, &["env"]).await;
    let mut next = app.clone();
    configure(&mut next, &[("NEXT", "1")]);
    let (job, output) = watched(&app, &["worker"]);
    let release = Release::Of(Arc::new(next));
    let job = OneOff { release, kind: "release".into(), ..job };
    let mut run = host.node.run(job).await.unwrap();
    assert!(text(output).await.contains("NEXT=1\n"));
    assert_eq!(soon(run.wait()).await, 0);
    assert!(run.dyno().starts_with("release."));
}
