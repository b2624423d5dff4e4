//! `--local`: this machine builds, and the server gets the slug's blobs that it does not have.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};
use wpaas_builder::{Builder, Built, LocalBuildpacks, Options, Output, Request, source};
use wpaas_slug::{Digest, Limits, Slug, Store};

use super::{
    remote::Failed,
    report::{Deployed, Steps},
};
use crate::{
    api::{ApiSlug, App, Release},
    commands::{Context, buildpacks, releases},
    dirs,
    progress::Bytes as Bar,
};

/// Builds here, uploads what is missing there, releases.
pub(super) async fn deploy(
    context: &Context,
    app: &App,
    directory: &Path,
    steps: &mut Steps,
    json: bool,
) -> anyhow::Result<Deployed> {
    let client = &context.client;
    let vars: BTreeMap<String, String> = client.get_as(&["apps", &app.name, "config-vars"]).await?;
    let scratch = scratch()?;
    let store = Store::local(&scratch.path().join("store"))?;
    let built = build(context, app, directory, scratch.path(), store.clone(), vars, json).await?;
    let times: Vec<Value> = built
        .steps
        .iter()
        .map(|(name, time)| json!({ "name": name, "ms": time.as_secs_f64() * 1_000.0 }))
        .collect();
    steps.end_with("build", &Value::Array(times));

    let uploaded = upload(context, &store, &built.slug).await?;
    steps.end("upload");

    let slug = client.post(&["apps", &app.name, "slugs"], &description(&built.slug)).await?;
    let slug: ApiSlug = client.parse(&slug)?;
    let body = json!({ "slug": slug.id });
    let release = client.post(&["apps", &app.name, "releases"], &body).await?;
    let release: Release = client.parse(&release)?;
    let release = releases::settled(context, &app.name, release).await?;
    steps.end("release");
    Ok(Deployed {
        app: app.name.clone(),
        version: release.version,
        url: app.web_url.clone(),
        slug_digest: json!(built.slug.digest),
        uploaded_blobs: json!(uploaded),
        announced: false,
    })
}

/// Beside the build's cache, so that the build can move `node_modules` between the two with a rename.
fn scratch() -> anyhow::Result<tempfile::TempDir> {
    let directory = dirs::cache()?.join("deploy");
    let made = std::fs::create_dir_all(&directory)
        .and_then(|()| tempfile::Builder::new().prefix("build-").tempdir_in(&directory));
    made.with_context(|| format!("cannot create a directory in {}", directory.display()))
}

async fn build(
    context: &Context,
    app: &App,
    directory: &Path,
    scratch: &Path,
    store: Store,
    env: BTreeMap<String, String>,
    json: bool,
) -> anyhow::Result<Built> {
    let cache_dir = dirs::cache()?;
    let cache = cache_dir.join("deploy/apps").join(&app.name);
    let source = scratch.join("source");
    let (from, to, limits) = (directory.to_owned(), source.clone(), context.limits.clone());
    tokio::task::spawn_blocking(move || source::copy(&from, &to, &limits)).await??;
    tokio::fs::create_dir_all(&cache)
        .await
        .with_context(|| format!("cannot create {}", cache.display()))?;
    let builder = Builder::new(Options {
        cache_dir,
        store,
        limits: context.limits.clone(),
        hidden: vec![dirs::config()?],
        snapshots: crate::snapshot::program(),
        local_buildpacks: LocalBuildpacks::Anywhere,
    })?;
    let output = Output::new(move |line| {
        use std::io::Write as _;
        // A closed pipe must not stop a build half-way; the next line of data will tell.
        let _ = if json {
            writeln!(std::io::stderr(), "{line}")
        } else {
            writeln!(std::io::stdout(), "{line}")
        };
    });
    let buildpacks = buildpacks::of(&context.client, &app.name).await?;
    let request = Request { source, cache, env, buildpacks, output };
    builder.build(request).await.map_err(|error| Failed(error.user_message()).into())
}

/// The slug in Heroku's words, and the digest by which the server finds it.
fn description(slug: &Slug) -> Value {
    let commands: BTreeMap<&str, &str> = slug
        .config
        .processes
        .iter()
        .map(|(name, process)| (name.as_str(), process.command.as_str()))
        .collect();
    json!({
        "process_types": commands,
        "buildpack_provided_description": slug.config.buildpack,
        "digest": slug.digest,
    })
}

