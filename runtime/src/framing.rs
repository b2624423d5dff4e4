//! Where the messages of an HTTP/1.1 connection begin and end, read beside hyper.
//!
//! hyper answers a request with both `Content-Length` and `Transfer-Encoding` as RFC 9112 section 6.1 lets
//! it, by dropping the length, and its service cannot see that there was one. A proxy before us may have
//! gone by the length, and then the two disagree on where the next request begins (request smuggling).
//! So this refuses what two parsers could understand in two ways: both fields, a second or unclean
//! `Content-Length`, lines that end in a bare LF (RFC 9112, 2.2), and white space after a chunk's size
//! (RFC 9112, 7.1.1). All else is left to hyper, which is stricter than this in every other respect:
//! what it refuses ends the connection, so the two cannot come apart.

/// The most of a line of a head that is kept when it arrives in parts; enough for the two fields that
/// count.
const LINE_BYTES: usize = 256;
/// How HTTP/2 begins (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Hexadecimal digits of a chunk's size; more do not fit 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Follows the bytes of one connection.
pub(crate) struct Framing {
    state: State,
    head: Head,
    /// The beginning of the line that is not complete, without what exceeds [`LINE_BYTES`].
    line: Vec<u8>,
    /// Bytes that were as those of [`PREFACE`]; `None` once one was not.
    preface: Option<usize>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Body {
        left: u64,
    },
    ChunkSize {
        digits: u8,
        size: u64,
    },
    /// White space was there, so an extension has to follow.
    ChunkSpace {
        size: u64,
    },
    ChunkExtension {
        size: u64,
    },
    ChunkSizeLf {
        size: u64,
    },
    ChunkData {
        left: u64,
    },
    ChunkCr,
    ChunkLf,
    Trailers,
    /// Another protocol from here on.
    Opaque,
}

/// What the lines of a head have said so far.
#[derive(Debug, Default)]
struct Head {
    /// There was a line that is not empty.
    begun: bool,
    length: Option<u64>,
    /// Whether the last transfer coding is `chunked`, if there is any.
    chunked: Option<bool>,
}

