//! `/account` and who works on an app.

use axum::{http::StatusCode, response::Response};
use serde_json::{Value, json};

use super::{
    extract::{Params, reply},
    serialise,
};
use crate::{Error, apps::App, auth::User};

pub(super) async fn info(user: User) -> Response {
    reply(StatusCode::OK, &serialise::account(&user))
}

pub(super) async fn info_of(user: User, params: Params) -> Result<Response, Error> {
    check(&user, params.get("user"))?;
    Ok(reply(StatusCode::OK, &serialise::account(&user)))
}

/// `~`, or the user's own id or e-mail address; nobody else is to be seen.
pub(super) fn check(user: &User, named: &str) -> Result<(), Error> {
    let own = named == "~" || named == user.email || named == user.id.to_string();
    if own { Ok(()) } else { Err(Error::NotFound("user")) }
}

/// Lists that are empty on wpaas.
pub(super) async fn none(_: User) -> Response {
    reply(StatusCode::OK, &Value::Array(Vec::new()))
}

pub(super) async fn collaborators(app: App) -> Response {
    reply(StatusCode::OK, &json!([serialise::collaborator(&app)]))
}
