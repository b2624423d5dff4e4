//! The queue itself. What threads share comes from `super::sync`, so that a checker of schedules can bring its own.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use super::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering};

/// What a piece costs beside its bytes, so that a writer of single bytes cannot take fifty times its window
/// in bookkeeping.
pub(crate) const PIECE_BYTES: usize = 64;
/// The window of a pipe when the account is overdrawn. It has to be above 0 for data to go on moving, and
/// since every pipe has it to itself, nobody waits for room in another one. A guest of one thread that
/// writes 4 KiB to itself and then reads them must not wait either.
pub(crate) const LEAST_WINDOW: usize = 8 * 1024;
/// The most that a writer may write at once.
pub(crate) const GRANT: usize = 64 * 1024;

/// What all pipes of one dyno have in common.
pub(crate) struct Account {
    window: usize,
    limit: usize,
    used: AtomicUsize,
    dead: AtomicBool,
}

impl Account {
    /// `window` and `limit` in bytes, of one pipe and of all together.
    pub(crate) fn new(window: usize, limit: usize) -> Arc<Self> {
        Arc::new(Self {
            window: window.max(LEAST_WINDOW),
            limit,
            used: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        })
    }

    /// The dyno is gone: what is closed from now on was not closed by its guest.
    pub(crate) fn kill(&self) {
        self.dead.store(true, Ordering::Release);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Bytes that all pipes hold, as counted.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn window(&self) -> usize {
        let room = self.used.load(Ordering::Relaxed) < self.limit;
        if room { self.window } else { LEAST_WINDOW }
    }
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything was written.
    Clean,
    /// Something is missing.
    Reset,
}

/// Why there is nothing more to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Clean,
    Reset,
}

/// Why nothing more can be written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// This side has ended the direction.
    Closed,
    /// The reader is gone.
    Reset,
}

struct Piece {
    left: Bytes,
    /// Counted until the last byte is read, because so long its memory is held.
    cost: usize,
}

/// See the module above.
pub(crate) struct Pipe {
    account: Arc<Account>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Piece>,
    /// Of what is queued, as counted in the account.
    cost: usize,
    /// Promised to the writer, as counted in the account.
    granted: usize,
    end: Option<End>,
    /// Bytes that the reader has taken so far.
    taken: u64,
    /// The reader wants nothing more and lets the writer go on.
    discarding: bool,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Waits for the reader to go.
    watcher: Option<Waker>,
}

impl Pipe {
    pub(crate) fn new(account: &Arc<Account>) -> Arc<Self> {
        Arc::new(Self { account: Arc::clone(account), state: Mutex::default() })
    }

