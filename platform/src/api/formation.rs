//! `/apps/{app}/formation`.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use serde_json::Value;

use super::{
    extract::{Extended, Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    formation::{self, Process, Quantity, SIZE},
    page::{self, Page},
};

pub(super) async fn list(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let processes = formation::list(&mut db, &app).await?;
    let listed = page::slice(processes, "type", |process| process.process_type.clone(), &page);
    Ok(reply_list(&listed, &page, |process| serialise::formation(&app, process, extended)))
}

/// The process type with this name or id.
fn pick(app: &App, processes: &[Process], which: &str) -> Result<Process, Error> {
    let named = |process: &&Process| {
        process.process_type == which
            || serialise::formation_id(app, &process.process_type) == which
    };
    processes.iter().find(named).cloned().ok_or(Error::NotFound("process type"))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.snapshot().await?;
    let processes = formation::list(&mut db, &app).await?;
    let process = pick(&app, &processes, params.get("type"))?;
    Ok(reply(StatusCode::OK, &serialise::formation(&app, &process, extended)))
}

/// Refuses every dyno size, as a name or as an object, but the one that there is.
pub(super) fn check_size(size: &Value) -> Result<(), Error> {
    let name = size.get("name").unwrap_or(size).as_str().unwrap_or(SIZE);
    if name.eq_ignore_ascii_case(SIZE) {
        return Ok(());
    }
    Err(Error::Invalid(format!("Dyno size {name} does not exist: {SIZE} is the only one.")))
}

#[derive(Deserialize)]
pub(super) struct Batch {
    #[serde(default)]
    updates: Vec<Update>,
}

#[derive(Deserialize)]
pub(super) struct Update {
    #[serde(alias = "process", alias = "id")]
    r#type: Option<String>,
    quantity: Option<Value>,
    size: Option<Value>,
    dyno_size: Option<Value>,
}

impl Update {
    /// The wanted quantity, if any; the size can only be the one that there is.
    fn read(&self) -> Result<Option<Quantity>, Error> {
        for size in [&self.size, &self.dyno_size].into_iter().flatten() {
            check_size(size)?;
        }
        match &self.quantity {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Quantity::parse(text).map(Some),
            Some(Value::Number(number)) => Quantity::parse(&number.to_string()).map(|quantity| {
                Some(match quantity {
                    // A JSON number has no sign that means "by".
                    Quantity::Relative(_) => Quantity::Exactly(u32::MAX),
                    other => other,
                })
            }),
            Some(other) => {
                Err(Error::Invalid(format!("Quantity {other} must be like 3 or \"0..20\".")))
            }
        }
    }
}

async fn change(
    ctx: Ctx,
    user: User,
    app: App,
    updates: Vec<Update>,
) -> Result<Vec<Process>, Error> {
    let mut quantities = Vec::new();
    {
        let mut db = ctx.db.snapshot().await?;
        let processes = formation::list(&mut db, &app).await?;
        for update in &updates {
            let process = pick(&app, &processes, update.r#type.as_deref().unwrap_or_default())?;
            if let Some(quantity) = update.read()? {
                quantities.push((process.process_type, quantity));
            }
        }
    }
    to_the_end(async move {
        let lock = ctx.locks.app(app.id).await;
        ctx.scale(&lock, &user, quantities).await
    })
    .await
}

pub(super) async fn batch(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    extended: Extended,
    Json(body): Json<Batch>,
) -> Result<Response, Error> {
    let processes = change(ctx, user, app.clone(), body.updates).await?;
    let objects: Vec<Value> =
        processes.iter().map(|process| serialise::formation(&app, process, extended)).collect();
    Ok(reply(StatusCode::OK, &Value::from(objects)))
}

pub(super) async fn update(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    params: Params,
    extended: Extended,
    Json(mut body): Json<Update>,
) -> Result<Response, Error> {
    body.r#type = Some(params.get("type").to_owned());
    let processes = change(ctx, user, app.clone(), vec![body]).await?;
    let process = pick(&app, &processes, params.get("type"))?;
    Ok(reply(StatusCode::OK, &serialise::formation(&app, &process, extended)))
}
