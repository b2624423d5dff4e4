//! HTTP/2 frame by frame (RFC 9113, 4.1), without a client that would correct them. Header sections are
//! literals without any compression (RFC 7541, 6.2.2).

use std::net::SocketAddr;

use crate::raw::Raw;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const PROTOCOL_ERROR: u32 = 1;
pub const ENHANCE_YOUR_CALM: u32 = 11;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM and GOAWAY.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header section.
pub fn fields(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // Up to 126 bytes fit the first byte of the length.
            bytes.push(u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

/// The fields of a request for a path of the app `app`.
pub fn request<'a>(method: &'a str, path: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![(":method", method), (":scheme", "http"), (":authority", "app.localhost"), (":path", path)]
}

/// A connection after the prefaces.
pub struct Frames {
    pub raw: Raw,
}

impl Frames {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(Raw::connect(address).await).await
    }

    pub async fn over(mut raw: Raw) -> Self {
        raw.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        raw.send(frame(SETTINGS, 0, 0, &[])).await;
        let mut frames = Self { raw };
        frames.until(|frame| frame.kind == SETTINGS && frame.flags == 0).await.unwrap();
        frames.raw.send(frame(SETTINGS, ACK, 0, &[])).await;
        frames
    }

    /// The next frame, or the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let unread = &self.raw.unread;
            if unread.len() >= 9 {
                let length = u32::from_be_bytes([0, unread[0], unread[1], unread[2]]);
                let end = 9 + usize::try_from(length).unwrap();
                if unread.len() >= end {
                    let bytes: Vec<u8> = self.raw.unread.drain(..end).collect();
                    return Some(Frame {
                        kind: bytes[3],
                        flags: bytes[4],
                        stream: u32::from_be_bytes(bytes[5..9].try_into().unwrap()),
                        payload: bytes[9..].to_vec(),
                    });
                }
            }
            if !self.raw.more().await {
                return None;
            }
        }
    }

    /// The first frame that is wanted, if one comes before the end.
    pub async fn until(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.next().await {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.raw.send(frame(kind, flags, stream, payload)).await;
    }

    /// Makes room for everything that the server could send.
    pub async fn open_windows(&mut self) {
        let size = (1_u32 << 30).to_be_bytes();
        // SETTINGS_INITIAL_WINDOW_SIZE
        let setting = [&[0, 4], &size[..]].concat();
        let frames = [frame(SETTINGS, 0, 0, &setting), frame(WINDOW_UPDATE, 0, 0, &size)];
        self.raw.send(frames.concat()).await;
    }

    /// The answer on a stream.
    pub async fn answer(&mut self, stream: u32) -> Answer {
        let mut answer = Answer::default();
        while let Some(frame) = self.next().await {
            match frame.kind {
                GOAWAY => answer.error = Some(frame.error()),
                RST_STREAM if frame.stream == stream => {
                    answer.error = Some(frame.error());
                    break;
                }
                HEADERS if frame.stream == stream && answer.status == 0 => {
                    // Responses of these statuses are one byte (RFC 7541, appendix A).
                    answer.status = match frame.payload[0] {
                        0x88 => 200,
                        0x8c => 400,
                        0x8d => 404,
                        other => u16::from(other),
                    };
                }
                DATA if frame.stream == stream => {
                    answer.body.push_str(std::str::from_utf8(&frame.payload).unwrap());
                }
                _ => continue,
            }
            if frame.stream == stream && frame.flags & END_STREAM != 0 {
                break;
            }
        }
        answer
    }
}

/// What came of a request.
#[derive(Debug, Default)]
pub struct Answer {
    /// 200, 400 or 404; 0 when there is none.
    pub status: u16,
    pub body: String,
    /// Of the stream or of the connection.
    pub error: Option<u32>,
}
