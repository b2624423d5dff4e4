use futures::{StreamExt, future::join_all};
use serde_json::json;
use wpaas_slug::Limits;

use super::{
    fakes,
    harness::{Server, archive},
};

#[tokio::test]
async fn a_build_becomes_a_release() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.set("demo", json!({"A": "1"})).await;
    let (output, build) = api.build("demo", &[("app.wasm", "one")]).await;
    assert!(output.starts_with("-----> Component app detected\n-----> Launching...\n"), "{output}");
    assert!(
        output.contains("Released v3\n       http://demo.localhost:8080/ deployed"),
        "{output}"
    );
    assert_eq!(build["status"], "succeeded");
    let release = api.get("/apps/demo/releases/3", "release").await;
    assert_eq!((&build["release"]["id"], &build["slug"]), (&release["id"], &release["slug"]));
    let digest = fakes::slug(b"one", None).digest;
    assert_eq!(server.node.app(id).unwrap().release.as_ref().unwrap().slug, digest);
    assert_eq!(
        server.node.prepared.lock().last().unwrap().release,
        server.node.app(id).unwrap().release
    );
    assert_eq!(server.builder.environments.lock()[0], [("A".to_owned(), "1".to_owned())].into());

    let path = format!("/apps/demo/builds/{}", build["id"].as_str().unwrap());
    let extended = api.extended(&path).await;
    assert_eq!(extended["slug_digest"], json!(digest));
    assert_eq!(extended["uploaded_blobs"], 3, "the component, the config and the manifest");
    let steps: Vec<_> = extended["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].as_str().unwrap())
        .collect();
    assert_eq!(steps, ["unpack", "compile", "prepare"]);
    assert_eq!(api.get("/apps/demo", "app").await["slug_size"], 3);

    // The same source is the same slug, and nothing is uploaded twice.
    let (_, again) = api.build("demo", &[("app.wasm", "one")]).await;
    let path = format!("/apps/demo/builds/{}", again["id"].as_str().unwrap());
    let again = api.extended(&path).await;
    assert_eq!((&again["slug_digest"], &again["uploaded_blobs"]), (&json!(digest), &json!(0)));
    let log = api.log("demo").await.join("\n");
    for line in ["Build started by user", "Deployed by user", "Release v3 created by user"] {
        assert!(log.contains(line), "{log}");
    }
    let scratch = directory.path().join("data/scratch");
    server.platform.shutdown().await;
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
}

#[tokio::test]
async fn a_failed_build_leaves_everything_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    api.deploy("demo", "one").await;
    let before = api.get("/apps/demo", "app").await;
    let (output, build) = api.build("demo", &[("app.wasm", "two"), ("fail", "")]).await;
    assert_eq!((&build["status"], &build["release"]), (&json!("failed"), &json!(null)));
    assert!(output.contains("error[E0425]: cannot find value\n"), "{output}");
    let end = " !     cargo build failed with status 101\n !     Build failed\n";
    assert!(output.ends_with(end), "{output}");
    let (output, _) = api.build("demo", &[("README", "")]).await;
    assert!(output.contains("No language found"), "{output}");
    assert_eq!(api.get("/apps/demo", "app").await, before);
    assert_eq!(server.node.versions(id), [2]);
    assert_eq!(api.verification("demo").await["entries"], 3);
}

#[tokio::test]
async fn archives_that_are_not_what_they_should_be() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { source_bytes: 10_000, source_files: 5, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    let many: Vec<(String, &str)> = (0..6).map(|n| (format!("f{n}"), "")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let mut climbing = archive(&[("aa/b", "x")]);
    climbing = {
        // tar's own writer refuses `..`, so it is put in by hand.
        let mut plain = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&climbing[..]), &mut plain)
            .unwrap();
        plain[..2].copy_from_slice(b"..");
        let sum: u32 = plain[..148]
            .iter()
            .chain(&[b' '; 8])
            .chain(&plain[156..512])
            .map(|b| u32::from(*b))
            .sum();
        plain[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut to, &plain).unwrap();
        to.finish().unwrap()
    };
    for (archive, expected) in [
        (b"not an archive".to_vec(), "not a gzipped tar archive"),
        (climbing, "is not a plain relative path"),
        (archive(&[("big", &"x".repeat(20_000))]), "more than 10000 bytes"),
        (archive(&many), "more than 5 files"),
    ] {
        let url = api.upload(&archive).await;
        let body = json!({"source_blob": {"url": url}});
        let build = api.call("POST", "/apps/demo/builds", Some(body), (201, "build")).await;
        let output = api.output(&build).await;
        assert!(output.contains(expected), "{output}");
        assert!(output.ends_with(" !     Build failed\n"), "{output}");
    }
    assert!(server.builder.environments.lock().is_empty(), "none of them was built");
}

#[tokio::test]
async fn output_is_streamed_while_the_build_runs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let build = api.start_build("demo", &[("app.wasm", "one"), ("wait", "")]).await;
    let url = build.text("output_stream_url");
    let mut stream = api.request("GET", &url).send().await.unwrap().bytes_stream();
    assert_eq!(stream.next().await.unwrap().unwrap(), "-----> Component app detected\n");
    let path = format!("/apps/demo/builds/{}", build.text("id"));
    assert_eq!(api.get(&path, "build").await["status"], "pending");
    server.builder.go.add_permits(1);
    let mut rest = String::new();
    while let Some(chunk) = stream.next().await {
        rest.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    assert!(rest.contains("Released v2"), "{rest}");
    assert_eq!(
        api.get(&path, "build").await["status"],
        "succeeded",
        "when the stream ends, it is done"
    );
    assert!(api.output(&build).await.starts_with("-----> Component"), "and can be read again");
}

