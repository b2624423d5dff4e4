//! What a command prints: data on standard output, everything meant for a person on standard error, as the
//! heroku CLI does, so that output can be piped. Colour only on a terminal and without `NO_COLOR`.

use std::{
    fmt::Display,
    io::{self, IsTerminal as _, Write},
};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;

use crate::progress::Action;

/// Whether text is coloured, and how.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    colour: bool,
}

impl Style {
    /// For standard output.
    pub(crate) fn of_stdout() -> Self {
        Self { colour: wanted() && io::stdout().is_terminal() }
    }

    /// For standard error.
    pub(crate) fn of_stderr() -> Self {
        Self { colour: wanted() && io::stderr().is_terminal() }
    }

    fn paint(self, code: u8, text: impl Display) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Failures.
    pub(crate) fn red(self, text: impl Display) -> String {
        self.paint(31, text)
    }

    /// Things that are as they should be, and keys.
    pub(crate) fn green(self, text: impl Display) -> String {
        self.paint(32, text)
    }

    /// Warnings.
    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.paint(33, text)
    }

    /// Names of apps and of log sources.
    pub(crate) fn cyan(self, text: impl Display) -> String {
        self.paint(36, text)
    }

    /// Headings.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.paint(1, text)
    }

    /// What matters least.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.paint(2, text)
    }

    /// The source of a log line: each gets a colour of its own that stays the same.
    pub(crate) fn source(self, name: &str) -> String {
        const COLOURS: [u8; 5] = [36, 33, 32, 35, 34];
        let sum = name.bytes().fold(0_usize, |sum, byte| sum.wrapping_add(usize::from(byte)));
        let code = COLOURS.get(sum % COLOURS.len()).copied().unwrap_or(36);
        self.paint(code, name)
    }

    /// `TIME source[dyno]: text` with time and source in the source's colour.
    pub(crate) fn log_line(self, line: &str) -> String {
        let Some((head, text)) = line.split_once(": ") else { return line.to_owned() };
        let Some((at, source)) = head.split_once(' ') else { return line.to_owned() };
        format!("{} {} {text}", self.dim(at), self.source(&format!("{source}:")))
    }

    /// Whether there are colours at all.
    pub(crate) fn is_coloured(self) -> bool {
        self.colour
    }
}

/// The convention of no-color.org: set and not empty means no colour.
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Where a command prints to. Tests print to memory.
pub(crate) struct Ui {
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
    /// How standard output is coloured.
    pub(crate) style: Style,
    /// How standard error is coloured.
    pub(crate) err_style: Style,
    /// Whether somebody watches standard error, so that progress may be drawn there.
    pub(crate) watched: bool,
}

impl Ui {
    /// The process's own streams.
    pub(crate) fn process() -> Self {
        Self {
            out: Mutex::new(Box::new(io::stdout())),
            err: Mutex::new(Box::new(io::stderr())),
            style: Style::of_stdout(),
            err_style: Style::of_stderr(),
            watched: io::stderr().is_terminal(),
        }
    }

    /// Streams given by the caller; no colour, no progress.
    #[cfg(test)]
    pub(crate) fn to(out: impl Write + Send + 'static, err: impl Write + Send + 'static) -> Self {
        Self {
            out: Mutex::new(Box::new(out)),
            err: Mutex::new(Box::new(err)),
            style: Style::default(),
            err_style: Style::default(),
            watched: false,
        }
    }

    /// One line of data. Fails when nobody reads any more (broken pipe).
    pub(crate) fn line(&self, text: impl Display) -> io::Result<()> {
        writeln!(self.out.lock(), "{text}")
    }

    /// Bytes of data as they come, shown at once.
    pub(crate) fn raw(&self, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.out.lock();
        out.write_all(bytes)?;
        out.flush()
    }

    /// One line for a person.
    pub(crate) fn note(&self, text: impl Display) {
        // Standard error is the last resort; when it is gone there is nobody left to tell.
        let _ = writeln!(self.err.lock(), "{text}");
    }

