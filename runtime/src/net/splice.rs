//! A guest's socket joined to a real connection that the host makes for it.

use std::{io, sync::Arc};

use tokio::{sync::oneshot, time::Instant};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wpaas_slug::{Limits, egress::Host};

use super::{
    conn::HostEnd,
    dial::{DialError, Dialed, Dialer},
    secure::{self, Far},
};

/// What the guest's socket holds of a connection that is being made.
pub(super) struct Splice {
    /// What came of it. Dropping it gives the attempt up.
    pub(super) outcome: oneshot::Receiver<Result<(), ErrorCode>>,
    /// Dropped with the socket.
    pub(super) closed: oneshot::Sender<()>,
}

/// Connects to `host` and moves bytes both ways, in a task that ends with either side.
pub(super) fn start(dialer: Arc<Dialer>, host: Host, port: u16, end: HostEnd) -> Splice {
    let (tell, outcome) = oneshot::channel();
    let (closed, watch) = oneshot::channel();
    tokio::spawn(run(dialer, host, port, end, tell, watch));
    Splice { outcome, closed }
}

async fn run(
    dialer: Arc<Dialer>,
    host: Host,
    port: u16,
    mut end: HostEnd,
    mut tell: oneshot::Sender<Result<(), ErrorCode>>,
    closed: oneshot::Receiver<()>,
) {
    let (host, how) = secure::meant(host, |host| dialer.tls_for(host, port));
    if let Some(way) = dialer.neighbour(&host, port) {
        drop(dialer);
        match way {
            Err(error) => drop(tell.send(Err(to_code(error)))),
            Ok((way, _permits)) if tell.send(Ok(())).is_ok() => way.converse(end).await,
            Ok(_) => {}
        }
        return;
    }
    let time = Limits::ms(dialer.limits().egress_connect_ms);
    let began = Instant::now();
    let dialed = tokio::select! {
        dialed = dialer.dial(&host, port, time) => dialed,
        () = tell.closed() => return,
    };
    let Dialed { stream, permits: _permits } = match dialed {
        Ok(dialed) => dialed,
        Err(error) => {
            if matches!(error, DialError::NotFound) {
                dialer
                    .report(format!("Connection to {host}:{port} failed: no address of that name"));
            }
            let _ = tell.send(Err(to_code(error)));
            return;
        }
    };
    let authorities = dialer.authorities(&host, port);
    let securing = Far::new(stream, how, &host, &authorities);
    let secured = tokio::select! {
        secured = tokio::time::timeout_at(began + time, securing) => secured,
        () = tell.closed() => return,
    };
    let mut stream = match secured {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            dialer.report(format!(
                "Connection to {host}:{port} failed in its TLS handshake: {error}"
            ));
            let _ = tell.send(Err(ErrorCode::ConnectionRefused));
            return;
        }
        Err(_) => {
            let _ = tell.send(Err(ErrorCode::Timeout));
            return;
        }
    };
    let linger = Limits::ms(dialer.limits().egress_linger_ms);
    // Held by the sockets of this dyno alone, whose log and counters go with it.
    drop(dialer);
    if tell.send(Ok(())).is_err() {
        return;
    }
    let ended = end.ended();
    {
        let mut copying = std::pin::pin!(tokio::io::copy_bidirectional(&mut end, &mut stream));
        tokio::select! {
            _ = &mut copying => {}
            // What the guest wrote before it closed is still delivered; what a dead dyno wrote is not.
            _ = closed => if !ended.was_reset() {
                let _ = tokio::time::timeout(linger, copying).await;
            },
        }
    }
    if ended.was_reset() {
        // Closing then sends a reset, so that the peer does not take what it got for all there is.
        let _ = stream.tcp().set_zero_linger();
    }
}

fn to_code(error: DialError) -> ErrorCode {
    match error {
        DialError::Denied | DialError::Prohibited => ErrorCode::AccessDenied,
        DialError::TooMany => ErrorCode::NewSocketLimit,
        DialError::NotFound => ErrorCode::RemoteUnreachable,
        DialError::Timeout => ErrorCode::Timeout,
        DialError::Io(error) => match error.kind() {
            io::ErrorKind::NetworkUnreachable => ErrorCode::RemoteUnreachable,
            _ => error.into(),
        },
    }
}
