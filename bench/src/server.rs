//! `wpaas serve` and a client of its Platform API.

use std::{collections::BTreeMap, path::Path, process::Stdio, sync::Arc};

use anyhow::{Context as _, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use wpaas_slug::{Digest, Limits, Slug, Store};

use crate::wpaas::Running;

/// Asks for wpaas' own fields too.
const ACCEPT: &str = "application/vnd.wpaas+json; version=3";

/// A running platform with a node.
pub(crate) struct Server {
    pub(crate) running: Running,
    /// `http://127.0.0.1:PORT/`, where apps answer.
    pub(crate) url: String,
    pub(crate) home: Arc<TempDir>,
    api: String,
    token: String,
    client: reqwest::Client,
}

/// A directory for the data of a server that is started more than once.
pub(crate) fn home() -> anyhow::Result<Arc<TempDir>> {
    Ok(Arc::new(tempfile::tempdir()?))
}

impl Server {
    /// Starts a server with the data in `home` and waits until it accepts requests.
    pub(crate) async fn start(
        home: &Arc<TempDir>,
        variables: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        // The benchmarks themselves are no reason to refuse requests.
        let mut all = vec![("WPAAS_LIMIT_API_REQUESTS_PER_HOUR", "100000000")];
        all.extend(variables);
        let arguments = [
            "serve",
            "--http",
            "127.0.0.1:0",
            "--api",
            "127.0.0.1:0",
            "--api-https",
            "none",
            "--rendezvous",
            "none",
        ];
        let running = Running::start_in(Arc::clone(home), &all, &arguments, "wpaas deploy").await?;
        let apps = running.word_after("apps   http://")?;
        let port = apps.rsplit(':').next().context("no port")?;
        let api = running.word_after("api    ")?;
        let owner = std::fs::read(home.path().join("data/owner.json"))?;
        let owner: Value = serde_json::from_slice(&owner)?;
        let token = owner.get("token").and_then(Value::as_str).context("no token")?;
        Ok(Self {
            url: format!("http://127.0.0.1:{port}/"),
            home: Arc::clone(home),
            api,
            token: token.to_owned(),
            client: reqwest::Client::new(),
            running,
        })
    }

    /// The name of an app in `Host`.
    pub(crate) fn host(app: &str) -> String {
        format!("{app}.localhost")
    }

    /// The store that the server uses.
    pub(crate) fn store(&self) -> anyhow::Result<Store> {
        Ok(Store::local(&self.home.path().join("data/store"))?)
    }

    /// One request of the Platform API, which must succeed.
    pub(crate) async fn api(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.api));
        request = request.bearer_auth(&self.token).header("accept", ACCEPT);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Makes an app without a slug.
    pub(crate) async fn create(&self, app: &str) -> anyhow::Result<()> {
        self.api(Method::POST, "/apps", Some(json!({ "name": app }))).await.map(drop)
    }

    /// Sets config vars.
    pub(crate) async fn configure(
        &self,
        app: &str,
        vars: &BTreeMap<&str, &str>,
    ) -> anyhow::Result<()> {
        let path = format!("/apps/{app}/config-vars");
        self.api(Method::PATCH, &path, Some(json!(vars))).await.map(drop)
    }

    /// Releases a slug whose blobs are in the store.
    pub(crate) async fn release(&self, app: &str, slug: Digest) -> anyhow::Result<()> {
        let path = format!("/apps/{app}/slugs");
        let slug = self.api(Method::POST, &path, Some(json!({ "digest": slug }))).await?;
        let id = slug.get("id").context("a slug without id")?;
        let path = format!("/apps/{app}/releases");
        self.api(Method::POST, &path, Some(json!({ "slug": id }))).await.map(drop)
    }

    /// The slug that an app runs.
    pub(crate) async fn slug(&self, app: &str) -> anyhow::Result<Slug> {
        let path = format!("/apps/{app}/releases/current");
        let release = self.api(Method::GET, &path, None).await?;
        let digest = release.get("slug_digest").and_then(Value::as_str).context("no slug")?;
        let digest = digest.parse().map_err(|_| anyhow::anyhow!("{digest} is no digest"))?;
        Ok(self.store()?.get_slug(digest, &Limits::default()).await?)
    }

    /// `wpaas deploy` of a directory.
    pub(crate) async fn deploy(&self, app: &str, directory: &Path) -> anyhow::Result<()> {
        let mut command = self.running.command(&self.api)?;
        command.args(["deploy", "-a", app]).arg(directory).stdout(Stdio::null());
        let output = command.output().await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot deploy {}: {error}", directory.display());
        Ok(())
    }

    /// `wpaas ps:scale`, such as `web=0..1`.
    pub(crate) async fn scale(&self, app: &str, scale: &str) -> anyhow::Result<()> {
        let mut command = self.running.command(&self.api)?;
        let output = command.args(["ps:scale", scale, "-a", app]).output().await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot scale {app}: {error}");
        Ok(())
    }

    /// The last lines of an app's log, of one source (`app`, `heroku`) or of both.
    pub(crate) async fn log(
        &self,
        app: &str,
        lines: u32,
        source: Option<&str>,
    ) -> anyhow::Result<Vec<String>> {
        let mut command = self.running.command(&self.api)?;
        command.args(["logs", "-a", app, "-n", &lines.to_string()]);
        if let Some(source) = source {
            command.args(["--source", source]);
        }
        let output = command.output().await?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cannot read the log of {app}: {error}");
        Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
    }

    /// Follows an app's log from now on, for what `source` writes (`app`, `heroku`).
    pub(crate) fn tail(&self, app: &str, source: &str) -> anyhow::Result<tokio::process::Child> {
        let mut command = self.running.command(&self.api)?;
        command.args(["logs", "--tail", "-n", "0", "-a", app, "--source", source]);
        command.stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        Ok(command.spawn()?)
    }

    /// How the instances of an app's last requests came to be: the `start=` of its router lines.
    pub(crate) async fn starts(&self, app: &str) -> anyhow::Result<BTreeMap<String, usize>> {
        let mut starts = BTreeMap::new();
        for line in self.log(app, 100, Some("heroku")).await? {
            let Some((_, rest)) = line.split_once(" start=") else { continue };
            let start = rest.split_whitespace().next().unwrap_or_default();
            *starts.entry(start.to_owned()).or_insert(0) += 1;
        }
        Ok(starts)
    }
}