/// Uploads the blobs that the server lacks, the manifest last, so that a slug which can be found is whole.
async fn upload(context: &Context, store: &Store, slug: &Slug) -> anyhow::Result<usize> {
    let config = Digest::of(&slug.config_document);
    let mut sizes = slug.config.blobs();
    sizes.insert(config, slug.config_document.len() as u64);
    sizes.insert(slug.digest, slug.manifest.len() as u64);
    let wanted: Vec<Digest> = sizes.keys().copied().collect();
    let missing = context.client.missing_blobs(&wanted).await?;
    // Only what was asked about: an answer that names more must not read more out of the store.
    let missing: Vec<Digest> = missing.into_iter().filter(|one| sizes.contains_key(one)).collect();
    let size = |digest: &Digest| sizes.get(digest).copied().unwrap_or_default();
    let bar = Bar::start(&context.ui, "Uploading slug", missing.iter().map(size).sum());
    let count = &bar.counter();
    let send = |digest: Digest| async move {
        let limit = context.limits.slug_bytes.max(context.limits.manifest_bytes);
        let bytes: Bytes = store.get(digest, limit).await?;
        let size = bytes.len() as u64;
        context.client.put_blob(digest, bytes).await.context("cannot upload the slug")?;
        count(size);
        anyhow::Ok(())
    };
    let (manifest, others): (Vec<Digest>, Vec<Digest>) =
        missing.iter().partition(|digest| **digest == slug.digest);
    let at_once = Limits::size(context.limits.client_uploads).max(1);
    futures::stream::iter(others)
        .map(send)
        .buffer_unordered(at_once)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    for digest in manifest {
        send(digest).await?;
    }
    Ok(missing.len())
}

#[cfg(test)]
mod tests {
    use wpaas_slug::{ComponentRef, FileEntry, ProcessType, SlugConfig, World};

    use super::*;
    use crate::{
        commands::testing::context,
        testing::{Answer, Server},
    };

    async fn slug_in(store: &Store) -> Slug {
        let mut files = Vec::new();
        for (path, content) in [("server.js", "one"), ("view.html", "two"), ("copy.html", "two")] {
            let (digest, _) = store.put(Bytes::from_static(content.as_bytes())).await.unwrap();
            let size = content.len() as u64;
            files.push(FileEntry { path: path.into(), digest, size, executable: false });
        }
        let web = ProcessType::new("npm start", ComponentRef::Stack, World::Http, vec![]);
        let config = SlugConfig {
            buildpack: "Node.js".into(),
            stack: Some("node-20".into()),
            processes: [("web".to_owned(), web)].into(),
            programs: [].into(),
            files,
        };
        let slug = Slug::new(config, &Limits::default()).unwrap();
        let put = |digest| async move { Err(wpaas_slug::store::Error::NotFound(digest)) };
        store.put_slug(&slug, put).await.unwrap();
        slug
    }

    #[tokio::test]
    async fn only_missing_blobs_are_sent_and_the_manifest_last() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::local(directory.path()).unwrap();
        let slug = slug_in(&store).await;
        let (manifest, present) = (slug.digest, Digest::of(b"one"));
        let server = Server::start(move |seen| match seen.line.as_str() {
            "POST /blobs/missing" => {
                let mut asked: Vec<Digest> =
                    serde_json::from_value(seen.json()["digests"].clone()).unwrap();
                asked.retain(|digest| *digest != present);
                // A server that asks for what is not of this slug gets nothing of it.
                asked.push(Digest::of(b"secret"));
                Answer::json(200, json!({ "missing": asked }))
            }
            line if line.starts_with("PUT /blobs/sha256:") => Answer::empty(201),
            other => panic!("{other}"),
        })
        .await;
        let (context, _streams, _directory) = context(&server);
        // "two" (once, though two files hold it), the config document and the manifest.
        assert_eq!(upload(&context, &store, &slug).await.unwrap(), 3);
        let lines = server.lines();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[3], format!("PUT /blobs/{manifest}"));
        for seen in &server.seen()[1..] {
            let named = seen.line.trim_start_matches("PUT /blobs/");
            assert_eq!(named, Digest::of(seen.body.as_bytes()).to_string());
        }
    }

    #[tokio::test]
    async fn the_slug_is_described_in_herokus_words() {
        let directory = tempfile::tempdir().unwrap();
        let slug = slug_in(&Store::local(directory.path()).unwrap()).await;
        let expected = json!({
            "process_types": {"web": "npm start"},
            "buildpack_provided_description": "Node.js",
            "digest": slug.digest.to_string(),
        });
        assert_eq!(description(&slug), expected);
    }
}
