//! `/apps/{app}/releases`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    extract::{Extended, Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{Ctx, Error, apps::App, auth::User, ledger, page::Page, releases};

pub(super) async fn list(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let current = releases::current(&mut db, app.id).await?.version;
    let listed = releases::list(&mut db, app.id, &page).await?;
    Ok(reply_list(&listed, &page, |release| serialise::release(&app, release, current, extended)))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::find(&mut db, app.id, params.get("release")).await?;
    let current = releases::current(&mut db, app.id).await?.version;
    Ok(reply(StatusCode::OK, &serialise::release(&app, &release, current, extended)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    slug: Option<String>,
    release: Option<Value>,
    description: Option<String>,
}

/// Longest description that is kept, in characters.
const DESCRIPTION_CHARS: usize = 200;

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    extended: Extended,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    // An id, a version, or `v3`.
    let release = body.release.map(|value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let description = body.description.filter(|text| !text.is_empty());
    let description = description.map(|text| text.chars().take(DESCRIPTION_CHARS).collect());
    let id = app.id;
    let release = to_the_end(async move {
        let lock = ctx.locks.app(id).await;
        match (body.slug, release) {
            (Some(slug), None) => ctx.release_slug(&lock, &user, &slug, description).await,
            (None, Some(release)) => ctx.rollback(&lock, &user, &release, description).await,
            _ => Err(Error::Invalid(
                "Name either a slug to release or a release to roll back to.".into(),
            )),
        }
    })
    .await?;
    let object = serialise::release(&app, &release, release.version, extended);
    Ok(reply(StatusCode::CREATED, &object))
}

/// wpaas' own: walks the app's ledger.
pub(super) async fn verification(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let found = ledger::verify(&mut db, app.id).await?;
    let error = found.fault.map(|fault| json!({"entry": fault.entry, "reason": fault.reason}));
    let object = json!({"valid": error.is_none(), "entries": found.entries, "error": error});
    Ok(reply(StatusCode::OK, &object))
}
