//! What a build's output says, beside being shown: its complaints, and whether the release went live.

/// How the builder and the platform begin a line that matters most.
const COMPLAINT: &str = " !     ";
/// The platform's last word of every failed build; it explains nothing.
const LAST_WORD: &str = "Build failed";
/// The end of the line that is written when the release is live.
const LIVE: &str = " deployed to wpaas";
/// Complaints that are kept; the first ones say why.
const KEPT: usize = 10;

/// Reads an output that arrives in chunks.
#[derive(Debug)]
pub(super) struct Reader {
    line: Vec<u8>,
    longest: usize,
    complaints: Vec<String>,
    live: bool,
}

impl Reader {
    /// Looks at no more than `longest` bytes of a line.
    pub(super) fn new(longest: usize) -> Self {
        Self { line: Vec::new(), longest, complaints: Vec::new(), live: false }
    }

    /// Takes a chunk and gives it without the NULs that Heroku's streams hold as keepalive.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<u8> {
        let visible: Vec<u8> = chunk.iter().copied().filter(|byte| *byte != 0).collect();
        for &byte in &visible {
            if byte == b'\n' {
                self.end_of_line();
            } else if self.line.len() < self.longest {
                self.line.push(byte);
            }
        }
        visible
    }

    fn end_of_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        self.live |= line.ends_with(LIVE);
        if let Some(complaint) = line.strip_prefix(COMPLAINT)
            && complaint != LAST_WORD
            && self.complaints.len() < KEPT
        {
            self.complaints.push(complaint.to_owned());
        }
    }

    /// Whether the output said that the release is live.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// What it complained about, if it did.
    pub(super) fn complaints(&self) -> Option<String> {
        (!self.complaints.is_empty()).then(|| self.complaints.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_and_success_are_seen_however_the_output_is_cut() {
        let output = b"-----> Node.js\n !     package-lock.json is missing\n\0\0 !     Build failed\r\n       \
                       http://a.localhost/ deployed to wpaas\n !     cut";
        for size in 1..=output.len() {
            let mut reader = Reader::new(100);
            let shown: Vec<u8> = output.chunks(size).flat_map(|chunk| reader.push(chunk)).collect();
            assert_eq!(shown.len(), output.len() - 2, "the NULs are gone");
            assert_eq!(reader.complaints().as_deref(), Some("package-lock.json is missing"));
            assert!(reader.is_live());
        }
    }

    #[test]
    fn long_lines_and_many_complaints_are_bounded() {
        let mut reader = Reader::new(10);
        for _ in 0..1_000 {
            reader.push(b" !     0123456789\n");
        }
        assert_eq!(reader.complaints().unwrap(), ["012"; KEPT].join("\n"));
        reader.push(b"the app is deployed to wpaas");
        assert!(!reader.is_live(), "only whole lines count");
    }
}
