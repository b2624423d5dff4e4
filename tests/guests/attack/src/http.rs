//! Just enough HTTP over the raw bindings that every route can decide itself what to do, and when.

use wasip2::clocks::monotonic_clock;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingRequest, Method, OutgoingBody, OutgoingResponse, ResponseOutparam,
    Scheme,
};
use wasip2::io::streams::OutputStream;

/// The most that one write may hold (`blocking-write-and-flush` traps above 4096 bytes).
pub const CHUNK: usize = 4096;

pub struct Request {
    pub inner: IncomingRequest,
    target: String,
}

impl Request {
    pub fn new(inner: IncomingRequest) -> Self {
        let target = inner.path_with_query().unwrap_or_default();
        Self { inner, target }
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A query parameter, percent-decoded.
    pub fn find(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then(|| decode(value))
        })
    }

    pub fn text(&self, name: &str) -> String {
        self.find(name).unwrap_or_default()
    }

    pub fn number(&self, name: &str) -> Option<u64> {
        self.find(name)?.parse().ok()
    }

    /// What the host passed on, a line each.
    pub fn describe(&self) -> String {
        let mut lines = vec![
            format!("method: {}", method(&self.inner.method())),
            format!("scheme: {}", scheme(self.inner.scheme())),
            format!("authority: {}", self.inner.authority().unwrap_or_default()),
            format!("target: {}", self.target),
        ];
        for (name, value) in self.inner.headers().entries() {
            lines.push(format!("header {name}: {}", String::from_utf8_lossy(&value)));
        }
        lines.join("\n")
    }
}

fn method(method: &Method) -> String {
    match method {
        Method::Other(name) => name.clone(),
        known => format!("{known:?}").trim_start_matches("Method::").to_uppercase(),
    }
}

fn scheme(scheme: Option<Scheme>) -> String {
    match scheme {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        Some(Scheme::Other(name)) => name,
        None => String::new(),
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A response in the making.
pub struct Reply {
    out: ResponseOutparam,
    status: u16,
    headers: Fields,
}

impl Reply {
    pub fn new(out: ResponseOutparam) -> Self {
        Self { out, status: 200, headers: Fields::new() }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        if let Err(error) = self.headers.append(name, value.as_bytes()) {
            eprintln!("header {name:?} refused: {error:?}");
        }
        self
    }

    /// Sends the header section and gives the body to write.
    pub fn start(self) -> Body {
        let response = OutgoingResponse::new(self.headers);
        if response.set_status_code(self.status).is_err() {
            eprintln!("status {} refused", self.status);
        }
        let body = response.body().expect("first call");
        ResponseOutparam::set(self.out, Ok(response));
        let stream = body.write().expect("first call");
        Body { stream: Some(stream), body }
    }

    pub fn text(self, text: &str) {
        let length = text.len().to_string();
        let mut body = self
            .header("content-type", "text/plain; charset=utf-8")
            .header("content-length", &length)
            .start();
        body.write(text.as_bytes());
        body.finish(None);
    }

    pub fn fail(self, code: ErrorCode) {
        ResponseOutparam::set(self.out, Err(code));
    }
}

pub struct Body {
    stream: Option<OutputStream>,
    body: OutgoingBody,
}

impl Body {
    /// Writes and flushes; false when the client has gone.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(stream) = &self.stream else { return false };
        bytes.chunks(CHUNK).all(|chunk| stream.blocking_write_and_flush(chunk).is_ok())
    }

    pub fn finish(mut self, trailers: Option<Fields>) {
        // The stream is a child of the body: it must go first, or the host traps.
        self.stream = None;
        if let Err(error) = OutgoingBody::finish(self.body, trailers) {
            eprintln!("body not finished: {error:?}");
        }
    }
}

pub fn sleep_ms(ms: u64) {
    monotonic_clock::subscribe_duration(ms.saturating_mul(1_000_000)).block();
}
