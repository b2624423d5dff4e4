//! A dyno's log: what the guest writes becomes lines of the app, what the host has to say of the dyno
//! becomes lines of the platform.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use uuid::Uuid;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};
use wpaas_slug::log::{LogLine, LogSink, Source};

/// What a guest may write at once, in bytes; wasmtime's own streams use the same.
const WRITE_BYTES: usize = 64 * 1024;

/// Where the lines of one dyno go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DynoLog {
    sink: Arc<dyn LogSink>,
    app: Uuid,
    dyno: Arc<str>,
    line_bytes: usize,
}

impl DynoLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, app: Uuid, dyno: &str, line_bytes: usize) -> Self {
        Self { sink, app, dyno: dyno.into(), line_bytes: line_bytes.max(4) }
    }

    /// The dyno's app.
    pub(crate) fn app(&self) -> Uuid {
        self.app
    }

    /// A line of the platform about this dyno: `heroku[web.1]: …`.
    pub(crate) fn platform(&self, text: &str) {
        for text in cut(text.as_bytes(), self.line_bytes) {
            self.write(Source::Heroku, text);
        }
    }

    fn write(&self, source: Source, text: &[u8]) {
        let text = String::from_utf8_lossy(text);
        self.sink.write(LogLine::now(self.app, source, self.dyno.to_string(), text));
    }
}

/// Cuts into pieces of at most `limit` bytes, not inside a UTF-8 character. Nothing gives one empty piece.
pub(crate) fn cut(mut text: &[u8], limit: usize) -> impl Iterator<Item = &[u8]> {
    let mut done = false;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let (piece, rest) = text.split_at(boundary(text, limit));
        text = rest;
        done = rest.is_empty();
        Some(piece)
    })
}

/// The longest prefix of at most `limit` bytes (at least 4) that does not end inside a character.
fn boundary(text: &[u8], limit: usize) -> usize {
    if text.len() <= limit {
        return text.len();
    }
    let continues = |at: usize| text.get(at).is_some_and(|byte| byte & 0xC0 == 0x80);
    // A character has at most three continuation bytes; more than that is not UTF-8 anyway.
    (limit.saturating_sub(3)..=limit).rev().find(|at| !continues(*at)).unwrap_or(limit)
}

/// Standard output or standard error of one dyno. Clones write to the same line.
#[derive(Clone)]
pub(crate) struct Lines {
    log: DynoLog,
    pending: Arc<Mutex<Vec<u8>>>,
}

impl Lines {
    pub(crate) fn new(log: DynoLog) -> Self {
        Self { log, pending: Arc::default() }
    }

    /// Logs what was written without a line end.
    pub(crate) fn flush_line(&self) {
        let pending = std::mem::take(&mut *self.pending.lock());
        if !pending.is_empty() {
            self.log.write(Source::App, &pending);
        }
    }

    /// Takes what was written.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let mut pending = self.pending.lock();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(part);
            let complete = pending.last() == Some(&b'\n');
            if complete {
                pending.pop();
                if pending.last() == Some(&b'\r') {
                    pending.pop();
                }
            } else if pending.len() <= self.log.line_bytes {
                continue;
            }
            let rest = self.write_line(&pending, complete);
            pending.drain(..rest);
        }
    }

    /// Writes a line in pieces, and returns how many bytes that were. Of an incomplete line the last
    /// piece, which may still grow, is left.
    fn write_line(&self, line: &[u8], complete: bool) -> usize {
        let mut written = 0;
        for piece in cut(line, self.log.line_bytes) {
            if complete || written + piece.len() < line.len() {
                self.log.write(Source::App, piece);
                written += piece.len();
            }
        }
        written
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // The clones that the guest holds as streams go before the dyno's own.
        if Arc::strong_count(&self.pending) == 1 {
            self.flush_line();
        }
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

/// Writing never waits: the sink drops lines rather than block, and the pending line is bounded.
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[async_trait::async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Lines {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        self.push(bytes);
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<String>>);

    impl LogSink for Memory {
        fn write(&self, line: LogLine) {
            self.0.lock().push(line.text);
        }
    }

    fn lines(limit: usize) -> (Arc<Memory>, Lines) {
        let memory = Arc::new(Memory::default());
        let log = DynoLog::new(memory.clone(), Uuid::nil(), "web.1", limit);
        (memory, Lines::new(log))
    }

    #[test]
    fn splits_at_line_ends_and_keeps_the_rest() {
        let (memory, lines) = lines(100);
        for part in ["one\ntw", "o\r\n\nthr", "ee"] {
            lines.push(part.as_bytes());
        }
        assert_eq!(*memory.0.lock(), ["one", "two", ""]);
        let other = lines.clone();
        drop(lines);
        assert_eq!(memory.0.lock().len(), 3, "a clone may still complete the line");
        drop(other);
        assert_eq!(memory.0.lock().last().unwrap(), "three");
    }

    #[test]
    fn cuts_long_lines_between_characters_and_never_buffers_more_than_one() {
        let (memory, lines) = lines(10);
        lines.push("äöüäöü".repeat(3).as_bytes());
        assert!(lines.pending.lock().len() <= 10);
        lines.push(b"\n");
        let written = memory.0.lock();
        assert!(written.iter().all(|line| line.len() <= 10 && !line.contains('\u{fffd}')));
        assert_eq!(written.concat(), "äöüäöü".repeat(3));
    }

    #[test]
    fn bytes_that_are_no_text_are_cut_too() {
        let (memory, lines) = lines(10);
        lines.push(&[0x80; 1000]);
        assert!(lines.pending.lock().len() <= 10);
        assert_eq!(memory.0.lock().len(), 99);
    }
}
