//! `/apps/{app}/domains`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    extract::{Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    domains,
    page::{self, Page},
};

pub(super) async fn list(State(ctx): State<Ctx>, app: App, page: Page) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let own = serialise::default_domain(&ctx, &app);
    let mut all = vec![serialise::domain_object(&app, &own, "heroku", None)];
    let custom = domains::list(&mut db, app.id).await?;
    all.extend(custom.iter().map(|domain| serialise::domain(&ctx, &app, domain)));
    // By id, as Heroku's list is, unless the client wants names.
    let key = if page.key.as_deref() == Some("hostname") { "hostname" } else { "id" };
    let text = |object: &serde_json::Value| object[key].as_str().unwrap_or_default().to_owned();
    let listed = page::slice(all, key, text, &page);
    Ok(reply_list(&listed, &page, Clone::clone))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let which = params.get("domain");
    let own = serialise::default_domain(&ctx, &app);
    if which == own.id || which == own.hostname {
        let object = serialise::domain_object(&app, &own, "heroku", None);
        return Ok(reply(StatusCode::OK, &object));
    }
    let mut db = ctx.db.read().await?;
    let domain = domains::pick(domains::list(&mut db, app.id).await?, which)?;
    Ok(reply(StatusCode::OK, &serialise::domain(&ctx, &app, &domain)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    hostname: String,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let (change, id) = (ctx.clone(), app.id);
    let domain = to_the_end(async move {
        let lock = change.locks.app(id).await;
        change.add_domain(&lock, &user, &body.hostname).await
    })
    .await?;
    Ok(reply(StatusCode::CREATED, &serialise::domain(&ctx, &app, &domain)))
}

pub(super) async fn delete(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let (change, id) = (ctx.clone(), app.id);
    let domain = to_the_end(async move {
        let lock = change.locks.app(id).await;
        change.remove_domain(&lock, &user, params.get("domain")).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &serialise::domain(&ctx, &app, &domain)))
}
