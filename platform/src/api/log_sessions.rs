//! `/apps/{app}/log-sessions` and the log streams that they open.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, mpsc::error::SendTimeoutError, oneshot};
use wpaas_slug::log::{LogLine, Source};

use super::{
    extract::{Json, Params, reply},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    db,
    log_sessions::Session,
    logplex::{Filter, Tail, l11},
};

/// Lines of history when the request does not say, as on Heroku.
const DEFAULT_LINES: u64 = 100;

#[derive(Deserialize)]
pub(super) struct Create {
    lines: Option<Value>,
    tail: Option<bool>,
    source: Option<String>,
    dyno: Option<String>,
    r#type: Option<String>,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    app: App,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let source = match body.source.as_deref() {
        None | Some("") => None,
        Some("app") => Some(Source::App),
        Some("heroku") => Some(Source::Heroku),
        Some(other) => {
            let shown: String = other.chars().take(40).collect();
            return Err(Error::Invalid(format!("Log source {shown:?} must be app or heroku.")));
        }
    };
    let lines = match &body.lines {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let lines = lines.unwrap_or(DEFAULT_LINES).min(ctx.limits.log_history_lines);
    let session = Session {
        app: app.id,
        filter: Filter { source, dyno: body.dyno.or(body.r#type).filter(|dyno| !dyno.is_empty()) },
        lines: usize::try_from(lines).unwrap_or(usize::MAX),
        tail: body.tail.unwrap_or(false),
    };
    let token = ctx.sessions.create(session, Instant::now())?;
    let now = serialise::time(&db::now());
    let object = json!({
        "created_at": now,
        "id": db::new_id(),
        "logplex_url": format!("{}/logs/{token}", ctx.urls.api),
        "updated_at": now,
    });
    Ok(reply(StatusCode::CREATED, &object))
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Server-sent events, for the CLI.
    Events,
    /// One line each, for people and curl.
    Plain,
}

impl Form {
    fn line(self, line: &LogLine) -> Bytes {
        let text = line.render().replace(['\n', '\r'], " ");
        match self {
            Self::Events => Bytes::from(format!("data: {text}\n\n")),
            Self::Plain => Bytes::from(format!("{text}\n")),
        }
    }
}

type Chunks = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

pub(super) async fn stream(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, Error> {
    let session = ctx.sessions.get(params.get("token"), Instant::now())?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let events = accept.is_some_and(|accept| accept.contains("text/event-stream"));
    let (form, kind) = if events {
        (Form::Events, "text/event-stream")
    } else {
        (Form::Plain, "text/plain; charset=utf-8")
    };
    let (history, tail) = if session.tail {
        let opened = ctx.logplex.tail(session.app, session.filter, session.lines).await;
        let (history, tail) = opened
            .ok_or_else(|| Error::Busy("Too many log tails are open; try again later.".into()))?;
        (history, Some(tail))
    } else {
        let history = ctx.logplex.history(session.app, &session.filter, session.lines).await;
        (history, None)
    };
    // The CLI's event source waits this many milliseconds before it takes a closed stream for its end;
    // without it, that is seconds.
    let first = (form == Form::Events).then(|| Bytes::from_static(b"retry: 20\n\n"));
    let lines = history.into_iter().map(move |line: Arc<LogLine>| form.line(&line));
    let mut chunks: Chunks = Box::pin(stream::iter(first.into_iter().chain(lines)));
    if let Some(tail) = tail {
        let keepalive = Duration::from_millis(ctx.limits.log_keepalive_ms);
        let live = follow(tail, form, keepalive);
        chunks = Box::pin(chunks.chain(live).take_until(ctx.stop.clone().cancelled_owned()));
        let patience = Duration::from_millis(ctx.limits.log_stall_ms);
        let last = move || {
            let why =
                format_args!("the tail ended, nothing of it was read for {patience:?}").to_string();
            form.line(&l11(session.app, why))
        };
        chunks = Box::pin(watched(chunks, patience, last));
    }
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(chunks.map(Ok::<_, Infallible>))).into_response())
}

/// Chunks on their way to a reader; as many wake it once.
const CHUNKS_UNDER_WAY: usize = 64;

/// Hands chunks on until the reader takes none for `patience`. Then what they come from ends, and the reader, should it
/// go on, gets what was under way and `last`.
fn watched(
    mut chunks: Chunks,
    patience: Duration,
    last: impl FnOnce() -> Bytes + Send + 'static,
) -> impl Stream<Item = Bytes> + Send {
    let (sender, receiver) = mpsc::channel(CHUNKS_UNDER_WAY);
    let (stalled, has_stalled) = oneshot::channel();
    tokio::spawn(async move {
        loop {
            let chunk = tokio::select! {
                chunk = chunks.next() => chunk,
                () = sender.closed() => return,
            };
            let Some(chunk) = chunk else { return };
            if let Err(SendTimeoutError::Timeout(_)) = sender.send_timeout(chunk, patience).await {
                // A reader that has gone is told nothing.
                stalled.send(last()).ok();
                return;
            }
        }
    });
    let under_way = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    under_way.chain(stream::once(has_stalled).filter_map(async |last| last.ok()))
}

/// What comes, with a comment now and then for event streams, so that proxies do not close a silent one.
fn follow(tail: Tail, form: Form, keepalive: Duration) -> impl Stream<Item = Bytes> + Send {
    stream::unfold(tail, move |mut tail| async move {
        match form {
            Form::Plain => tail.next().await.map(|line| (form.line(&line), tail)),
            Form::Events => match tokio::time::timeout(keepalive, tail.next()).await {
                Ok(line) => line.map(|line| (form.line(&line), tail)),
                Err(_) => Some((Bytes::from_static(b":\n\n"), tail)),
            },
        }
    })
}
