//! What the server answers.

use std::{pin::pin, process::exit, rc::Rc, task::Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};
use wstd::time::Duration;

use crate::{Shared, stream::Adapter};

type Reply = Response<UnsyncBoxBody<Bytes, std::io::Error>>;

fn text(status: u16, text: impl Into<Bytes>) -> Reply {
    let body = Full::new(text.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// A body whose frames a task sends.
struct Channel(tokio::sync::mpsc::Receiver<std::io::Result<Frame<Bytes>>>);

impl Body for Channel {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(cx)
    }
}

type Sender = tokio::sync::mpsc::Sender<std::io::Result<Frame<Bytes>>>;

fn streamed<F: Future<Output = ()> + 'static>(write: impl FnOnce(Sender) -> F) -> Reply {
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    wstd::runtime::spawn(write(sender)).detach();
    Response::new(Channel(receiver).boxed_unsync())
}

/// A number in the query.
fn number(request: &Request<Incoming>, name: &str, default: u64) -> u64 {
    let query = request.uri().query().unwrap_or_default();
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    value.and_then(|value| value.parse().ok()).unwrap_or(default)
}

async fn pause(ms: u64) {
    wstd::task::sleep(Duration::from_millis(ms)).await;
}

pub async fn route(mut request: Request<Incoming>, shared: Rc<Shared>) -> Reply {
    let is_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        return grpc(request);
    }
    match request.uri().path() {
        "/" => text(200, format!("hello from {}", std::env::var("DYNO").unwrap_or_default())),
        "/headers" => {
            let mut all = format!("{:?} {}\n", request.version(), request.uri());
            for (name, value) in request.headers() {
                all += &format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes()));
            }
            text(200, all)
        }
        "/mode" => text(200, shared.mode.clone()),
        "/connections" => text(200, shared.connections.get().to_string()),
        "/echo" => {
            let kind = request.headers().get(header::CONTENT_TYPE).cloned();
            let body = request.into_body().map_err(std::io::Error::other).boxed_unsync();
            let mut response = Response::new(body);
            if let Some(kind) = kind {
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
        }
        // Reads the body, however long, and says how long it was.
        "/upload" => {
            let mut body = request.into_body();
            let mut bytes = 0;
            while let Some(Ok(frame)) = body.frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
            }
            text(200, bytes.to_string())
        }
        // Answers without reading what comes.
        "/refuse" => text(413, "too much"),
        "/sse" => {
            let (n, ms) = (number(&request, "n", 3), number(&request, "ms", 0));
            let mut response = streamed(move |sender| async move {
                for event in 1..=n {
                    let data = Bytes::from(format!("data: {event}\n\n"));
                    if sender.send(Ok(Frame::data(data))).await.is_err() {
                        println!("client gone");
                        return;
                    }
                    pause(ms).await;
                }
            });
            let kind = "text/event-stream".parse().unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        "/big" => {
            let bytes = number(&request, "bytes", 1 << 20);
            streamed(move |sender| async move {
                let mut left = bytes;
                while left > 0 {
                    let piece = left.min(64 * 1024);
                    left -= piece;
                    let data = Bytes::from(vec![b'x'; piece as usize]);
                    if sender.send(Ok(Frame::data(data))).await.is_err() {
                        println!("client gone");
                        return;
                    }
                }
            })
        }
        "/trailers" => {
            let mut response = streamed(|sender| async move {
                let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"body")))).await;
                let mut trailers = HeaderMap::new();
                trailers.insert("x-sum", "4".parse().unwrap());
                let _ = sender.send(Ok(Frame::trailers(trailers))).await;
            });
            response.headers_mut().insert(header::TRAILER, "x-sum".parse().unwrap());
            response
        }
        // Ends its response before its end.
        "/broken" => streamed(|sender| async move {
            let _ = sender.send(Ok(Frame::data(Bytes::from_static(b"half")))).await;
            pause(10).await;
            let _ = sender.send(Err(std::io::Error::other("broken on purpose"))).await;
        }),
        "/close" => {
            let mut response = text(200, "closing");
            response.headers_mut().insert(header::CONNECTION, "close".parse().unwrap());
            response
        }
        "/hang" => {
            println!("hanging");
            let _gone = Said("a request was given up");
            std::future::pending().await
        }
        "/sleep" => {
            pause(number(&request, "ms", 100)).await;
            text(200, "slept")
        }
        // Answers when `n` requests are here at the same time.
        "/barrier" => {
            let wanted = number(&request, "n", 2);
            shared.at_barrier.set(shared.at_barrier.get() + 1);
            while shared.at_barrier.get() < wanted {
                pause(1).await;
            }
            text(200, "passed")
        }
        "/spin" => {
            println!("spinning");
            loop {
                std::hint::black_box(0);
            }
        }
        "/compute" => {
            let until = std::time::Instant::now()
                + std::time::Duration::from_millis(number(&request, "ms", 20));
            while std::time::Instant::now() < until {
                std::hint::black_box(0);
            }
            text(200, "computed")
        }
        "/exit" => exit(number(&request, "code", 5) as i32),
        "/alloc" => {
            let bytes = vec![1_u8; number(&request, "bytes", 1 << 20) as usize];
            text(200, std::hint::black_box(bytes).len().to_string())
        }
        "/tcp" => text(200, crate::tcp::check()),
        "/ws" => websocket(&mut request),
        "/upgrade" => upgrade(&mut request),
        _ => text(404, "no such route"),
    }
}

