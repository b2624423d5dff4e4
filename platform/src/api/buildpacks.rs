//! `/apps/{app}/buildpack-installations`, and the registry that the heroku command asks about names.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};
use wpaas_builder::BUILT_IN;

use super::extract::{Json, Params, reply, to_the_end};
use crate::{Ctx, Error, apps::App, auth::User, buildpacks};

pub(super) async fn list(State(ctx): State<Ctx>, app: App) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    Ok(shown(&buildpacks::list(&mut db, app.id).await?))
}

#[derive(Deserialize)]
pub(super) struct Update {
    updates: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    /// Missing where the heroku command did not find a name in the registry.
    #[serde(default)]
    buildpack: String,
}

pub(super) async fn update(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    Json(body): Json<Update>,
) -> Result<Response, Error> {
    let wanted: Vec<String> = body.updates.into_iter().map(|one| one.buildpack).collect();
    let set = to_the_end(async move {
        let lock = ctx.locks.app(app.id).await;
        ctx.set_buildpacks(&lock, &user, &wanted).await
    });
    Ok(shown(&set.await?))
}

fn shown(set: &[String]) -> Response {
    let items: Vec<Value> = set
        .iter()
        .enumerate()
        .map(
            |(ordinal, name)| json!({"ordinal": ordinal, "buildpack": {"url": name, "name": name}}),
        )
        .collect();
    reply(StatusCode::OK, &Value::from(items))
}

/// What Heroku's registry of buildpacks answers for a name; for the heroku command's
/// `HEROKU_BUILDPACK_REGISTRY_URL`. It is no secret which there are.
pub(super) async fn registered(params: Params) -> Result<Response, Error> {
    let name = params.get("name");
    if !BUILT_IN.contains(&name) {
        return Err(Error::NotFound("buildpack"));
    }
    let id = super::serialise::stable_id("buildpack", name);
    Ok(reply(
        StatusCode::OK,
        &json!({"id": id, "name": name, "blob_url": format!("urn:buildpack:{name}")}),
    ))
}
