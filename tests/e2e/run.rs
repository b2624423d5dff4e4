//! One-off dynos: `wpaas run`, attached and detached.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::support::{Project, Server};

async fn node_app(server: &Server) {
    let project = Project::new([
        ("package.json", "{\"scripts\": {\"report\": \"node report.js\"}}"),
        ("Procfile", "worker: node worker.js --all\n"),
        ("worker.js", "console.log(process.argv.slice(2).join(' '), process.env.COLOUR);"),
        ("report.js", "console.error('to stderr'); process.exitCode = Number(process.argv[2]);"),
        (
            "sum.js",
            "let sum = 0;
             process.stdin.on('data', (chunk) => { for (const byte of chunk) sum += byte; });
             process.stdin.on('end', () => console.log(sum, process.stdout.isTTY === true));",
        ),
        ("wait.js", "console.log('waiting'); setTimeout(() => {}, 1e6);"),
    ]);
    server.deploy(project.path(), "app").await;
}

#[tokio::test]
async fn a_command_has_this_ones_input_output_and_status() {
    let server = Server::start().await;
    node_app(&server).await;
    let run = server.run(&["run", "-a", "app", "-e", "COLOUR=blue", "worker", "now"]).await.ok();
    assert_eq!(run.stdout, "--all now blue\n");
    assert!(run.stderr.contains("run."), "{run:#?}");
    let run = server.run(&["run", "-a", "app", "node report.js 1"]).await;
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), "to stderr\n"), "{run:#?}");

    // Every byte, far more than the buffers in between.
    let input: Vec<u8> = (0..1_000_000_u32).flat_map(|at| [at as u8, 0x04]).collect();
    let sum: u64 = input.iter().map(|byte| u64::from(*byte)).sum();
    let mut child = server
        .command(&["run", "-a", "app", "--", "node", "sum.js"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&input).await.unwrap();
    drop(stdin);
    let mut shown = String::new();
    child.stdout.take().unwrap().read_to_string(&mut shown).await.unwrap();
    assert_eq!(shown, format!("{sum} false\n"));
    assert!(child.wait().await.unwrap().success());

    for (command, says) in [
        (&["bash"][..], "a dyno has no shell, and its process types are worker, and its programs"),
        (&["node a.js && node b.js"], "no shell in a dyno"),
        (&["frobnicate"], "\"frobnicate\" is no command of this app"),
    ] {
        let arguments = [&["run", "-a", "app", "--"], command].concat();
        server.run(&arguments).await.fails(1, says);
    }
}

#[tokio::test]
async fn a_dyno_ends_with_its_client_and_can_be_stopped() {
    let server = Server::start().await;
    node_app(&server).await;
    let mut child = server
        .command(&["run", "-a", "app", "node", "wait.js"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = [0; 8];
    child.stdout.as_mut().unwrap().read_exact(&mut seen).await.unwrap();
    assert_eq!(&seen, b"waiting\n");
    let ps = server.run(&["ps", "-a", "app"]).await.ok().stdout;
    assert!(ps.contains("run: node wait.js"), "{ps}");
    child.kill().await.unwrap();
    server.log_has("app", "]: Stopping process: its standard input has ended").await;

    let run = server.run(&["run", "-d", "-a", "app", "node wait.js"]).await.ok();
    let name = run.stderr.split_once("run.").unwrap().1;
    let name = format!("run.{}", name.split(|c: char| !c.is_ascii_digit()).next().unwrap());
    server.log_has("app", &format!("app[{name}]: waiting")).await;
    server.run(&["ps:stop", &name, "-a", "app"]).await.ok();
    server.log_has("app", &format!("heroku[{name}]: Stopping process")).await;
    server.run(&["ps:stop", "run.1", "-a", "app"]).await.fails(1, "dyno");
}

#[tokio::test]
async fn at_a_terminal_keys_are_echoed_and_control_c_ends_the_command() {
    let server = Server::start().await;
    node_app(&server).await;
    for (keys, shown, status) in [
        // "ac\n" is what is left of it.
        (&[&b"ab\x7fc\r"[..], b"\x04"][..], &["ab\x08 \x08c\r\n", "206 true\r\n"][..], 0),
        (&[b"\x03"], &["^C\r\n"], 130),
    ] {
        types_to_wpaas(&server, "node sum.js", keys, shown, status).await;
    }
}

/// Runs a command of the app `app` by `wpaas run` at a terminal, as [`types`].
pub(super) async fn types_to_wpaas(
    server: &Server,
    command: &str,
    keys: &[&[u8]],
    shown: &[&str],
    status: i32,
) {
    let line = format!("{} run -a app {command}", super::support::wpaas().display());
    types(&server.command(&[]), &line, ", up", keys, shown, status).await;
}

/// Runs a line at a terminal with the environment of `like`. When the screen has `ready` and whenever what was pressed
/// before shows, each of `keys` is pressed.
pub(super) async fn types(
    like: &tokio::process::Command,
    line: &str,
    ready: &str,
    keys: &[&[u8]],
    shown: &[&str],
    status: i32,
) {
    // `script` of util-linux gives the command a terminal.
    let line = format!("{line}; echo status $?");
    let mut child = like
        .as_std()
        .get_envs()
        .fold(tokio::process::Command::new("script"), |mut script, (name, value)| {
            match value {
                Some(value) => script.env(name, value),
                None => script.env_remove(name),
            };
            script
        })
        .args(["-qec", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut screen = String::new();
    let mut until = async |screen: &mut String, text: &str| {
        let waiting = async {
            let mut buffer = [0; 1024];
            while !screen.contains(text) {
                let read = stdout.read(&mut buffer).await.unwrap();
                assert!(read > 0, "no {text:?} in {screen:?}");
                screen.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        };
        let waited = tokio::time::timeout(super::support::PATIENCE, waiting).await;
        assert!(waited.is_ok(), "no {text:?} in {screen:?}");
    };
    until(&mut screen, ready).await;
    for (key, shown) in keys.iter().zip(shown) {
        stdin.write_all(key).await.unwrap();
        until(&mut screen, shown).await;
    }
    until(&mut screen, &format!("status {status}")).await;
}
