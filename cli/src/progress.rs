//! Progress of long work, on standard error: drawn on a terminal only, plain lines otherwise.

use std::{fmt::Display, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Ui;

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

/// Something under way: `Creating app... ` and, at its end, `done` or what went wrong.
pub(crate) struct Action<'a> {
    ui: &'a Ui,
    text: String,
    spinner: Option<ProgressBar>,
    ended: bool,
}

impl<'a> Action<'a> {
    /// Shows that it has begun.
    pub(crate) fn start(ui: &'a Ui, text: String) -> Self {
        let spinner = ui.watched.then(|| {
            let spinner = ProgressBar::new_spinner().with_message(format!("{text}..."));
            spinner.set_style(
                ProgressStyle::with_template("{msg} {spinner}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            spinner.enable_steady_tick(TICK);
            spinner
        });
        Self { ui, text, spinner, ended: false }
    }

    /// `Creating app... done`
    pub(crate) fn done(self) {
        let done = self.ui.err_style.green("done");
        self.end(done);
    }

    /// `Setting A... done, v5`
    pub(crate) fn done_with(self, what: impl Display) {
        let done = self.ui.err_style.green("done");
        self.end(format_args!("{done}, {what}"));
    }

    fn end(mut self, what: impl Display) {
        self.stop(what);
    }

    fn stop(&mut self, what: impl Display) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
        self.ui.note(format_args!("{}... {what}", self.text));
    }
}

impl Drop for Action<'_> {
    /// Dropped before its end: it failed or was interrupted, and the error line follows.
    fn drop(&mut self) {
        let failed = self.ui.err_style.red("!");
        self.stop(failed);
    }
}

/// A bar for the bytes of an upload.
pub(crate) struct Bytes(ProgressBar);

impl Bytes {
    /// A bar of `total` bytes, hidden when nobody watches.
    pub(crate) fn start(ui: &Ui, text: &str, total: u64) -> Self {
        let target =
            if ui.watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(text.to_owned());
        bar.set_style(
            ProgressStyle::with_template("{msg} [{bar:30}] {bytes}/{total_bytes}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self(bar)
    }

    /// A handle that counts bytes from elsewhere.
    pub(crate) fn counter(&self) -> impl Fn(u64) + Send + Sync + 'static {
        let bar = self.0.clone();
        move |bytes| bar.inc(bytes)
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn an_action_ends_once_and_says_how() {
        let (ui, streams) = testing::ui();
        ui.action("Creating app").done_with("demo");
        ui.action("Restarting").done();
        drop(ui.action("Scaling"));
        assert_eq!(streams.err(), "Creating app... done, demo\nRestarting... done\nScaling... !\n");
        assert_eq!(streams.out(), "");
    }
}
