use serde_json::json;
use wpaas_slug::{Digest, Limits};

use super::{fakes, harness::Server};

#[tokio::test]
async fn a_slug_that_was_built_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path()).await;
    let api = &server.api;
    let id = api.create("demo").await;
    let slug = fakes::slug(b"local", Some("node-20"));
    let blobs = [&b"local"[..], &slug.config_document, &slug.manifest];
    let digests: Vec<_> = blobs.iter().map(|blob| Digest::of(blob)).collect();
    let ask = || Some(json!({"digests": digests}));
    let missing = api.call("POST", "/blobs/missing", ask(), (200, "any")).await;
    assert_eq!(missing.body, json!({"missing": digests}));

    let token = server.platform.issue_token().await.unwrap().unwrap().token;
    let put = |digest: Digest, bytes: &[u8]| {
        let path = format!("/blobs/{digest}");
        api.request("PUT", &path).bearer_auth(&token).body(bytes.to_vec())
    };
    api.send(put(digests[0], b"other"), (422, "error")).await;
    let body =
        || json!({"digest": slug.digest, "process_types": {"web": "x"}, "commit": "abcdef1234"});
    let message = api.refused("POST", "/apps/demo/slugs", body(), 422).await;
    assert!(message.contains("not in the store"), "{message}");
    for (digest, bytes) in digests.iter().zip(blobs).skip(1) {
        api.send(put(*digest, bytes), (200, "any")).await;
    }
    let message = api.refused("POST", "/apps/demo/slugs", body(), 422).await;
    assert!(message.contains("1 of its blobs are missing"), "{message}");
    api.send(put(digests[0], b"local"), (200, "any")).await;
    let missing = api.call("POST", "/blobs/missing", ask(), (200, "any")).await;
    assert_eq!(missing.body, json!({"missing": []}));

    let made = api.call("POST", "/apps/demo/slugs", Some(body()), (201, "slug")).await;
    assert_eq!(made.body["process_types"], json!({"web": "app.wasm", "worker": "work.wasm"}));
    let path = format!("/apps/demo/slugs/{}", made.text("id"));
    api.get(&path, "slug").await;
    assert_eq!(api.extended(&path).await["digest"], json!(slug.digest));
    let release = json!({"slug": made.text("id")});
    let release = api.call("POST", "/apps/demo/releases", Some(release), (201, "release")).await;
    assert_eq!(release.text("description"), "Deploy abcdef12");
    assert_eq!(server.node.app(id).unwrap().release.as_ref().unwrap().slug, slug.digest);
    assert!(server.platform.snapshot().await.unwrap().stacks.contains_key("node-20"));
    api.create("other").await;
    let elsewhere = json!({"slug": made.text("id")});
    api.refused("POST", "/apps/other/releases", elsewhere, 422).await;
    api.refused("POST", "/apps/demo/slugs", json!({"process_types": {}}), 422).await;
    api.refused("POST", "/apps/demo/slugs", json!({"digest": "sha256:x"}), 422).await;
}

