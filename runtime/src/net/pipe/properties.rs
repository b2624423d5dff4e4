//! The pipe against a plain model of it, over sequences of calls that nobody would think of.

use std::{
    sync::atomic::AtomicU64,
    task::{Context, Poll, Wake},
};

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    queue::GRANT,
    sync::{Arc, Ordering},
    *,
};

const WINDOW: usize = 32 * 1024;

#[derive(Debug, Clone)]
enum Step {
    /// Asks for a grant and writes up to so many bytes.
    Write(usize),
    /// Writes more than was granted.
    Overrun,
    Read(usize),
    Close,
    Reset,
    Discard,
    Leave,
    Kill,
    PollRead,
    PollWrite,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0_usize..100_000).prop_map(Step::Write),
        1 => Just(Step::Overrun),
        8 => (0_usize..100_000).prop_map(Step::Read),
        4 => Just(Step::PollRead),
        4 => Just(Step::PollWrite),
        1 => prop_oneof![
            Just(Step::Close),
            Just(Step::Reset),
            Just(Step::Discard),
            Just(Step::Leave),
            Just(Step::Kill),
        ],
    ]
}

#[derive(Default)]
struct Bell(AtomicU64);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A side that polled in vain: how often it had been woken then.
#[derive(Default)]
struct Waiter {
    bell: Arc<Bell>,
    since: Option<u64>,
}

impl Waiter {
    fn poll(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<()>) -> bool {
        let waker = Arc::clone(&self.bell).into();
        let ready = poll(&mut Context::from_waker(&waker)).is_ready();
        self.since = (!ready).then(|| self.bell.0.load(Ordering::Relaxed));
        ready
    }

    /// Whoever waits and could go on must have been woken.
    fn check(&mut self, poll: impl FnOnce(&mut Context<'_>) -> Poll<()>) {
        let Some(since) = self.since else { return };
        let woken = self.bell.0.load(Ordering::Relaxed) > since;
        // Looking replaces the waker by an equal one.
        let could = self.poll(poll);
        assert!(woken || !could, "somebody sleeps who could go on");
        if !could {
            self.since = Some(since);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn bytes_keep_their_order_nobody_sleeps_for_ever_and_the_account_balances(
        steps in prop::collection::vec(step(), 0..60),
        limit in prop_oneof![Just(usize::MAX), 0_usize..100_000],
    ) {
        let account = Account::new(WINDOW, limit);
        let pipe = Pipe::new(&account);
        // Bytes count up, so that one that is missing, doubled or out of place shows.
        let (mut written, mut read) = (0_usize, 0_usize);
        let (mut end, mut deaf, mut gone, mut killed) = (None, false, false, false);
        let (mut reader, mut writer) = (Waiter::default(), Waiter::default());
        for step in steps {
            match step {
                Step::Write(most) => match pipe.grant() {
                    Ok(granted) => {
                        prop_assert!(end.is_none() && !gone);
                        let length = most.min(granted);
                        let bytes: Bytes = (written..written + length).map(|at| at as u8).collect();
                        prop_assert_eq!(pipe.write(bytes), Some(Ok(())));
                        written += length;
                    }
                    Err(broken) => {
                        let closed = end == Some(End::Clean);
                        let expected = if closed { Broken::Closed } else { Broken::Reset };
                        prop_assert!(end.is_some() || gone);
                        prop_assert_eq!(broken, expected);
                    }
                },
                Step::Overrun => {
                    let granted = pipe.grant().unwrap_or(0);
                    let result = pipe.write(Bytes::from(vec![0; granted + 1]));
                    prop_assert_eq!(result.is_none(), end.is_none() && !gone);
                }
                Step::Read(most) => match pipe.read(most) {
                    Ok(bytes) => {
                        prop_assert!(!deaf && bytes.len() <= most);
                        prop_assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == (read + at) as u8));
                        read += bytes.len();
                    }
                    Err(Ended::Clean) if !deaf => {
                        prop_assert_eq!((end, read), (Some(End::Clean), written));
                    }
                    Err(Ended::Clean) => {}
                    Err(Ended::Reset) => prop_assert!(end == Some(End::Reset) && !deaf),
                },
                Step::Close => {
                    pipe.close();
                    end = end.or(Some(if killed { End::Reset } else { End::Clean }));
                }
                Step::Reset => {
                    pipe.end(End::Reset);
                    end = end.or(Some(End::Reset));
                }
                Step::Discard => {
                    pipe.discard();
                    deaf = true;
                }
                Step::Leave => {
                    pipe.leave();
                    (deaf, gone) = (true, true);
                }
                Step::Kill => {
                    account.kill();
                    killed = true;
                }
                Step::PollRead => {
                    let ready = reader.poll(|cx| pipe.poll_readable(cx));
                    let waits = read == written && end.is_none() && !deaf;
                    prop_assert_eq!(ready, !waits);
                }
                Step::PollWrite => {
                    let ready = writer.poll(|cx| pipe.poll_writable(cx));
                    let can = pipe.grant().map_or(true, |granted| granted > 0);
                    prop_assert_eq!(ready, can);
                }
            }
            reader.check(|cx| pipe.poll_readable(cx));
            writer.check(|cx| pipe.poll_writable(cx));
            prop_assert!(account.used() <= WINDOW + GRANT);
        }
        drop(pipe);
        prop_assert_eq!(account.used(), 0);
    }
}
