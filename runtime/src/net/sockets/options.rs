//! Socket options: kept and given back, with no other effect. The sockets have no kernel behind them, and
//! the host's real connections have options of their own.

use std::time::Duration;

use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The options of one socket, with Linux's defaults. Accepted sockets inherit them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    pub(super) keep_alive: bool,
    /// Nanoseconds, as the other time.
    pub(super) keep_alive_idle: u64,
    pub(super) keep_alive_interval: u64,
    pub(super) keep_alive_count: u32,
    pub(super) hop_limit: u8,
    /// Bytes.
    pub(super) receive_buffer: u64,
    pub(super) send_buffer: u64,
    pub(super) backlog: usize,
}

impl Default for Options {
    fn default() -> Self {
        const BUFFER_BYTES: u64 = 128 * 1024;
        Self {
            keep_alive: false,
            keep_alive_idle: nanoseconds(Duration::from_secs(2 * 60 * 60)),
            keep_alive_interval: nanoseconds(Duration::from_secs(75)),
            keep_alive_count: 9,
            hop_limit: 64,
            receive_buffer: BUFFER_BYTES,
            send_buffer: BUFFER_BYTES,
            backlog: 128,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Sets an option, of which none may be 0.
pub(super) fn set<T: PartialEq + Default>(option: &mut T, value: T) -> Result<(), ErrorCode> {
    if value == T::default() {
        return Err(ErrorCode::InvalidArgument);
    }
    *option = value;
    Ok(())
}
