//! What a CGI program prints, up to the body: a document response, a redirect, or nonsense (RFC 3875,
//! section 6). Pure, and fed in pieces of any size.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use wpaas_slug::Limits;

/// Fields that begin like this are between program and server (RFC 3875, 6.3.5); this server knows none.
const EXTENSION: &str = "x-cgi-";
/// At most this much of a line that is refused is shown.
const SHOWN_BYTES: usize = 80;

/// The header section of a response.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// What `Content-Length` announces.
    pub(crate) length: Option<u64>,
}

/// Why what a program printed is no CGI response. The text is for the app's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// The first line is `HTTP/1.1 200 OK`, that of a response to be passed on untouched.
    #[error(
        "it begins with {0:?}: non-parsed-header output is not supported; print \
         `Status: 200 OK` instead"
    )]
    NotParsed(String),
    /// A line that is no `Name: value`.
    #[error("expected `Name: value` or an empty line, found {0:?}")]
    Line(String),
    /// A status that is none, or that only a server may send.
    #[error("expected `Status: ` and a number from 200 to 999, found {0:?}")]
    Status(String),
    /// A `Content-Length` that is no number.
    #[error("expected `Content-Length: ` and a number, found {0:?}")]
    Length(String),
    /// A field that may come once came twice.
    #[error("{0} is given twice")]
    Twice(&'static str),
    /// Neither of the fields that make a response one of CGI (RFC 3875, 6.3).
    #[error("it has neither Content-Type nor Status nor Location")]
    NoCgiField,
    /// More header than the limit allows.
    #[error("its header section has more than {limit} {what}")]
    TooLarge {
        /// `bytes` or `fields`
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A body of another length than announced.
    #[error("its Content-Length is {announced}, but its body has {printed} bytes")]
    BodyLength {
        /// The field's value.
        announced: u64,
        /// Bytes after the header section.
        printed: u64,
    },
    /// The program ended in the middle of it.
    #[error("it ends before the empty line that ends its header section")]
    Unfinished,
}

/// Reads the header section.
#[derive(Debug)]
pub(crate) struct Parser {
    max_bytes: usize,
    max_fields: usize,
    bytes: usize,
    fields: usize,
    line: Vec<u8>,
    status: Option<StatusCode>,
    location: bool,
    headers: HeaderMap,
    length: Option<u64>,
}

impl Parser {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            max_bytes: Limits::size(limits.response_header_bytes),
            max_fields: Limits::size(limits.response_headers),
            bytes: 0,
            fields: 0,
            line: Vec::new(),
            status: None,
            location: false,
            headers: HeaderMap::new(),
            length: None,
        }
    }

    /// Whether nothing has been printed.
    pub(crate) fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    /// Takes the next piece. `Some` when the header section is complete, with the number of bytes of this piece
    /// that belong to it; the rest is the body. Not to be called again after that, or after an error.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Option<(Head, usize)>, Malformed> {
        let mut taken = 0;
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            taken += part.len();
            self.bytes += part.len();
            if self.bytes > self.max_bytes {
                return Err(Malformed::TooLarge { what: "bytes", limit: self.max_bytes });
            }
            self.line.extend_from_slice(part);
            if self.line.last() != Some(&b'\n') {
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                return Ok(Some((self.finish()?, taken)));
            }
            self.field(line)?;
        }
        Ok(None)
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        self.fields += 1;
        if self.fields > self.max_fields {
            return Err(Malformed::TooLarge { what: "fields", limit: self.max_fields });
        }
        if self.fields == 1 && line.starts_with(b"HTTP/") {
            return Err(Malformed::NotParsed(shown(line)));
        }
        let refused = || Malformed::Line(shown(line));
        let colon = line.iter().position(|byte| *byte == b':').ok_or_else(refused)?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).map_err(|_| refused())?;
        let value = value.strip_prefix(b":").unwrap_or(value).trim_ascii();
        if name == "status" {
            let status = status(value).ok_or_else(|| Malformed::Status(shown(value)))?;
            return once("Status", self.status.replace(status).is_some());
        }
        if name.as_str().starts_with(EXTENSION) {
            return Ok(());
        }
        let value = HeaderValue::from_bytes(value).map_err(|_| refused())?;
        if name == header::CONTENT_TYPE {
            once("Content-Type", self.headers.contains_key(&name))?;
        } else if name == header::LOCATION {
            once("Location", self.headers.contains_key(&name))?;
            self.location = !value.is_empty();
        } else if name == header::CONTENT_LENGTH {
            let length = value.to_str().ok().and_then(digits);
            let length = length.ok_or_else(|| Malformed::Length(shown(value.as_bytes())))?;
            once("Content-Length", self.length.replace(length).is_some())?;
        }
        self.headers.append(name, value);
        Ok(())
    }

    fn finish(&mut self) -> Result<Head, Malformed> {
        let has_type = self.headers.contains_key(header::CONTENT_TYPE);
        let status = match (self.status, self.location) {
            (Some(status), _) => status,
            // A redirect (RFC 3875, 6.2.3). One to a path of the same server (6.2.2) could be followed here; the
            // client follows it instead, so that one request is one run and one line in the log.
            (None, true) => StatusCode::FOUND,
            (None, false) if has_type => StatusCode::OK,
            (None, false) => return Err(Malformed::NoCgiField),
        };
        Ok(Head { status, headers: std::mem::take(&mut self.headers), length: self.length })
    }
}

/// `404 Not Found` or `404`; the reason is not sent by HTTP/2 and ignored by clients of HTTP/1.
fn status(value: &[u8]) -> Option<StatusCode> {
    let (code, reason) = value.split_at_checked(3)?;
    let separate = reason.first().is_none_or(u8::is_ascii_whitespace);
    let code = StatusCode::from_bytes(code).ok()?;
    (separate && !code.is_informational()).then_some(code)
}

/// A number of decimal digits and nothing else, as `parse` would also take `+1`.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn once(name: &'static str, again: bool) -> Result<(), Malformed> {
    if again { Err(Malformed::Twice(name)) } else { Ok(()) }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line.get(..SHOWN_BYTES).unwrap_or(line)).into_owned()
}

#[cfg(test)]
mod tests;
