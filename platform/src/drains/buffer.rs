//! The lines that wait for one drain, bounded in number and in bytes. Beyond that the oldest go, and are counted.

use std::{collections::VecDeque, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;
use wpaas_slug::{Limits, log::LogLine};

/// Written by logplex, read by the drain's task.
pub(crate) struct Buffer {
    state: Mutex<State>,
    arrived: Notify,
    lines: usize,
    bytes: usize,
    batch_lines: usize,
    batch_bytes: usize,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
    lost: Option<Lost>,
}

/// Lines that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) lines: u64,
    /// When the first of them was dropped.
    pub(crate) since: Timestamp,
}

/// What is sent at once.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// What was lost before the first of the lines.
    pub(crate) lost: Option<Lost>,
    /// Oldest first.
    pub(crate) lines: Vec<Arc<LogLine>>,
}

impl Buffer {
    pub(crate) fn new(limits: &Limits) -> Self {
        let size = |limit| Limits::size(limit).max(1);
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            lines: size(limits.drain_buffer_lines),
            bytes: size(limits.drain_buffer_bytes),
            batch_lines: size(limits.drain_batch_lines),
            batch_bytes: size(limits.drain_batch_bytes),
        }
    }

    /// Adds a line; never waits.
    pub(crate) fn push(&self, line: Arc<LogLine>) {
        let mut state = self.state.lock();
        let before = state.lines.len();
        state.bytes += line.text.len();
        state.lines.push_back(line);
        while state.lines.len() > self.lines || state.bytes > self.bytes {
            let Some(oldest) = state.lines.pop_front() else { break };
            state.bytes -= oldest.text.len();
            let lost = state.lost.get_or_insert(Lost { lines: 0, since: Timestamp::now() });
            lost.lines += 1;
        }
        drop(state);
        // Those who gather wait for a full batch.
        if before == 0 || before + 1 == self.batch_lines {
            self.arrived.notify_one();
        }
    }

    /// Waits until there is something to send.
    pub(crate) async fn ready(&self) {
        self.has(1).await;
    }

    /// Waits until a batch is full.
    pub(crate) async fn full(&self) {
        self.has(self.batch_lines).await;
    }

    /// A line longer than the buffer leaves nothing but its loss, which is something to send too.
    async fn has(&self, lines: usize) {
        let enough = || {
            let state = self.state.lock();
            state.lines.len() >= lines || (state.lines.is_empty() && state.lost.is_some())
        };
        while !enough() {
            self.arrived.notified().await;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.lines.is_empty() && state.lost.is_none()
    }

    /// Takes what is to be sent next: at least a line, unless there is none.
    pub(crate) fn take(&self) -> Batch {
        let mut state = self.state.lock();
        let mut batch = Batch { lost: state.lost.take(), lines: Vec::new() };
        let mut bytes = 0;
        while let Some(line) = state.lines.front() {
            bytes += line.text.len();
            let full = batch.lines.len() >= self.batch_lines || bytes > self.batch_bytes;
            if full && !batch.lines.is_empty() {
                break;
            }
            let Some(line) = state.lines.pop_front() else { break };
            state.bytes -= line.text.len();
            batch.lines.push(line);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;
    use wpaas_slug::log::Source;

    use super::*;

    fn buffer(limits: Limits, texts: &[&str]) -> Buffer {
        let buffer = Buffer::new(&limits);
        for text in texts {
            let line = LogLine::now(Uuid::nil(), Source::App, "web.1", *text);
            buffer.push(Arc::new(line));
        }
        buffer
    }

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.lines.iter().map(|line| line.text.as_str()).collect()
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let limits = Limits { drain_buffer_lines: 2, ..Limits::default() };
        let full = buffer(limits, &["1", "2", "3", "4", "5"]);
        let batch = full.take();
        assert_eq!((texts(&batch), batch.lost.unwrap().lines), (vec!["4", "5"], 3));
        assert!(full.is_empty() && full.take().lost.is_none(), "told once");
        let limits = Limits { drain_buffer_bytes: 4, ..Limits::default() };
        let full = buffer(limits, &["aaa", "bbb", "c"]);
        let batch = full.take();
        assert_eq!((texts(&batch), batch.lost.unwrap().lines), (vec!["bbb", "c"], 1));
    }

    #[tokio::test]
    async fn a_line_that_never_fits_is_told_too() {
        let limits = Limits { drain_buffer_bytes: 4, ..Limits::default() };
        let full = buffer(limits, &["aaaaa"]);
        full.ready().await;
        let batch = full.take();
        assert_eq!((batch.lines.len(), batch.lost.unwrap().lines), (0, 1));
    }

    #[test]
    fn batches_are_bounded_in_lines_and_bytes() {
        let limits = Limits { drain_batch_lines: 2, ..Limits::default() };
        let some = buffer(limits, &["1", "2", "3"]);
        assert_eq!((texts(&some.take()), texts(&some.take())), (vec!["1", "2"], vec!["3"]));
        let limits = Limits { drain_batch_bytes: 3, ..Limits::default() };
        let some = buffer(limits, &["aaaa", "b", "cc", "d"]);
        assert_eq!(texts(&some.take()), ["aaaa"], "at least one");
        assert_eq!((texts(&some.take()), texts(&some.take())), (vec!["b", "cc"], vec!["d"]));
    }
}
