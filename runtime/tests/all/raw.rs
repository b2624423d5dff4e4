//! Bytes to a node and from it, without a client that would correct them.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::soon;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// A connection that sends what it is told to.
pub struct Raw {
    pub stream: Box<dyn Stream>,
    /// Read and not yet taken.
    pub unread: Vec<u8>,
}

/// A response as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// With lower-case names.
    pub head: String,
    pub body: String,
    /// What comes after the last chunk.
    pub trailers: String,
}

impl Response {
    pub fn closes(&self) -> bool {
        self.head.contains("\r\nconnection: close\r\n")
    }
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    pub fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), unread: Vec::new() }
    }

    /// The node may have closed already.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = soon(self.stream.write_all(bytes.as_ref())).await;
        let _ = soon(self.stream.flush()).await;
    }

    /// Reads until `text` has come and takes everything to its end.
    pub async fn until(&mut self, text: &str) -> Option<String> {
        loop {
            let found =
                self.unread.windows(text.len()).position(|window| window == text.as_bytes());
            if let Some(at) = found {
                let taken = self.unread.drain(..at + text.len()).collect();
                return Some(String::from_utf8(taken).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Option<String> {
        while self.unread.len() < length {
            if !self.more().await {
                return None;
            }
        }
        let taken: Vec<u8> = self.unread.drain(..length).collect();
        Some(String::from_utf8_lossy(&taken).into_owned())
    }

    /// Reads some; false at the end. A reset is an end.
    pub async fn more(&mut self) -> bool {
        let read = soon(self.stream.read_buf(&mut self.unread)).await;
        read.is_ok_and(|read| read > 0)
    }

    /// The next response, if one comes before the end. A broken one counts with what there is of it.
    pub async fn response(&mut self, to: &str) -> Option<Response> {
        let head = self.until("\r\n\r\n").await?.to_ascii_lowercase();
        let status: u16 = head.get(9..12)?.parse().ok()?;
        let mut response = Response { status, body: String::new(), trailers: String::new(), head };
        let length = response.head.split_once("\r\ncontent-length: ");
        let length = length.map(|(_, rest)| rest.split_once("\r\n").unwrap().0.parse().unwrap());
        if to == "HEAD" || status < 200 || status == 204 || status == 304 {
            return Some(response);
        }
        if response.head.contains("\r\ntransfer-encoding: chunked\r\n") {
            while let Some(size) = self.until("\r\n").await {
                let size = usize::from_str_radix(size.trim_end(), 16).unwrap();
                if size == 0 {
                    loop {
                        let line = self.until("\r\n").await.unwrap();
                        if line == "\r\n" {
                            return Some(response);
                        }
                        response.trailers.push_str(&line);
                    }
                }
                let Some(chunk) = self.exactly(size + 2).await else { break };
                response.body.push_str(chunk.strip_suffix("\r\n").unwrap());
            }
        } else if let Some(length) = length {
            response.body = self.exactly(length).await.unwrap_or_default();
        } else {
            while self.more().await {}
            let rest = std::mem::take(&mut self.unread);
            response.body = String::from_utf8_lossy(&rest).into_owned();
        }
        Some(response)
    }

    /// All responses until the node closes.
    pub async fn responses(&mut self) -> Vec<Response> {
        let mut responses = Vec::new();
        while let Some(response) = self.response("GET").await {
            responses.push(response);
        }
        assert_eq!(String::from_utf8_lossy(&self.unread), "", "after {responses:#?}");
        responses
    }
}
