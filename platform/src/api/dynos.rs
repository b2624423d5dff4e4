//! `/apps/{app}/dynos`: what the node says is running, restarts, and one-off dynos.

use std::{collections::BTreeMap, time::Duration};

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::{Value, json};
use wpaas_slug::feed::DynoStatus;

use super::{
    extract::{Extended, Json, Params, reply, reply_list, to_the_end},
    formation::check_size,
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    config::Vars,
    dynos::Wanted,
    formation, names,
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
    reply_list(&listed, &page, |dyno| serialise::dyno(&app, dyno, None, extended))
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
    Ok(reply(StatusCode::OK, &serialise::dyno(&app, &dyno, None, extended)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    command: String,
    attach: Option<bool>,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    force_no_tty: Option<bool>,
    size: Option<Value>,
    #[serde(rename = "type")]
    process_type: Option<String>,
    time_to_live: Option<Value>,
    /// *wpaas*: how the client's input ends: `byte` or `direction`.
    input_end: Option<String>,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    extended: Extended,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    if let Some(size) = &body.size {
        check_size(size)?;
    }
    let mut env = Vars::new();
    for (name, value) in body.env {
        names::check_config_var(&name)?;
        let value = match value {
            Value::Null => continue,
            Value::String(value) => value,
            other => other.to_string(),
        };
        env.insert(name, value);
    }
    let seconds = match &body.time_to_live {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let wanted = Wanted {
        command: body.command,
        attach: body.attach.unwrap_or(false),
        process_type: body.process_type,
        env,
        no_terminal: body.force_no_tty.unwrap_or(false),
        longest: seconds.map(Duration::from_secs),
        ends_direction: body.input_end.as_deref() == Some("direction"),
    };
    let (change, whose) = (ctx.clone(), app.clone());
    let started =
        to_the_end(async move { change.run_one_off(&whose, &user, wanted).await }).await?;
    let object = serialise::dyno(&app, &started.status, started.attach_url.as_deref(), extended);
    Ok(reply(StatusCode::CREATED, &object))
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
        // One that is scaled to zero has nothing to restart.
        let mut db = ctx.db.snapshot().await?;
        let formation = formation::list(&mut db, app).await?;
        if !formation.iter().any(|known| known.process_type == process_type) {
            return Err(Error::NotFound("process type"));
        }
    }
    ctx.say(app.id, format!("Restarted {process_type} by user {}", user.email));
    for dyno in dynos {
        ctx.node.restart(app.id, Some(dyno.name)).await;
    }
    Ok(accepted())
}
