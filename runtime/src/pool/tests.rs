use futures::FutureExt;

use super::*;

fn pool(max: u32, queue: usize) -> Arc<Pool<&'static str>> {
    Pool::new(Scale { min: 0, max }, queue)
}

/// A lease that is to be had at once.
fn now(pool: &Arc<Pool<&'static str>>) -> Lease<&'static str> {
    pool.acquire(Duration::ZERO).now_or_never().expect("a free slot").ok().unwrap()
}

#[test]
fn numbers_are_the_lowest_free_and_instances_are_reused() {
    let pool = pool(3, 10);
    let mut first = now(&pool);
    let second = now(&pool);
    assert_eq!((first.number(), second.number()), (1, 2));
    first.put("one");
    drop(first);
    let mut again = now(&pool);
    assert_eq!((again.number(), again.take()), (1, Some("one")));
    drop(again);
    assert_eq!(now(&pool).number(), 1, "an instance that was not put back frees its number");
}

#[test]
fn the_instance_used_last_goes_out_first() {
    let pool = pool(3, 10);
    let (mut one, mut two) = (now(&pool), now(&pool));
    one.put("one");
    two.put("two");
    drop(two);
    drop(one);
    assert_eq!(now(&pool).take(), Some("one"));
}

#[tokio::test]
async fn waiters_are_served_in_order_and_the_queue_is_bounded() {
    let pool = pool(1, 2);
    let mut lease = now(&pool);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut acquire = Box::pin(pool.acquire(Duration::ZERO));
        assert!((&mut acquire).now_or_never().is_none());
        waiting.push(acquire);
    }
    assert_eq!(
        pool.acquire(Duration::ZERO).now_or_never().unwrap().err(),
        Some(Refused::QueueFull)
    );

    lease.put("one");
    drop(lease);
    let second = waiting.pop().unwrap();
    let mut lease = waiting.pop().unwrap().await.ok().unwrap();
    assert_eq!(lease.take(), Some("one"));
    drop(lease);
    let lease = second.await.ok().unwrap();
    assert_eq!(lease.number(), 1);
    assert!(lease.instance.is_none());
}

#[tokio::test]
async fn clients_that_gave_up_are_skipped_and_take_no_room() {
    let pool = pool(1, 1);
    let mut lease = now(&pool);
    let mut gone = Box::pin(pool.acquire(Duration::ZERO));
    assert!((&mut gone).now_or_never().is_none());
    drop(gone);
    let mut stays = Box::pin(pool.acquire(Duration::ZERO));
    assert!((&mut stays).now_or_never().is_none(), "the one that gave up is not counted");
    lease.put("one");
    drop(lease);
    assert_eq!(stays.await.ok().unwrap().take(), Some("one"));
}

#[tokio::test]
async fn a_lease_that_nobody_picked_up_goes_on() {
    let pool = pool(1, 2);
    let mut lease = now(&pool);
    let mut first = Box::pin(pool.acquire(Duration::ZERO));
    let mut second = Box::pin(pool.acquire(Duration::ZERO));
    assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
    lease.put("one");
    drop(lease);
    drop(first);
    assert_eq!(second.await.ok().unwrap().take(), Some("one"));
}

#[tokio::test]
async fn off_refuses_also_those_that_wait() {
    let pool = pool(1, 2);
    let lease = now(&pool);
    let mut waiting = Box::pin(pool.acquire(Duration::ZERO));
    assert!((&mut waiting).now_or_never().is_none());
    pool.rescale(Scale { min: 0, max: 0 });
    assert_eq!(waiting.await.err(), Some(Refused::Off));
    assert_eq!(pool.acquire(Duration::ZERO).await.err(), Some(Refused::Off));
    drop(lease);
    assert!(pool.dynos().is_empty());
}

#[test]
fn fewer_slots_end_idle_instances_and_those_that_come_back() {
    let pool = pool(3, 1);
    let (mut one, mut two, mut three) = (now(&pool), now(&pool), now(&pool));
    one.put("one");
    two.put("two");
    three.put("three");
    drop(two);
    drop(one);
    pool.rescale(Scale { min: 0, max: 1 });
    let numbers = |pool: &Pool<&str>| pool.dynos().iter().map(|dyno| dyno.0).collect::<Vec<_>>();
    assert_eq!(numbers(&pool), [1, 3], "2 was idle, 3 still serves");
    drop(three);
    assert_eq!(numbers(&pool), [1], "the highest numbers end, as on Heroku");
    assert_eq!(now(&pool).take(), Some("one"));
}