/// Says something when it is dropped.
struct Said(&'static str);

impl Drop for Said {
    fn drop(&mut self) {
        println!("{}", self.0);
    }
}

fn switching(protocol: &str) -> Reply {
    let mut response = text(101, "");
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, "upgrade".parse().unwrap());
    headers.insert(header::UPGRADE, protocol.parse().unwrap());
    response
}

/// Echoes messages. `bye` is answered by closing with code 4000.
fn websocket(request: &mut Request<Incoming>) -> Reply {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return text(426, "WebSocket only");
    };
    let accept = derive_accept_key(key.as_bytes());
    let protocol = request.headers().get("sec-websocket-protocol").cloned();
    let upgraded = hyper::upgrade::on(request);
    wstd::runtime::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let stream = Adapter(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        println!("websocket open");
        while let Some(message) = socket.next().await {
            let sent = match message {
                Ok(message) if message.to_text().is_ok_and(|text| text == "bye") => {
                    use tokio_tungstenite::tungstenite::protocol::CloseFrame;
                    let frame = CloseFrame { code: 4000.into(), reason: "as you wish".into() };
                    socket.close(Some(frame)).await
                }
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).await,
                Ok(Message::Close(frame)) => {
                    println!("websocket closed by its client: {:?}", frame.map(|frame| frame.code));
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(error) => {
                    println!("websocket failed: {error}");
                    return;
                }
            };
            if sent.is_err() {
                break;
            }
        }
        println!("websocket done");
    })
    .detach();
    let mut response = switching("websocket");
    response.headers_mut().insert("sec-websocket-accept", accept.parse().unwrap());
    if let Some(protocol) = protocol {
        response.headers_mut().insert("sec-websocket-protocol", protocol);
    }
    response
}

/// Another protocol: echoes bytes in upper case.
fn upgrade(request: &mut Request<Incoming>) -> Reply {
    let Some(protocol) = request.headers().get(header::UPGRADE).cloned() else {
        return text(426, "upgrade only");
    };
    let upgraded = hyper::upgrade::on(request);
    wstd::runtime::spawn(async move {
        let Ok(upgraded) = upgraded.await else { return };
        let mut stream = Adapter(upgraded);
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut bytes).await {
            bytes[..read].make_ascii_uppercase();
            if stream.write_all(&bytes[..read]).await.is_err() {
                break;
            }
        }
        let _ = stream.shutdown().await;
        println!("upgraded connection done");
    })
    .detach();
    switching(protocol.to_str().unwrap_or("echo"))
}

/// Echoes the messages of a call, unary or streaming, one by one; `fail` ends it with status 3.
fn grpc(request: Request<Incoming>) -> Reply {
    let mut response = streamed(|sender| async move {
        let mut body = pin!(request.into_body());
        let mut seen = BytesMut::new();
        let mut status = "0";
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            seen.extend_from_slice(&data);
            while seen.len() >= 5 {
                let length = 5 + (&seen[1..5]).get_u32() as usize;
                if seen.len() < length {
                    break;
                }
                let message = seen.split_to(length).freeze();
                if &message[5..] == b"fail" {
                    status = "3";
                }
                if sender.send(Ok(Frame::data(message))).await.is_err() {
                    println!("call given up");
                    return;
                }
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().unwrap());
        let _ = sender.send(Ok(Frame::trailers(trailers))).await;
    });
    let kind = "application/grpc".parse().unwrap();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
