//! The source goes to the platform, which builds it.

use std::{fs::File, path::Path, time::Duration};

use anyhow::{Context as _, bail};
use futures::StreamExt as _;
use serde_json::json;
use tokio_util::io::ReaderStream;
use wpaas_builder::source;
use wpaas_slug::Limits;

use super::{
    output::Reader,
    report::{Deployed, Steps},
};
use crate::{
    api::{App, Build, BuildStatus, Release, Source},
    commands::{Context, releases},
    progress::Bytes,
};

/// Between two looks at a build that is not finished, at first and at most. The output ends when the build
/// does, so the first look is nearly always the last.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A packed source.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    size: u64,
}

/// Packs the directory; nothing has been asked of the server yet, so a bad directory costs nothing.
pub(super) async fn pack(context: &Context, directory: &Path) -> anyhow::Result<Packed> {
    let (directory, limits) = (directory.to_owned(), context.limits.clone());
    tokio::task::spawn_blocking(move || {
        let file = source::pack(&directory, &limits)?;
        let size = file.metadata().context("cannot read the packed source")?.len();
        Ok(Packed { file, size })
    })
    .await?
}

/// Uploads, builds, and waits until the release is live.
pub(super) async fn deploy(
    context: &Context,
    app: &App,
    packed: Packed,
    steps: &mut Steps,
    json: bool,
) -> anyhow::Result<Deployed> {
    let client = &context.client;
    let source = client.post(&["apps", &app.name, "sources"], &json!({})).await?;
    let source = client.parse::<Source>(&source)?.source_blob;
    upload(context, &source.put_url, packed).await?;
    steps.end("upload");

    let body = json!({ "source_blob": { "url": source.get_url } });
    let build = client.post(&["apps", &app.name, "builds"], &body).await?;
    let build: Build = client.parse(&build)?;
    let going_on = GoingOn { context, app: &app.name, armed: true };
    let output = match &build.output_stream_url {
        Some(url) => Some(follow(context, url, json).await?),
        None => None,
    };
    let complaints = output.as_ref().and_then(Reader::complaints);
    let live = output.as_ref().is_some_and(Reader::is_live);
    let build = finish(context, &app.name, build).await?;
    going_on.ended();
    if build.status == BuildStatus::Failed {
        let message = complaints.unwrap_or_else(|| "its output above says why".to_owned());
        return Err(Failed(message).into());
    }
    let release = build.release.context("the build succeeded and made no release")?;
    let id = release.id.to_string();
    let release: Release = client.get_as(&["apps", &app.name, "releases", &id]).await?;
    // Its output was part of the build's.
    if release.status == "failed" {
        bail!(
            "v{} was built and could not be released: its release command failed",
            release.version
        );
    }
    let release = releases::settled(context, &app.name, release).await?;
    // The platform says when a release is live; a complaint instead means that the node did not take it.
    if let Some(complaints) = complaints.filter(|_| !live) {
        bail!("v{} is recorded and not live: {complaints}", release.version);
    }
    steps.end_with("build", &build.steps);
    Ok(Deployed {
        app: app.name.clone(),
        version: release.version,
        url: app.web_url.clone(),
        slug_digest: json!(build.slug_digest),
        uploaded_blobs: build.uploaded_blobs,
        announced: live,
    })
}

/// The build itself failed: its output has been shown, no release was made.
#[derive(Debug, thiserror::Error)]
#[error("the build failed: {0}")]
pub(super) struct Failed(pub(super) String);

/// Says on an early end (Ctrl-C, a lost connection) that the server goes on.
struct GoingOn<'a> {
    context: &'a Context,
    app: &'a str,
    armed: bool,
}

impl GoingOn<'_> {
    fn ended(mut self) {
        self.armed = false;
    }
}

impl Drop for GoingOn<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.context.ui.note(format_args!(
                "The build may go on at the server: `wpaas releases -a {}` shows whether it is released.",
                self.app
            ));
        }
    }
}

async fn upload(context: &Context, url: &str, packed: Packed) -> anyhow::Result<()> {
    let bar = Bytes::start(&context.ui, "Uploading source", packed.size);
    let count = bar.counter();
    let chunks = ReaderStream::new(tokio::fs::File::from_std(packed.file))
        .inspect(move |chunk| count(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64)));
    let body = reqwest::Body::wrap_stream(chunks);
    context.client.upload(url, body, packed.size).await.context("cannot upload the source")
}

/// Shows the build's output as it comes. When it cannot be read the build is followed all the same.
async fn follow(context: &Context, url: &str, json: bool) -> anyhow::Result<Reader> {
    let mut reader = Reader::new(Limits::size(context.limits.log_line_bytes));
    let mut stream = match context.client.stream(url, "text/plain").await {
        Ok(stream) => stream,
        Err(error) => {
            context.ui.warn(format_args!("cannot show the build's output: {error}"));
            return Ok(reader);
        }
    };
    while let Some(chunk) = stream.next().await {
        match chunk {
            // With --json standard output holds the result alone.
            Ok(chunk) if json => context.ui.raw_note(&reader.push(&chunk)),
            Ok(chunk) => context.ui.raw(&reader.push(&chunk))?,
            Err(error) => {
                context.ui.warn(format_args!("the build's output breaks off: {error}"));
                break;
            }
        }
    }
    Ok(reader)
}

/// The build when it is no longer pending.
async fn finish(context: &Context, app: &str, build: Build) -> anyhow::Result<Build> {
    let id = build.id.to_string();
    let limits = &context.limits;
    // A build that waits its turn or installs a stack takes longer than building alone.
    let longest = Limits::ms(limits.build_ms.saturating_add(limits.toolchain_ms));
    let polled = async {
        let mut wait = FIRST_WAIT;
        loop {
            let build: Build = context.client.get_as(&["apps", app, "builds", &id]).await?;
            if build.status != BuildStatus::Pending {
                return anyhow::Ok(build);
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    };
    tokio::time::timeout(longest, polled)
        .await
        .with_context(|| format!("build {id} did not end within {} s", longest.as_secs()))?
}
