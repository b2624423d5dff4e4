//! `/apps/{app}/builds` and the output of builds.

use std::path::PathBuf;

use axum::{
    body::Body,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    extract::{Extended, Json, Params, reply, reply_list, to_the_end},
    serialise,
};
use crate::{
    Ctx, Error,
    apps::App,
    auth::User,
    builds::{self, Wanted},
    db,
    page::Page,
};

pub(super) async fn list(
    State(ctx): State<Ctx>,
    app: App,
    page: Page,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let listed = builds::list(&mut db, app.id, &page).await?;
    Ok(reply_list(&listed, &page, |build| serialise::build(&ctx, build, extended)))
}

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let build = builds::find(&mut db, app.id, params.get("build")).await?;
    Ok(reply(StatusCode::OK, &serialise::build(&ctx, &build, extended)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    source_blob: SourceBlob,
    buildpacks: Option<Vec<Buildpack>>,
}

#[derive(Deserialize)]
struct SourceBlob {
    url: String,
    version: Option<String>,
    version_description: Option<String>,
    checksum: Option<String>,
}

#[derive(Deserialize)]
struct Buildpack {
    url: Option<String>,
    name: Option<String>,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    user: User,
    app: App,
    extended: Extended,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let told = body.buildpacks.unwrap_or_default().into_iter();
    let told: Vec<String> = told.filter_map(|one| one.url.or(one.name)).collect();
    let wanted = Wanted {
        url: body.source_blob.url,
        version: body.source_blob.version,
        version_description: body.source_blob.version_description,
        checksum: body.source_blob.checksum,
        buildpacks: ctx.known_buildpacks(&told)?,
    };
    let change = ctx.clone();
    let build = to_the_end(async move { change.create_build(&app, &user, wanted).await }).await?;
    Ok(reply(StatusCode::CREATED, &serialise::build(&ctx, &build, extended)))
}

/// The output as chunked text: what was printed, then what is being printed, until the build ends.
pub(super) async fn output(State(ctx): State<Ctx>, params: Params) -> Result<Response, Error> {
    let build = {
        let mut db = ctx.db.read().await?;
        builds::by_stream_token(&mut db, params.get("token")).await?
    };
    let id = db::id(&build.id)?;
    Ok(followed(&ctx, ctx.data.build_log(id), id))
}

/// An output from its beginning to its end, however long that takes.
pub(super) fn followed(ctx: &Ctx, file: PathBuf, id: Uuid) -> Response {
    let lines = builds::stream(file, ctx.builds.live.get(id));
    let body = Body::from_stream(lines.take_until(ctx.stop.clone().cancelled_owned()));
    let headers =
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, body).into_response()
}
