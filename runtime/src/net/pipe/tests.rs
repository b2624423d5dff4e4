use std::{
    collections::HashSet,
    sync::atomic::AtomicU64,
    task::{Context, Wake},
};

use bytes::Bytes;

use super::{
    queue::{LEAST_WINDOW, PIECE_BYTES},
    sync::{Arc, Ordering},
    *,
};

const WINDOW: usize = 16 * 1024;

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Bell {
    fn rung(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn readable(pipe: &Pipe, bell: &Arc<Bell>) -> bool {
    pipe.poll_readable(&mut Context::from_waker(&Arc::clone(bell).into())).is_ready()
}

fn writable(pipe: &Pipe, bell: &Arc<Bell>) -> bool {
    pipe.poll_writable(&mut Context::from_waker(&Arc::clone(bell).into())).is_ready()
}

fn put(pipe: &Pipe, bytes: &'static [u8]) {
    assert!(pipe.grant().unwrap() >= bytes.len());
    pipe.write(Bytes::from_static(bytes)).unwrap().unwrap();
}

#[test]
fn bytes_come_out_as_they_went_in_and_then_the_end() {
    let account = Account::new(WINDOW, 1 << 20);
    let (pipe, bell) = (Pipe::new(&account), Arc::new(Bell::default()));
    assert!(!readable(&pipe, &bell));
    put(&pipe, b"hello");
    assert_eq!(bell.rung(), 1);
    put(&pipe, b"world");
    pipe.end(End::Clean);
    pipe.end(End::Reset);
    assert_eq!(pipe.read(2).unwrap(), "he");
    assert_eq!(pipe.read(100).unwrap(), "llo");
    assert_eq!(pipe.read(100).unwrap(), "world");
    assert_eq!(pipe.read(100), Err(Ended::Clean));
    assert_eq!(pipe.grant(), Err(Broken::Closed));
    assert_eq!(account.used(), 0);
}

#[test]
fn a_reset_takes_what_was_not_read() {
    let account = Account::new(WINDOW, 1 << 20);
    let (pipe, bell) = (Pipe::new(&account), Arc::new(Bell::default()));
    put(&pipe, b"half");
    pipe.end(End::Reset);
    assert!(readable(&pipe, &bell) && writable(&pipe, &bell));
    assert_eq!(pipe.read(100), Err(Ended::Reset));
    assert_eq!(pipe.grant(), Err(Broken::Reset));
    assert_eq!(account.used(), 0);
}

#[test]
fn what_a_dead_dyno_closes_is_a_reset_and_what_it_closed_before_is_not() {
    let account = Account::new(WINDOW, 1 << 20);
    let (before, after) = (Pipe::new(&account), Pipe::new(&account));
    put(&before, b"whole");
    before.close();
    put(&after, b"half");
    account.kill();
    before.close();
    after.close();
    assert_eq!(before.read(100).unwrap(), "whole");
    assert_eq!(before.read(100), Err(Ended::Clean));
    assert_eq!(after.read(100), Err(Ended::Reset));
}

#[test]
fn a_reader_that_leaves_breaks_the_writer_and_one_that_discards_does_not() {
    let account = Account::new(WINDOW, 1 << 20);
    let (pipe, bell) = (Pipe::new(&account), Arc::new(Bell::default()));
    while pipe.grant().unwrap() > 0 {
        let all = vec![0; pipe.grant().unwrap()];
        pipe.write(all.into()).unwrap().unwrap();
    }
    assert!(!writable(&pipe, &bell));
    pipe.discard();
    assert_eq!((bell.rung(), account.used()), (1, 0));
    for _ in 0..100 {
        let all = vec![0; pipe.grant().unwrap()];
        pipe.write(all.into()).unwrap().unwrap();
    }
    assert_eq!(account.used(), 0);
    assert_eq!(pipe.read(1), Err(Ended::Clean));
    pipe.leave();
    assert_eq!(pipe.grant(), Err(Broken::Reset));
    assert_eq!(pipe.write(Bytes::from_static(b"x")), Some(Err(Broken::Reset)));
}

#[test]
fn writing_more_than_granted_is_refused() {
    let account = Account::new(WINDOW, 1 << 20);
    let pipe = Pipe::new(&account);
    assert_eq!(pipe.write(Bytes::from_static(b"x")), None);
    let granted = pipe.grant().unwrap();
    assert_eq!(pipe.write(vec![0; granted + 1].into()), None);
    assert_eq!(pipe.write(vec![0; granted].into()), Some(Ok(())));
    assert_eq!(pipe.write(Bytes::from_static(b"x")), None);
}

#[test]
fn single_bytes_fill_the_window_with_their_bookkeeping() {
    let account = Account::new(WINDOW, 1 << 20);
    let pipe = Pipe::new(&account);
    let mut pieces = 0;
    while pipe.grant().unwrap() > 0 {
        put(&pipe, b"x");
        pieces += 1;
    }
    assert!(pieces <= WINDOW / PIECE_BYTES, "{pieces}");
}

#[test]
fn memory_counts_until_its_last_byte_is_read() {
    let account = Account::new(WINDOW, 1 << 20);
    let pipe = Pipe::new(&account);
    pipe.grant().unwrap();
    pipe.write(vec![0; 1000].into()).unwrap().unwrap();
    assert_eq!(pipe.read(999).unwrap().len(), 999);
    assert_eq!(account.used(), 1000 + PIECE_BYTES);
    assert_eq!(pipe.read(999).unwrap().len(), 1);
    assert_eq!(account.used(), 0);
}

#[test]
fn an_overdrawn_account_leaves_each_pipe_its_least_window() {
    let limit = 4 * WINDOW;
    let account = Account::new(WINDOW, limit);
    let pipes: Vec<_> = (0..100).map(|_| Pipe::new(&account)).collect();
    // The attack: hold grants on all of them, then fill them all.
    for pipe in &pipes {
        assert!(pipe.grant().unwrap() > 0);
    }
    assert!(account.used() <= limit + WINDOW + 100 * LEAST_WINDOW, "{}", account.used());
    for pipe in &pipes {
        while pipe.grant().unwrap() > 0 {
            let all = vec![0; pipe.grant().unwrap()];
            pipe.write(all.into()).unwrap().unwrap();
        }
    }
    assert!(account.used() <= limit + WINDOW + 100 * LEAST_WINDOW, "{}", account.used());
    let (last, bell) = (pipes.last().unwrap(), Arc::new(Bell::default()));
    assert!(!writable(last, &bell));
    assert!(!last.read(usize::MAX).unwrap().is_empty());
    assert_eq!(bell.rung(), 1, "its own reader makes room for it");
    assert!(writable(last, &bell));
    drop(pipes);
    assert_eq!(account.used(), 0);
}

/// A small generator of pseudo-random numbers (xorshift), so that a failure can be run again.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[test]
fn no_interleaving_loses_bytes_or_wakeups() {
    let mut ends = HashSet::new();
    for seed in 1..=2000_u64 {
        let dice = &mut Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let account = Account::new(LEAST_WINDOW, if seed % 2 == 0 { 1 << 20 } else { 0 });
        let pipe = Pipe::new(&account);
        let (reader, writer) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
        let (mut written, mut read) = (0_usize, 0_usize);
        // What was promised to each side by `Pending`: at how many rings it went to sleep.
        let (mut reader_sleeps, mut writer_sleeps) = (None, None);
        let mut end = None;
        for _ in 0..200 {
            match dice.throw(20) {
                0..=7 if end.is_none() => {
                    if writable(&pipe, &writer) {
                        let granted = pipe.grant().unwrap();
                        assert!(granted > 0, "seed {seed}: ready without room");
                        let size = 1 + dice.throw(granted as u64) as usize;
                        let bytes = (written..written + size).map(|at| at as u8).collect();
                        pipe.write(bytes).unwrap().unwrap();
                        written += size;
                        writer_sleeps = None;
                    } else {
                        writer_sleeps = Some(writer.rung());
                    }
                }
                8..=17 => {
                    if readable(&pipe, &reader) {
                        let most = 1 + dice.throw(3000) as usize;
                        match pipe.read(most) {
                            Ok(bytes) => {
                                assert!(!bytes.is_empty(), "seed {seed}: ready without bytes");
                                assert!(bytes.len() <= most);
                                for byte in bytes {
                                    assert_eq!(byte, read as u8, "seed {seed}");
                                    read += 1;
                                }
                            }
                            Err(Ended::Clean) => {
                                assert_eq!((end, read), (Some(End::Clean), written), "seed {seed}");
                            }
                            Err(Ended::Reset) => assert_eq!(end, Some(End::Reset), "seed {seed}"),
                        }
                        reader_sleeps = None;
                    } else {
                        assert_eq!((read, end), (written, None), "seed {seed}: asleep on data");
                        reader_sleeps = Some(reader.rung());
                    }
                }
                18 if dice.throw(20) == 0 && end.is_none() => {
                    let how = if dice.throw(2) == 0 { End::Clean } else { End::Reset };
                    pipe.end(how);
                    end = Some(how);
                }
                _ => {}
            }
            if let Some(rung) = reader_sleeps
                && (written > read || end.is_some())
            {
                assert!(reader.rung() > rung, "seed {seed}: the reader was not woken");
            }
            if let Some(rung) = writer_sleeps
                && (pipe.grant().is_err() || pipe.grant().unwrap() > 0)
            {
                assert!(writer.rung() > rung, "seed {seed}: the writer was not woken");
            }
            assert!(account.used() <= 2 * LEAST_WINDOW);
        }
        ends.insert(end.map(|end| end == End::Clean));
        drop(pipe);
        assert_eq!(account.used(), 0, "seed {seed}");
    }
    assert_eq!(ends.len(), 3, "the dice reach all ends");
}
