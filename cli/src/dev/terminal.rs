//! The app's log in the terminal of `wpaas dev`.

use std::io::Write as _;

use wpaas_slug::log::{LogLine, LogSink};

use crate::output::Style;

/// Prints log lines to standard output, as `wpaas logs` does.
pub(super) struct Log {
    style: Style,
}

impl Log {
    /// For this process's standard output.
    pub(super) fn new() -> Self {
        Self { style: Style::of_stdout() }
    }
}

impl LogSink for Log {
    fn write(&self, line: LogLine) {
        let text = format!("{}\n", self.style.log_line(&line.render()));
        // A closed terminal is no reason to fail a request.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}
