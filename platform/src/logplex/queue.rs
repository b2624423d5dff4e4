//! The queue between the request path and logplex's thread.
//!
//! Writers never wait. The thread takes everything at once and rests between two times, so that a busy node
//! wakes it some hundred times a second and not for each line: a wake-up costs the writer a system call and
//! the machine a switch of threads, more than all the rest of a line.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use uuid::Uuid;
use wpaas_slug::log::LogLine;

/// How long lines gather. Nobody sees a tail that is later by this.
const REST: Duration = Duration::from_millis(2);

pub(super) enum Message {
    Line(LogLine),
    Forget(Uuid),
    /// Answered when everything before it is in the histories.
    Flush(oneshot::Sender<()>),
}

pub(super) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    lines: usize,
}

#[derive(Default)]
struct State {
    messages: VecDeque<Message>,
    /// Somebody waits for the thread.
    urgent: bool,
    closed: bool,
}

impl Queue {
    /// A queue of at most `lines` lines.
    pub(super) fn new(lines: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new(), lines })
    }

    /// Adds a line; `false` when the queue is full.
    pub(super) fn write(&self, line: LogLine) -> bool {
        let mut state = self.state.lock();
        if state.messages.len() >= self.lines {
            return false;
        }
        let first = state.messages.is_empty();
        state.messages.push_back(Message::Line(line));
        drop(state);
        if first {
            self.arrived.notify_one();
        }
        true
    }

    /// Adds what the platform asks of logplex; always taken, since its callers wait for the answer and are
    /// bounded themselves.
    pub(super) fn ask(&self, message: Message) {
        let mut state = self.state.lock();
        state.messages.push_back(message);
        state.urgent = true;
        drop(state);
        self.arrived.notify_one();
    }

    /// Ends the thread when it has taken what there is.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.arrived.notify_one();
    }

    /// Everything there is, after a rest unless somebody waits; `None` when the queue is closed and empty.
    pub(super) fn take(&self) -> Option<VecDeque<Message>> {
        let mut state = self.state.lock();
        self.arrived.wait_while(&mut state, |state| state.messages.is_empty() && !state.closed);
        if state.messages.is_empty() {
            return None;
        }
        self.arrived.wait_while_for(&mut state, |state| !state.urgent && !state.closed, REST);
        state.urgent = false;
        Some(std::mem::take(&mut state.messages))
    }
}
