//! One reader that follows an app's log.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, broadcast};
use uuid::Uuid;
use wpaas_slug::log::LogLine;

use super::{Filter, Line, l10};

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
                    return Some(Arc::new(l10(self.app, lost)));
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
