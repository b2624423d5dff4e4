use futures::FutureExt;
use http_body_util::{BodyExt, Empty};

use super::*;

fn limits() -> Limits {
    Limits {
        first_byte_ms: 30_000,
        idle_ms: 55_000,
        after_response_ms: 10_000,
        ..Limits::default()
    }
}

fn response() -> Response<HyperOutgoingBody> {
    Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync())
}

/// What the router gets, which is there already.
fn outcome(exchange: &Exchange) -> Outcome {
    match exchange.poll_outcome(Waker::noop()) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("no outcome yet"),
    }
}

async fn advance(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn no_first_byte_in_time_is_h12() {
    let exchange = Exchange::new(&limits());
    advance(29).await;
    assert!(!exchange.is_late());
    advance(1).await;
    assert!(exchange.is_late());
    exchange.late().await;
    exchange.fail(exchange.late_code());
    assert_eq!(outcome(&exchange).err(), Some(HCode::H12));
}

#[tokio::test(start_paused = true)]
async fn booting_gets_more_time() {
    let exchange = Exchange::new(&limits());
    exchange.allow_boot(Duration::from_secs(60));
    advance(89).await;
    assert!(!exchange.is_late());
    advance(1).await;
    assert!(exchange.is_late());
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_is_due_after_the_upload() {
    let exchange = Exchange::new(&limits());
    for _ in 0..5 {
        exchange.upload_stalled();
        advance(50).await;
        assert!(!exchange.is_late());
        exchange.upload_moved();
    }
    advance(29).await;
    exchange.upload_stalled();
    exchange.upload_stalled();
    advance(54).await;
    exchange.upload_stalled();
    assert!(!exchange.is_late());
    advance(1).await;
    assert!(exchange.is_late(), "asking again does not move the deadline");
    assert_eq!(exchange.late_code(), HCode::H28);
}

#[tokio::test(start_paused = true)]
async fn every_part_of_the_response_moves_the_deadline() {
    let exchange = Exchange::new(&limits());
    exchange.respond(Ok(response()));
    assert!(outcome(&exchange).is_ok());
    assert!(exchange.responded());
    for _ in 0..5 {
        advance(54).await;
        assert!(!exchange.is_late());
        exchange.response_moved();
    }
    advance(55).await;
    assert!(exchange.is_late());
    assert_eq!(exchange.late_code(), HCode::H15);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_deadline_learns_that_it_came_closer() {
    let exchange = Exchange::new(&limits());
    let exchange = Arc::new(exchange);
    exchange.respond(Ok(response()));
    let mut late = Box::pin(exchange.late());
    assert!((&mut late).now_or_never().is_none());
    exchange.over();
    let before = Instant::now();
    late.await;
    assert!(before.elapsed() <= Duration::from_secs(11));
}

#[tokio::test]
async fn a_failure_after_the_response_cuts_the_body() {
    let exchange = Exchange::new(&limits());
    exchange.respond(Ok(response()));
    assert!(outcome(&exchange).is_ok());
    exchange.fail(HCode::H18);
    assert_eq!(exchange.cut(), Some(HCode::H18));
}

#[tokio::test]
async fn guest_errors_are_told_apart() {
    let error = |text: &str| GuestError::from(ErrorCode::InternalError(Some(text.into())));
    assert_eq!(error("R10 not listening"), GuestError::BootTimeout);
    assert_eq!(error("H10 boom"), GuestError::Crashed);
    assert_eq!(error("boom"), GuestError::Other("boom".into()));
    let exchange = Exchange::new(&limits());
    exchange.respond(Err(ErrorCode::InternalError(Some("H10".into()))));
    assert_eq!(exchange.guest_error(), Some(GuestError::Crashed));
    assert!(!exchange.responded());
}

#[tokio::test]
async fn a_response_that_nobody_waits_for_is_dropped() {
    let exchange = Exchange::new(&limits());
    assert!(exchange.poll_outcome(Waker::noop()).is_pending());
    exchange.over();
    let (guest, router) = tokio::sync::oneshot::channel::<()>();
    let body = http_body_util::StreamBody::new(futures::stream::once(async move {
        router.await.ok();
        Ok(http_body::Frame::data(bytes::Bytes::new()))
    }));
    exchange.respond(Ok(Response::new(body.boxed_unsync())));
    assert!(guest.is_closed(), "the guest's stream must see that its reader is gone");
}
