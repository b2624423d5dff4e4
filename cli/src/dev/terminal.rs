//! The app's log in the terminal of `wpaas dev`.

use std::io::{IsTerminal as _, Write as _};

use wpaas_slug::log::{LogLine, LogSink, Source};

/// Prints log lines to standard output.
pub(super) struct Log {
    colour: bool,
}

impl Log {
    /// Colours the source of a line on a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(super) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && std::io::stdout().is_terminal() }
    }
}

impl LogSink for Log {
    fn write(&self, line: LogLine) {
        let rendered = line.render();
        let text = match rendered.split_once(": ") {
            Some((head, text)) if self.colour => {
                let colour = match line.source {
                    Source::App => 36,
                    Source::Heroku => 35,
                };
                format!("\x1b[{colour}m{head}:\x1b[0m {text}\n")
            }
            _ => format!("{rendered}\n"),
        };
        // A closed terminal is no reason to fail a request.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }
}
