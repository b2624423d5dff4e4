//! What a dyno was refused, in the app's log: each thing once in a period, and a bounded number of things.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use wpaas_slug::Limits;

use crate::lines::DynoLog;

/// The refusals of one dyno.
pub(super) struct Denials {
    log: DynoLog,
    lines: usize,
    period: Duration,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    logged: Vec<String>,
    unlogged: u64,
}

impl Denials {
    pub(super) fn new(log: DynoLog, limits: &Limits) -> Self {
        Self {
            log,
            lines: Limits::size(limits.denied_lines),
            period: Limits::ms(limits.denied_period_ms),
            window: Mutex::default(),
        }
    }

    /// Logs the line, or counts it.
    pub(super) fn add(&self, line: String) {
        let mut window = self.window.lock();
        let now = Instant::now();
        if window.began.is_none_or(|began| now.duration_since(began) >= self.period) {
            self.report(window.unlogged);
            *window = Window { began: Some(now), ..Window::default() };
        }
        if window.logged.len() >= self.lines || window.logged.contains(&line) {
            window.unlogged += 1;
            return;
        }
        self.log.platform(&line);
        window.logged.push(line);
    }

    fn report(&self, unlogged: u64) {
        if unlogged > 0 {
            self.log.platform(&format!("{unlogged} more connections were refused, as above"));
        }
    }
}

impl Drop for Denials {
    fn drop(&mut self) {
        self.report(self.window.lock().unlogged);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;
    use wpaas_slug::log::{LogLine, LogSink};

    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<String>>);

    impl LogSink for Memory {
        fn write(&self, line: LogLine) {
            self.0.lock().push(line.text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_of_refusals_makes_few_lines_and_loses_none() {
        let memory = Arc::new(Memory::default());
        let log = DynoLog::new(memory.clone(), Uuid::nil(), "web.1", 1000);
        let limits = Limits { denied_lines: 2, denied_period_ms: 1000, ..Limits::default() };
        let denials = Denials::new(log, &limits);
        for _ in 0..1000 {
            denials.add("a".into());
        }
        for number in 0..1000 {
            denials.add(format!("b{number}"));
        }
        assert_eq!(*memory.0.lock(), ["a", "b0"]);
        tokio::time::advance(Duration::from_millis(1000)).await;
        denials.add("a".into());
        let more = "1998 more connections were refused, as above";
        assert_eq!(*memory.0.lock(), ["a", "b0", more, "a"]);
        denials.add("a".into());
        drop(denials);
        let last = memory.0.lock().last().cloned().unwrap();
        assert_eq!(last, "1 more connections were refused, as above");
    }
}