    /// Bytes for a person as they come.
    pub(crate) fn raw_note(&self, bytes: &[u8]) {
        let mut err = self.err.lock();
        let _ = err.write_all(bytes).and_then(|()| err.flush());
    }

    /// A warning for a person.
    pub(crate) fn warn(&self, text: impl Display) {
        self.note(format_args!("{} {text}", self.err_style.yellow("Warning:")));
    }

    /// Data for a script.
    pub(crate) fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.line(serde_json::to_string_pretty(value)?)?)
    }

    /// `=== title`, and an empty line.
    pub(crate) fn heading(&self, title: impl Display) -> io::Result<()> {
        self.line(format_args!("{} {}\n", self.style.dim("==="), self.style.bold(title)))
    }

    /// Rows in columns as wide as their widest cell, without trailing blanks.
    pub(crate) fn table(&self, rows: &[Vec<String>]) -> io::Result<()> {
        columns(rows).into_iter().try_for_each(|row| self.line(row))
    }

    /// `Doing something... ` on standard error, completed by what it led to.
    pub(crate) fn action(&self, text: impl Display) -> Action<'_> {
        Action::start(self, text.to_string())
    }
}

/// The rows of a table as lines.
pub(crate) fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// A moment as the heroku CLI shows it, in UTC: `2026/11/21 10:00:00 +0000 (~ 5m ago)`.
pub(crate) fn moment(at: Timestamp, now: Timestamp) -> String {
    let shown = at.strftime("%Y/%m/%d %H:%M:%S +0000");
    match ago(now.duration_since(at)) {
        Some(ago) => format!("{shown} ({ago})"),
        None => shown.to_string(),
    }
}

/// Nothing for what is more than a day old or in the future: the date says enough.
fn ago(age: SignedDuration) -> Option<String> {
    let seconds = age.as_secs();
    match seconds {
        ..0 => None,
        0..60 => Some(format!("~ {seconds}s ago")),
        60..3_600 => Some(format!("~ {}m ago", seconds / 60)),
        3_600..90_000 => Some(format!("~ {}h ago", seconds / 3_600)),
        _ => None,
    }
}

/// A size for people, in the binary units that Heroku uses: `1.5 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut shown = String::new();
    for unit in UNITS {
        value /= 1_024.0;
        shown = format!("{value:.1} {unit}");
        if value < 1_024.0 {
            break;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_of_another_shape_are_left_alone() {
        for line in ["", "no colon", "a: b"] {
            assert_eq!(Style::default().log_line(line), line);
        }
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["v10".into(), "Ümlaut".into(), "x".into()], vec!["v9".into(), "a".into()]];
        assert_eq!(columns(&rows), ["v10  Ümlaut  x", "v9   a"]);
        assert!(columns(&[]).is_empty());
    }

    #[test]
    fn moments_tell_the_age_of_a_day_at_most() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let shown = |at: &str| moment(at.parse().unwrap(), now);
        assert_eq!(shown("2026-11-21T09:55:01Z"), "2026/11/21 09:55:01 +0000 (~ 4m ago)");
        assert_eq!(shown("2026-11-21T09:59:58.5Z"), "2026/11/21 09:59:58 +0000 (~ 1s ago)");
        assert_eq!(shown("2026-11-20T10:00:00Z"), "2026/11/20 10:00:00 +0000 (~ 24h ago)");
        assert_eq!(shown("2026-11-01T10:00:00Z"), "2026/11/01 10:00:00 +0000");
        assert_eq!(shown("2026-11-21T10:00:09Z"), "2026/11/21 10:00:09 +0000");
    }

    #[test]
    fn sizes_have_a_unit() {
        let shown = [0, 1_023, 1_024, 1_572_864, u64::MAX].map(size);
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KB", "1.5 MB", "16777216.0 TB"]);
    }

    #[test]
    fn no_colour_means_no_escape() {
        let style = Style { colour: false };
        assert_eq!(style.red("x") + &style.source("app[web.1]"), "xapp[web.1]");
        assert_eq!(Style { colour: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
