//! The pipe under every way in which threads can take turns, as far as loom follows them: the same source, with
//! loom's locks and atomics. A thread that sleeps for ever is a failure of its own.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use loom::{future::block_on, thread};

#[expect(clippy::duplicate_mod, reason = "the same source on other locks is what is checked")]
#[path = "queue.rs"]
mod queue;

mod sync {
    pub(super) use loom::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    /// loom's, in the shape of the other one.
    #[derive(Default)]
    pub(super) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }

        pub(super) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap()
        }
    }
}

use queue::{Account, Broken, End, Ended, LEAST_WINDOW, PIECE_BYTES, Pipe};
use sync::Arc;

/// Fills the window by itself.
const FULL: usize = LEAST_WINDOW - PIECE_BYTES;

/// Follows `threads` through its schedules. Of switches that no lock or wait forces, three suffice for most mistakes.
fn check(threads: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(threads);
}

fn pipe(limit: usize) -> (Arc<Account>, Arc<Pipe>) {
    let account = Account::new(LEAST_WINDOW, limit);
    let pipe = Pipe::new(&account);
    (account, pipe)
}

/// Writes a piece of the size of the window when there is room for it.
fn write(pipe: &Pipe, byte: u8) -> Result<(), Broken> {
    loop {
        block_on(poll_fn(|cx| pipe.poll_writable(cx)));
        let granted = pipe.grant()?;
        if granted >= FULL {
            return pipe.write(Bytes::from(vec![byte; FULL])).unwrap();
        }
        assert_eq!(granted, 0, "all of it or nothing: there are no smaller pieces");
    }
}

/// Reads to the end.
fn read(pipe: &Pipe) -> (Vec<u8>, Ended) {
    let mut all = Vec::new();
    loop {
        block_on(poll_fn(|cx| pipe.poll_readable(cx)));
        match pipe.read(usize::MAX) {
            Ok(bytes) => all.extend(bytes.first()),
            Err(ended) => return (all, ended),
        }
    }
}

#[test]
fn a_writer_and_a_reader_wait_for_each_other_and_neither_for_ever() {
    check(|| {
        let (account, pipe) = pipe(0);
        let writing = Arc::clone(&pipe);
        let writer = thread::spawn(move || {
            for byte in [1, 2] {
                write(&writing, byte).unwrap();
            }
            writing.close();
        });
        assert_eq!(read(&pipe), (vec![1, 2], Ended::Clean));
        writer.join().unwrap();
        assert_eq!(pipe.taken(), 2 * FULL as u64);
        drop(pipe);
        assert_eq!(account.used(), 0);
    });
}

#[test]
fn a_writer_that_waits_learns_that_its_reader_has_gone() {
    check(|| {
        let (account, pipe) = pipe(0);
        let writing = Arc::clone(&pipe);
        let writer = thread::spawn(move || {
            let mut byte = 0;
            while write(&writing, byte).is_ok() {
                byte += 1;
            }
            assert_eq!(writing.grant(), Err(Broken::Reset));
            block_on(poll_fn(|cx| writing.poll_left(cx)));
        });
        block_on(poll_fn(|cx| pipe.poll_readable(cx)));
        pipe.leave();
        writer.join().unwrap();
        drop(pipe);
        assert_eq!(account.used(), 0);
    });
}

#[test]
fn whoever_waits_for_the_reader_to_go_is_told() {
    check(|| {
        let (_, pipe) = pipe(0);
        let watching = Arc::clone(&pipe);
        let watcher = thread::spawn(move || block_on(poll_fn(|cx| watching.poll_left(cx))));
        pipe.discard();
        pipe.leave();
        watcher.join().unwrap();
    });
}

#[test]
fn a_reader_that_waits_learns_of_the_dynos_death_as_a_reset() {
    check(|| {
        let (account, pipe) = pipe(0);
        let writing = Arc::clone(&pipe);
        let writer = thread::spawn(move || {
            write(&writing, 1).unwrap();
            account.kill();
            writing.close();
        });
        let (bytes, ended) = read(&pipe);
        assert_eq!(ended, Ended::Reset, "after {bytes:?}");
        writer.join().unwrap();
    });
}

#[test]
fn the_first_end_counts_wherever_it_comes_from() {
    check(|| {
        let (_, pipe) = pipe(0);
        let ends = [End::Clean, End::Reset].map(|end| {
            let pipe = Arc::clone(&pipe);
            thread::spawn(move || pipe.end(end))
        });
        let (_, ended) = read(&pipe);
        ends.into_iter().for_each(|end| end.join().unwrap());
        let reset = block_on(poll_fn(|_| Poll::Ready(pipe.is_reset())));
        assert_eq!(reset, ended == Ended::Reset);
    });
}

#[test]
fn pipes_of_one_dyno_leave_their_account_balanced() {
    check(|| {
        // Room for one of them; the other has its least window.
        let (account, one) = pipe(LEAST_WINDOW);
        let other = Pipe::new(&account);
        let pipes = [one, other].map(|pipe| {
            thread::spawn(move || {
                write(&pipe, 1).unwrap();
                assert_eq!(pipe.read(FULL).unwrap().len(), FULL);
                pipe.close();
            })
        });
        pipes.into_iter().for_each(|pipe| pipe.join().unwrap());
        assert_eq!(account.used(), 0);
    });
}
