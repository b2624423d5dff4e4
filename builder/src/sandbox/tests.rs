use std::{
    fs,
    sync::{Arc, Mutex},
};

use super::*;
use crate::Kind;

struct Fixture {
    root: tempfile::TempDir,
    sandbox: Sandbox,
    workspace: Workspace,
    output: Output,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(Limits::default(), Host::of_this_process())
    }

    fn with(limits: Limits, host: Host) -> Self {
        let root = tempfile::tempdir().unwrap();
        for name in ["build", "hidden", "work"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        fs::write(root.path().join("hidden/token"), "s3cret").unwrap();
        let workspace = Workspace::fresh(&root.path().join("work")).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        let output = Output::new(move |line| sink.lock().unwrap().push(line.trim().to_owned()));
        let sandbox = Sandbox::new(host, vec![root.path().join("hidden")], limits);
        Self { root, sandbox, workspace, output, lines }
    }

    /// As on a machine without bubblewrap.
    fn bare(limits: Limits) -> Self {
        let fixture = Self::with(limits, Host::of_this_process());
        let setpriv = fixture.sandbox.host.find("setpriv");
        let none = Isolation::None { reason: "a test".into(), setpriv };
        fixture.sandbox.isolation.set(none).unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn sh(&self, script: &str) -> Command {
        Command::new("/bin/sh", &self.path("build"), "the script").arg("-c").arg(script)
    }

    async fn run(&self, command: Command) -> Result<(), Error> {
        self.run_for(command, Deadline::after_ms(60_000)).await
    }

    async fn run_for(&self, command: Command, deadline: Deadline) -> Result<(), Error> {
        self.sandbox.run(command, &self.workspace, deadline, &self.output).await
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    async fn has_bubblewrap(&self) -> bool {
        matches!(self.sandbox.isolation().await, Isolation::Bubblewrap { .. })
    }
}

#[tokio::test]
async fn output_is_shown_and_the_status_counts() {
    for fixture in [Fixture::new(), Fixture::bare(Limits::default())] {
        let script = "echo out; echo err >&2; printf unfinished; exit 7";
        let error = fixture.run(fixture.sh(script)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::BuildFailed);
        assert_eq!(error.to_string(), "build failed: `the script` exited with status 7");
        let mut lines = fixture.lines();
        lines.sort();
        assert_eq!(lines, ["err", "out", "unfinished"]);
    }
}

#[tokio::test]
async fn a_program_that_does_not_exist_is_named() {
    let fixture = Fixture::bare(Limits::default());
    let command = Command::new("/nonexistent/npm", &fixture.path("build"), "npm ci");
    let error = fixture.run(command).await.unwrap_err();
    assert!(error.to_string().contains("`npm ci`"), "{error}");
}

#[tokio::test]
async fn the_environment_is_clean() {
    let path = std::env::var_os("PATH").unwrap();
    let host = Host::with([("PATH", path), ("WPAAS_API_KEY", "s3cret".into())]);
    let fixture = Fixture::with(Limits::default(), host);
    fixture.run(fixture.sh("env").env("MINE", "1")).await.unwrap();
    let lines = fixture.lines();
    assert!(lines.contains(&"MINE=1".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("s3cret")), "{lines:?}");
    let home = format!("HOME={}", fixture.workspace.home.display());
    assert!(lines.contains(&home), "{lines:?}");
}

#[tokio::test]
async fn results_land_in_the_build_directory() {
    let fixture = Fixture::new();
    fixture.run(fixture.sh("echo made > result; echo t > \"$TMPDIR/t\"")).await.unwrap();
    assert_eq!(fs::read_to_string(fixture.path("build/result")).unwrap(), "made\n");
    assert!(fixture.workspace.tmp.join("t").exists());
}

#[tokio::test]
async fn hidden_directories_the_home_and_other_processes_are_out_of_sight() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("id_rsa"), "s3cret").unwrap();
    fs::create_dir(home.path().join("tool")).unwrap();
    fs::write(home.path().join("tool/file"), "fine").unwrap();
    let path = std::env::var_os("PATH").unwrap();
    let host = Host::with([("PATH", path), ("HOME", home.path().into())]);
    let fixture = Fixture::with(Limits::default(), host);
    if !fixture.has_bubblewrap().await {
        return;
    }
    let script = format!(
        "cat {hidden}/token {home}/id_rsa; cat {home}/tool/file; echo; ls /proc | grep -c '^[0-9]'
         touch {hidden}/x {home}/y {home}/tool/z {root}/w /usr/v && echo WROTE",
        hidden = fixture.path("hidden").display(),
        home = home.path().display(),
        root = fixture.root.path().display(),
    );
    let command = fixture.sh(&script).readable(&home.path().join("tool"));
    assert_eq!(fixture.run(command).await.unwrap_err().kind(), Kind::BuildFailed);
    let lines = fixture.lines();
    assert!(lines.contains(&"fine".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("s3cret") || line == "WROTE"), "{lines:?}");
    let processes = lines.iter().find_map(|line| line.parse::<u32>().ok()).unwrap();
    assert!(processes < 8, "it sees {processes} processes: {lines:?}");
    for name in ["hidden/x", "w"] {
        assert!(!fixture.path(name).exists(), "{name}");
    }
    assert!(!home.path().join("y").exists() && !home.path().join("tool/z").exists());
}

