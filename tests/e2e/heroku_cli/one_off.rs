//! `heroku run`, `run:detached`, and what release phases print.

use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Heroku, finish, program};
use crate::{
    run::types,
    support::{PATIENCE, Project},
};

/// Deploys an app with a few commands.
async fn deploy(heroku: &Heroku, app: &str) {
    let project = Project::new([
        ("package.json", r#"{"scripts": {"start": "node web.js", "report": "node report.js 5"}}"#),
        ("Procfile", "web: node web.js\nrelease: node report.js 0\n"),
        ("web.js", "require('http').createServer((_, res) => res.end('up')).listen(process.env.PORT);"),
        (
            "report.js",
            "console.log('reporting', process.argv.slice(2).join()); process.exitCode = Number(process.argv[2]);",
        ),
        (
            "sum.js",
            "let sum = 0; process.stdin.on('data', (chunk) => { for (const byte of chunk) sum += byte; });
             process.stdin.on('end', () => console.log('sum', sum, process.stdout.isTTY === true));",
        ),
    ]);
    heroku.server.deploy(project.path(), app).await;
}

#[tokio::test]
async fn the_heroku_command_runs_one_off_dynos() {
    let heroku = Heroku::start().await;
    heroku.says("create once", &["done"]).await;
    deploy(&heroku, "once").await;
    tokio::join!(
        heroku.says("releases:output v2 -a once", &["reporting 0"]),
        heroku.says("ps:wait -a once", &[]),
        heroku.says("run -a once --exit-code -- node report.js 0 word", &["reporting 0,word"]),
    );
    let failed = heroku.run("run -a once --exit-code -- node report.js 3").await;
    assert!(failed.contains("reporting 3") && failed.ends_with("[exit 3]"), "{failed}");
    // In one word: the heroku command itself puts another `run` first.
    let npm = async |line: &str| {
        let mut run = heroku.heroku("run -a once --exit-code --");
        run.arg(line);
        finish(run).await
    };
    let failed = npm("npm run report").await;
    assert!(failed.contains("reporting 5") && failed.ends_with("[exit 5]"), "{failed}");
    let refused = heroku.run("run -a once -- ls | wc").await;
    assert!(refused.contains("no shell in a dyno"), "{refused}");
    let refused = npm("npm run absent").await;
    assert!(refused.contains("no script for") && !refused.ends_with("[exit 0]"), "{refused}");

    // What is piped in.
    let mut piped = heroku.heroku("run -a once --no-tty -- node sum.js");
    let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"abc").await.unwrap();
    let mut said = String::new();
    let read = piped.stdout.as_mut().unwrap().read_to_string(&mut said);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(said.contains("sum 294 false"), "{said}");

    // At a terminal, whose keys are echoed and which the dyno sees.
    let line = format!("{} run -a once --exit-code -- node sum.js", program().display());
    let keys = [&b"ab\x7fc\r"[..], b"\x04"];
    types(&heroku.heroku(""), &line, "up, run.", &keys, &["ab\x08 \x08c", "sum 206 true"], 0).await;

    let detached = heroku.says("run:detached -a once -- node report.js 0 apart", &["run."]).await;
    assert!(detached.contains("[exit 0]"), "{detached}");
    heroku.server.log_has("once", "reporting 0,apart").await;
    let typed = heroku.run("run -a once --type nothing -- node report.js 0").await;
    assert!(typed.contains("no process type nothing"), "{typed}");
    heroku.says("run -a once --type web -- node report.js 0", &["reporting 0"]).await;
    heroku.recorder.check();
}

#[tokio::test]
async fn wpaas_heroku_runs_the_command_with_its_environment() {
    let heroku = Heroku::start().await;
    heroku.server.run(&["create", "wrapped"]).await.ok();
    deploy(&heroku, "wrapped").await;
    let wrapped = |options: &[&str], arguments: &[&str]| {
        let program = program();
        let all =
            [&["heroku", "--program", program.to_str().unwrap()], options, &["--"], arguments];
        let mut command = heroku.server.command(&all.concat());
        command.current_dir(heroku.home.path()).env("HOME", heroku.home.path());
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        finish(command)
    };
    // Plain HTTP on this machine: the command goes there itself.
    let apps = wrapped(&[], &["apps"]).await;
    assert!(apps.contains("wrapped") && apps.ends_with("[exit 0]"), "{apps}");
    // TLS of an authority of its own: by the forwarder.
    let url = heroku.server.tls();
    let remote = ["--api", url.as_str(), "--ca", &heroku.authority];
    let unknown = wrapped(&["--api", &url], &["apps"]).await;
    assert!(unknown.contains("certificate") && unknown.ends_with("[exit 3]"), "{unknown}");
    let token = heroku.server.token();
    let password = "a long enough password";
    let login = async |arguments: &[&str], input: &str| {
        let mut command = heroku.server.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
        assert!(child.wait().await.unwrap().success(), "{arguments:?}");
    };
    login(&["password", "--password-stdin"], password).await;
    let owner = "owner@wpaas.localhost";
    let arguments = [&["login", "--email", owner, "--password-stdin"], &remote[..]].concat();
    login(&arguments, password).await;
    // The login has kept the authority, and each of these goes over TLS now.
    let remote = ["--api", url.as_str()];
    let info = wrapped(&remote, &["info", "-a", "wrapped"]).await;
    assert!(info.contains("=== wrapped") && !info.contains(&token), "{info}");
    let run =
        wrapped(&remote, &["run", "-x", "-a", "wrapped", "--", "node", "report.js", "4"]).await;
    assert!(run.contains("reporting 4") && run.ends_with("[exit 4]"), "{run}");
    let cloned = wrapped(&remote, &["git:clone", "-a", "wrapped", "clone"]).await;
    assert!(cloned.contains("Cloning into 'clone'"), "{cloned}");
    let own = [&["run", "-a", "wrapped"], &remote[..], &["--", "node", "report.js", "6"]].concat();
    let own = heroku.server.run(&own).await;
    assert_eq!((own.code, own.stdout.as_str()), (Some(6), "reporting 6\n"), "{own:?}");

    let env = heroku.server.run(&["heroku:env", "--json"]).await.ok().json();
    assert_eq!(
        (&env["HEROKU_HOST"], &env["HEROKU_API_KEY"]),
        (&heroku.server.api().into(), &token.into())
    );
    assert_eq!(env["HEROKU_GIT_HOST"], url.strip_prefix("https://").unwrap());
    let shell = heroku.server.run(&["heroku:env"]).await.ok().stdout;
    assert!(shell.contains("export HEROKU_HOST='http://127.0.0.1:"), "{shell}");
    heroku.server.run(&["heroku:env", "--api", &url]).await.fails(2, "wpaas heroku --api");
    let absent = ["heroku", "--program", "no-such-heroku", "apps"];
    heroku.server.run(&absent).await.fails(2, "npm install -g heroku");
}
