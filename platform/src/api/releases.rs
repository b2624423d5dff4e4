//! `/apps/{app}/releases`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::{
    builds::followed,
    extract::{Extended, Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    ledger,
    page::Page,
    phases,
    releases::{self, Release},
};

pub(super) async fn list(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let current = releases::current(&mut db, app.id).await?.version;
    let listed = releases::list(&mut db, app.id, &page).await?;
    let phases = phases::of(&mut db, app.id, &listed.items).await?;
    Ok(reply_list(&listed, &page, |release| {
        let phase = phases.get(&release.version);
        serialise::release(&ctx, &app, release, phase, current, extended)
    }))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::find(&mut db, app.id, params.get("release")).await?;
    Ok(reply(StatusCode::OK, &shown(&ctx, &mut db, &app, &release, extended).await?))
}

/// A release as it stands now.
async fn shown(
    ctx: &Ctx,
    db: &mut AnyConnection,
    app: &App,
    release: &Release,
    extended: Extended,
) -> Result<Value, Error> {
    let current = releases::current(db, app.id).await?.version;
    let phase = phases::of_one(db, release).await?;
    Ok(serialise::release(ctx, app, release, phase.as_ref(), current, extended))
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
    let (id, change) = (app.id, ctx.clone());
    let release = to_the_end(async move {
        let ctx = change;
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
    let mut db = ctx.db.snapshot().await?;
    Ok(reply(StatusCode::CREATED, &shown(&ctx, &mut db, &app, &release, extended).await?))
}

/// The output of a release phase as chunked text, as that of a build.
pub(super) async fn output(State(ctx): State<Ctx>, params: Params) -> Result<Response, Error> {
    let release = {
        let mut db = ctx.db.read().await?;
        phases::by_stream_token(&mut db, params.get("token")).await?
    };
    Ok(followed(&ctx, ctx.data.release_log(release), release))
}

/// wpaas' own: walks the app's ledger.
pub(super) async fn verification(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let found = ledger::verify(&mut db, app.id).await?;
    let error = found.fault.map(|fault| json!({"entry": fault.entry, "reason": fault.reason}));
    let object = json!({"valid": error.is_none(), "entries": found.entries, "error": error});
    Ok(reply(StatusCode::OK, &object))
}
