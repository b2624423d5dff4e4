use futures::FutureExt;

use super::*;

/// A handle whose clones can be counted.
type Fake = Arc<&'static str>;
type Pool = Arc<Shared<Fake>>;
/// What the pool wants to have started.
type Started = Arc<Mutex<Vec<Starting<Fake>>>>;

fn pool(max: u32, concurrency: usize) -> (Pool, Started) {
    with_queue(max, concurrency, 10)
}

fn with_queue(max: u32, concurrency: usize, queue: usize) -> (Pool, Started) {
    let started = Started::default();
    let list = Arc::clone(&started);
    let start = move |starting| list.lock().push(starting);
    (Shared::new(Scale { min: 0, max }, queue, concurrency, start), started)
}

/// A request that waits.
type Waiting = std::pin::Pin<Box<dyn Future<Output = Result<Lease<Fake>, Refused>> + Send>>;

fn waiting(pool: &Pool) -> Waiting {
    waiting_for(pool, Duration::ZERO)
}

fn waiting_for(pool: &Pool, patience: Duration) -> Waiting {
    let pool = Arc::clone(pool);
    let mut waiting: Waiting = Box::pin(async move { pool.acquire(patience).await });
    assert!((&mut waiting).now_or_never().is_none());
    waiting
}

fn got(waiting: Waiting) -> Lease<Fake> {
    waiting.now_or_never().expect("its turn").ok().unwrap()
}

fn refused(waiting: Waiting) -> Refused {
    waiting.now_or_never().expect("its turn").err().unwrap()
}

fn now(pool: &Pool) -> Lease<Fake> {
    pool.try_acquire().expect("a free place")
}

fn next(started: &Started) -> Starting<Fake> {
    started.lock().remove(0)
}

/// An instance that is up, and the first request at it.
fn up(pool: &Pool, started: &Started, name: &'static str) -> (Membership<Fake>, Lease<Fake>) {
    let first = waiting(pool);
    let member = next(started).up(Arc::new(name));
    (member, got(first))
}

fn states(pool: &Pool) -> Vec<(u32, DynoState)> {
    pool.dynos().into_iter().map(|(number, state, _)| (number, state)).collect()
}

#[test]
fn one_start_serves_all_that_wait_for_it() {
    let (pool, started) = pool(3, 2);
    let (one, two, three) = (waiting(&pool), waiting(&pool), waiting(&pool));
    assert_eq!(started.lock().len(), 2, "two would not take three requests");
    assert_eq!(states(&pool), [(1, DynoState::Starting), (2, DynoState::Starting)]);
    let first = next(&started);
    assert_eq!(first.number(), 1);
    let _first = first.up(Arc::new("one"));
    let (one, two) = (got(one), got(two));
    assert_eq!((**one.handle(), **two.handle()), ("one", "one"));
    assert!(one.waited_for_start());
    let _second = next(&started).up(Arc::new("two"));
    assert_eq!(got(three).number(), 2);
    assert_eq!(states(&pool), [(1, DynoState::Up), (2, DynoState::Up)]);
}

#[test]
fn the_instance_with_the_fewest_requests_gets_the_next() {
    let (pool, started) = pool(2, 2);
    let (_one, a) = up(&pool, &started, "one");
    let b = now(&pool);
    assert!(!b.waited_for_start());
    assert!(pool.try_acquire().is_none(), "it has as many as it may");
    let (_two, c) = up(&pool, &started, "two");
    assert_eq!(**now(&pool).handle(), "two");
    drop((a, b));
    let d = now(&pool);
    assert_eq!(**d.handle(), "one");
    assert_eq!(pool.usage(), Usage { busy: 2, idle: 0, queued: 0 });
    drop(c);
    assert_eq!(pool.usage(), Usage { busy: 1, idle: 1, queued: 0 });
}

#[test]
fn at_the_limit_requests_wait_in_order_and_the_queue_is_bounded() {
    let (pool, started) = with_queue(1, 1, 2);
    let (_member, lease) = up(&pool, &started, "one");
    let (first, second) = (waiting(&pool), waiting(&pool));
    assert!(started.lock().is_empty());
    let refused = pool.acquire(Duration::ZERO).now_or_never().unwrap().err();
    assert_eq!(refused, Some(Refused::QueueFull));
    drop(lease);
    let lease = got(first);
    assert!(!lease.waited_for_start());
    drop(second);
    let third = waiting(&pool);
    drop(lease);
    got(third);
    assert_eq!(pool.usage(), Usage { busy: 0, idle: 1, queued: 0 });
}

#[test]
fn a_place_that_nobody_picked_up_goes_on() {
    let (pool, started) = pool(1, 1);
    let (_member, lease) = up(&pool, &started, "one");
    let (first, second) = (waiting(&pool), waiting(&pool));
    drop(lease);
    drop(first);
    got(second);
}