#[tokio::test]
async fn a_retired_pool_serves_who_waits_and_keeps_nothing() {
    let pool = pool(1, 2);
    let mut lease = now(&pool);
    let mut waiting = Box::pin(pool.acquire(Duration::ZERO));
    assert!((&mut waiting).now_or_never().is_none());
    pool.retire();
    lease.put("one");
    drop(lease);
    let mut lease = waiting.await.ok().unwrap();
    assert_eq!(lease.take(), Some("one"));
    lease.put("one");
    drop(lease);
    assert!(pool.dynos().is_empty());
    assert!(now(&pool).take().is_none(), "a request that found the pool before the switch");
}

#[tokio::test(start_paused = true)]
async fn idle_instances_end_with_age_down_to_the_minimum() {
    let pool = pool(3, 1);
    pool.rescale(Scale { min: 1, max: 3 });
    let (mut one, mut two) = (now(&pool), now(&pool));
    one.put("one");
    two.put("two");
    drop(one);
    tokio::time::advance(Duration::from_secs(30)).await;
    drop(two);
    pool.reap(Duration::from_secs(60));
    assert_eq!(pool.dynos().len(), 2);
    tokio::time::advance(Duration::from_secs(40)).await;
    pool.reap(Duration::from_secs(60));
    assert_eq!(now(&pool).take(), Some("two"), "the younger one stays");
    tokio::time::advance(Duration::from_secs(90)).await;
    pool.reap(Duration::from_secs(60));
    assert_eq!(pool.dynos().len(), 0, "the lease above was given back empty");
    let mut minimum = pool.acquire_for_minimum().unwrap();
    assert!(pool.acquire_for_minimum().is_none());
    minimum.put("kept");
    drop(minimum);
    tokio::time::advance(Duration::from_secs(90)).await;
    pool.reap(Duration::from_secs(60));
    assert_eq!(pool.dynos().len(), 1);
    assert!(pool.evict(), "another app may need the place");
    assert!(!pool.evict());
}

#[test]
fn states_follow_the_life_of_a_dyno() {
    let pool = pool(2, 1);
    let states = || pool.dynos().into_iter().map(|(at, state, _)| (at, state)).collect::<Vec<_>>();
    let lease = now(&pool);
    assert_eq!(states(), [(1, DynoState::Starting)]);
    lease.mark_up();
    assert_eq!(states(), [(1, DynoState::Up)]);
    lease.mark_crashed();
    drop(lease);
    assert_eq!(states(), [(1, DynoState::Crashed)]);
    let lease = now(&pool);
    assert_eq!(states(), [(1, DynoState::Starting)]);
    drop(lease);
    assert_eq!(states(), []);
}

#[test]
fn restart_ends_idle_instances_and_marks_busy_ones() {
    let pool = pool(3, 1);
    let (mut one, mut two) = (now(&pool), now(&pool));
    one.put("one");
    two.put("two");
    drop(one);
    pool.restart(Some(2));
    drop(two);
    let mut lease = now(&pool);
    assert_eq!((lease.number(), lease.take()), (1, Some("one")), "only the named one is ended");
    lease.put("one");
    drop(lease);
    pool.restart(None);
    assert!(pool.dynos().is_empty());
    let mut lease = now(&pool);
    lease.put("fresh");
    drop(lease);
    assert_eq!(now(&pool).take(), Some("fresh"));
}

#[test]
fn what_crashed_is_started_by_requests_only() {
    let pool = pool(2, 1);
    pool.rescale(Scale { min: 1, max: 2 });
    let lease = pool.acquire_for_minimum().unwrap();
    lease.mark_crashed();
    drop(lease);
    assert!(pool.acquire_for_minimum().is_none());
    drop(now(&pool));
    assert!(pool.acquire_for_minimum().is_some());
}

#[tokio::test(start_paused = true)]
async fn where_starting_takes_long_a_busy_instance_is_waited_for() {
    let pool = pool(2, 10);
    let patience = Duration::from_millis(20);
    let mut first = pool.acquire(patience).now_or_never().unwrap().ok().unwrap();
    let mut waiting = Box::pin(pool.acquire(patience));
    assert!((&mut waiting).now_or_never().is_none());
    first.put("one");
    drop(first);
    let first = waiting.await.ok().unwrap();
    assert_eq!(first.instance, Some("one"));

    let before = Instant::now();
    let second = pool.acquire(patience).await.ok().unwrap();
    assert_eq!(second.number(), 2);
    assert!(second.instance.is_none());
    assert!(before.elapsed() >= patience);
    let mut waiting = Box::pin(pool.acquire(patience));
    assert!((&mut waiting).now_or_never().is_none());
    tokio::time::advance(patience * 2).await;
    assert!((&mut waiting).now_or_never().is_none(), "no third slot");
    drop(first);
    assert_eq!(waiting.await.ok().unwrap().number(), 1);
}
