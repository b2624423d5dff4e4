//! `wpaas serve --https`.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{Server, run_alone};

/// Writes a certificate and its key for the app `blank`.
fn certificate(directory: &Path) -> (String, String) {
    let pair = rcgen::generate_simple_self_signed(vec!["blank.localhost".into()]).unwrap();
    let path = |name| directory.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
    std::fs::write(&certificate, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

#[tokio::test]
async fn apps_are_served_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let options = ["--https", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key];
    let server = Server::start_with(&options, &[]).await;
    server.run(&["create", "blank"]).await.ok();
    let url = server.said("apps ");
    let port = url.strip_prefix("https://APP.localhost:").unwrap().to_owned();
    let info = server.run(&["info", "-a", "blank", "--json"]).await.ok().stdout;
    assert!(info.contains(&format!("https://blank.localhost:{port}/")), "{info}");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).await.unwrap();
    let name = ServerName::try_from("blank.localhost").unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: blank.localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 503") && page.contains("H81"), "{page}");
    assert!(server.log_has("blank", "code=H81").await.contains(" protocol=https"));
}

#[tokio::test]
async fn a_certificate_that_cannot_be_served_is_said_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(directory.path());
    let data = directory.path().join("data");
    let serve = async |certificate: &str, key: &str| {
        let options =
            ["serve", "--http", "127.0.0.1:0", "--api", "127.0.0.1:0", "--https", "127.0.0.1:0"];
        let files = ["--tls-cert", certificate, "--tls-key", key];
        let data = ["--data", data.to_str().unwrap()];
        run_alone(directory.path(), &[&options[..], &files, &data].concat()).await
    };
    serve("/no/such.pem", &key).await.fails(1, "cannot read /no/such.pem");
    serve(&certificate, &certificate).await.fails(1, "has no private key in PEM format");
    let other = rcgen::generate_simple_self_signed(vec!["blank.localhost".into()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    serve(&certificate, &key).await.fails(1, "does not belong to the certificate");
}
