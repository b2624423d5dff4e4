//! Routes about bodies and time.

use wasip2::http::types::{Fields, IncomingBody};
use wasip2::io::streams::{InputStream, StreamError};

use crate::http::{CHUNK, Reply, Request, sleep_ms};
use crate::limits;

pub fn headers(request: &Request, mut reply: Reply) {
    let value = "h".repeat(request.number("bytes").unwrap_or(10) as usize);
    for number in 0..request.number("n").unwrap_or(1) {
        reply = reply.header(&format!("x-filler-{number}"), &value);
    }
    reply.text("headers");
}

/// The request's body, read until its end; false when the client broke it off.
fn read(request: &Request, with: impl FnMut(&InputStream) -> Result<(), StreamError>) -> bool {
    read_all(request, with).is_some()
}

/// The same with its trailers, a line each.
fn read_all(
    request: &Request,
    mut with: impl FnMut(&InputStream) -> Result<(), StreamError>,
) -> Option<Vec<String>> {
    let body = request.inner.consume().expect("first call");
    let stream = body.stream().expect("first call");
    let whole = loop {
        match with(&stream) {
            Ok(()) => {}
            Err(StreamError::Closed) => break true,
            Err(StreamError::LastOperationFailed(error)) => {
                eprintln!("body broken off: {}", error.to_debug_string());
                break false;
            }
        }
    };
    drop(stream);
    let future = IncomingBody::finish(body);
    if !whole {
        return None;
    }
    future.subscribe().block();
    let mut lines = Vec::new();
    match future.get() {
        Some(Ok(Ok(Some(trailers)))) => {
            for (name, value) in trailers.entries() {
                lines.push(format!("trailer {name}: {}", String::from_utf8_lossy(&value)));
            }
        }
        Some(Ok(Ok(None))) => {}
        other => eprintln!("no trailers: {other:?}"),
    }
    Some(lines)
}

/// Everything that the guest sees of a request.
pub fn whole(request: &Request, reply: Reply) {
    let mut body = Vec::new();
    let trailers = read_all(request, |stream| {
        body.extend(stream.blocking_read(CHUNK as u64)?);
        Ok(())
    });
    let mut lines = vec![request.describe()];
    lines.push(format!("body: {:?}", String::from_utf8_lossy(&body)));
    match trailers {
        Some(trailers) => lines.extend(trailers),
        None => lines.push("broken off".to_owned()),
    }
    println!("whole {} with {} bytes", request.path(), body.len());
    reply.text(&lines.join("\n"));
}

/// More than the response announces.
pub fn oversized(reply: Reply) {
    let mut body = reply.header("content-length", "5").start();
    body.write(b"helloHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    body.finish(None);
}

pub fn echo(request: &Request, mut reply: Reply) {
    for value in request.inner.headers().get("content-type") {
        reply = reply.header("content-type", &String::from_utf8_lossy(&value));
    }
    let mut body = reply.start();
    let whole = read(request, |stream| {
        let bytes = stream.blocking_read(CHUNK as u64)?;
        if body.write(&bytes) { Ok(()) } else { Err(StreamError::Closed) }
    });
    // Dropping the body without `finish` tells the host that the response is not whole.
    if whole {
        body.finish(None);
    }
}

pub fn upload(request: &Request, reply: Reply) {
    let pause = request.number("ms").unwrap_or(0);
    let mut length = 0;
    read(request, |stream| {
        length += stream.blocking_read(64 * 1024)?.len();
        if pause > 0 {
            sleep_ms(pause);
        }
        Ok(())
    });
    reply.text(&length.to_string());
}

pub fn big(request: &Request, reply: Reply) {
    let mut left = request.number("bytes").unwrap_or(1 << 20) as usize;
    let chunk = vec![b'x'; (request.number("chunk").unwrap_or(CHUNK as u64) as usize).max(1)];
    let mut body = reply.header("content-type", "application/octet-stream").start();
    while left > 0 {
        let size = left.min(chunk.len());
        if !body.write(&chunk[..size]) {
            println!("client gone in the middle of a big body");
            return;
        }
        left -= size;
    }
    body.finish(None);
}

pub fn events(request: &Request, reply: Reply) {
    let mut body = reply.header("content-type", "text/event-stream").start();
    for number in 1..=request.number("n").unwrap_or(3) {
        if number > 1 {
            sleep_ms(request.number("ms").unwrap_or(100));
        }
        if !body.write(format!("data: {number}\n\n").as_bytes()) {
            println!("client gone after {} events", number - 1);
            return;
        }
    }
    body.finish(None);
}

pub fn trailers(reply: Reply) {
    let mut body = reply.header("trailer", "x-checksum").start();
    body.write(b"body");
    let trailers = Fields::new();
    trailers.append("x-checksum", b"4").expect("a plain header");
    body.finish(Some(trailers));
}

pub fn after(request: &Request, reply: Reply) {
    reply.text("answered");
    if request.find("spin").is_some() {
        limits::spin();
    }
    sleep_ms(request.number("ms").unwrap_or(100));
    println!("after done");
}

pub fn partial(request: &Request, reply: Reply) {
    let mut body = reply.header("content-length", "10").start();
    body.write(b"12345");
    match request.text("how").as_str() {
        "trap" => panic!("asked for a trap in the middle of the body"),
        "hang" => loop {
            sleep_ms(60_000);
        },
        _ => body.finish(None),
    }
}
