//! `/account` and who works on an app.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    extract::{Json, Params, reply, to_the_end},
    serialise,
};
use crate::{Ctx, Error, apps::App, auth::User};

pub(super) async fn info(user: User) -> Response {
    reply(StatusCode::OK, &serialise::account(&user))
}

pub(super) async fn info_of(user: User, params: Params) -> Result<Response, Error> {
    check(&user, params.get("user"))?;
    Ok(reply(StatusCode::OK, &serialise::account(&user)))
}

#[derive(Deserialize)]
pub(super) struct Update {
    /// What the password is now; not needed while there is none.
    password: Option<String>,
    new_password: Option<String>,
}

/// Heroku's name for a change of the password; other properties of an account cannot be changed here.
pub(super) async fn update(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    Json(body): Json<Update>,
) -> Result<Response, Error> {
    let named = params.get("user");
    if !named.is_empty() {
        check(&user, named)?;
    }
    if let Some(new) = body.new_password {
        let (ctx, user) = (ctx.clone(), user.clone());
        to_the_end(async move { ctx.change_password(&user, body.password.as_deref(), &new).await })
            .await?;
    }
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
