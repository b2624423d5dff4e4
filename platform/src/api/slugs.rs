//! `/apps/{app}/slugs`: slugs that were built elsewhere.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Deserialize;
use wpaas_slug::Digest;

use super::{
    extract::{Extended, Json, Params, reply},
    serialise,
};
use crate::{Ctx, Error, apps::App, slugs};

pub(super) async fn info(
    State(ctx): State<Ctx>,
    app: App,
    params: Params,
    extended: Extended,
) -> Result<Response, Error> {
    let mut db = ctx.db.read().await?;
    let slug = slugs::find(&mut db, app.id, params.get("slug")).await?;
    Ok(reply(StatusCode::OK, &serialise::slug(&ctx, &slug, extended)))
}

#[derive(Deserialize)]
pub(super) struct Create {
    digest: Option<Digest>,
    commit: Option<String>,
    commit_description: Option<String>,
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    app: App,
    extended: Extended,
    Json(body): Json<Create>,
) -> Result<Response, Error> {
    let digest = body.digest.ok_or_else(|| {
        Error::Invalid(
            "Name the slug's manifest in `digest`, after uploading its blobs with PUT /blobs/DIGEST. \
             Slugs made for Heroku's dynos cannot run here; POST /builds builds from source."
                .into(),
        )
    })?;
    let slug = ctx.adopt_slug(&app, digest, body.commit, body.commit_description).await?;
    Ok(reply(StatusCode::CREATED, &serialise::slug(&ctx, &slug, extended)))
}
