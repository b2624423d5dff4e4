//! gRPC through the router, with tonic's client.

use bytes::{Buf, BufMut, Bytes};
use futures::{StreamExt, stream};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

use super::socket;
use crate::{
    frames::{DATA, END_HEADERS, Frames, HEADERS, RST_STREAM, fields, request},
    support::{Host, soon},
};

/// Messages are bytes.
#[derive(Clone, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

async fn client(host: &Host) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", host.address)).unwrap();
    let endpoint = endpoint.origin("http://app.localhost".parse().unwrap());
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn unary_calls_have_their_status_in_the_trailers() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut client = client(&host).await;
    let path = || "/echo.Echo/Unary".parse().unwrap();
    let call = client.unary(Request::new(Bytes::from("hello")), path(), Plain);
    assert_eq!(soon(call).await.unwrap().into_inner(), "hello");
    client.ready().await.unwrap();
    let failed = soon(client.unary(Request::new(Bytes::from("fail")), path(), Plain)).await;
    assert_eq!(failed.unwrap_err().code(), Code::InvalidArgument);
    let line = host.log.line("path=\"/echo.Echo/Unary\"").await;
    assert!(line.contains("at=info method=POST") && line.contains("status=200"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_stream_both_ways_at_once() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut client = client(&host).await;
    let (send, sent) = futures::channel::mpsc::unbounded::<Bytes>();
    let call = client.streaming(Request::new(sent), "/echo.Echo/Both".parse().unwrap(), Plain);
    let mut answers = soon(call).await.unwrap().into_inner();
    for number in 0..100 {
        let message = Bytes::from(format!("message {number}"));
        send.unbounded_send(message.clone()).unwrap();
        assert_eq!(soon(answers.message()).await.unwrap(), Some(message));
    }
    drop(send);
    assert_eq!(soon(answers.message()).await.unwrap(), None);

    client.ready().await.unwrap();
    let many = stream::iter((0..1_000).map(|_| Bytes::from(vec![1; 4096])));
    let call = client.streaming(Request::new(many), "/echo.Echo/Many".parse().unwrap(), Plain);
    let answers = soon(call).await.unwrap().into_inner();
    assert_eq!(soon(answers.count()).await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_client_gives_up_ends_at_the_dyno() {
    let (host, _) = socket(&[], |_| {}).await;
    let mut frames = Frames::connect(host.address).await;
    let mut head = request("POST", "/echo.Echo/Left");
    head.push(("content-type", "application/grpc"));
    frames.send(HEADERS, END_HEADERS, 1, &fields(&head)).await;
    frames.send(DATA, 0, 1, b"\0\0\0\0\x05first").await;
    let echo = frames.until(|frame| frame.kind == DATA && !frame.payload.is_empty()).await;
    assert_eq!(echo.unwrap().payload, b"\0\0\0\0\x05first");
    const CANCEL: &[u8] = &[0, 0, 0, 8];
    frames.send(RST_STREAM, 0, 1, CANCEL).await;
    let line = host.log.line("path=\"/echo.Echo/Left\"").await;
    assert!(line.contains("code=H27"), "{line}");
    assert_eq!(host.get("/").await.ok(), "hello from web.1");
}
