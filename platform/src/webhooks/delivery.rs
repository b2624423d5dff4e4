//! Sends what is due. One task looks what that is, whenever something arrived or the time of an attempt has come; each
//! delivery is a task of its own, one for each webhook at a time, so that one that is slow holds up no other.

use std::{collections::HashSet, sync::Arc, time::Duration};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine as _;
use bytes::Bytes;
use hmac::{Hmac, Mac as _};
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::AnyConnection;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use uuid::Uuid;
use wpaas_slug::{
    Limits,
    log::{LogLine, LogSink as _, Source},
};

use super::{DELIVERIES, Delivery, Happened, Webhook, address, event, find};
use crate::{Ctx, Error, Inner, db, outgoing};

const USER_AGENT: &str = concat!("wpaas-webhooks/", env!("CARGO_PKG_VERSION"));

/// Rest when the database does not answer.
const DATABASE_REST: Duration = Duration::from_secs(1);

/// The webhooks that are being sent to.
pub(crate) struct Webhooks {
    /// Something may be due.
    pub(super) arrived: Arc<Notify>,
    sending: Mutex<HashSet<String>>,
    turns: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Webhooks {
    pub(crate) fn new(limits: &Limits) -> Self {
        let sends = Limits::size(limits.webhook_sends).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            arrived: Arc::default(),
            sending: Mutex::default(),
            turns: Arc::new(Semaphore::new(sends)),
            tasks: TaskTracker::new(),
        }
    }

    /// Waits until nothing is sent any more, after the platform was told to stop. What was under way is sent again
    /// at the next start.
    pub(crate) async fn end(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How an attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// The receiver answered with this status.
    Answered(StatusCode),
    /// It did not; in a word, and why.
    Unanswered(&'static str, String),
}

impl Outcome {
    fn succeeded(&self) -> bool {
        matches!(self, Self::Answered(status) if status.is_success())
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered(status) => write!(f, "it answered with status {}", status.as_u16()),
            Self::Unanswered(_, why) => f.write_str(why),
        }
    }
}

impl Inner {
    /// Sends deliveries until the platform stops.
    pub(crate) fn start_webhooks(self: &Ctx) {
        let inner = self.clone();
        self.webhooks.tasks.spawn(async move {
            let stop = inner.stop.clone();
            stop.run_until_cancelled(inner.dispatch()).await;
        });
    }

    async fn dispatch(self: &Ctx) {
        loop {
            let next = self.start_due().await.unwrap_or_else(|error| {
                tracing::error!(%error, "webhooks are not sent");
                Some(DATABASE_REST)
            });
            let arrived = self.webhooks.arrived.notified();
            match next {
                Some(rest) => drop(tokio::time::timeout(rest, arrived).await),
                None => arrived.await,
            }
        }
    }

    /// Starts what is due as far as there is room, and says in how long the next will be.
    async fn start_due(self: &Ctx) -> Result<Option<Duration>, Error> {
        let mut db = self.db.read().await?;
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT webhook_id, MIN(next_attempt_at) AS due FROM webhook_deliveries \
             WHERE next_attempt_at IS NOT NULL GROUP BY webhook_id ORDER BY due",
        )
        .fetch_all(&mut *db)
        .await?;
        drop(db);
        for (webhook, due) in rows {
            if self.webhooks.sending.lock().contains(&webhook) {
                // Its end wakes us.
                continue;
            }
            if let Some(rest) = until(&due) {
                return Ok(Some(rest));
            }
            let turns = Arc::clone(&self.webhooks.turns);
            let Ok(turn) = turns.try_acquire_owned() else { break };
            self.webhooks.sending.lock().insert(webhook.clone());
            let inner = self.clone();
            self.webhooks.tasks.spawn(async move { inner.send_due(webhook, turn).await });
        }
        Ok(None)
    }

    async fn send_due(self: Ctx, webhook: String, turn: OwnedSemaphorePermit) {
        let sent = self.stop.run_until_cancelled(self.send_one(&webhook)).await;
        if let Some(Err(error)) = sent {
            tracing::error!(%error, webhook, "a webhook's delivery is not recorded");
            self.stop.run_until_cancelled(tokio::time::sleep(DATABASE_REST)).await;
        }
        self.webhooks.sending.lock().remove(&webhook);
        drop(turn);
        self.webhooks.arrived.notify_one();
    }

    /// Makes one attempt to deliver what is due first, and records how it went.
    async fn send_one(&self, webhook: &str) -> Result<(), Error> {
        let Some((delivery, webhook, event)) = ({
            let mut db = self.db.read().await?;
            first_due(&mut db, webhook).await?
        }) else {
            return Ok(());
        };
        let attempt = Uuid::new_v4();
        let outcome = self.attempt(&delivery, &webhook, &event, attempt).await?;
        let attempts = delivery.attempts.saturating_add(1);
        let may_retry =
            delivery.level == "sync" && db::unsigned(attempts) < self.limits.webhook_attempts;
        let (status, next) = match outcome.succeeded() {
            true => ("succeeded", None),
            false if may_retry => {
                let rest = rest(&self.limits, attempts);
                ("retrying", Some(Timestamp::now().saturating_add(rest).unwrap_or(Timestamp::MAX)))
            }
            false => ("failed", None),
        };
        let (code, error) = match &outcome {
            Outcome::Answered(status) => (Some(i64::from(status.as_u16())), None),
            Outcome::Unanswered(class, _) => (None, Some(*class)),
        };
        let mut write = self.db.write().await?;
        sqlx::query(
            "UPDATE webhook_deliveries SET status = $1, attempts = $2, next_attempt_at = $3, attempt_id = $4, \
             attempt_code = $5, attempt_error = $6, attempt_at = $7, updated_at = $7 WHERE id = $8",
        )
        .bind(status)
        .bind(attempts)
        .bind(next.map(db::at))
        .bind(attempt.to_string())
        .bind(code)
        .bind(error)
        .bind(db::now())
        .bind(delivery.id.clone())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        if status == "failed" {
            let text = format!(
                "Webhook {} did not get delivery {} of {}, which is given up after attempt {attempts}: {outcome}",
                webhook.id, delivery.id, delivery.include
            );
            let app = db::id(&delivery.app_id)?;
            self.logplex.write(LogLine::now(app, Source::Heroku, "webhooks", text));
        }
        Ok(())
    }

