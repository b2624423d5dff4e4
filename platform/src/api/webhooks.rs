//! `/apps/{app}/webhooks`, `webhook-deliveries` and `webhook-events`.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use serde::{Deserialize, Deserializer};

use super::{
    extract::{Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    page::{self, Page},
    webhooks::{self, Wanted, Webhook},
};

const SECRET: HeaderName = HeaderName::from_static("heroku-webhook-secret");

pub(super) async fn list(State(ctx): State<Ctx>, app: App, page: Page) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let webhooks = webhooks::list(&mut db, app.id).await?;
    let listed = page::slice(webhooks, "id", |webhook| webhook.id.clone(), &page);
    Ok(reply_list(&listed, &page, |webhook| serialise::webhook(&app, webhook)))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let webhook = webhooks::find(&mut db, app.id, params.get("webhook")).await?;
    Ok(reply(StatusCode::OK, &serialise::webhook(&app, &webhook)))
}

#[derive(Deserialize)]
pub(super) struct Body {
    include: Option<Vec<String>>,
    level: Option<String>,
    url: Option<String>,
    secret: Option<String>,
    #[serde(default, deserialize_with = "named")]
    authorization: Option<Option<String>>,
}

/// `null` is not the same as nothing.
fn named<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl From<Body> for Wanted {
    fn from(body: Body) -> Self {
        let Body { include, level, url, secret, authorization } = body;
        Self { include, level, url, secret, authorization }
    }
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Body>,
) -> Result<Response, Error> {
    let id = app.id;
    let made = to_the_end(async move {
        let lock = ctx.locks.app(id).await;
        ctx.add_webhook(&lock, &user, body.into()).await
    });
    let (webhook, secret) = made.await?;
    let mut response = reply(StatusCode::CREATED, &serialise::webhook(&app, &webhook));
    if let Some(secret) = secret.and_then(|secret| HeaderValue::from_str(&secret).ok()) {
        response.headers_mut().insert(SECRET, secret);
    }
    Ok(response)
}

pub(super) async fn update(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
    Json(body): Json<Body>,
) -> Result<Response, Error> {
    let id = app.id;
    let webhook: Webhook = to_the_end(async move {
        let lock = ctx.locks.app(id).await;
        ctx.change_webhook(&lock, &user, params.get("webhook"), body.into()).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &serialise::webhook(&app, &webhook)))
}

pub(super) async fn delete(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let id = app.id;
    let webhook: Webhook = to_the_end(async move {
        let lock = ctx.locks.app(id).await;
        ctx.remove_webhook(&lock, &user, params.get("webhook")).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &serialise::webhook(&app, &webhook)))
}

pub(super) async fn deliveries(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    RawQuery(query): RawQuery,
) -> Result<Response, Error> {
    let query = query.unwrap_or_default();
    let status = url::form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "eq[status]").then_some(value));
    let mut db = ctx.db.read().await?;
    let listed = webhooks::deliveries(&mut db, app.id, status.as_deref(), &page).await?;
    Ok(reply_list(&listed, &page, serialise::webhook_delivery))
}

pub(super) async fn delivery(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let delivery = webhooks::delivery(&mut db, app.id, params.get("delivery")).await?;
    Ok(reply(StatusCode::OK, &serialise::webhook_delivery(&delivery)))
}

pub(super) async fn events(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let listed = webhooks::events(&mut db, app.id, &page).await?;
    Ok(reply_list(&listed, &page, serialise::webhook_event))
}

pub(super) async fn event(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let event = webhooks::event(&mut db, app.id, params.get("event")).await?;
    Ok(reply(StatusCode::OK, &serialise::webhook_event(&event)))
}
