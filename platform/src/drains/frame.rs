//! Lines as Heroku's logplex sends them: RFC 5424, counted in octets (RFC 6587).

use std::io::Write as _;

use uuid::Uuid;
use wpaas_slug::log::{LogLine, Source};

use super::buffer::{Batch, Lost};

/// Heroku's priorities: facility times eight plus severity.
const APP: u8 = 190;
const ROUTER: u8 = 158;
const PLATFORM: u8 = 45;
const LOST: u8 = 172;

const TIME: &str = "%Y-%m-%dT%H:%M:%S%.6f+00:00";

/// What stands between a line's head and its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect<'a> {
    /// RFC 5424 with the drain's token as the host.
    Syslog { token: &'a str },
    /// `application/logplex-1`, which has neither structured data nor its nil value. The token is in a header.
    Logplex,
}

/// The frames of a batch, and how many there are. `app` is whose lines they are.
pub(super) fn frames(batch: &Batch, app: Uuid, dialect: Dialect<'_>) -> (Vec<u8>, usize) {
    let mut bytes = Vec::new();
    let lost = batch.lost.map(|lost| lost_line(app, lost));
    if let Some(line) = &lost {
        frame(&mut bytes, line, LOST, dialect);
    }
    for line in &batch.lines {
        frame(&mut bytes, line, priority(line), dialect);
    }
    (bytes, batch.lines.len() + usize::from(lost.is_some()))
}

/// Heroku's line for what was lost.
pub(super) fn lost_line(app: Uuid, lost: Lost) -> LogLine {
    let since = lost.since.strftime(TIME);
    let text = format!(
        "Error L10 (output buffer overflow): {} messages dropped since {since}.",
        lost.lines
    );
    LogLine::now(app, Source::Heroku, "logplex", text)
}

fn priority(line: &LogLine) -> u8 {
    match (line.source, line.dyno.as_ref()) {
        (Source::Heroku, "router") => ROUTER,
        (Source::Heroku, _) | (Source::App, "api") => PLATFORM,
        (Source::App, _) => APP,
    }
}

fn frame(bytes: &mut Vec<u8>, line: &LogLine, priority: u8, dialect: Dialect<'_>) {
    let (host, data) = match dialect {
        Dialect::Syslog { token } => (token, "- "),
        Dialect::Logplex => ("host", ""),
    };
    let source = match line.source {
        Source::App => "app",
        Source::Heroku => "heroku",
    };
    let text = line.text.replace(['\n', '\r'], " ");
    let (at, dyno) = (line.at.strftime(TIME), &line.dyno);
    let message = format!("<{priority}>1 {at} {host} {source} {dyno} - {data}{text}\n");
    // Writing to memory does not fail.
    let _ = write!(bytes, "{} {message}", message.len());
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn frames_are_herokus() {
        let at = "2012-11-30T06:45:29Z".parse().unwrap();
        let line = |source, dyno: &'static str, text: &str| {
            let mut line = LogLine::now(Uuid::nil(), source, dyno, text);
            line.at = at;
            Arc::new(line)
        };
        let lines =
            vec![line(Source::App, "web.3", "hé\nllo"), line(Source::Heroku, "router", "x")];
        let batch = Batch { lost: None, lines };
        let (bytes, count) = frames(&batch, Uuid::nil(), Dialect::Syslog { token: "d.1" });
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(count, 2);
        assert_eq!(
            text,
            "66 <190>1 2012-11-30T06:45:29.000000+00:00 d.1 app web.3 - - hé llo\n\
             64 <158>1 2012-11-30T06:45:29.000000+00:00 d.1 heroku router - - x\n"
        );
        let lost = Lost { lines: 7, since: at };
        let batch = Batch { lost: Some(lost), lines: batch.lines };
        let (bytes, count) = frames(&batch, Uuid::nil(), Dialect::Logplex);
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(count, 3);
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.contains(" <172>1 ") && first.contains(" host heroku logplex - Error L10"));
        assert!(first.ends_with("7 messages dropped since 2012-11-30T06:45:29.000000+00:00."));
        assert!(rest.starts_with("65 <190>1 2012-11-30T06:45:29.000000+00:00 host app web.3 - hé"));
    }
}
