//! The platform's certificate authority, and the API over TLS.

use super::support::{Server, run_alone};

/// The API as a client that trusts this authority reaches it.
async fn account(server: &Server, url: &str, pem: &str) -> Result<u16, reqwest::Error> {
    let trusted = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().unwrap();
    let request = client.get(format!("{url}/account")).bearer_auth(server.token());
    Ok(request.send().await?.status().as_u16())
}

#[tokio::test]
async fn the_api_is_served_over_tls_by_an_authority_that_outlives_the_process() {
    let server = Server::start().await;
    let url = server.tls();
    let ca = server.run(&["certs:ca", "--json"]).await.ok().json();
    let pem = ca["certificate"].as_str().unwrap().to_owned();
    assert_eq!(account(&server, &url, &pem).await.unwrap(), 200);
    let by_address = url.replace("localhost", "127.0.0.1");
    assert_eq!(account(&server, &by_address, &pem).await.unwrap(), 200);
    // Another authority's client does not take the certificate.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap().cert.pem();
    account(&server, &url, &other).await.unwrap_err();

    let exports = server.run(&["certs:ca"]).await.ok().stdout;
    let path = ca["path"].as_str().unwrap();
    assert!(exports.contains(&format!("export NODE_EXTRA_CA_CERTS='{path}'")), "{exports}");
    assert!(exports.contains(&format!("export GIT_SSL_CAINFO='{path}'")), "{exports}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), pem);

    let server = server.kill_and_restart().await;
    assert_eq!(account(&server, &server.tls(), &pem).await.unwrap(), 200);
}

#[tokio::test]
async fn the_operators_certificate_is_served_instead() {
    let directory = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let server = Server::start_with(&["--api-tls-cert", cert, "--api-tls-key", key], &[]).await;
    assert_eq!(account(&server, &server.tls(), &pair.cert.pem()).await.unwrap(), 200);
    let ca = server.run(&["certs:ca", "--json"]).await.ok().json();
    assert_eq!(ca["certificate"], serde_json::Value::Null);

    let data = directory.path().join("data");
    let arguments = ["serve", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--data"];
    let files = [data.to_str().unwrap(), "--api-tls-cert", cert, "--api-tls-key", cert];
    let run = run_alone(directory.path(), &[&arguments[..], &files].concat()).await;
    run.fails(1, "has no private key in PEM format");
}
