//! The last lines of every app, bounded per app in lines and over all apps in bytes.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::broadcast;
use uuid::Uuid;
use wpaas_slug::log::LogLine;

use super::{Filter, Line, Sender};
use crate::drains::Buffer;

/// What a line costs besides its text.
const LINE_OVERHEAD_BYTES: usize = 128;

pub(super) struct Histories {
    apps: HashMap<Uuid, History>,
    lines: usize,
    bytes: usize,
    used_bytes: usize,
    /// By app: where its lines go besides.
    drains: HashMap<Uuid, Vec<(Uuid, Arc<Buffer>)>>,
    /// Counts lines, to know which app was silent longest.
    clock: u64,
}

#[derive(Default)]
struct History {
    lines: VecDeque<Line>,
    bytes: usize,
    last: u64,
    tails: Option<Sender>,
}

fn cost(line: &LogLine) -> usize {
    line.text.len() + line.dyno.len() + LINE_OVERHEAD_BYTES
}

impl Histories {
    pub(super) fn new(lines: usize, bytes: usize) -> Self {
        Self { apps: HashMap::new(), lines, bytes, used_bytes: 0, drains: HashMap::new(), clock: 0 }
    }

    pub(super) fn add(&mut self, mut line: LogLine) {
        // Lines grow as they are written, and stay for long.
        line.text.shrink_to_fit();
        let line = Arc::new(line);
        for (_, drain) in self.drains.get(&line.app).into_iter().flatten() {
            drain.push(Arc::clone(&line));
        }
        self.keep(line);
    }

    /// The same without drains.
    pub(super) fn add_aside(&mut self, line: LogLine) {
        self.keep(Arc::new(line));
    }

    pub(super) fn attach(&mut self, app: Uuid, drain: Uuid, buffer: Arc<Buffer>) {
        self.drains.entry(app).or_default().push((drain, buffer));
    }

    pub(super) fn detach(&mut self, app: Uuid, drain: Uuid) {
        if let Some(drains) = self.drains.get_mut(&app) {
            drains.retain(|(id, _)| *id != drain);
            if drains.is_empty() {
                self.drains.remove(&app);
            }
        }
    }

    fn keep(&mut self, line: Line) {
        self.clock += 1;
        let app = line.app;
        let cost_bytes = cost(&line);
        let history = self.apps.entry(app).or_default();
        history.last = self.clock;
        if let Some(tails) = &history.tails
            && tails.send(line.clone()).is_err()
        {
            // The last reader has left.
            history.tails = None;
        }
        history.lines.push_back(line);
        history.bytes += cost_bytes;
        self.used_bytes += cost_bytes;
        while history.lines.len() > self.lines {
            self.used_bytes -= history.drop_oldest();
        }
        self.shrink(app);
    }

    /// Keeps within the bytes of all apps: the app that was silent longest pays first, the writer last.
    fn shrink(&mut self, writer: Uuid) {
        while self.used_bytes > self.bytes {
            let others =
                self.apps.iter().filter(|(app, history)| **app != writer && history.bytes > 0);
            let silent = others.min_by_key(|(_, history)| history.last).map(|(app, _)| *app);
            let Some(history) = self.apps.get_mut(&silent.unwrap_or(writer)) else { return };
            match silent {
                Some(_) => {
                    self.used_bytes -= history.bytes;
                    history.bytes = 0;
                    history.lines = VecDeque::new();
                }
                None if history.lines.len() > 1 => self.used_bytes -= history.drop_oldest(),
                None => return,
            }
        }
    }

    pub(super) fn last(&self, app: Uuid, filter: &Filter, count: usize) -> Vec<Line> {
        let Some(history) = self.apps.get(&app) else { return Vec::new() };
        let wanted = history.lines.iter().rev().filter(|line| filter.takes(line));
        let mut lines: Vec<Line> = wanted.take(count).cloned().collect();
        lines.reverse();
        lines
    }

    pub(super) fn subscribe(&mut self, app: Uuid, buffer: usize) -> broadcast::Receiver<Line> {
        let history = self.apps.entry(app).or_default();
        history.tails.get_or_insert_with(|| Sender::new(buffer)).subscribe()
    }

    pub(super) fn forget(&mut self, app: Uuid) {
        self.drains.remove(&app);
        if let Some(history) = self.apps.remove(&app) {
            self.used_bytes -= history.bytes;
        }
    }
}

impl History {
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.lines.pop_front().map_or(0, |line| cost(&line));
        self.bytes -= bytes;
        bytes
    }
}