    async fn attempt(
        &self,
        delivery: &Delivery,
        webhook: &Webhook,
        event: &Happened,
        attempt: Uuid,
    ) -> Result<Outcome, Error> {
        let body = body(delivery, webhook, event, attempt)?.to_string();
        let (url, to) = address(&webhook.url)?;
        let unsendable = |error: &dyn std::error::Error| {
            Error::Corrupt(format!("webhook {} cannot be sent to: {error}", webhook.id))
        };
        let mut request = outgoing::post(&url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, USER_AGENT)
            .header("heroku-webhook-hmac-sha256", signature(&webhook.secret, body.as_bytes()))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| unsendable(&error))?;
        authorize(request.headers_mut(), webhook).map_err(|error| unsendable(&error))?;
        let mut client = outgoing::Client::new(Arc::clone(&self.node), to, &self.limits);
        let time = Limits::ms(self.limits.webhook_send_ms);
        Ok(match tokio::time::timeout(time, client.send(request)).await {
            Ok(Ok(status)) => Outcome::Answered(status),
            Ok(Err(why)) => Outcome::Unanswered("ConnectionError", why),
            Err(_) => {
                Outcome::Unanswered("Timeout", format!("no answer within {} s", time.as_secs_f64()))
            }
        })
    }
}

/// In the place of the Basic authentication that the URL may have.
fn authorize(headers: &mut HeaderMap, webhook: &Webhook) -> Result<(), header::InvalidHeaderValue> {
    if let Some(text) = &webhook.authorization_header {
        let mut value = HeaderValue::from_str(text)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(())
}

/// What a webhook is to be sent first, if that is due.
async fn first_due(
    db: &mut AnyConnection,
    webhook: &str,
) -> Result<Option<(Delivery, Webhook, Happened)>, Error> {
    let sql = format!(
        "{DELIVERIES} WHERE webhook_id = $1 AND next_attempt_at <= $2 ORDER BY next_attempt_at, id LIMIT 1"
    );
    let due: Vec<Delivery> = db::fetch_all(db, sql, [webhook.to_owned(), db::now()]).await?;
    let Some(delivery) = due.into_iter().next() else { return Ok(None) };
    let app = db::id(&delivery.app_id)?;
    let webhook = find(db, app, &delivery.webhook_id).await?;
    let event = event(db, app, &delivery.event_id).await?;
    Ok(Some((delivery, webhook, event)))
}

/// How long until a moment of the tables; none when it has come.
fn until(at: &str) -> Option<Duration> {
    // One that cannot be read has come: whoever reads the row says what is wrong with it.
    let at: Timestamp = at.parse().ok()?;
    let rest = Duration::try_from(at.duration_since(Timestamp::now())).ok()?;
    // Tables hold microseconds.
    (!rest.is_zero()).then_some(rest.max(Duration::from_millis(1)))
}

/// How long to wait after so many attempts.
fn rest(limits: &Limits, attempts: i64) -> SignedDuration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let rest = limits.webhook_rest_ms.saturating_mul(2_u64.saturating_pow(doublings));
    SignedDuration::from_millis(db::big(rest.min(limits.webhook_rest_max_ms)))
}

/// What a receiver gets.
fn body(
    delivery: &Delivery,
    webhook: &Webhook,
    event: &Happened,
    attempt: Uuid,
) -> Result<Value, Error> {
    let mut body: Value = serde_json::from_str(&event.payload)
        .map_err(|error| Error::Corrupt(format!("webhook event {}: {error}", event.id)))?;
    let metadata = json!({
        "attempt": {"id": attempt},
        "delivery": {"id": delivery.id},
        "event": {"id": event.id, "include": event.include},
        "webhook": {"id": webhook.id},
    });
    if let Some(body) = body.as_object_mut() {
        for (name, value) in [
            ("created_at", json!(event.created_at)),
            ("id", json!(event.id)),
            ("published_at", json!(db::now())),
            ("sequence", Value::Null),
            ("updated_at", json!(event.created_at)),
            ("webhook_metadata", metadata),
        ] {
            body.insert(name.to_owned(), value);
        }
    }
    Ok(body)
}

/// `Heroku-Webhook-Hmac-SHA256`: of the body, in Base64.
fn signature(secret: &str, body: &[u8]) -> String {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_hmac_sha256_in_base64() {
        // RFC 4231, test case 2.
        let expected =
            hex::decode("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let expected = base64::engine::general_purpose::STANDARD.encode(expected.unwrap());
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[test]
    fn rests_grow_to_a_bound() {
        let limits = Limits { webhook_rest_ms: 10, webhook_rest_max_ms: 35, ..Limits::default() };
        let rests = [1, 2, 3, 4, i64::MAX].map(|attempts| rest(&limits, attempts).as_millis());
        assert_eq!(rests, [10, 20, 35, 35, 35]);
    }

    #[test]
    fn the_past_and_what_cannot_be_read_are_due() {
        assert_eq!(until("2020-01-01T00:00:00.000000Z"), None);
        assert_eq!(until("soon"), None);
        assert!(until("2999-01-01T00:00:00.000000Z").is_some());
    }
}
