//! `/apps/{app}/dynos`: what the node says is running, and restarts.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::json;
use wpaas_slug::feed::DynoStatus;

use super::{
    extract::{Extended, Params, reply, reply_list},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    page::{self, Page},
};

pub(super) async fn list(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    extended: Extended,
) -> Response {
    let dynos = ctx.node.dynos(app.id);
    let listed = page::slice(dynos, "name", |dyno| dyno.name.clone(), &page);
    reply_list(&listed, &page, |dyno| serialise::dyno(&app, dyno, extended))
}

/// The dyno with this name or id.
fn pick(ctx: &Ctx, app: &App, which: &str) -> Result<DynoStatus, Error> {
    let named = |dyno: &DynoStatus| dyno.name == which || serialise::dyno_id(app.id, dyno) == which;
    ctx.node.dynos(app.id).into_iter().find(named).ok_or(Error::NotFound("dyno"))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let dyno = pick(&ctx, &app, params.get("dyno"))?;
    Ok(reply(StatusCode::OK, &serialise::dyno(&app, &dyno, extended)))
}

fn accepted() -> Response {
    reply(StatusCode::ACCEPTED, &json!({}))
}

pub(super) async fn restart_all(State(ctx): State<Ctx>, user: User, app: App) -> Response {
    ctx.say(app.id, format!("Restarted by user {}", user.email));
    ctx.node.restart(app.id, None).await;
    accepted()
}

pub(super) async fn restart(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    let which = params.get("dyno");
    // `heroku ps:restart web` comes here too, with a process type.
    match pick(&ctx, &app, which) {
        Ok(dyno) => {
            ctx.say(app.id, format!("Restarted {} by user {}", dyno.name, user.email));
            ctx.node.restart(app.id, Some(dyno.name)).await;
            Ok(accepted())
        }
        Err(error) => restart_process_type(&ctx, &user, &app, which).await.map_err(|_| error),
    }
}

pub(super) async fn restart_type(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
) -> Result<Response, Error> {
    restart_process_type(&ctx, &user, &app, params.get("type")).await
}

async fn restart_process_type(
    ctx: &Ctx,
    user: &User,
    app: &App,
    process_type: &str,
) -> Result<Response, Error> {
    let mut dynos = ctx.node.dynos(app.id);
    dynos.retain(|dyno| dyno.process_type == process_type);
    if dynos.is_empty() {
        return Err(Error::NotFound("process type"));
    }
    ctx.say(app.id, format!("Restarted {process_type} by user {}", user.email));
    for dyno in dynos {
        ctx.node.restart(app.id, Some(dyno.name)).await;
    }
    Ok(accepted())
}
