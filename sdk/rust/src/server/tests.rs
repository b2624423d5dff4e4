use std::pin::pin;
use std::task::{Context, Poll, Waker};

use wstd::http::HeaderValue;

use super::*;

/// The text of a body that is all there. A body that waits would need a host.
fn text(response: Response<Body>) -> String {
    let mut body = response.into_body();
    let mut contents = pin!(body.str_contents());
    match contents.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(text) => text.unwrap().to_owned(),
        Poll::Pending => unreachable!("the body is complete"),
    }
}

#[test]
fn a_response_is_passed_on() {
    let mut response = Response::new("Hello");
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert("x-kept", HeaderValue::from_static("yes"));
    let answer = answer(Ok::<_, Error>(response));
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["x-kept"], "yes");
    assert_eq!(text(answer), "Hello");
}

#[test]
fn headers_of_the_connection_are_left_out() {
    let mut response = Response::new("");
    for name in HOST_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static("x"));
    }
    assert!(answer(Ok::<_, Error>(response)).headers().is_empty());
}

#[test]
fn an_error_is_a_500_that_tells_the_client_nothing() {
    let error = std::io::Error::other("postgres://user:secret@db");
    let answer = answer(Err::<Response<Body>, _>(error));
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(answer), "Internal Server Error\n");
}
