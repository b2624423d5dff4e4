//! Server-sent events (WHATWG HTML §9.2), as much of them as a log stream uses: `data` lines, comments as
//! keepalive, an empty line between events.

/// Takes chunks as they arrive and gives the data of complete events.
#[derive(Debug)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: Vec<Vec<u8>>,
    held: usize,
    limit: usize,
    after_carriage_return: bool,
}

/// An event longer than the limit.
#[derive(Debug, thiserror::Error)]
#[error("the server sent an event of more than {0} bytes")]
pub(crate) struct TooLong(usize);

impl Events {
    /// Holds at most `limit` bytes of an event that is not complete.
    pub(crate) fn new(limit: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), held: 0, limit, after_carriage_return: false }
    }

    /// The data of the events that `chunk` completes.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, TooLong> {
        let mut complete = Vec::new();
        for &byte in chunk {
            // CR, LF and CRLF all end a line.
            let second_half = std::mem::take(&mut self.after_carriage_return) && byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' => {
                    self.after_carriage_return = byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    complete.extend(self.end_of_line(line));
                }
                byte if self.held < self.limit => {
                    self.line.push(byte);
                    self.held += 1;
                }
                _ => return Err(TooLong(self.limit)),
            }
        }
        Ok(complete)
    }

    fn end_of_line(&mut self, line: Vec<u8>) -> Option<String> {
        if line.is_empty() {
            self.held = 0;
            let data = std::mem::take(&mut self.data);
            return (!data.is_empty())
                .then(|| String::from_utf8_lossy(&data.join(&b'\n')).into_owned());
        }
        match line.strip_prefix(b"data") {
            Some([]) => self.data.push(Vec::new()),
            Some([b':', b' ', data @ ..] | [b':', data @ ..]) => self.data.push(data.to_vec()),
            // A comment or another field: it holds nothing for us, so it may not use up the limit either.
            _ => self.held = self.held.saturating_sub(line.len()),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"retry: 20\n\n: keepalive\ndata: one\n\nid: 7\r\ndata:two\r\ndata: more\r\n\r\ndata\n\ndata: cut";

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        for size in 1..=STREAM.len() {
            let mut events = Events::new(100);
            let mut seen = Vec::new();
            for chunk in STREAM.chunks(size) {
                seen.extend(events.push(chunk).unwrap());
            }
            assert_eq!(seen, ["one", "two\nmore", ""], "in chunks of {size}");
        }
    }

    #[test]
    fn an_endless_event_is_refused_and_endless_comments_are_not() {
        let mut events = Events::new(16);
        for _ in 0..100 {
            assert!(events.push(b": keepalive\n").unwrap().is_empty());
        }
        assert!(events.push(b"data: 0123456789").unwrap().is_empty());
        assert!(events.push(b"x").is_err());
    }
}
