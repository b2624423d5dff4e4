//! `/apps/{app}/log-drains`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::Value;

use super::{
    extract::{Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    drains,
    page::{self, Page},
};

pub(super) async fn list(State(ctx): State<Ctx>, app: App, page: Page) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let drains = drains::list(&mut db, app.id).await?;
    let listed = page::slice(drains, "id", |drain| drain.id.clone(), &page);
    Ok(reply_list(&listed, &page, |drain| serialise::drain(&app, drain)))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let drain = drains::pick(drains::list(&mut db, app.id).await?, params.get("drain"))?;
    Ok(reply(StatusCode::OK, &serialise::drain(&app, &drain)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    url: String,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let (change, id) = (ctx.clone(), app.id);
    let drain = to_the_end(async move {
        let lock = change.locks.app(id).await;
        change.add_drain(&lock, &user, body.url.trim()).await
    });
    let shown: Value = serialise::drain(&app, &drain.await?);
    Ok(reply(StatusCode::CREATED, &shown))
}

pub(super) async fn delete(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let (change, id) = (ctx.clone(), app.id);
    let drain = to_the_end(async move {
        let lock = change.locks.app(id).await;
        change.remove_drain(&lock, &user, params.get("drain")).await
    });
    let shown: Value = serialise::drain(&app, &drain.await?);
    Ok(reply(StatusCode::OK, &shown))
}
