//! The unmodified heroku command (`tests/setup/heroku-cli.sh`) against `wpaas serve`. What it prints and its exit
//! status are asserted, and every response that it got is held against Heroku's schema.

use std::{path::Path, process::Stdio};

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use super::{
    git_push::{commit, git},
    support::{PATIENCE, Project, Server, test_cache},
};

#[path = "heroku_cli/one_off.rs"]
mod one_off;
#[path = "heroku_cli/recorder.rs"]
mod recorder;
#[path = "../../platform/src/tests/schema.rs"]
mod schema;
#[path = "heroku_cli/webhooks.rs"]
mod webhooks;

use recorder::Recorder;

/// The heroku command of somebody who is logged in.
struct Heroku {
    server: Server,
    recorder: Recorder,
    home: tempfile::TempDir,
    authority: String,
}

impl Heroku {
    async fn start() -> Self {
        Self::of(Server::start().await).await
    }

    async fn of(server: Server) -> Self {
        let recorder = Recorder::start(server.api()).await;
        let ca = server.run(&["certs:ca", "--json"]).await.ok().json();
        let authority = ca["path"].as_str().unwrap().to_owned();
        Self { server, recorder, home: tempfile::tempdir().unwrap(), authority }
    }

    /// The command with this environment and nothing else of ours.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("TERM", "dumb")
            .env("NO_COLOR", "1")
            .env("DISABLE_TELEMETRY", "true")
            .env("HEROKU_HOST", &self.recorder.url)
            .env("HEROKU_PARTICLEBOARD_URL", &self.recorder.url)
            .env("HEROKU_BUILDPACK_REGISTRY_URL", &self.recorder.url)
            .env("HEROKU_NETRC_WRITE", "true")
            .env("HEROKU_GIT_HOST", self.server.tls().strip_prefix("https://").unwrap())
            .env("NODE_EXTRA_CA_CERTS", &self.authority)
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// `heroku ARGUMENTS`, logged in.
    fn heroku(&self, arguments: &str) -> Command {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut command = self.command(program().to_str().unwrap(), &arguments);
        command.env("HEROKU_API_KEY", self.server.token());
        command
    }

    /// Runs it to its end and returns what it printed, its exit status last.
    async fn run(&self, arguments: &str) -> String {
        finish(self.heroku(arguments)).await
    }

    /// It must succeed and print all of this.
    async fn says(&self, arguments: &str, texts: &[&str]) -> String {
        let said = self.run(arguments).await;
        assert!(said.ends_with("[exit 0]"), "heroku {arguments}: {said}");
        for text in texts {
            assert!(said.contains(text), "no {text:?} from heroku {arguments}: {said}");
        }
        said
    }
}

fn program() -> std::path::PathBuf {
    test_cache().join("heroku-cli/node_modules/.bin/heroku")
}

async fn finish(mut command: Command) -> String {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    format!("{}[exit {}]", String::from_utf8_lossy(&said), output.status.code().unwrap_or(-1))
}