/// The bytes are not to be understood in one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ambiguous {
    /// The first byte of those given that must not be passed on.
    pub(crate) at: usize,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self { state: State::Head, head: Head::default(), line: Vec::new(), preface: Some(0) }
    }

    /// From here on the connection speaks another protocol.
    pub(crate) fn opaque(&mut self) {
        self.state = State::Opaque;
    }

    /// Whether the bytes so far are whole messages.
    pub(crate) fn between_messages(&self) -> bool {
        self.state == State::Opaque
            || (self.state == State::Head && !self.head.begun && self.line.is_empty())
    }

    /// Follows `bytes`, which come next on the connection.
    ///
    /// # Errors
    ///
    /// When they must not be passed on as a whole; nothing may follow.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<(), Ambiguous> {
        if self.follow_preface(bytes) {
            return Ok(());
        }
        let mut rest = bytes;
        while let Some(&byte) = rest.first() {
            let taken = match self.state {
                State::Opaque => return Ok(()),
                State::Head | State::Trailers => self.take_line(rest),
                State::Body { ref mut left } => Some(skip(rest, left)),
                State::ChunkData { ref mut left } => Some(skip(rest, left)),
                _ => self.step(byte).then_some(1),
            };
            let at = bytes.len().saturating_sub(rest.len());
            match taken {
                Some(taken) => rest = rest.get(taken..).unwrap_or_default(),
                // A line is refused at its end, and all before that may have been passed on already.
                None if matches!(self.state, State::Head | State::Trailers) => {
                    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(0);
                    return Err(Ambiguous { at: at.saturating_add(end) });
                }
                None => return Err(Ambiguous { at }),
            }
            self.state = match self.state {
                State::Body { left: 0 } => State::Head,
                State::ChunkData { left: 0 } => State::ChunkCr,
                state => state,
            };
        }
        Ok(())
    }

    /// Whether this is HTTP/2.
    fn follow_preface(&mut self, bytes: &[u8]) -> bool {
        let Some(seen) = self.preface else { return false };
        let wanted = PREFACE.get(seen..).unwrap_or_default();
        let known = bytes.len().min(wanted.len());
        if bytes.get(..known) != wanted.get(..known) {
            self.preface = None;
            return false;
        }
        self.preface = Some(seen.saturating_add(known));
        let whole = known == wanted.len();
        if whole {
            self.opaque();
            self.preface = None;
        }
        whole
    }

    /// Takes the next line or what there is of it. `None` when it must not be.
    fn take_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
            let room = LINE_BYTES.saturating_sub(self.line.len());
            self.line.extend(bytes.iter().take(room));
            // The CR of a long line counts as well.
            if let (true, Some(last), Some(kept)) =
                (bytes.len() > room, bytes.last(), self.line.last_mut())
            {
                *kept = *last;
            }
            return Some(bytes.len());
        };
        let now = bytes.get(..end)?;
        let known = if self.line.is_empty() {
            self.end_line(now)
        } else {
            let mut line = std::mem::take(&mut self.line);
            let room = LINE_BYTES.saturating_sub(line.len());
            line.extend(now.iter().take(room));
            if let (true, Some(last), Some(kept)) = (now.len() > room, now.last(), line.last_mut())
            {
                *kept = *last;
            }
            let known = self.end_line(&line);
            line.clear();
            self.line = line;
            known
        };
        known.then_some(end.saturating_add(1))
    }

    /// Takes a line without its LF. Whether it may be passed on.
    fn end_line(&mut self, line: &[u8]) -> bool {
        let Some(line) = line.strip_suffix(b"\r") else { return false };
        if !line.is_empty() {
            self.head.begun = true;
            return self.state == State::Trailers || self.head.field(line);
        }
        if self.state == State::Trailers {
            self.state = State::Head;
            self.head = Head::default();
            return true;
        }
        // Empty lines before a request are to be ignored (RFC 9112, 2.2).
        self.state = match (self.head.length, self.head.chunked) {
            (Some(_), Some(_)) | (None, Some(false)) => return false,
            (Some(left), None) if left > 0 => State::Body { left },
            (_, None) => State::Head,
            (None, Some(true)) => State::ChunkSize { digits: 0, size: 0 },
        };
        self.head = Head::default();
        true
    }

    /// One byte of a chunk's frame. Whether it may be passed on.
    fn step(&mut self, byte: u8) -> bool {
        let next = match (self.state, byte) {
            (State::ChunkSize { digits, size }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let size = size.wrapping_mul(16).wrapping_add(u64::from(digit));
                if digits >= SIZE_DIGITS {
                    return false;
                }
                State::ChunkSize { digits: digits.saturating_add(1), size }
            }
            (State::ChunkSize { digits: 0, .. }, _) => return false,
            (State::ChunkSize { size, .. } | State::ChunkSpace { size }, b' ' | b'\t') => {
                State::ChunkSpace { size }
            }
            (State::ChunkSize { size, .. } | State::ChunkSpace { size }, b';') => {
                State::ChunkExtension { size }
            }
            (State::ChunkSize { size, .. } | State::ChunkExtension { size }, b'\r') => {
                State::ChunkSizeLf { size }
            }
            (State::ChunkExtension { .. }, b'\n') => return false,
            (State::ChunkExtension { size }, _) => State::ChunkExtension { size },
            (State::ChunkSizeLf { size: 0 }, b'\n') => State::Trailers,
            (State::ChunkSizeLf { size }, b'\n') => State::ChunkData { left: size },
            (State::ChunkCr, b'\r') => State::ChunkLf,
            (State::ChunkLf, b'\n') => State::ChunkSize { digits: 0, size: 0 },
            _ => return false,
        };
        self.state = next;
        true
    }
}

impl Head {
    /// Takes a field, or the request's first line, which has no such name before a colon. Whether it may be
    /// passed on.
    fn field(&mut self, line: &[u8]) -> bool {
        let Some(colon) = line.iter().take(32).position(|byte| *byte == b':') else { return true };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        // Of a longer line the end may be missing.
        let whole = line.len() < LINE_BYTES.saturating_sub(1);
        if name.eq_ignore_ascii_case(b"content-length") {
            let Some(length) = number(value) else { return false };
            whole && self.length.replace(length).is_none()
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default();
            self.chunked = Some(last.trim_ascii().eq_ignore_ascii_case(b"chunked"));
            whole
        } else {
            true
        }
    }
}

/// A number of digits alone, unlike what `parse` takes.
fn number(value: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(value).ok()?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Skips what is `left`, or as much of it as there is.
fn skip(bytes: &[u8], left: &mut u64) -> usize {
    let skipped = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
    *left = left.saturating_sub(skipped as u64);
    skipped
}

#[cfg(test)]
mod tests;
