//! The connection to a dyno: TLS, the secret, and then the dyno's standard streams.

use std::{
    io::{self, Read as _},
    sync::Arc,
};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use wpaas_slug::Limits;

use crate::commands::{Context, certs};

/// What the platform says before anything of the dyno.
const GREETING: &[u8] = b"rendezvous\r\n";
/// What precedes the exit status, which is the last line.
const MARK: &[u8] = "\u{FFFF}".as_bytes();
/// What is between the mark and the number.
const LABEL: &str = " heroku-command-exit-status: ";
/// The longest last line.
const STATUS_BYTES: usize = 64;
/// One read of standard input.
const CHUNK_BYTES: usize = 16 * 1024;
/// Reads that wait to be sent.
const CHUNKS: usize = 4;

/// A dyno whose streams are here.
pub(super) struct Attached {
    stream: TlsStream<TcpStream>,
}

/// Connects to `rendezvous://HOST:PORT/SECRET`.
pub(super) async fn connect(context: &Context, url: &str) -> anyhow::Result<Attached> {
    let strange = || anyhow!("the server's address for the dyno makes no sense");
    let rest = url.strip_prefix("rendezvous://").with_context(strange)?;
    let (place, secret) = rest.split_once('/').with_context(strange)?;
    let (host, _) = place.rsplit_once(':').with_context(strange)?;
    let name = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(name).with_context(strange)?;
    let config = ClientConfig::builder()
        .with_root_certificates(trusted(context).await?)
        .with_no_client_auth();
    let wait = Limits::ms(context.limits.client_connect_ms);
    let connecting = async {
        let stream = TcpStream::connect(place).await?;
        stream.set_nodelay(true)?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        stream.write_all(format!("{secret}\r\n").as_bytes()).await?;
        stream.flush().await?;
        let mut greeting = [0; GREETING.len()];
        stream.read_exact(&mut greeting).await?;
        match greeting == GREETING {
            true => Ok(stream),
            false => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    };
    let stream = tokio::time::timeout(wait, connecting)
        .await
        .map_err(io::Error::from)
        .flatten()
        .with_context(|| format!("cannot attach to the dyno at {place}"))?;
    Ok(Attached { stream })
}

/// Whom the server's certificate has to be from: its own authority, as its API says, or the system's.
async fn trusted(context: &Context) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let own = certs::platform(context).await?.certificate;
    for pem in own.iter().chain(&context.authority) {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.context("the server's certificate authority")?)?;
        }
    }
    match own {
        Some(_) => {}
        None => {
            // Those that cannot be read are the system's own trouble; the handshake says when one is missing.
            let known = rustls_native_certs::load_native_certs().certs;
            let _ = roots.add_parsable_certificates(known);
        }
    }
    Ok(roots)
}

impl Attached {
    /// Passes standard input and output until the dyno ends. Returns its exit status.
    pub(super) async fn join(self, context: &Context) -> anyhow::Result<i32> {
        let (mut from, mut to) = tokio::io::split(self.stream);
        let mut input = standard_input();
        let sending = async {
            while let Some(bytes) = input.recv().await {
                to.write_all(&bytes).await?;
                to.flush().await?;
            }
            to.shutdown().await
        };
        let receiving = async {
            let mut output = Output::default();
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                match from.read(&mut buffer).await {
                    Ok(0) => break,
                    Ok(read) => {
                        let bytes = buffer.get(..read).unwrap_or_default();
                        context.ui.raw(&output.push(bytes))?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error).context("the connection to the dyno was lost"),
                }
            }
            output.status()
        };
        let (mut sending, mut receiving) = (std::pin::pin!(sending), std::pin::pin!(receiving));
        tokio::select! {
            status = &mut receiving => status,
            // A dyno that reads no more may still have something to say.
            _ = &mut sending => receiving.await,
        }
    }
}

/// What is read on standard input, until its end. A thread reads it, which nobody waits for.
fn standard_input() -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(CHUNKS);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut stdin = io::stdin().lock();
        while let Ok(read) = stdin.read(&mut buffer) {
            let bytes = Bytes::copy_from_slice(buffer.get(..read).unwrap_or_default());
            if bytes.is_empty() || sender.blocking_send(bytes).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A dyno's output, of which the last line is for us.
#[derive(Debug, Default)]
struct Output {
    /// What may be the last line, or its beginning.
    held: Vec<u8>,
}

impl Output {
    /// Takes what came and gives what is to be shown.
    fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let marked = self.held.windows(MARK.len()).rposition(|window| window == MARK);
        let partly = || {
            let begins = |length: &usize| {
                MARK.get(..*length).is_some_and(|beginning| self.held.ends_with(beginning))
            };
            (1..MARK.len()).rev().find(begins).map(|length| self.held.len() - length)
        };
        let at = marked.filter(|at| self.held.len() - at <= STATUS_BYTES).or_else(partly);
        let rest = self.held.split_off(at.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, rest)
    }

    /// The status that the last line tells.
    fn status(self) -> anyhow::Result<i32> {
        let text = String::from_utf8_lossy(&self.held);
        let text = text.trim_start_matches('\u{FFFF}').trim_end();
        match text.strip_prefix(LABEL).and_then(|status| status.parse().ok()) {
            Some(status) => Ok(status),
            None => bail!("the connection to the dyno ended before the command did"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_exit_status_however_the_output_is_cut() {
        let text = "a\u{FFFF}b \u{FFFF} heroku-command-exit-status: x\u{e9}\n";
        let whole = format!("{text}\u{FFFF} heroku-command-exit-status: 7\n");
        for size in 1..=whole.len() {
            let mut output = Output::default();
            let chunks = whole.as_bytes().chunks(size);
            let shown: Vec<u8> = chunks.flat_map(|chunk| output.push(chunk)).collect();
            assert_eq!(String::from_utf8(shown).unwrap(), text, "{size}");
            assert_eq!(output.status().unwrap(), 7);
        }
        let mut output = Output::default();
        assert_eq!(output.push(b"cut"), b"cut");
        assert!(output.status().is_err());
        let mut output = Output::default();
        let long = format!("\u{FFFF}{}", "x".repeat(100));
        assert_eq!(output.push(long.as_bytes()), long.as_bytes(), "nothing is held back for long");
    }
}