#[tokio::test]
async fn builds_take_turns() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { concurrent_builds: 2, queued_builds_per_app: 3, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let mut builds = Vec::new();
    let mut ids = Vec::new();
    for app in ["aaa", "bbb", "ccc"] {
        ids.push(api.create(app).await);
        for n in 0..4 {
            let content = format!("{app} {n}");
            builds.push(api.start_build(app, &[("app.wasm", &content), ("wait", "")]).await);
        }
    }
    let url = api.upload(&archive(&[("app.wasm", "")])).await;
    let body = json!({"source_blob": {"url": url}});
    let message = api.refused("POST", "/apps/aaa/builds", body, 429).await;
    assert!(message.contains("3 builds"), "{message}");
    server.builder.go.add_permits(builds.len());
    let outputs = join_all(builds.iter().map(|build| api.output(build))).await;
    for (n, output) in outputs.iter().enumerate() {
        // In the order of the requests: v1 is the initial release.
        assert!(output.contains(&format!("Released v{}\n", n % 4 + 2)), "{output}");
    }
    assert_eq!(server.builder.running.lock().1, 2, "never more than the limit, and not fewer");
    for id in ids {
        assert_eq!(server.node.versions(id), [2, 3, 4, 5]);
    }
}

#[tokio::test]
async fn deleting_an_app_ends_its_build() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    let build = api.start_build("demo", &[("app.wasm", "one"), ("wait", "")]).await;
    let url = build.text("output_stream_url");
    let mut stream = api.request("GET", &url).send().await.unwrap().bytes_stream();
    stream.next().await.unwrap().unwrap();
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    while let Some(chunk) = stream.next().await {
        chunk.unwrap();
    }
    assert!(server.node.app(id).is_none());
    assert_eq!(server.builder.running.lock().0, 0);
}

#[test]
fn builds_that_were_cut_short_are_failed_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let (build, queued) = first.block_on(async {
        let server = Server::start(directory.path()).await;
        server.api.create("demo").await;
        server.api.deploy("demo", "one").await;
        let build = server.api.start_build("demo", &[("app.wasm", "two"), ("wait", "")]).await;
        let url = build.text("output_stream_url");
        let mut stream = server.api.request("GET", &url).send().await.unwrap().bytes_stream();
        stream.next().await.unwrap().unwrap();
        let queued = server.api.start_build("demo", &[("app.wasm", "three")]).await;
        (build, queued)
    });
    // As near to `kill -9` as a process can come by itself: nothing of it runs on.
    first.shutdown_timeout(std::time::Duration::from_secs(60));
    runtime().block_on(async {
        let server = Server::start(directory.path()).await;
        assert_eq!(server.owner, None);
        let api = &server.api;
        for build in [build, queued] {
            let path = format!("/apps/demo/builds/{}", build.text("id"));
            let found = api.call("GET", &path, None, (200, "build")).await;
            assert_eq!(found.body["status"], "failed");
            let url = found.text("output_stream_url").replace(&build_host(&found), &server.url);
            let output = api.request("GET", &url).send().await.unwrap().text().await.unwrap();
            assert!(
                output.ends_with(" !     Build interrupted: the platform stopped\n"),
                "{output}"
            );
        }
        let snapshot = server.platform.snapshot().await.unwrap();
        assert_eq!(snapshot.apps[0].release.as_ref().unwrap().version, 2);
        assert_eq!(api.verification("demo").await["valid"], true);
        api.deploy("demo", "two").await;
    });
}

fn build_host(build: &super::harness::Reply) -> String {
    build.text("output_stream_url").split("/builds/").next().unwrap().to_owned()
}

#[tokio::test]
async fn a_stop_fails_what_runs() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    api.create("demo").await;
    let build = api.start_build("demo", &[("app.wasm", "one"), ("wait", "")]).await;
    let path = build.text("id");
    server.platform.shutdown().await;
    let log = directory.path().join(format!("data/builds/{path}.log"));
    let log = std::fs::read_to_string(log).unwrap();
    assert!(
        log.ends_with("Build interrupted: the platform stopped\n !     Build failed\n"),
        "{log}"
    );
}

#[tokio::test]
async fn a_data_directory_has_one_user() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let error = crate::data::DataDir::open(&directory.path().join("data")).err().unwrap();
    assert!(error.to_string().contains("another wpaas is using it"), "{error}");
    drop(server);
}

#[tokio::test]
async fn old_builds_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { builds_per_app: 2, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    for n in 0..5 {
        api.deploy("demo", &n.to_string()).await;
    }
    // The limit is kept when a build starts, so there is one more when it has ended.
    let builds = api.get("/apps/demo/builds", "[build]").await;
    assert_eq!(builds.as_array().unwrap().len(), 3);
    let logs = directory.path().join("data/builds");
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 3);
    assert_eq!(api.get("/apps/demo/releases", "[release]").await.as_array().unwrap().len(), 6);
    api.call("DELETE", "/apps/demo", None, (200, "app")).await;
    assert_eq!(std::fs::read_dir(&logs).unwrap().count(), 0);
}
