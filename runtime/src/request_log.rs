//! The router's log line, in Heroku's format and order, with our own fields at the end.

use std::{fmt::Write, sync::Arc, time::Duration};

use http::{HeaderValue, Method, uri::PathAndQuery};
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
    formation::DynoName,
    hcode::HCode,
    metrics::AppMetrics,
    trace::{Ended, Trace},
};

/// What is known of a request when it arrives. Shares its text with the request.
pub(crate) struct RequestInfo {
    pub(crate) method: Method,
    /// `None` for `/`.
    pub(crate) target: Option<PathAndQuery>,
    pub(crate) host: HeaderValue,
    pub(crate) request_id: HeaderValue,
    /// `X-Forwarded-For` as the dyno sees it.
    pub(crate) fwd: HeaderValue,
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
    dyno: DynoName,
    at: Instant,
    exchange: Arc<Exchange>,
}

/// A line without its path is shorter than this.
const LINE_BYTES: usize = 320;

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
    pub(crate) fn dispatched(&mut self, dyno: DynoName, exchange: Arc<Exchange>) {
        self.dispatched = Some(Dispatched { dyno, at: Instant::now(), exchange });
    }

    /// Writes the line.
    pub(crate) fn finish(mut self, status: u16, bytes: u64, code: Option<HCode>) {
        let now = Instant::now();
        let time = now.duration_since(self.received);
        self.metrics.request(status, code, time);
        if let Some(trace) = self.trace.take() {
            self.end(*trace, status, code, time);
        }
        let info = &self.info;
        let target = info.target.as_ref().map_or("/", PathAndQuery::as_str);
        let mut line = Line(String::with_capacity(LINE_BYTES + target.len() + info.host.len()));
        match code {
            None => line.text("at=info"),
            Some(code) => {
                line.text("at=error code=").text(code.code()).text(" desc=\"");
                line.text(code.description()).text("\"")
            }
        };
        line.text(" method=").text(info.method.as_str());
        line.text(" path=\"").quoted(target);
        line.text("\" host=").text(info.host.to_str().unwrap_or_default());
        line.text(" request_id=").text(info.request_id.to_str().unwrap_or_default());
        line.text(" fwd=\"").quoted(info.fwd.to_str().unwrap_or_default());
        line.text("\" dyno=");
        match &self.dispatched {
            None => line.text(" connect= service="),
            Some(dispatched) => {
                // Writing to a string does not fail.
                let _ = write!(line.0, "{}", dispatched.dyno);
                let connect = dispatched.at.duration_since(self.received).as_millis();
                let service = now.duration_since(dispatched.at).as_millis();
                line.text(" connect=").number(connect).text("ms service=").number(service);
                line.text("ms")
            }
        };
        line.text(" status=").number(status.into()).text(" bytes=").number(bytes.into());
        line.text(" protocol=").text(info.protocol);
        if let Some(dispatched) = &self.dispatched {
            line.accounts(&dispatched.exchange);
        }
        let Line(mut line) = line;
        line.truncate(line.floor_char_boundary(self.line_bytes));
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
            dyno: dispatched.map(|dispatched| &dispatched.dyno),
            dyno_start: dispatched.and_then(|dispatched| dispatched.exchange.accounts().2),
            time,
        });
    }
}

/// Text put together piece by piece: `format!` of so many parts took a tenth of the router's time.
struct Line(String);

impl Line {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    fn number(&mut self, number: u128) -> &mut Self {
        self.0.push_str(itoa::Buffer::new().format(number));
        self
    }

    /// A number of tenths, as a decimal.
    fn tenths(&mut self, tenths: u128) -> &mut Self {
        self.number(tenths / 10).text(".").number(tenths % 10)
    }

    fn accounts(&mut self, exchange: &Exchange) {
        let (cpu, memory, start) = exchange.accounts();
        let Some(start) = start else { return };
        self.text(" start=").text(start.name()).text(" cpu=").tenths(cpu.as_micros() / 100);
        self.text("ms mem=").tenths(memory as u128 * 10 / (1024 * 1024)).text("MB");
    }

    /// Text that cannot end the quotes that it is put in, nor the line.
    fn quoted(&mut self, text: &str) -> &mut Self {
        if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\' && byte < 0x7f) {
            return self.text(text);
        }
        for c in text.chars() {
            match c {
                '"' | '\\' => self.0.extend(['\\', c]),
                c if c.is_control() => self.0.extend(c.escape_default()),
                c => self.0.push(c),
            }
        }
        self
    }
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
            method: Method::GET,
            target: Some(path.parse().unwrap()),
            host: HeaderValue::from_static("app.localhost"),
            request_id: HeaderValue::from_static("id"),
            fwd: HeaderValue::from_static("1.2.3.4"),
            protocol: "http",
        };
        let log = RequestLog::of(memory.clone(), info, line_bytes);
        (memory, log)
    }

    #[tokio::test(start_paused = true)]
    async fn a_served_request() {
        let (memory, mut log) = log("/a?b=c", 10_000);
        tokio::time::advance(Duration::from_millis(2)).await;
        let exchange = Exchange::new(&Limits::default());
        exchange.set_start(Start::Warm);
        exchange.add_cpu(Duration::from_micros(1_250));
        exchange.watch_memory(Arc::new((3 * 1024 * 1024).into()));
        log.dispatched(DynoName { process_type: "web".into(), number: 1 }, Arc::new(exchange));
        tokio::time::advance(Duration::from_millis(18)).await;
        log.finish(200, 13, None);
        let line = memory.0.lock().pop().unwrap();
        assert_eq!((line.source, &*line.dyno), (Source::Heroku, "router"));
        assert_eq!(
            line.text,
            "at=info method=GET path=\"/a?b=c\" host=app.localhost request_id=id fwd=\"1.2.3.4\" \
             dyno=web.1 connect=2ms service=18ms status=200 bytes=13 protocol=http start=warm \
             cpu=1.2ms mem=3.0MB"
        );
    }

    #[tokio::test]
    async fn a_request_that_no_dyno_got() {
        let (memory, log) = log("/\"status=200\\", 10_000);
        log.finish(503, 0, Some(HCode::H14));
        assert_eq!(
            memory.0.lock().pop().unwrap().text,
            "at=error code=H14 desc=\"No web processes running\" method=GET path=\"/\\\"status=200\\\\\" \
             host=app.localhost request_id=id fwd=\"1.2.3.4\" dyno= connect= service= \
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
