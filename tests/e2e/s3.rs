//! The same, with slugs in an S3-compatible store. The server is moto's (tests/setup/s3.sh).

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

use super::{
    deploy,
    support::{PATIENCE, Server, test_cache},
};

/// moto's S3 server on a free port.
async fn start_s3() -> (Child, String) {
    let program = test_cache().join("s3/bin/moto_server");
    assert!(program.is_file(), "{} is missing: run scripts/test.sh", program.display());
    let mut child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, url)) = line.split_once("Running on ") {
                return url.trim().to_owned();
            }
        }
        panic!("moto_server ended without saying where it runs");
    };
    let url = tokio::time::timeout(PATIENCE, address).await.unwrap();
    // Its log must be read on, or it stalls once the pipe is full.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (child, url)
}

#[tokio::test]
async fn the_four_examples_answer_from_s3() {
    let (_s3, url) = start_s3().await;
    let created = reqwest::Client::new().put(format!("{url}/slugs")).send().await.unwrap();
    assert!(created.status().is_success(), "{created:?}");
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", "us-east-1"),
    ];
    let server = Server::start_with(&["--store", "s3://slugs/prefix"], &variables).await;
    deploy::examples_answer(&server).await;
    let listed = reqwest::get(format!("{url}/slugs?list-type=2&prefix=prefix/blobs/sha256/"));
    let listed = listed.await.unwrap().text().await.unwrap();
    assert!(listed.contains("<Key>prefix/blobs/sha256/"), "{listed}");

    // After a restart on an empty node cache, the store has everything that the apps need.
    let data = server.data();
    let mut server = server;
    server.stop().await;
    std::fs::remove_dir_all(data.join("node")).unwrap();
    let server = server.restart().await;
    for app in ["node-express", "component-hello"] {
        assert_eq!(server.get(app, "/").await.0, 200, "{app}");
    }
}