#[tokio::test]
async fn sources_are_bounded_and_expire() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { source_upload_bytes: 1_000, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    let source = api.call("POST", "/apps/demo/sources", None, (201, "source")).await;
    let url = source.body["source_blob"]["put_url"].as_str().unwrap();
    let build = || json!({"source_blob": {"url": url}});
    let message = api.refused("POST", "/apps/demo/builds", build(), 422).await;
    assert!(message.contains("Nothing was uploaded"), "{message}");
    let message = api
        .send(api.request("PUT", url).body(vec![0; 1_001]), (413, "error"))
        .await
        .text("message");
    assert!(message.contains("1000 bytes"), "{message}");
    api.send(api.request("GET", url), (404, "error")).await;
    api.send(api.request("PUT", url).body("12"), (200, "any")).await;
    let back = api.request("GET", url).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(back, "12");
    assert_eq!(std::fs::read_dir(directory.path().join("data/sources")).unwrap().count(), 1);
    server.tamper("UPDATE sources SET expires_at = '2020-01-01T00:00:00.000000Z'").await;
    api.send(api.request("GET", url), (404, "error")).await;
    api.refused("POST", "/apps/demo/builds", build(), 422).await;
    api.call("POST", "/sources", None, (201, "source")).await;
    assert_eq!(std::fs::read_dir(directory.path().join("data/sources")).unwrap().count(), 0);
    let foreign = json!({"source_blob": {"url": "https://example.org/x.tgz"}});
    api.refused("POST", "/apps/demo/builds", foreign, 422).await;
    let scratch = directory.path().join("data/scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0, "refused uploads leave nothing");
}

#[tokio::test]
async fn sources_together_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { sources_bytes: 100, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let mut urls = Vec::new();
    for _ in 0..3 {
        urls.push(api.upload(&[0; 40]).await);
    }
    api.call("POST", "/sources", None, (201, "source")).await;
    for (url, status) in urls.iter().zip([404, 200, 200]) {
        let got = api.request("GET", url).send().await.unwrap().status();
        assert_eq!(got, status, "the oldest went first");
    }
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { idle_ms: 50, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    let source = api.call("POST", "/sources", None, (201, "source")).await;
    let url = source.body["source_blob"]["put_url"].as_str().unwrap();
    let some = futures::stream::iter([Ok::<_, std::io::Error>("some")]);
    let body =
        reqwest::Body::wrap_stream(futures::StreamExt::chain(some, futures::stream::pending()));
    let reply = api.send(api.request("PUT", url).body(body), (400, "error")).await;
    assert!(reply.text("message").contains("stalled"));
    let scratch = directory.path().join("data/scratch");
    assert_eq!(std::fs::read_dir(scratch).unwrap().count(), 0);
}

/// A gzipped tar with one entry, its name written as it is.
fn entry(name: &str, kind: tar::EntryType, size: u64) -> Vec<u8> {
    let to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut archive = tar::Builder::new(to);
    let mut header = tar::Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name.as_bytes());
    old.linkname[..7].copy_from_slice(b"../../x");
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    archive.append(&header, std::io::Read::take(std::io::repeat(b'/'), size)).unwrap();
    archive.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn upload_bombs_end_as_failed_builds() {
    use tar::EntryType as Kind;
    let directory = tempfile::tempdir().unwrap();
    let limits = Limits { source_bytes: 100_000, source_files: 50, ..Limits::default() };
    let server = Server::with(directory.path(), limits).await;
    let api = &server.api;
    api.create("demo").await;
    api.deploy("demo", "one").await;
    let names: Vec<String> = (0..51).map(|n| format!("f{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    let deep = format!("{}x", "d/".repeat(40));
    let deeper = format!("{}x", "a-directory/".repeat(80));
    // (what, archive, what the build says)
    let bombs = [
        ("much in a file", entry("big", Kind::Regular, 20 << 20), "more than 100000 bytes"),
        ("much in a name", entry("big", Kind::GNULongName, 20 << 20), "archive"),
        ("much in a header", entry("big", Kind::XHeader, 20 << 20), "archive"),
        ("many files", super::harness::archive(&many), "more than 50 files"),
        ("a deep path", super::harness::archive(&[(&deeper, "x")]), "deeper than 64"),
        ("a way out", entry("../x", Kind::Regular, 1), "not a plain relative path"),
        ("a link out", entry("x", Kind::Symlink, 0), "leads out"),
        ("a device", entry("x", Kind::Char, 0), "neither a file"),
        ("a zip bomb's head", b"PK\x03\x04".repeat(1_000), "not a gzipped tar"),
        ("nothing", Vec::new(), "not a gzipped tar"),
    ];
    for (what, bomb, said) in bombs {
        let url = api.upload(&bomb).await;
        let body = json!({"source_blob": {"url": url}});
        let build = api.call("POST", "/apps/demo/builds", Some(body), (201, "build")).await;
        let output = api.output(&build).await;
        assert!(output.contains(said) && output.contains("Build failed"), "{what}: {output}");
        let scratch = directory.path().join("data/scratch");
        let gone = async {
            while std::fs::read_dir(&scratch).unwrap().count() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let patience = std::time::Duration::from_secs(30);
        assert!(tokio::time::timeout(patience, gone).await.is_ok(), "{what} stays");
    }
    // What is not over a limit is taken, and nothing else was released.
    api.build("demo", &[(&deep, "x"), ("app.wasm", "two")]).await;
    let releases = api.get("/apps/demo/releases", "[release]").await;
    assert_eq!(releases.as_array().unwrap().len(), 3);
}
