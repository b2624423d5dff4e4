//! The router's log line, in Heroku's format and order, with our own fields at the end.

use std::{fmt::Write, sync::Arc, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink, Source},
};

use crate::{
    app::App,
    dyno::Host,
    exchange::{Exchange, Start},
    hcode::HCode,
    metrics::AppMetrics,
    trace::{Ended, Trace},
};

/// What is known of a request when it arrives.
pub(crate) struct RequestInfo {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) request_id: String,
    /// `X-Forwarded-For` as the dyno sees it.
    pub(crate) fwd: String,
    /// `http` or `https`
    pub(crate) protocol: &'static str,
}

/// Writes one line when the request is over, counts it, and ends its span.
pub(crate) struct RequestLog {
    sink: Arc<dyn LogSink>,
    app: Uuid,
    info: RequestInfo,
    line_bytes: usize,
    received: Instant,
    dispatched: Option<Dispatched>,
    metrics: Arc<AppMetrics>,
    trace: Option<Box<Trace>>,
}

struct Dispatched {
    dyno: String,
    at: Instant,
    exchange: Arc<Exchange>,
}

impl RequestLog {
    pub(crate) fn new(
        host: &Host,
        app: &App,
        info: RequestInfo,
        trace: Option<Box<Trace>>,
    ) -> Self {
        Self {
            sink: Arc::clone(&host.sink),
            app: app.spec.id,
            info,
            line_bytes: Limits::size(host.limits.log_line_bytes),
            received: Instant::now(),
            dispatched: None,
            metrics: Arc::clone(&app.metrics),
            trace,
        }
    }

    /// For tests: without a node around it.
    #[cfg(test)]
    pub(crate) fn of(sink: Arc<dyn LogSink>, info: RequestInfo, line_bytes: usize) -> Self {
        Self {
            sink,
            app: Uuid::nil(),
            info,
            line_bytes,
            received: Instant::now(),
            dispatched: None,
            metrics: crate::metrics::Metrics::new(&Limits::default()).app(),
            trace: None,
        }
    }

    /// The head of the dyno's response is here.
    pub(crate) fn answered(&self) {
        let Some(dispatched) = &self.dispatched else { return };
        let (_, _, start) = dispatched.exchange.accounts();
        if let Some(start @ (Start::Fresh | Start::Cold)) = start {
            self.metrics.started(start, self.received.elapsed());
        }
    }

    /// A dyno has the request now.
    pub(crate) fn dispatched(&mut self, dyno: String, exchange: Arc<Exchange>) {
        self.dispatched = Some(Dispatched { dyno, at: Instant::now(), exchange });
    }

    /// Writes the line.
    pub(crate) fn finish(mut self, status: u16, bytes: u64, code: Option<HCode>) {
        let time = self.received.elapsed();
        self.metrics.request(status, code, time);
        if let Some(trace) = self.trace.take() {
            self.end(*trace, status, code, time);
        }
        let mut line = match code {
            None => "at=info".to_owned(),
            Some(code) => format!("at=error code={} desc=\"{}\"", code.code(), code.description()),
        };
        let info = &self.info;
        let (dyno, connect, service, accounts) = match &self.dispatched {
            None => (String::new(), String::new(), String::new(), String::new()),
            Some(dispatched) => (
                dispatched.dyno.clone(),
                format!("{}ms", dispatched.at.duration_since(self.received).as_millis()),
                format!("{}ms", dispatched.at.elapsed().as_millis()),
                accounts(&dispatched.exchange),
            ),
        };
        let written = write!(
            line,
            " method={} path=\"{}\" host={} request_id={} fwd=\"{}\" dyno={dyno} connect={connect} \
             service={service} status={status} bytes={bytes} protocol={}{accounts}",
            info.method,
            quoted(&info.path),
            info.host,
            info.request_id,
            quoted(&info.fwd),
            info.protocol,
        );
        // Writing to a string does not fail.
        debug_assert!(written.is_ok());
        let mut end = line.len().min(self.line_bytes);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        self.sink.write(LogLine::now(self.app, Source::Heroku, "router", line));
    }
}

impl RequestLog {
    fn end(&self, trace: Trace, status: u16, code: Option<HCode>, time: Duration) {
        let dispatched = self.dispatched.as_ref();
        trace.end(Ended {
            info: &self.info,
            status,
            code,
            dyno: dispatched.map(|dispatched| dispatched.dyno.as_str()),
            dyno_start: dispatched.and_then(|dispatched| dispatched.exchange.accounts().2),
            time,
        });
    }
}

fn accounts(exchange: &Exchange) -> String {
    let (cpu, memory, start) = exchange.accounts();
    let Some(start) = start.map(Start::name) else { return String::new() };
    let (cpu, memory) = (cpu.as_secs_f64() * 1e3, memory as f64 / (1024.0 * 1024.0));
    format!(" start={start} cpu={cpu:.1}ms mem={memory:.1}MB")
}

/// Text that cannot end the quotes that it is put in, nor the line.
fn quoted(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<LogLine>>);

    impl LogSink for Memory {
        fn write(&self, line: LogLine) {
            self.0.lock().push(line);
        }
    }

    fn log(path: &str, line_bytes: usize) -> (Arc<Memory>, RequestLog) {
        let memory = Arc::new(Memory::default());
        let info = RequestInfo {
            method: "GET".into(),
            path: path.into(),
            host: "app.localhost".into(),
            request_id: "id".into(),
            fwd: "1.2.3.4".into(),
            protocol: "http",
        };
        let log = RequestLog::of(memory.clone(), info, line_bytes);
        (memory, log)
    }

    #[tokio::test(start_paused = true)]
    async fn a_served_request() {
        let (memory, mut log) = log("/a?b=c", 10_000);
        tokio::time::advance(Duration::from_millis(2)).await;
        let (exchange, _outcome) = Exchange::new(&Limits::default());
        exchange.set_start(Start::Warm);
        exchange.add_cpu(Duration::from_micros(1_250));
        exchange.watch_memory(Arc::new((3 * 1024 * 1024).into()));
        log.dispatched("web.1".into(), Arc::new(exchange));
        tokio::time::advance(Duration::from_millis(18)).await;
        log.finish(200, 13, None);
        let line = memory.0.lock().pop().unwrap();
        assert_eq!((line.source, line.dyno.as_str()), (Source::Heroku, "router"));
        assert_eq!(
            line.text,
            "at=info method=GET path=\"/a?b=c\" host=app.localhost request_id=id fwd=\"1.2.3.4\" \
             dyno=web.1 connect=2ms service=18ms status=200 bytes=13 protocol=http start=warm \
             cpu=1.2ms mem=3.0MB"
        );
    }

    #[tokio::test]
    async fn a_request_that_no_dyno_got() {
        let (memory, log) = log("/\" status=200", 10_000);
        log.finish(503, 0, Some(HCode::H14));
        assert_eq!(
            memory.0.lock().pop().unwrap().text,
            "at=error code=H14 desc=\"No web processes running\" method=GET path=\"/\\\" \
             status=200\" host=app.localhost request_id=id fwd=\"1.2.3.4\" dyno= connect= service= \
             status=503 bytes=0 protocol=http"
        );
    }

    #[tokio::test]
    async fn long_lines_are_cut() {
        let (memory, log) = log(&"/ä".repeat(100), 100);
        log.finish(200, 0, None);
        assert!(memory.0.lock().pop().unwrap().text.len() <= 100);
    }
}