    /// Ready when [`Pipe::read`] gives something or says that there is nothing more.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if !state.queue.is_empty() || state.end.is_some() || state.is_deaf() {
            return Poll::Ready(());
        }
        remember(&mut state.reader, cx);
        Poll::Pending
    }

    /// At most `most` bytes; none when there are none yet.
    pub(crate) fn read(&self, most: usize) -> Result<Bytes, Ended> {
        let mut state = self.state.lock();
        if state.is_deaf() {
            return Err(Ended::Clean);
        }
        let Some(piece) = state.queue.front_mut() else {
            return match state.end {
                None => Ok(Bytes::new()),
                Some(End::Clean) => Err(Ended::Clean),
                Some(End::Reset) => Err(Ended::Reset),
            };
        };
        let bytes = piece.left.split_to(most.min(piece.left.len()));
        let (is_read, cost) = (piece.left.is_empty(), piece.cost);
        state.taken = state.taken.saturating_add(bytes.len() as u64);
        if is_read {
            state.queue.pop_front();
            self.free(&mut state, cost);
            let writer = state.writer.take();
            drop(state);
            wake(writer);
        }
        Ok(bytes)
    }

    /// Ready when [`Pipe::grant`] gives something or says that nothing more can be written.
    pub(crate) fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.broken().is_some() || state.granted > 0 || self.room(&state) > 0 {
            return Poll::Ready(());
        }
        remember(&mut state.writer, cx);
        Poll::Pending
    }

    /// How many bytes the next [`Pipe::write`] may have; 0 when it has to wait. They are kept free for it.
    pub(crate) fn grant(&self) -> Result<usize, Broken> {
        let mut state = self.state.lock();
        if let Some(broken) = state.broken() {
            return Err(broken);
        }
        if state.granted == 0 {
            state.granted = self.room(&state).min(GRANT);
            self.account.used.fetch_add(state.granted, Ordering::Relaxed);
        }
        Ok(state.granted)
    }

    /// Writes all of `bytes`, which must be within the grant, or nothing (`None`).
    pub(crate) fn write(&self, bytes: Bytes) -> Option<Result<(), Broken>> {
        let mut state = self.state.lock();
        if let Some(broken) = state.broken() {
            return Some(Err(broken));
        }
        if bytes.len() > state.granted {
            return None;
        }
        self.release(&mut state);
        if bytes.is_empty() || state.discarding {
            return Some(Ok(()));
        }
        let cost = bytes.len() + PIECE_BYTES;
        state.cost += cost;
        self.account.used.fetch_add(cost, Ordering::Relaxed);
        state.queue.push_back(Piece { left: bytes, cost });
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Some(Ok(()))
    }

    /// The writer is done. What comes first counts; after a reset, what was not read yet is lost.
    pub(crate) fn end(&self, end: End) {
        let mut state = self.state.lock();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        self.release(&mut state);
        if end == End::Reset {
            self.clear(&mut state);
        }
        let (reader, writer) = (state.reader.take(), state.writer.take());
        drop(state);
        wake(reader);
        wake(writer);
    }

    /// Bytes that the reader has taken so far.
    pub(crate) fn taken(&self) -> u64 {
        self.state.lock().taken
    }

    /// Whether the writer ended with a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.state.lock().end == Some(End::Reset)
    }

    /// Ready when the reader is gone, for one who writes nothing at the time.
    pub(crate) fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if state.reader_gone {
            return Poll::Ready(());
        }
        remember(&mut state.watcher, cx);
        Poll::Pending
    }

    /// The reader wants nothing more; what is written is dropped.
    pub(crate) fn discard(&self) {
        self.stop_reading(false);
    }

    /// The reader is gone; writing fails.
    pub(crate) fn leave(&self) {
        self.stop_reading(true);
    }

    fn stop_reading(&self, gone: bool) {
        let mut state = self.state.lock();
        state.discarding = true;
        state.reader_gone |= gone;
        self.clear(&mut state);
        if gone {
            self.release(&mut state);
        }
        let (reader, writer) = (state.reader.take(), state.writer.take());
        let watcher = if gone { state.watcher.take() } else { None };
        drop(state);
        wake(reader);
        wake(writer);
        wake(watcher);
    }

    /// How the dyno's own end of a direction closes: clean only while the dyno lives.
    pub(crate) fn close(&self) {
        self.end(if self.account.is_dead() { End::Reset } else { End::Clean });
    }

    fn room(&self, state: &State) -> usize {
        self.account.window().saturating_sub(state.cost + PIECE_BYTES)
    }

    fn clear(&self, state: &mut State) {
        state.queue = VecDeque::new();
        let cost = state.cost;
        self.free(state, cost);
    }

    fn free(&self, state: &mut State, bytes: usize) {
        state.cost -= bytes;
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn release(&self, state: &mut State) {
        self.account.used.fetch_sub(std::mem::take(&mut state.granted), Ordering::Relaxed);
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let held = self.state.get_mut();
        self.account.used.fetch_sub(held.cost + held.granted, Ordering::Relaxed);
    }
}

impl State {
    fn is_deaf(&self) -> bool {
        self.discarding || self.reader_gone
    }

    fn broken(&self) -> Option<Broken> {
        match self.end {
            Some(End::Clean) => Some(Broken::Closed),
            Some(End::Reset) => Some(Broken::Reset),
            None => self.reader_gone.then_some(Broken::Reset),
        }
    }
}

fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
