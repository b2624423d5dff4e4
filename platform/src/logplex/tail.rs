//! One reader that follows an app's log.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, broadcast};
use uuid::Uuid;
use wpaas_slug::log::{LogLine, Source};

use super::{Filter, Line};

/// Heroku's line for a reader that is too slow.
pub(crate) fn l11(app: Uuid, what: impl std::fmt::Display) -> LogLine {
    let text = format!("Error L11 (tail buffer overflow): {what}");
    LogLine::now(app, Source::Heroku, "logplex", text)
}

/// A live tail. A reader that is slower than the log loses lines, and is told how many.
pub(crate) struct Tail {
    app: Uuid,
    filter: Filter,
    lines: broadcast::Receiver<Line>,
    _permit: OwnedSemaphorePermit,
}

impl Tail {
    pub(super) fn new(
        app: Uuid,
        filter: Filter,
        lines: broadcast::Receiver<Line>,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self { app, filter, lines, _permit: permit }
    }

    /// The next line; `None` when the app is gone.
    pub(crate) async fn next(&mut self) -> Option<Arc<LogLine>> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.filter.takes(&line) => return Some(line),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    return Some(Arc::new(l11(self.app, format_args!("{lost} messages dropped"))));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