#[tokio::test]
async fn what_is_needed_below_a_hidden_directory_is_seen_and_the_rest_is_not() {
    let fixture = Fixture::new();
    if !fixture.has_bubblewrap().await {
        return;
    }
    let (build, nested) = (fixture.path("hidden/build"), fixture.path("hidden/build/secret"));
    fs::create_dir_all(&nested).unwrap();
    fs::write(nested.join("token"), "s3cret").unwrap();
    fs::write(build.join("source"), "fine").unwrap();
    let hidden = vec![fixture.path("hidden"), nested];
    let sandbox = Sandbox::new(Host::of_this_process(), hidden, Limits::default());
    let script = "cat source; echo; cat ../token secret/token; ls -A secret; echo done > result";
    let command = Command::new("/bin/sh", &build, "sh").arg("-c").arg(script);
    let deadline = Deadline::after_ms(60_000);
    sandbox.run(command, &fixture.workspace, deadline, &fixture.output).await.unwrap();
    let lines = fixture.lines();
    assert!(lines.contains(&"fine".to_owned()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("s3cret") || line == "token"), "{lines:?}");
    assert!(build.join("result").exists());
}

/// Runs a script whose background process holds the write end of a FIFO open; the test reads the other end, which
/// ends when no writer is left: when the whole group is dead.
fn group_in(fixture: &Fixture) -> (Command, tokio::task::JoinHandle<Vec<u8>>) {
    let fifo = fixture.path("build/fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let reader = tokio::task::spawn_blocking(move || fs::read(fifo).unwrap());
    let script = "exec 3>fifo; (echo child >&3; echo up; while :; do sleep 1000; done) & wait";
    (fixture.sh(script), reader)
}

#[tokio::test]
async fn the_time_limit_ends_the_whole_group() {
    for fixture in [Fixture::new(), Fixture::bare(Limits::default())] {
        let (command, reader) = group_in(&fixture);
        let error = fixture.run_for(command, Deadline::after_ms(3_000)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Timeout);
        assert!(error.to_string().contains("`the script`"), "{error}");
        assert_eq!(reader.await.unwrap(), b"child\n");
    }
}

#[tokio::test]
async fn dropping_the_build_ends_the_whole_group() {
    for fixture in [Fixture::new(), Fixture::bare(Limits::default())] {
        let (command, reader) = group_in(&fixture);
        let lines = fixture.lines.clone();
        let work = fixture.run(command);
        let up = async {
            while lines.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            result = work => panic!("ended by itself: {result:?}"),
            () = up => {}
        }
        assert_eq!(reader.await.unwrap(), b"child\n");
    }
}

#[tokio::test]
async fn a_background_process_does_not_outlive_its_command() {
    for fixture in [Fixture::new(), Fixture::bare(Limits::default())] {
        let fifo = fixture.path("build/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let reader = tokio::task::spawn_blocking(move || fs::read(fifo).unwrap());
        let script = "exec 3>fifo; (while :; do sleep 1000; done) & echo left >&3";
        fixture.run(fixture.sh(script)).await.unwrap();
        assert_eq!(reader.await.unwrap(), b"left\n");
    }
}

#[tokio::test]
async fn memory_is_limited() {
    let limits = Limits { build_memory_bytes: 64 * 1024 * 1024, ..Limits::default() };
    for fixture in [Fixture::with(limits.clone(), Host::of_this_process()), Fixture::bare(limits)] {
        // Doubling a string ends at the limit after a few steps, or at 2^40 bytes.
        let script =
            "a=0123456789abcdef; i=0; while [ $i -lt 36 ]; do a=$a$a; i=$((i+1)); done; echo BIG";
        let error = fixture.run(fixture.sh(script)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::BuildFailed);
        assert!(!fixture.lines().contains(&"BIG".to_owned()));
    }
}

#[tokio::test]
async fn output_is_capped_and_the_program_goes_on() {
    let fixture = Fixture::new();
    let output = fixture.output.limited(1_000);
    let script = "i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done; echo x > done";
    let deadline = Deadline::after_ms(60_000);
    fixture.sandbox.run(fixture.sh(script), &fixture.workspace, deadline, &output).await.unwrap();
    let lines = fixture.lines();
    assert!(lines.len() < 100, "{} lines", lines.len());
    assert!(lines.iter().any(|line| line.contains("Output limit reached")));
    assert!(fixture.path("build/done").exists());
}

#[tokio::test]
async fn captured_output_is_bounded() {
    let fixture = Fixture::new();
    let deadline = Deadline::after_ms(60_000);
    let command = fixture.sh("echo 0123456789; echo shown >&2; exit 3");
    let captured = fixture
        .sandbox
        .capture(command, &fixture.workspace, deadline, &fixture.output, 4)
        .await
        .unwrap();
    assert_eq!((captured.stdout.as_slice(), captured.status.code()), (&b"0123"[..], Some(3)));
    assert_eq!(fixture.lines(), ["shown"]);
}

#[tokio::test]
async fn without_isolation_the_output_says_so_once() {
    let fixture = Fixture::bare(Limits::default());
    fixture.sandbox.announce(&fixture.output).await;
    fixture.sandbox.announce(&fixture.output).await;
    let lines = fixture.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("not isolated"), "{lines:?}");
}