/// A program for `EDITOR` or `BROWSER`.
fn script(directory: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_day_with_the_heroku_command() {
    let heroku = Heroku::start().await;
    tokio::join!(
        heroku.says("auth:whoami", &["owner@wpaas.localhost"]),
        heroku.says("create day", &["Creating day... done", "http://day.localhost:", "/day.git"]),
        heroku.says("regions", &["us"]),
        heroku.says("keys", &["You have no SSH keys"]),
    );
    deploy(&heroku).await;
    tokio::join!(
        heroku.says("apps", &["=== owner@wpaas.localhost Apps", "day"]),
        heroku.says("apps:stacks -a day", &["wasm"]),
        heroku.says("info -a day", &["=== day", "Owner:", "Web URL:", "Dynos:          web: 1"]),
        heroku.says("features -a day", &["=== App Features day"]),
        heroku.says("access -a day", &["owner@wpaas.localhost", "owner"]),
    );
    config(&heroku).await;
    buildpacks(&heroku).await;
    dynos(&heroku).await;
    releases(&heroku).await;
    domains_and_maintenance(&heroku).await;
    drains(&heroku).await;
    tail(&heroku).await;
    heroku.says("rename night -a day", &["Renaming day to night... done"]).await;
    heroku.says("destroy -a night --confirm night", &["Destroying night", "done"]).await;
    let gone = heroku.run("info -a night").await;
    assert!(gone.contains("Couldn't find that app") && !gone.ends_with("[exit 0]"), "{gone}");
    let checked = heroku.recorder.check();
    assert!(checked > 60, "{checked}");
}

/// `git:remote` and `git push heroku main`.
async fn deploy(heroku: &Heroku) {
    let project = Project::copy_of("component-hello");
    commit(project.path()).await;
    let mut remote = heroku.heroku("git:remote -a day");
    remote.current_dir(project.path());
    let said = finish(remote).await;
    assert!(said.contains("set git remote heroku to https://localhost:"), "{said}");
    let helper = format!("!f() {{ echo username=x; echo password={}; }}; f", heroku.server.token());
    let directory = project.path();
    git(directory, &["config", "http.sslCAInfo", &heroku.authority]).await.ok();
    git(directory, &["config", "credential.helper", &helper]).await.ok();
    let said = git(directory, &["push", "heroku", "main"]).await.ok();
    assert!(said.contains("Verifying deploy... done."), "{said}");
    assert_eq!(heroku.server.get("day", "/").await.0, 200);
}

async fn config(heroku: &Heroku) {
    heroku
        .says("config:set A=1 B=two -a day", &["Setting A, B and restarting day... done, v3"])
        .await;
    tokio::join!(
        heroku.says("config -a day", &["=== day Config Vars", "A: 1", "B: two"]),
        heroku.says("config:get B -a day", &["two\n"]),
    );
    let editor = script(heroku.home.path(), "editor", "echo \"C='edited'\" > \"$1\"");
    let mut edit = heroku.heroku("config:edit A -a day");
    edit.env("EDITOR", &editor);
    let said = finish(edit).await;
    assert!(said.ends_with("[exit 0]"), "{said}");
    heroku.says("config:unset B -a day", &["Unsetting B and restarting day... done"]).await;
}

async fn buildpacks(heroku: &Heroku) {
    heroku.says("buildpacks -a day", &["day has no Buildpack"]).await;
    heroku.says("buildpacks:set heroku/nodejs -a day", &["Buildpack set", "heroku/nodejs"]).await;
    heroku.says("buildpacks -a day", &["heroku/nodejs"]).await;
    let unknown = heroku.run("buildpacks:set http://example.org/pack.tgz -a day").await;
    assert!(unknown.contains("write https://"), "{unknown}");
    let unknown = heroku.run("buildpacks:set heroku/php -a day").await;
    assert!(unknown.contains("it is no buildpack of"), "{unknown}");
    let first = "https://example.org/pack.git";
    let both = format!("1. {first}\n  2. heroku/nodejs");
    heroku.says(&format!("buildpacks:add -i 1 {first} -a day"), &["Buildpack added", &both]).await;
    heroku.says("buildpacks:add wpaas/rust -a day", &["3. wpaas/rust"]).await;
    heroku.says("buildpacks:set heroku/python -i 3 -a day", &["3. heroku/python"]).await;
    heroku.says("buildpacks:remove -i 3 -a day", &["Buildpack removed", "2. heroku/nodejs"]).await;
    heroku.says("buildpacks -a day", &["1. ", first, "2. heroku/nodejs"]).await;
    heroku.says("buildpacks:remove heroku/nodejs -a day", &["Buildpack removed"]).await;
    heroku.says("buildpacks:clear -a day", &["Buildpacks cleared"]).await;
}

async fn dynos(heroku: &Heroku) {
    heroku.says("ps:scale web=2 -a day", &["Scaling dynos... done", "web at 2"]).await;
    heroku.says("ps:scale web+1 -a day", &["web at 3"]).await;
    heroku.says("ps:scale web=1 -a day", &["web at 1"]).await;
    assert_eq!(heroku.server.get("day", "/").await.0, 200);
    let (listed, _, _) = tokio::join!(
        heroku.says("ps -a day", &["=== web", ": up "]),
        heroku.says("ps:type -a day", &["web"]),
        heroku.says("ps:wait -a day", &[]),
    );
    let dyno = listed.lines().find_map(|line| line.split_once(": up ")).unwrap().0;
    let one = |verb: &str| format!("{verb} -d {dyno} -a day");
    heroku.says(&one("ps:restart"), &[dyno, "done"]).await;
    heroku.says("ps:restart -a day", &["Restarting all dynos on day", "done"]).await;
    heroku.says("ps:restart -p web -a day", &["done"]).await;
    assert_eq!(heroku.server.get("day", "/").await.0, 200);
    let listed = heroku.says("ps -a day", &[": up "]).await;
    let dyno = listed.lines().find_map(|line| line.split_once(": up ")).unwrap().0;
    heroku.says(&format!("ps:stop -d {dyno} -a day"), &[dyno, "done"]).await;
}

async fn releases(heroku: &Heroku) {
    tokio::join!(
        heroku.says("releases -a day", &["=== day Releases - Current: v", "Initial release"]),
        heroku.says("releases:info v3 -a day", &["=== Release v3", "Set A, B config vars"]),
        heroku.run("releases:output v2 -a day"),
    );
    heroku.says("rollback v2 -a day", &["Rolling back day to v2... done"]).await;
}

async fn domains_and_maintenance(heroku: &Heroku) {
    heroku.says("domains:add www.example.org -a day", &["www.example.org", "done"]).await;
    tokio::join!(
        heroku.says("domains -a day", &["www.example.org", "day.localhost"]),
        heroku.says("domains:info www.example.org -a day", &["www.example.org"]),
        heroku.says("domains:wait www.example.org -a day", &[]),
    );
    heroku.says("domains:remove www.example.org -a day", &["done"]).await;
    heroku.says("maintenance:on -a day", &["Enabling maintenance mode for day... done"]).await;
    let (status, page) = heroku.server.get("day", "/").await;
    assert!(status == 503 && page.contains("maintenance"), "{status} {page}");
    heroku.server.log_has("day", "code=H80").await;
    heroku.says("maintenance -a day", &["on"]).await;
    heroku.says("maintenance:off -a day", &["Disabling maintenance mode for day... done"]).await;
    let browser = script(heroku.home.path(), "browser", "echo \"$@\" > \"$HOME/opened\"");
    let mut open = heroku.heroku("open -a day");
    open.env("BROWSER", browser);
    let said = finish(open).await;
    assert!(said.contains("[exit 0]"), "{said}");
}

async fn drains(heroku: &Heroku) {
    let url = "syslog+tls://logs.example.com:6514";
    let added = format!("Successfully added drain {url}");
    heroku.says(&format!("drains:add {url} -a day"), &[&added]).await;
    heroku.says("drains -a day", &["=== Drains", url, "(d."]).await;
    let removed = format!("Successfully removed drain {url}");
    heroku.says(&format!("drains:remove {url} -a day"), &[&removed]).await;
}

/// `logs --tail` while a request comes in, and `logs`.
async fn tail(heroku: &Heroku) {
    let mut tail = heroku.heroku("logs --tail -a day");
    let mut tail = tail.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // It prints what was there when it is connected.
    let first = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    assert!(first.is_some());
    heroku.server.get("day", "/while-tailing").await;
    let found = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("path=\"/while-tailing\"") {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(PATIENCE, found).await.unwrap());
    heroku.says("logs -n 5 -a day", &["path=\"/while-tailing\""]).await;
}

#[tokio::test]
async fn the_heroku_command_logs_in_and_out() {
    let heroku = Heroku::start().await;
    let password = "a long enough password";
    let mut set = heroku.server.command(&["password", "--password-stdin"]);
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut stdin = set.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stdin, password.as_bytes()).await.unwrap();
    drop(stdin);
    assert!(set.wait().await.unwrap().success());

    // The password is asked for on a terminal: script(1) makes one.
    let program = program();
    let login = format!("{} login -i", program.display());
    let mut login = heroku.command("script", &["-qec", &login, "/dev/null"]);
    let mut login = login
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let (mut stdin, mut stdout) = (login.stdin.take().unwrap(), login.stdout.take().unwrap());
    let mut said = String::new();
    for (question, answer) in [("Email", "owner@wpaas.localhost"), ("Password", password)] {
        let asked = async {
            while !said.contains(question) {
                let mut chunk = [0; 1024];
                let read = tokio::io::AsyncReadExt::read(&mut stdout, &mut chunk).await.unwrap();
                assert!(read > 0, "no {question:?} in {said}");
                said.push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap();
        let line = format!("{answer}\r");
        tokio::io::AsyncWriteExt::write_all(&mut stdin, line.as_bytes()).await.unwrap();
    }
    let mut rest = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut stdout, &mut rest);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    said.push_str(&String::from_utf8_lossy(&rest));
    assert!(said.contains("Logged in as"), "{said}");
    assert!(!said.contains(password), "{said}");

    let program = program.to_str().unwrap();
    let who = finish(heroku.command(program, &["auth:whoami"])).await;
    assert!(who.contains("owner@wpaas.localhost"), "{who}");
    let token = finish(heroku.command(program, &["auth:token"])).await;
    assert!(token.contains("[exit 0]"), "{token}");
    let out = finish(heroku.command(program, &["logout"])).await;
    assert!(out.contains("[exit 0]"), "{out}");
    let who = finish(heroku.command(program, &["auth:whoami"])).await;
    assert!(!who.contains("[exit 0]"), "{who}");
    heroku.recorder.check();
}
