use futures::FutureExt;
use http_body_util::{BodyExt, StreamBody};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink},
};

use super::*;
use crate::request_log::RequestInfo;

#[derive(Default)]
struct Memory(Mutex<Vec<String>>);

impl LogSink for Memory {
    fn write(&self, line: LogLine) {
        self.0.lock().push(line.text);
    }
}

type Part = Result<Frame<Bytes>, WasiError>;

struct Fixture {
    log: Arc<Memory>,
    exchange: Arc<Exchange>,
    /// The guest's end; dropping it ends the body as dropping a store does.
    guest: mpsc::UnboundedSender<Part>,
    body: ResponseBody,
}

fn fixture(announced: Option<u64>) -> Fixture {
    let log = Arc::new(Memory::default());
    let info = RequestInfo {
        method: http::Method::GET,
        target: None,
        host: http::HeaderValue::from_static("h"),
        request_id: http::HeaderValue::from_static("i"),
        fwd: http::HeaderValue::from_static("f"),
        protocol: "http",
    };
    let request_log = RequestLog::of(log.clone(), info, 10_000);
    let exchange = Arc::new(Exchange::new(&Limits::default()));
    let (guest, mut parts) = mpsc::unbounded_channel();
    let stream = futures::stream::poll_fn(move |cx| parts.poll_recv(cx));
    let inner = StreamBody::new(stream).boxed_unsync();
    let body = ResponseBody::new(inner, Arc::clone(&exchange), request_log, 200, announced);
    Fixture { log, exchange, guest, body }
}

fn data(text: &'static str) -> Part {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn lines(log: &Memory) -> Vec<String> {
    log.0.lock().clone()
}

#[tokio::test]
async fn a_whole_body_is_logged_once_with_its_bytes() {
    let Fixture { log, guest, body, exchange } = fixture(None);
    guest.send(data("hello")).unwrap();
    guest.send(data(" world")).unwrap();
    drop(guest);
    let collected = body.collect().await.unwrap().to_bytes();
    assert_eq!(collected, "hello world");
    let lines = lines(&log);
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("at=info ") && lines[0].contains(" status=200 bytes=11 "));
    assert!(exchange.is_over());
}

#[tokio::test]
async fn a_trap_in_the_middle_cuts_the_body() {
    let Fixture { log, guest, body, exchange } = fixture(None);
    guest.send(data("hel")).unwrap();
    exchange.fail(HCode::H18);
    drop(guest);
    assert!(body.collect().await.is_err());
    assert!(lines(&log)[0].starts_with("at=error code=H18 "), "{:?}", lines(&log));
}

#[tokio::test]
async fn a_guest_that_returns_without_finishing_cuts_the_body() {
    let Fixture { log, guest, body, exchange } = fixture(None);
    guest.send(data("hel")).unwrap();
    let mut collect = Box::pin(body.collect());
    assert!((&mut collect).now_or_never().is_none());
    exchange.guest_returned();
    assert!(collect.await.is_err());
    assert_eq!(lines(&log).len(), 1);
    drop(guest);
}

#[tokio::test]
async fn a_client_that_goes_away_is_h27() {
    let Fixture { log, guest, body, exchange } = fixture(Some(5));
    guest.send(data("hel")).unwrap();
    let mut body = Box::pin(body);
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    assert!(lines(&log)[0].starts_with("at=error code=H27 "));
    assert!(lines(&log)[0].contains(" status=499 bytes=3 "));
    assert!(exchange.is_over());
}

#[tokio::test]
async fn all_announced_bytes_are_a_whole_body() {
    let Fixture { log, guest, body, .. } = fixture(Some(5));
    guest.send(data("hello")).unwrap();
    let mut body = Box::pin(body);
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    assert!(lines(&log)[0].starts_with("at=info "));
}

#[tokio::test]
async fn head_reads_the_body_and_counts_nothing() {
    let Fixture { log, guest, body, .. } = fixture(Some(5));
    guest.send(data("hello")).unwrap();
    drop(guest);
    body.discard().await;
    assert!(lines(&log)[0].contains(" status=200 bytes=0 "));
}

#[tokio::test]
async fn trailers_are_the_end_even_if_nobody_asks_for_more() {
    let Fixture { log, guest, body, .. } = fixture(None);
    guest.send(data("hello")).unwrap();
    guest.send(Ok(Frame::trailers(http::HeaderMap::new()))).unwrap();
    let mut body = Box::pin(body);
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert!(body.frame().await.unwrap().unwrap().is_trailers());
    drop(body);
    assert!(lines(&log)[0].starts_with("at=info "), "{:?}", lines(&log));
}

#[tokio::test]
async fn more_than_announced_is_not_sent() {
    let Fixture { log, guest, body, exchange } = fixture(Some(5));
    guest.send(data("hel")).unwrap();
    guest.send(data("lo world")).unwrap();
    guest.send(Err(WasiError::HttpProtocolError)).unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    assert!(lines(&log)[0].contains(" status=200 bytes=5 "), "{:?}", lines(&log));
    assert!(exchange.is_over());
}
