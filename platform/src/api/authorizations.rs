//! `/oauth/authorizations`: tokens, and how a password becomes one.

use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Presented,
    extract::{self, Json, Params, reply, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    auth::{self, User},
    authorizations::{self, Authorization, Scopes},
};

/// Shown in place of a token's secret, which nobody knows any more.
const HIDDEN: &str = "wpaas_hidden";

fn show(user: &User, authorization: &Authorization, token: Option<&str>) -> Value {
    json!({
        "access_token": {
            "expires_in": authorization.expires_in(),
            "id": authorization.id,
            "token": token.unwrap_or(HIDDEN),
        },
        "client": null,
        "created_at": serialise::time(&authorization.created_at),
        "description": authorization.description,
        "grant": null,
        "id": authorization.id,
        "refresh_token": null,
        "scope": authorization.scopes.names(),
        "session": null,
        "updated_at": serialise::time(&authorization.created_at),
        "user": {"email": user.email, "full_name": null, "id": user.id},
    })
}

#[derive(Deserialize)]
pub(super) struct Create {
    description: Option<String>,
    expires_in: Option<i64>,
    scope: Option<Vec<String>>,
}

/// Makes a token for whoever has one already, or comes with e-mail address and password.
pub(super) async fn create(
    State(ctx): State<Ctx>,
    headers: HeaderMap,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let user = who(&ctx, &headers).await?;
    ctx.rate_limit.take(user.id, std::time::Instant::now())?;
    let scopes = Scopes::named(&body.scope.unwrap_or_default())?;
    let description = body.description.unwrap_or_else(|| "made through the API".into());
    let (authorization, token) = to_the_end({
        let (ctx, user) = (ctx.clone(), user.clone());
        async move { ctx.authorize(&user, &description, &scopes, body.expires_in).await }
    })
    .await?;
    Ok(reply(StatusCode::CREATED, &show(&user, &authorization, Some(&token))))
}

async fn who(ctx: &Ctx, headers: &HeaderMap) -> Result<User, Error> {
    let token = extract::token(headers).ok_or(Error::Unauthorized)?;
    let known = {
        let mut db = ctx.db.read().await?;
        auth::authenticate(&mut db, &token).await
    };
    match (known, extract::basic(headers)) {
        (Ok((user, authorization)), _) => {
            authorization.scopes.allow(&axum::http::Method::POST, "/oauth/authorizations")?;
            Ok(user)
        }
        (Err(Error::Unauthorized), Some((email, password))) if !email.is_empty() => {
            ctx.log_in(&email, &password).await
        }
        (Err(error), _) => Err(error),
    }
}

pub(super) async fn list(
    State(ctx): State<Ctx>,
    user: User,
    Extension(presented): Extension<Presented>,
) -> Result<Response, Error> {
    let all = authorizations::list(&mut *ctx.db.read().await?, user.id).await?;
    let shown = all.iter().map(|one| show(&user, one, presented.secret_of(one)));
    Ok(reply(StatusCode::OK, &Value::Array(shown.collect())))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    Extension(presented): Extension<Presented>,
) -> Result<Response, Error> {
    let found = authorizations::find(&mut *ctx.db.read().await?, user.id, params.get("id")).await?;
    Ok(reply(StatusCode::OK, &show(&user, &found, presented.secret_of(&found))))
}

#[derive(Deserialize)]
pub(super) struct Describe {
    description: Option<String>,
}

pub(super) async fn describe(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    Json(body): Json<Describe>,
) -> Result<Response, Error> {
    let found = match body.description {
        Some(text) => ctx.describe(&user, params.get("id"), &text).await?,
        None => authorizations::find(&mut *ctx.db.read().await?, user.id, params.get("id")).await?,
    };
    Ok(reply(StatusCode::OK, &show(&user, &found, None)))
}

pub(super) async fn revoke(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
) -> Result<Response, Error> {
    let found = ctx.revoke(&user, params.get("id")).await?;
    Ok(reply(StatusCode::OK, &show(&user, &found, None)))
}

pub(super) async fn rotate(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
) -> Result<Response, Error> {
    let (found, token) = ctx.rotate(&user, params.get("id")).await?;
    Ok(reply(StatusCode::OK, &show(&user, &found, Some(&token))))
}

/// Sessions of a browser's login; wpaas has tokens alone, and the heroku command goes on to those.
pub(super) async fn no_session(_: User) -> Error {
    Error::NotFound("session")
}

impl Presented {
    /// A token's secret, for the one who just sent it.
    fn secret_of(&self, authorization: &Authorization) -> Option<&str> {
        (self.authorization.digest == authorization.digest).then_some(self.token.as_str())
    }
}
