//! `/apps/{app}/egress`: wpaas' own. Heroku's apps may connect anywhere; ours only where a rule allows it.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::json;
use wpaas_slug::feed::EgressRule;

use super::extract::{Json, Params, reply, to_the_end};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    egress,
    releases::{self, Release},
};

pub(super) async fn get(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::current(&mut db, app.id).await?;
    rules_of(&mut db, &release).await
}

pub(super) async fn of_release(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::find(&mut db, app.id, params.get("release")).await?;
    rules_of(&mut db, &release).await
}

async fn rules_of(db: &mut sqlx::AnyConnection, release: &Release) -> Result<Response, Error> {
    let rules = releases::egress(db, release).await?;
    Ok(reply(StatusCode::OK, &json!(rules)))
}

/// `{"allow": [{"host": "db.example.com", "port": 5432, "tls": "pgtls", "ca": "-----BEGIN…"}],
/// "deny": ["api.example.com:443"]}`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    #[serde(default)]
    allow: Vec<EgressRule>,
    #[serde(default)]
    deny: Vec<String>,
}

pub(super) async fn patch(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Patch>,
) -> Result<Response, Error> {
    let patch = egress::Patch { allow: body.allow, deny: body.deny };
    let rules = to_the_end(async move {
        let lock = ctx.locks.app(app.id).await;
        ctx.patch_egress(&lock, &user, patch).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &json!(rules)))
}
