//! The task of one drain: it sends what its buffer has, in order, and tries again until the receiver has it.
//!
//! A batch leaves the task when an HTTPS receiver has answered it, or the kernel has taken all of it for a syslog
//! receiver, whose protocol has no answer: what was under way when such a receiver ended may be lost or come twice. The end of
//! a connection is noticed while there is nothing to send.

use std::{sync::Arc, time::Duration};

use axum::http::{StatusCode, header};
use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    feed::NodeLink,
    log::{LogLine, Source},
    outbound::Connection,
};

use super::{
    address::{Address, Protocol},
    buffer::{Batch, Buffer},
    frame::{self, Dialect},
};
use crate::{Logplex, outgoing};

/// As receivers of Heroku's drains expect it.
const USER_AGENT: &str = concat!("Logplex/v72 (wpaas ", env!("CARGO_PKG_VERSION"), ")");

/// What a drain's task works with.
pub(super) struct Delivery {
    pub(super) app: Uuid,
    pub(super) token: String,
    pub(super) address: Address,
    pub(super) buffer: Arc<Buffer>,
    pub(super) node: Arc<dyn NodeLink>,
    pub(super) logplex: Logplex,
    pub(super) limits: Limits,
    /// The server stops: what is in the buffer is still sent, if that works at once.
    pub(super) stop: CancellationToken,
}

/// Why a batch was not taken.
enum Failure {
    /// It may be, the next time.
    Later(String),
    /// It never will.
    Refused(StatusCode),
}

impl Delivery {
    /// Sends until `removed`, or until the server stops.
    pub(super) async fn run(self, removed: CancellationToken) {
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(Limits::ms(self.limits.drain_flush_ms)).await;
        };
        tokio::select! {
            () = removed.cancelled() => {}
            () = stopped => {}
            () = Box::pin(self.deliver()) => {}
        }
    }

    async fn deliver(&self) {
        let mut link = Link::new(self);
        let mut rest = Rest::new(&self.limits);
        loop {
            tokio::select! {
                biased;
                () = link.ended() => link.close(),
                () = self.buffer.ready() => {
                    if self.address.protocol == Protocol::Http && !self.stop.is_cancelled() {
                        let gather = Limits::ms(self.limits.drain_gather_ms);
                        tokio::select! {
                            _ = tokio::time::timeout(gather, self.buffer.full()) => {}
                            () = self.stop.cancelled() => {}
                        }
                    }
                    let batch = self.buffer.take();
                    if let Some(lost) = batch.lost {
                        let mut line = frame::lost_line(self.app, lost);
                        line.text.push_str(&format!(" Drain {} did not take them.", self.token));
                        self.logplex.aside(line);
                    }
                    if !self.send(&batch, &mut link, &mut rest).await {
                        return;
                    }
                }
                () = self.stop.cancelled(), if self.buffer.is_empty() => return,
            }
        }
    }

    /// Sends a batch until it is taken; `false` when it was not and the server stops.
    async fn send(&self, batch: &Batch, link: &mut Link<'_>, rest: &mut Rest) -> bool {
        let dialect = match self.address.protocol {
            Protocol::Syslog => Dialect::Syslog { token: &self.token },
            Protocol::Http => Dialect::Logplex,
        };
        let (bytes, count) = frame::frames(batch, self.app, dialect);
        let frames = Frames { bytes: bytes.into(), count, id: Uuid::new_v4() };
        let time = Limits::ms(self.limits.drain_send_ms);
        loop {
            let sent = tokio::time::timeout(time, link.send(&frames)).await;
            let why = match sent {
                Ok(Ok(())) => {
                    if rest.end() {
                        self.tell("takes lines again".to_owned());
                    }
                    return true;
                }
                Ok(Err(Failure::Refused(status))) => {
                    self.tell(format!("refused {count} lines with status {}", status.as_u16()));
                    rest.end();
                    return true;
                }
                Ok(Err(Failure::Later(why))) => why,
                Err(_) => format!("no answer within {} s", time.as_secs_f64()),
            };
            link.close();
            let (pause, first) = rest.next();
            // Once, however long it lasts.
            if first {
                self.tell(format!("takes no lines, they wait: {why}"));
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return false,
            }
        }
    }

    /// Says something of the drain in the app's log, which no drain gets.
    fn tell(&self, what: String) {
        let text = format!("Drain {} at {} {what}", self.token, self.address.shown());
        self.logplex.aside(LogLine::now(self.app, Source::Heroku, "logplex", text));
    }
}

