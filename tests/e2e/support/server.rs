//! `wpaas serve` and the commands that talk to it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
};

use super::{PATIENCE, services::free_port, test_cache, wpaas};

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The command must have succeeded.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// The command must have failed with this exit status and said this.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, message: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        let said = format!("{}{}", self.stdout, self.stderr);
        assert!(said.contains(message), "no {message:?} in {self:#?}");
        assert!(!said.contains("panicked"), "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// A running `wpaas serve` with its own data directory and credentials.
pub(crate) struct Server {
    home: Arc<tempfile::TempDir>,
    options: Vec<String>,
    variables: Vec<(String, String)>,
    child: Child,
    api: String,
    http: String,
    said: Arc<Mutex<Vec<String>>>,
    client: reqwest::Client,
}

impl Server {
    /// A server with a local store and default limits.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[], &[]).await
    }

    /// A server with further options and environment variables.
    pub(crate) async fn start_with(options: &[&str], variables: &[(&str, &str)]) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let variables =
            variables.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self::spawn(home, options, variables, free_port()).await
    }

    async fn spawn(
        home: Arc<tempfile::TempDir>,
        options: Vec<String>,
        variables: Vec<(String, String)>,
        http_port: u16,
    ) -> Self {
        let mut child = command(home.path())
            .envs(variables.clone())
            .args(["serve", "--api", "127.0.0.1:0"])
            .args(["--http", &format!("127.0.0.1:{http_port}")])
            .arg("--data")
            .arg(home.path().join("data"))
            .args(&options)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let (count, mut lines) = watch::channel(0_usize);
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        tokio::spawn({
            let said = Arc::clone(&said);
            async move {
                while let Ok(Some(line)) = stderr.next_line().await {
                    said.lock().push(line);
                    count.send_modify(|count| *count += 1);
                }
            }
        });
        let find = |prefix: &str| {
            let said = said.lock();
            let line = said.iter().find_map(|line| line.trim().strip_prefix(prefix))?.trim();
            Some(line.split(' ').next()?.to_owned())
        };
        let ready = async {
            loop {
                if let (Some(http), Some(api)) = (find("apps "), find("api ")) {
                    let end = said.lock().iter().any(|line| line.contains("wpaas deploy"));
                    if end {
                        return (http, api);
                    }
                }
                if lines.changed().await.is_err() {
                    panic!("wpaas serve ended: {:#?}", said.lock());
                }
            }
        };
        let (http, api) = tokio::time::timeout(PATIENCE, ready).await.expect("wpaas serve starts");
        let http = format!("http://127.0.0.1:{}", http.rsplit(':').next().unwrap());
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()
            .unwrap();
        Self { home, options, variables, child, api, http, said, client }
    }

    /// Ends the server as `kill -9` does and starts it again on the same data and apps port.
    pub(crate) async fn kill_and_restart(mut self) -> Self {
        self.child.kill().await.unwrap();
        self.restart().await
    }

    /// Starts the server again after its process ended.
    pub(crate) async fn restart(self) -> Self {
        let port = self.apps_port();
        Self::spawn(self.home, self.options, self.variables, port).await
    }

    /// Asks the server to stop as an operator does and waits until it has.
    pub(crate) async fn stop(&mut self) {
        let id = self.child.id().expect("it runs");
        let id = rustix::process::Pid::from_raw(id.try_into().unwrap()).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}: {:#?}", self.said.lock());
    }

    /// What the server said after `prefix` when it started.
    pub(crate) fn said(&self, prefix: &str) -> String {
        let said = self.said.lock();
        let found = said.iter().find_map(|line| line.trim().strip_prefix(prefix));
        found.unwrap_or_else(|| panic!("no {prefix:?} in {said:#?}")).trim().to_owned()
    }

    /// All that it has said so far.
    pub(crate) fn all_said(&self) -> String {
        self.said.lock().join("\n")
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// The API's address.
    pub(crate) fn api(&self) -> &str {
        &self.api
    }

    /// Where the API and git answer over TLS.
    pub(crate) fn tls(&self) -> String {
        self.said("tls ").split(' ').next().unwrap().to_owned()
    }

    /// The port that apps answer on.
    pub(crate) fn apps_port(&self) -> u16 {
        self.http.rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Where apps are served.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// The owner's token.
    pub(crate) fn token(&self) -> String {
        let text = std::fs::read(self.home.path().join("config/credentials.json")).unwrap();
        let all: serde_json::Value = serde_json::from_slice(&text).unwrap();
        all[&self.api]["token"].as_str().unwrap().to_owned()
    }

    /// A command that talks to this server.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(self.home.path());
        command.env("WPAAS_API", &self.api).args(arguments).kill_on_drop(true);
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        finish(self.command(arguments)).await
    }

    /// `wpaas deploy DIRECTORY -a APP --json`, which must succeed.
    pub(crate) async fn deploy(&self, directory: &Path, app: &str) -> serde_json::Value {
        let directory = directory.to_str().unwrap();
        let run = self.run(&["deploy", directory, "-a", app, "--json"]).await.ok();
        run.json()
    }

    /// A request to an app.
    pub(crate) fn request(&self, app: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("{}{path}", self.http)).header("host", format!("{app}.localhost"))
    }

    /// The text that an app answers, with its status.
    pub(crate) async fn get(&self, app: &str, path: &str) -> (u16, String) {
        let response = self.request(app, path).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The text that an app answers to an empty `POST`, with its status.
    pub(crate) async fn post(&self, app: &str, path: &str) -> (u16, String) {
        let request = self.client.post(format!("{}{path}", self.http));
        let request = request.header("host", format!("{app}.localhost"));
        let json = request.header("content-type", "application/json").body("{}");
        let response = json.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Waits until the app's log has a line with `text`, and returns the log.
    pub(crate) async fn log_has(&self, app: &str, text: &str) -> String {
        self.log_has_in_order(app, &[text]).await
    }

    /// The same for lines that follow one another, with others in between.
    pub(crate) async fn log_has_in_order(&self, app: &str, texts: &[&str]) -> String {
        let mut tail = self
            .command(&["logs", "-a", app, "--tail", "-n", "1500"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        let mut log = String::new();
        let mut wanted = texts.iter().peekable();
        let found = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.push_str(&line);
                log.push('\n');
                if wanted.peek().is_some_and(|text| line.contains(**text)) {
                    wanted.next();
                }
                if wanted.peek().is_none() {
                    return true;
                }
            }
            false
        };
        let patience = std::time::Duration::from_secs(60);
        let found = tokio::time::timeout(patience, found).await;
        assert_eq!(found, Ok(true), "no {texts:?} in the log of {app}:\n{log}");
        log
    }
}

/// `wpaas` with everything of the user redirected below `home`.
fn command(home: &Path) -> Command {
    let mut command = Command::new(wpaas());
    command
        .env("WPAAS_CONFIG_DIR", home.join("config"))
        .env("WPAAS_CACHE_DIR", test_cache().join("wpaas"))
        .env("WPAAS_API_HTTPS", "127.0.0.1:0")
        .env("WPAAS_RENDEZVOUS", "127.0.0.1:0")
        .env_remove("WPAAS_API")
        .env_remove("WPAAS_API_KEY")
        .env_remove("HEROKU_API_KEY")
        .env_remove("WPAAS_APP")
        .env_remove("HEROKU_APP")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        .stdin(Stdio::null());
    command
}

/// Runs a command that needs no server.
pub(crate) async fn run_alone(home: &Path, arguments: &[&str]) -> Run {
    run_alone_with(home, arguments, &[]).await
}

/// The same with environment variables.
pub(crate) async fn run_alone_with(
    home: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Run {
    let mut command = command(home);
    command.args(arguments).envs(variables.iter().copied());
    finish(command).await
}

/// `wpaas dev` in the background, with everything of the user below `home`.
pub(crate) fn dev_command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = command(home);
    command.arg("dev").args(arguments).kill_on_drop(true);
    command
}

async fn finish(mut command: Command) -> Run {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
