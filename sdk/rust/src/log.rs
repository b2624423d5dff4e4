//! `tracing` to the app's log.
//!
//! A dyno's standard output is the app's log, so an event is one line there, in logfmt; the platform adds
//! time, app and dyno. Nothing needs to be set up: the first request does it.
//!
//! ```text
//! level=info target=my_app span=checkout span_path=request>checkout message=paid cents=1999 user="Ada L."
//! ```
//!
//! The config var `RUST_LOG` chooses what is printed, as a level or as levels of targets:
//! `wpaas config:set RUST_LOG=warn,my_app=debug`. Without it that is `info` and above.
//!
//! A panic is printed as an event too, with its place. An app that sets its own global subscriber before
//! the first request keeps it, and its own panic hook.

use std::panic::PanicHookInfo;
use std::sync::Once;

use tracing::level_filters::LevelFilter;
use tracing::{Subscriber, subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

/// Sends events and panics to standard output from now on. `#[http]` calls it before the first request;
/// calling it again changes nothing.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let (filter, complaint) = filter(std::env::var("RUST_LOG").ok().as_deref());
        let ours = subscriber_to(std::io::stdout, filter);
        if subscriber::set_global_default(ours).is_ok() {
            std::panic::set_hook(Box::new(log_panic));
        }
        if let Some(complaint) = complaint {
            tracing::warn!("{complaint}");
        }
    });
}

/// A subscriber that writes one line of logfmt per event, without a time.
fn subscriber_to<W>(writer: W, filter: Targets) -> impl Subscriber
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_logfmt::builder().with_timestamp(false).layer().with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(filter))
}

/// What `RUST_LOG` asks for, and a complaint when it cannot be understood.
fn filter(rust_log: Option<&str>) -> (Targets, Option<String>) {
    let default = || Targets::new().with_default(LevelFilter::INFO);
    match rust_log.filter(|text| !text.is_empty()).map(str::parse::<Targets>) {
        None => (default(), None),
        Some(Ok(targets)) => (targets, None),
        Some(Err(error)) => (
            default(),
            Some(format!("RUST_LOG is ignored: {error}; an example is warn,my_app=debug")),
        ),
    }
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("no message");
    match info.location() {
        Some(at) => tracing::error!(target: "panic", at = %at, "{message}"),
        None => tracing::error!(target: "panic", "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What `events` print under `RUST_LOG`.
    fn printed(rust_log: Option<&str>, events: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let ours = subscriber_to(move || writer.clone(), filter(rust_log).0);
        subscriber::with_default(ours, events);
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn an_event_is_one_line_of_logfmt() {
        let text = printed(None, || {
            tracing::info!(target: "shop", user = "Ada L.", cents = 1999, ok = true, "paid\nin full");
        });
        assert_eq!(
            text,
            "level=info target=shop message=\"paid\\nin full\" user=\"Ada L.\" cents=1999 ok=true\n"
        );
    }

    #[test]
    fn a_line_names_the_spans_it_came_from() {
        let text = printed(None, || {
            let _request = tracing::info_span!("request", id = 7).entered();
            let _checkout = tracing::info_span!("checkout").entered();
            tracing::warn!(target: "shop", "slow");
        });
        assert!(
            text.starts_with("level=warn target=shop span=checkout span_path=request>checkout")
        );
        assert!(text.contains(" id=7") && text.contains(" message=slow"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn rust_log_chooses_levels_by_target() {
        let events = || {
            tracing::debug!(target: "shop", "one");
            tracing::info!(target: "library", "two");
            tracing::warn!(target: "library", "three");
        };
        let messages = |rust_log| {
            let text = printed(rust_log, events);
            ["one", "two", "three"].map(|word| text.contains(&format!("message={word}\n")))
        };
        assert_eq!(messages(None), [false, true, true]);
        assert_eq!(messages(Some("")), [false, true, true]);
        assert_eq!(messages(Some("warn,shop=debug")), [true, false, true]);
        assert_eq!(messages(Some("off")), [false, false, false]);
    }

    #[test]
    fn a_wrong_rust_log_is_reported_and_means_info() {
        let (targets, complaint) = filter(Some("shop=loud"));
        assert_eq!(targets, filter(None).0);
        assert!(complaint.unwrap().starts_with("RUST_LOG is ignored: "));
    }

    #[test]
    fn a_panic_is_a_line_with_its_place() {
        let text = printed(None, || {
            std::panic::set_hook(Box::new(log_panic));
            let _ = std::panic::catch_unwind(|| std::panic::panic_any("no stock".to_owned()));
            let _ = std::panic::take_hook();
        });
        assert!(text.starts_with("level=error target=panic message=\"no stock\" at="), "{text}");
        assert!(text.contains("log.rs:"), "{text}");
    }
}
