//! Logplex: collects every line of dynos, router and platform, keeps the last of each app, and feeds tails.
//!
//! Writers put lines into a bounded queue and never wait; when it is full, lines are dropped and counted. One
//! thread moves them from there into the apps' histories and to the tails, so a burst of one app costs the
//! request path nothing. Every loss is told in the log itself, as Heroku's L10.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, oneshot};
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink, Source},
};

use crate::drains::Buffer;

mod history;
mod queue;
mod tail;

use history::Histories;
use queue::{Message, Queue};
pub(crate) use tail::{Tail, l11};

/// The log router. Cheap to clone; the thread behind it ends with the last clone.
#[derive(Clone)]
pub struct Logplex {
    queue: Arc<Open>,
    shared: Arc<Shared>,
}

struct Shared {
    histories: Mutex<Histories>,
    /// Lines that found the queue full, by app.
    dropped: Mutex<HashMap<Uuid, u64>>,
    /// All of them since the start.
    dropped_total: AtomicU64,
    tails: Arc<Semaphore>,
    tail_lines: usize,
    line_bytes: usize,
}

/// The writers' end of the queue; closes it with the last clone.
struct Open(Arc<Queue>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Which lines a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `app` or `heroku`.
    pub(crate) source: Option<Source>,
    /// `web.1`, or `web` for all of them.
    pub(crate) dyno: Option<String>,
}

impl Filter {
    /// Whether a reader with this filter sees the line. What it lost, it is always told.
    pub(crate) fn takes(&self, line: &LogLine) -> bool {
        let dyno = |wanted: &String| {
            line.dyno == *wanted
                || line.dyno.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        self.source.is_none_or(|source| source == line.source)
            && self.dyno.as_ref().is_none_or(dyno)
    }
}

/// Heroku's line for lost lines.
fn l10(app: Uuid, lost: u64) -> LogLine {
    let text = format!("Error L10 (output buffer overflow): {lost} messages dropped");
    LogLine::now(app, Source::Heroku, "logplex", text)
}

impl Logplex {
    /// Starts logplex. Made before the node and the platform, which both write to it.
    pub fn new(limits: &Limits) -> Self {
        let size = |limit: u64| usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        let queue = Queue::new(size(limits.log_queue_lines));
        let shared = Arc::new(Shared {
            histories: Mutex::new(Histories::new(
                size(limits.log_history_lines),
                size(limits.log_history_bytes),
            )),
            dropped: Mutex::default(),
            dropped_total: AtomicU64::new(0),
            tails: Arc::new(Semaphore::new(size(limits.log_tails).min(Semaphore::MAX_PERMITS))),
            tail_lines: size(limits.log_tail_lines).min(1 << 20),
            line_bytes: size(limits.log_line_bytes),
        });
        let thread = {
            let (shared, queue) = (shared.clone(), queue.clone());
            std::thread::Builder::new().name("logplex".into()).spawn(move || shared.run(&queue))
        };
        if let Err(error) = thread {
            // The queue fills up, and the platform runs without logs.
            tracing::error!(%error, "logplex has no thread; logs are lost");
        }
        Self { queue: Arc::new(Open(queue)), shared }
    }

    /// The last lines of an app that pass the filter, at most `count`, oldest first. Includes everything that
    /// was written before the call.
    pub(crate) async fn history(
        &self,
        app: Uuid,
        filter: &Filter,
        count: usize,
    ) -> Vec<Arc<LogLine>> {
        self.flush().await;
        self.shared.histories.lock().last(app, filter, count)
    }

    /// The history and, without gap or overlap, what comes. `None` when too many tails are open.
    pub(crate) async fn tail(
        &self,
        app: Uuid,
        filter: Filter,
        count: usize,
    ) -> Option<(Vec<Arc<LogLine>>, Tail)> {
        let permit: OwnedSemaphorePermit = self.shared.tails.clone().try_acquire_owned().ok()?;
        self.flush().await;
        let mut histories = self.shared.histories.lock();
        let lines = histories.last(app, &filter, count);
        let receiver = histories.subscribe(app, self.shared.tail_lines);
        drop(histories);
        Some((lines, Tail::new(app, filter, receiver, permit)))
    }

    /// Drops an app's history and ends its tails.
    pub(crate) fn forget(&self, app: Uuid) {
        self.queue.0.ask(Message::Forget(app));
    }

    /// Adds a line that is for the app's log alone: drains do not get what is said of them.
    pub(crate) fn aside(&self, line: LogLine) {
        self.shared.histories.lock().add_aside(line);
    }

    /// Gives a drain everything that is written from now on.
    pub(crate) fn attach(&self, app: Uuid, drain: Uuid, buffer: Arc<Buffer>) {
        self.shared.histories.lock().attach(app, drain, buffer);
    }

    /// Ends that.
    pub(crate) fn detach(&self, app: Uuid, drain: Uuid) {
        self.shared.histories.lock().detach(app, drain);
    }

    /// Waits until everything that was written before has arrived.
    pub(crate) async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.queue.0.ask(Message::Flush(done));
        // An error means that the thread is gone, and with it any line to wait for.
        flushed.await.ok();
    }
}

impl LogSink for Logplex {
    fn write(&self, mut line: LogLine) {
        truncate(&mut line.text, self.shared.line_bytes);
        let app = line.app;
        if !self.queue.0.write(line) {
            *self.shared.dropped.lock().entry(app).or_default() += 1;
            self.shared.dropped_total.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn dropped(&self) -> u64 {
        self.shared.dropped_total.load(Ordering::Relaxed)
    }
}

/// Writers cut lines themselves; this keeps one that does not from filling the memory.
fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
}

impl Shared {
    fn run(&self, queue: &Queue) {
        while let Some(messages) = queue.take() {
            self.tell_losses();
            let mut histories = self.histories.lock();
            for message in messages {
                match message {
                    Message::Line(line) => histories.add(line),
                    Message::Forget(app) => histories.forget(app),
                    Message::Flush(done) => {
                        // Whoever asked may have gone away.
                        done.send(()).ok();
                    }
                }
            }
        }
    }

    fn tell_losses(&self) {
        let dropped = {
            let mut dropped = self.dropped.lock();
            if dropped.is_empty() {
                return;
            }
            std::mem::take(&mut *dropped)
        };
        let mut histories = self.histories.lock();
        for (app, lost) in dropped {
            histories.add(l10(app, lost));
        }
    }
}

/// What a tail's channel carries.
type Line = Arc<LogLine>;
type Sender = broadcast::Sender<Line>;

#[cfg(test)]
mod tests;
