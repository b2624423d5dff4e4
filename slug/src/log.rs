//! Log lines: the one thing, with dyno states, that flows from nodes back to the platform.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Who wrote a line, as Heroku's logplex names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A dyno's stdout or stderr, or the platform on the app's behalf: `app[web.1]`, `app[api]`.
    App,
    /// The router and the dyno manager: `heroku[router]`, `heroku[web.1]`.
    Heroku,
}

/// One line of an app's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub at: Timestamp,
    /// The app that it belongs to.
    pub app: Uuid,
    /// Who wrote it.
    pub source: Source,
    /// The dyno (`web.1`), `router` or `api`.
    pub dyno: Cow<'static, str>,
    /// The text, without its line end, at most [`crate::Limits::log_line_bytes`].
    pub text: String,
}

impl LogLine {
    /// A line written now.
    pub fn now(
        app: Uuid,
        source: Source,
        dyno: impl Into<Cow<'static, str>>,
        text: impl Into<String>,
    ) -> Self {
        Self { at: Timestamp::now(), app, source, dyno: dyno.into(), text: text.into() }
    }

    /// The line as `heroku logs` shows it: `2026-11-21T10:00:00.000000+00:00 app[web.1]: text`.
    pub fn render(&self) -> String {
        let source = match self.source {
            Source::App => "app",
            Source::Heroku => "heroku",
        };
        let at = self.at.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00");
        format!("{at} {source}[{}]: {}", self.dyno, self.text)
    }
}

/// Takes log lines. `write` is called on the request path: it must not block, and drops lines (counting
/// them) rather than grow without bound.
pub trait LogSink: Send + Sync + 'static {
    /// Takes one line.
    fn write(&self, line: LogLine);

    /// Lines dropped so far, for the node's metrics.
    fn dropped(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_as_heroku_does() {
        let mut line = LogLine::now(Uuid::nil(), Source::Heroku, "router", "at=info");
        line.at = "2026-11-21T01:02:03.5Z".parse().unwrap();
        assert_eq!(line.render(), "2026-11-21T01:02:03.500000+00:00 heroku[router]: at=info");
    }
}
