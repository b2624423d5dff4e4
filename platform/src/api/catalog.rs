//! `/regions`, `/stacks`, and what else a platform says of itself.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{
    extract::{Params, reply, reply_list},
    serialise::{REGION, stable_id, time},
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    page::{self, Page},
    stacks,
};

/// When wpaas' catalogue begins: things without a row need some time of creation.
const EPOCH: &str = "2026-11-21T00:00:00Z";

fn the_region() -> Value {
    json!({
        "country": "United States",
        "created_at": EPOCH,
        "description": "This server",
        "id": stable_id("region", REGION),
        "locale": "This server",
        "name": REGION,
        "private_capable": false,
        // The schema allows Amazon's regions only.
        "provider": {"name": "wpaas", "region": "us-east-1"},
        "updated_at": EPOCH,
    })
}

fn by_name(items: Vec<Value>, page: &Page) -> Response {
    let name = |item: &Value| item["name"].as_str().unwrap_or_default().to_owned();
    let listed = page::slice(items, "name", name, page);
    reply_list(&listed, page, Clone::clone)
}

/// The item with this name or id.
fn pick(items: Vec<Value>, which: &str, what: &'static str) -> Result<Response, Error> {
    let found = items.into_iter().find(|item| item["name"] == which || item["id"] == which);
    Ok(reply(StatusCode::OK, &found.ok_or(Error::NotFound(what))?))
}

pub(super) async fn regions(_: User, page: Page) -> Response {
    by_name(vec![the_region()], &page)
}

pub(super) async fn region(_: User, params: Params) -> Result<Response, Error> {
    pick(vec![the_region()], params.get("region"), "region")
}

async fn all_stacks(ctx: &Ctx) -> Result<Vec<Value>, Error> {
    let stack = |name: &str, default: bool, created: &str, updated: &str| {
        json!({
            "created_at": time(created),
            "default": default,
            "id": stable_id("stack", name),
            "name": name,
            "state": "public",
            "updated_at": time(updated),
        })
    };
    let mut db = ctx.db.read().await?;
    let installed = stacks::list(&mut db).await?;
    let own = stack(stacks::OWN, true, EPOCH, EPOCH);
    let installed =
        installed.iter().map(|row| stack(&row.name, false, &row.created_at, &row.updated_at));
    Ok(std::iter::once(own).chain(installed).collect())
}

pub(super) async fn stacks(State(ctx): State<Ctx>, _: User, page: Page) -> Result<Response, Error> {
    Ok(by_name(all_stacks(&ctx).await?, &page))
}

pub(super) async fn stacks_of_app(
    ctx: State<Ctx>,
    user: User,
    _: App,
    page: Page,
) -> Result<Response, Error> {
    stacks(ctx, user, page).await
}

pub(super) async fn stack(
    State(ctx): State<Ctx>,
    _: User,
    params: Params,
) -> Result<Response, Error> {
    pick(all_stacks(&ctx).await?, params.get("stack"), "stack")
}

/// wpaas' own: where git is, and whom its clients and those of one-off dynos have to trust. Null where a certificate was
/// configured.
pub(super) async fn certificate_authority(State(ctx): State<Ctx>, _: User) -> Response {
    reply(StatusCode::OK, &json!({"certificate": ctx.authority, "git_url": ctx.urls.git}))
}