#[tokio::test(start_paused = true)]
async fn where_starting_takes_long_a_busy_instance_is_waited_for() {
    let (pool, started) = pool(2, 1);
    let patience = Duration::from_millis(20);
    let first = waiting_for(&pool, patience);
    let _one = next(&started).up(Arc::new("one"));
    let lease = got(first);
    let mut second = waiting_for(&pool, patience);
    assert!(started.lock().is_empty());
    tokio::time::advance(patience * 2).await;
    assert!((&mut second).now_or_never().is_none());
    let _two = next(&started).up(Arc::new("two"));
    assert_eq!(got(second).number(), 2);
    drop(lease);
}

#[test]
fn who_waited_for_what_did_not_start_is_told() {
    let (pool, started) = pool(1, 2);
    let (one, two, three) = (waiting(&pool), waiting(&pool), waiting(&pool));
    next(&started).failed(HCode::H10, true);
    assert_eq!(refused(one), Refused::NotStarted(HCode::H10));
    assert_eq!(refused(two), Refused::NotStarted(HCode::H10));
    assert_eq!(states(&pool), [(1, DynoState::Starting)], "the third gets a start of its own");
    drop(next(&started));
    assert_eq!(refused(three), Refused::NotStarted(HCode::H99), "its task is gone");
    assert!(pool.dynos().is_empty());
}

#[test]
fn a_start_that_fails_beside_others_fails_nobody() {
    let (pool, started) = pool(2, 1);
    let (_member, lease) = up(&pool, &started, "one");
    let second = waiting(&pool);
    next(&started).failed(HCode::H10, true);
    assert_eq!(states(&pool), [(1, DynoState::Up), (2, DynoState::Crashed)]);
    assert!(started.lock().is_empty(), "the next request tries again");
    drop(lease);
    assert_eq!(**got(second).handle(), "one");
}

#[test]
fn what_died_gets_no_requests_and_is_replaced_for_those_that_wait() {
    let (pool, started) = pool(1, 1);
    let (member, lease) = up(&pool, &started, "one");
    let second = waiting(&pool);
    member.crashed();
    assert!(pool.try_acquire().is_none());
    let _member = next(&started).up(Arc::new("two"));
    let second = got(second);
    assert_eq!((**second.handle(), second.number()), ("two", 1));
    drop(lease);
    assert!(pool.try_acquire().is_none(), "a place at the dead one is none at the new one");
    drop(second);
    now(&pool);
}

#[test]
fn a_crash_shows_until_a_request_starts_it_again() {
    let (pool, started) = pool(1, 1);
    let _ = pool.rescale(Scale { min: 1, max: 1 });
    pool.keep_minimum();
    let member = next(&started).up(Arc::new("one"));
    assert!(!pool.is_quiet());
    member.crashed();
    assert_eq!(states(&pool), [(1, DynoState::Crashed)]);
    pool.keep_minimum();
    assert!(started.lock().is_empty());
    assert!(pool.is_quiet());
    let (_member, lease) = up(&pool, &started, "two");
    drop(lease);
    assert_eq!(states(&pool), [(1, DynoState::Up)]);
}

#[test]
fn what_ends_without_a_crash_is_started_again_for_the_minimum() {
    let (pool, started) = pool(2, 1);
    let _ = pool.rescale(Scale { min: 2, max: 2 });
    pool.keep_minimum();
    pool.keep_minimum();
    assert_eq!(started.lock().len(), 2);
    let member = next(&started).up(Arc::new("one"));
    drop(member);
    pool.keep_minimum();
    assert_eq!(started.lock().len(), 2);
}

#[test]
fn a_replaced_instance_ends_with_its_last_request() {
    let (pool, started) = pool(1, 3);
    let (_member, first) = up(&pool, &started, "one");
    let second = now(&pool);
    let handle = Arc::downgrade(first.handle());
    let left = pool.restart(Some(1));
    assert_eq!(left.len(), 1, "somebody may want to give it a time");
    drop(left);
    let (_other, third) = up(&pool, &started, "two");
    assert_eq!((**third.handle(), third.number()), ("two", 1));
    drop(first);
    assert!(handle.upgrade().is_some());
    drop(second);
    assert!(handle.upgrade().is_none());
    assert!(pool.restart(Some(7)).is_empty());
    drop(third);
    assert!(pool.restart(None).is_empty(), "it was idle");
    assert!(pool.dynos().is_empty());
}

#[test]
fn a_request_can_have_its_instance_replaced() {
    let (pool, started) = pool(1, 2);
    let (member, lease) = up(&pool, &started, "one");
    let handle = Arc::downgrade(lease.handle());
    lease.replace();
    assert!(pool.try_acquire().is_none());
    let (_member, other) = up(&pool, &started, "two");
    lease.replace();
    drop(member);
    assert_eq!(states(&pool), [(1, DynoState::Up)], "its successor is not touched");
    drop(lease);
    assert!(handle.upgrade().is_none());
    drop(other);
}

