//! How hyper speaks HTTP/1.1 and HTTP/2 with clients: every bound that it has, set here and not left to its
//! defaults.

use std::time::Duration;

use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use wpaas_slug::Limits;

/// hyper's smallest buffer for a header section.
const MIN_HEADER_BYTES: usize = 8 * 1024;
/// How often an HTTP/2 client has to prove that it is there, and how soon.
const H2_PING: Duration = Duration::from_secs(30);
const H2_PONG: Duration = Duration::from_secs(20);
/// Bytes that a client may send ahead of the guest's reading, on a stream and on a connection. What a
/// connection can make this host buffer is the larger of the two.
const H2_WINDOW: u32 = 1024 * 1024;
/// One frame from the client; h2 also bounds CONTINUATION frames by it, to what the header section's limit
/// takes and a few more, and ends the connection (CVE-2024-27316).
const H2_FRAME_BYTES: u32 = 16 * 1024;
/// Bytes of one stream's response that wait for the client's window.
const H2_SEND_BYTES: usize = 256 * 1024;
/// Streams that the client reset before they were accepted; more end the connection (rapid reset,
/// CVE-2023-44487). h2's own default, made explicit.
const H2_RESETS_BEFORE_ACCEPT: usize = 20;
/// Streams that were reset because the client broke the protocol; more end the connection. hyper's default
/// is 1,024: no honest client comes near a tenth of that (RUSTSEC-2024-0003).
const H2_ERRORS: usize = 100;

/// Both protocols, told apart by HTTP/2's preface.
pub(crate) fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let header_bytes = Limits::size(limits.request_header_bytes).max(MIN_HEADER_BYTES);
    let small = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Limits::ms(limits.request_header_ms))
        .max_buf_size(header_bytes)
        .max_headers(Limits::size(limits.request_headers))
        // A client that closes its half while it waits is taken for gone, as everywhere.
        .half_close(false)
        .ignore_invalid_headers(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PONG)
        .max_header_list_size(small(limits.request_header_bytes))
        .max_concurrent_streams(small(limits.h2_streams))
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW)
        .max_frame_size(H2_FRAME_BYTES)
        .max_send_buf_size(H2_SEND_BYTES)
        .max_pending_accept_reset_streams(H2_RESETS_BEFORE_ACCEPT)
        .max_local_error_reset_streams(H2_ERRORS);
    builder
}