/// How long to wait before the next attempt.
struct Rest {
    least: Duration,
    most: Duration,
    next: Option<Duration>,
}

impl Rest {
    fn new(limits: &Limits) -> Self {
        let least = Limits::ms(limits.drain_rest_ms.max(1));
        Self { least, most: Limits::ms(limits.drain_rest_max_ms).max(least), next: None }
    }

    /// The next rest, and whether it is the first.
    fn next(&mut self) -> (Duration, bool) {
        let rest = self.next.unwrap_or(self.least);
        let first = self.next.replace((rest * 2).min(self.most)).is_none();
        (rest, first)
    }

    /// It works; whether it did not before.
    fn end(&mut self) -> bool {
        self.next.take().is_some()
    }
}

/// A batch as it is sent, the same at each attempt.
struct Frames {
    bytes: Bytes,
    count: usize,
    id: Uuid,
}

/// The way to the receiver.
enum Link<'a> {
    Syslog(&'a Delivery, Option<Box<dyn Connection>>),
    Http(&'a Delivery, outgoing::Client),
}

impl<'a> Link<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        let Delivery { address, node, limits, .. } = delivery;
        match address.protocol {
            Protocol::Syslog => Self::Syslog(delivery, None),
            Protocol::Http => {
                let client = outgoing::Client::new(Arc::clone(node), address.to.clone(), limits);
                Self::Http(delivery, client)
            }
        }
    }

    async fn send(&mut self, frames: &Frames) -> Result<(), Failure> {
        match self {
            Self::Syslog(delivery, connection) => {
                let connection = match connection {
                    Some(connection) => connection,
                    None => {
                        let made = delivery.node.connect(&delivery.address.to).await;
                        connection.insert(made.map_err(Failure::Later)?)
                    }
                };
                let broke = |error: std::io::Error| Failure::Later(error.to_string());
                connection.write_all(&frames.bytes).await.map_err(broke)?;
                connection.flush().await.map_err(broke)
            }
            Self::Http(delivery, client) => {
                let request = outgoing::post(&delivery.address.url)
                    .header(header::CONTENT_TYPE, "application/logplex-1")
                    .header(header::USER_AGENT, USER_AGENT)
                    .header("logplex-msg-count", frames.count)
                    .header("logplex-frame-id", frames.id.to_string())
                    .header("logplex-drain-token", delivery.token.as_str())
                    .body(Full::new(frames.bytes.clone()))
                    .map_err(|error| Failure::Later(error.to_string()))?;
                let status = client.send(request).await.map_err(Failure::Later)?;
                match status {
                    status if status.is_success() => Ok(()),
                    status if is_temporary(status) => {
                        Err(Failure::Later(format!("it answered with status {}", status.as_u16())))
                    }
                    status => Err(Failure::Refused(status)),
                }
            }
        }
    }

    /// Resolves when the receiver has ended the connection. What it says is of no interest.
    async fn ended(&mut self) {
        let Self::Syslog(_, Some(connection)) = self else {
            return std::future::pending().await;
        };
        let mut said = [0; 512];
        while matches!(connection.read(&mut said).await, Ok(read) if read > 0) {}
    }

    fn close(&mut self) {
        match self {
            Self::Syslog(_, connection) => *connection = None,
            Self::Http(_, client) => client.close(),
        }
    }
}

/// Whether the same request may be taken later.
fn is_temporary(status: StatusCode) -> bool {
    let waits = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    status.is_server_error() || waits.contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_bound_and_begin_anew() {
        let limits = Limits { drain_rest_ms: 10, drain_rest_max_ms: 35, ..Limits::default() };
        let mut rest = Rest::new(&limits);
        assert!(!rest.end());
        let next: Vec<(u128, bool)> =
            (0..4).map(|_| rest.next()).map(|(rest, first)| (rest.as_millis(), first)).collect();
        assert_eq!(next, [(10, true), (20, false), (35, false), (35, false)]);
        assert!(rest.end());
        assert!(rest.next().1);
    }
}