#[test]
fn what_is_restarted_while_it_starts_is_not_wanted_any_more() {
    let (pool, started) = pool(1, 1);
    let first = waiting(&pool);
    assert!(pool.restart(None).is_empty());
    assert_eq!(started.lock().len(), 2, "who waits gets another start");
    let handle = Arc::new("old");
    let old = next(&started).up(Arc::clone(&handle));
    assert_eq!(Arc::strong_count(&handle), 1);
    let _new = next(&started).up(Arc::new("new"));
    drop(old);
    assert_eq!(**got(first).handle(), "new");
}

#[test]
fn fewer_slots_let_idle_instances_go_first() {
    let (pool, started) = pool(3, 1);
    let (_one, a) = up(&pool, &started, "one");
    let (_two, b) = up(&pool, &started, "two");
    let (_three, c) = up(&pool, &started, "three");
    drop(b);
    let left = pool.rescale(Scale { min: 0, max: 1 });
    assert_eq!(left.iter().map(|left| **left).collect::<Vec<_>>(), ["three"]);
    assert_eq!(states(&pool), [(1, DynoState::Up)]);
    drop((a, c));
    assert_eq!(**now(&pool).handle(), "one");
}

#[test]
fn more_slots_start_instances_for_those_that_wait() {
    let (pool, started) = pool(1, 1);
    let (_one, lease) = up(&pool, &started, "one");
    let second = waiting(&pool);
    assert!(pool.rescale(Scale { min: 0, max: 2 }).is_empty());
    let _two = next(&started).up(Arc::new("two"));
    assert_eq!(got(second).number(), 2);
    drop(lease);
}

#[test]
fn off_refuses_also_those_that_wait() {
    let (pool, started) = pool(1, 1);
    let (_one, lease) = up(&pool, &started, "one");
    let second = waiting(&pool);
    assert_eq!(pool.rescale(Scale { min: 0, max: 0 }).len(), 1);
    assert_eq!(refused(second), Refused::Off);
    assert!(pool.try_acquire().is_none());
    let refused = pool.acquire(Duration::ZERO).now_or_never().unwrap().err();
    assert_eq!(refused, Some(Refused::Off));
    drop(lease);
    assert!(pool.dynos().is_empty());
}

#[test]
fn a_retired_pool_serves_who_waits_and_keeps_nothing() {
    let (pool, started) = pool(1, 1);
    let (_member, lease) = up(&pool, &started, "one");
    let handle = Arc::downgrade(lease.handle());
    let second = waiting(&pool);
    pool.retire();
    drop(lease);
    drop(got(second));
    assert!(handle.upgrade().is_none());
    assert!(pool.is_quiet());
    let (_member, late) = up(&pool, &started, "two");
    drop(late);
    assert!(pool.dynos().is_empty(), "it was for a request that found the pool before the switch");
}

#[tokio::test(start_paused = true)]
async fn idle_instances_end_with_age_down_to_the_minimum() {
    let (pool, started) = pool(3, 1);
    let _ = pool.rescale(Scale { min: 1, max: 3 });
    let (_one, a) = up(&pool, &started, "one");
    let (_two, b) = up(&pool, &started, "two");
    assert_eq!(pool.idle_since(), None);
    let old = Arc::downgrade(a.handle());
    drop(a);
    let since = Some(Instant::now());
    tokio::time::advance(Duration::from_secs(30)).await;
    drop(b);
    assert_eq!(pool.idle_since(), since);
    pool.reap(Duration::from_secs(60));
    assert!(old.upgrade().is_some());
    tokio::time::advance(Duration::from_secs(40)).await;
    pool.reap(Duration::from_secs(60));
    assert!(old.upgrade().is_none());
    assert_eq!(states(&pool), [(2, DynoState::Up)]);
    tokio::time::advance(Duration::from_secs(90)).await;
    pool.reap(Duration::from_secs(60));
    assert_eq!(states(&pool), [(2, DynoState::Up)]);
    assert!(pool.evict(), "another app may need the place");
    assert!(!pool.evict());
}

#[tokio::test]
async fn drained_is_when_the_last_request_is_given_back() {
    let (pool, started) = pool(1, 1);
    pool.drained().await;
    let (_member, lease) = up(&pool, &started, "one");
    let second = waiting(&pool);
    let mut drained = Box::pin(pool.drained());
    assert!((&mut drained).now_or_never().is_none());
    lease.replace();
    drop(lease);
    assert!((&mut drained).now_or_never().is_none(), "one waits");
    let _member = next(&started).up(Arc::new("two"));
    drop(got(second));
    drained.await;
}
