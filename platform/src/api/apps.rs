//! `/apps`.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::Value;
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{
    account,
    extract::{Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error, Inner,
    apps::{self, App, Update},
    auth::User,
    page::{self, Key, Listed, Page},
    releases,
};

const KEYS: &[Key] = &[Key::text("name", "apps.name"), Key::text("id", "apps.id")];

async fn shown(inner: &Inner, db: &mut AnyConnection, app: &App) -> Result<Value, Error> {
    let mut objects = shown_all(inner, db, std::slice::from_ref(app)).await?;
    objects.pop().ok_or(Error::NotFound("app"))
}

async fn shown_all(
    inner: &Inner,
    db: &mut AnyConnection,
    apps: &[App],
) -> Result<Vec<Value>, Error> {
    let ids: Vec<Uuid> = apps.iter().map(|app| app.id).collect();
    let mut currents = releases::currents_with_slugs(db, &ids).await?;
    let shown = |app: &App| {
        let current = currents.remove(&app.id).unwrap_or(Err(Error::NotFound("release")));
        // A damaged app can still be seen and deleted, and does not hide the others.
        let current = current.inspect_err(|error| {
            tracing::error!(app = app.name, %error, "the app's release cannot be read");
        });
        serialise::app(inner, app, current.ok().as_ref())
    };
    Ok(apps.iter().map(shown).collect())
}

pub(super) async fn list(
    State(ctx): State<Ctx>,
    user: User,
    page: Page,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let base = format!("{} WHERE apps.owner_id = $1", apps::SELECT);
    let owner = user.id.to_string();
    let rows: Listed<apps::Row> = page::select(&mut db, base, owner, KEYS, &page).await?;
    let listed = rows.try_map(App::try_from)?;
    let mut objects = shown_all(&ctx, &mut db, &listed.items).await?.into_iter();
    Ok(reply_list(&listed, &page, |_| objects.next().unwrap_or_default()))
}

pub(super) async fn list_of(
    ctx: State<Ctx>,
    user: User,
    params: Params,
    page: Page,
) -> Result<Response, Error> {
    account::check(&user, params.get("user"))?;
    list(ctx, user, page).await
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: Option<String>,
    region: Option<Value>,
    stack: Option<Value>,
}

/// A name, or an object with a name or id.
fn named(value: &Value) -> Option<&str> {
    let inner = value.get("name").or_else(|| value.get("id"));
    value.as_str().or_else(|| inner.and_then(Value::as_str))
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let region = body.region.as_ref().and_then(named);
    if region.is_some_and(|name| {
        name != serialise::REGION && name != serialise::stable_id("region", serialise::REGION)
    }) {
        return Err(Error::Invalid(format!(
            "This platform has one region, {}.",
            serialise::REGION
        )));
    }
    // Heroku's stacks are accepted and mean nothing: the build decides. Containers it does not run.
    if body.stack.as_ref().and_then(named) == Some("container") {
        return Err(Error::Invalid("wpaas runs no containers; leave out the stack.".into()));
    }
    let name = body.name.filter(|name| !name.is_empty());
    let change = ctx.clone();
    let app = to_the_end(async move { change.create_app(&user, name).await }).await?;
    let mut db = ctx.db.snapshot().await?;
    Ok(reply(StatusCode::CREATED, &shown(&ctx, &mut db, &app).await?))
}

pub(super) async fn info(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    Ok(reply(StatusCode::OK, &shown(&ctx, &mut db, &app).await?))
}

#[derive(Deserialize)]
pub(super) struct Patch {
    name: Option<String>,
    maintenance: Option<bool>,
}

pub(super) async fn update(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Patch>,
) -> Result<Response, Error> {
    let change = ctx.clone();
    let app = to_the_end(async move {
        let lock = change.locks.app(app.id).await;
        let update = Update { name: body.name, maintenance: body.maintenance };
        change.update_app(&lock, &user, update).await
    })
    .await?;
    let mut db = ctx.db.snapshot().await?;
    Ok(reply(StatusCode::OK, &shown(&ctx, &mut db, &app).await?))
}

pub(super) async fn delete(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let object = {
        let mut db = ctx.db.snapshot().await?;
        shown(&ctx, &mut db, &app).await?
    };
    to_the_end(async move {
        let lock = ctx.locks.app(app.id).await;
        ctx.delete_app(&lock).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &object))
}

/// Lists that are empty on wpaas.
pub(super) async fn none(_: App) -> Response {
    reply(StatusCode::OK, &Value::Array(Vec::new())).into_response()
}
