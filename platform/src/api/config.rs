//! `/apps/{app}/config-vars`.

use std::collections::BTreeMap;

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::extract::{Json, Params, reply, to_the_end};
use crate::{Ctx, Error, apps::App, auth::User, config::Patch, releases};

pub(super) async fn get(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::current(&mut db, app.id).await?;
    Ok(reply(StatusCode::OK, &json!(releases::config(&mut db, &release).await?)))
}

pub(super) async fn of_release(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let release = releases::find(&mut db, app.id, params.get("release")).await?;
    Ok(reply(StatusCode::OK, &json!(releases::config(&mut db, &release).await?)))
}

pub(super) async fn patch(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<BTreeMap<String, Value>>,
) -> Result<Response, Error> {
    let mut patch = Patch::new();
    for (name, value) in body {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(Error::Invalid(format!("Config var {name} must be a string or null.")));
            }
        };
        patch.insert(name, value);
    }
    let vars = to_the_end(async move {
        let lock = ctx.locks.app(app.id).await;
        ctx.patch_config(&lock, &user, patch).await
    })
    .await?;
    Ok(reply(StatusCode::OK, &json!(vars)))
}
