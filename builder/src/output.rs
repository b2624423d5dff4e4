//! The build's output, in the layout that Heroku made familiar.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Where the lines of a build go. Cheap to clone; clones share their destination and their budget.
#[derive(Clone)]
pub struct Output {
    write: Arc<dyn Fn(&str) + Send + Sync>,
    /// Bytes that the build's programs may still print.
    budget: Arc<AtomicU64>,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("budget", &self.budget).finish_non_exhaustive()
    }
}

impl Output {
    /// Sends every line, without its line end, to `write`, which must not block for long.
    pub fn new(write: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { write: Arc::new(write), budget: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Drops everything.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// The same destination, with `bytes` for all that programs print from now on.
    pub(crate) fn limited(&self, bytes: u64) -> Self {
        Self { write: self.write.clone(), budget: Arc::new(AtomicU64::new(bytes)) }
    }

    /// One line as it is.
    pub fn line(&self, text: &str) {
        (self.write)(text);
    }

    /// `-----> Node.js app detected`
    pub fn step(&self, text: &str) {
        self.line(&format!("-----> {text}"));
    }

    /// `       added 65 packages in 2s`
    pub fn detail(&self, text: &str) {
        self.line(&format!("       {text}"));
    }

    /// ` !     package-lock.json is missing`
    pub fn warning(&self, text: &str) {
        self.line(&format!(" !     {text}"));
    }

    /// A line that a program of the build printed, as a detail, until the budget is used up: a build that
    /// prints for ever must not fill the platform's database.
    pub(crate) fn program(&self, text: &str) {
        let cost = text.len() as u64 + 1;
        let taken = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left > 0).then(|| left.saturating_sub(cost))
        });
        match taken {
            // Heroku's buildpacks write this layout themselves.
            Ok(left) if left >= cost && is_laid_out(text) => self.line(text),
            Ok(left) if left >= cost => self.detail(text),
            Ok(_) => self.warning(
                "Output limit reached: the build goes on, what it prints is no longer shown",
            ),
            Err(_) => {}
        }
    }
}

/// Whether a line already has the layout of a build's output.
fn is_laid_out(text: &str) -> bool {
    ["-----> ", "       ", " !     "].iter().any(|start| text.starts_with(start))
}

/// Cuts a program's output into lines of at most `max` bytes.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: Vec<u8>,
    max: usize,
}

impl Lines {
    pub(crate) fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), max: max.max(1) }
    }

    /// Takes what was read and calls `line` for every line that is complete (or too long to wait for).
    pub(crate) fn push(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(self.max) {
                self.buffer.extend_from_slice(part);
                if self.buffer.ends_with(b"\n") || self.buffer.len() >= self.max {
                    self.flush(&mut line);
                }
            }
        }
    }

    /// What is left when the program has ended.
    pub(crate) fn flush(&mut self, mut line: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.buffer);
        let text = text.trim_end_matches(['\n', '\r']);
        // A progress bar redraws itself after a carriage return; only its last state is worth a line.
        let text = text.rsplit('\r').next().unwrap_or(text).trim_end();
        if !text.is_empty() {
            line(text);
        }
        self.buffer.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn collector() -> (Output, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = lines.clone();
        (Output::new(move |line| sink.lock().unwrap().push(line.to_owned())), lines)
    }

    #[test]
    fn looks_like_herokus() {
        let (output, lines) = collector();
        output.step("Node.js app detected");
        output.detail("added 65 packages in 2s");
        output.warning("careful");
        let expected =
            ["-----> Node.js app detected", "       added 65 packages in 2s", " !     careful"];
        assert_eq!(*lines.lock().unwrap(), expected);
    }

    #[test]
    fn a_buildpacks_own_layout_is_kept() {
        let (output, lines) = collector();
        for text in ["-----> Compiling", "       indented", " !     careful", "plain"] {
            output.program(text);
        }
        let expected = ["-----> Compiling", "       indented", " !     careful", "       plain"];
        assert_eq!(*lines.lock().unwrap(), expected);
    }

    #[test]
    fn programs_have_a_budget_and_the_builder_has_not() {
        let (output, lines) = collector();
        let output = output.limited(10);
        for text in ["12345", "1234567", "more", "x"] {
            output.program(text);
        }
        output.step("Done");
        let lines = lines.lock().unwrap();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(lines[0], "       12345");
        assert!(lines[1].contains("Output limit reached"), "{lines:?}");
        assert_eq!(lines[2], "-----> Done");
    }

    #[test]
    fn lines_are_cut_joined_and_cleaned() {
        let mut lines = Lines::new(8);
        let mut seen = Vec::new();
        for piece in ["ab", "c\r\nd\n\n", "10%\r99%\n", "0123456789", "ab\n", "tail"] {
            lines.push(piece.as_bytes(), |line| seen.push(line.to_owned()));
        }
        lines.flush(|line| seen.push(line.to_owned()));
        assert_eq!(seen, ["abc", "d", "99%", "01234567", "89ab", "tail"]);
    }
}
