//! `/blobs`, wpaas' own: uploads of what a slug that was built elsewhere consists of.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use serde_json::json;
use wpaas_slug::Digest;

use super::extract::{Params, read_json, reply};
use crate::{Ctx, Error, auth::User};

#[derive(Deserialize)]
struct Missing {
    digests: Vec<Digest>,
}

pub(super) async fn missing(
    State(ctx): State<Ctx>,
    _: User,
    request: Request,
) -> Result<Response, Error> {
    // As many digests as a slug has files, which is more than other requests may hold.
    let body: Missing = read_json(&ctx, request.into_body(), ctx.limits.manifest_bytes).await?;
    if body.digests.len() as u64 > ctx.limits.source_files {
        let limit = ctx.limits.source_files;
        return Err(Error::Invalid(format!("Ask for at most {limit} digests at once.")));
    }
    let missing = ctx.store.missing(body.digests).await?;
    Ok(reply(StatusCode::OK, &json!({"missing": missing})))
}

pub(super) async fn put(
    State(ctx): State<Ctx>,
    _: User,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    let digest = params.get("digest").parse::<Digest>();
    let digest = digest.map_err(|error| Error::Invalid(error.to_string()))?;
    ctx.put_blob(digest, request.into_body().into_data_stream()).await?;
    Ok(reply(StatusCode::OK, &json!({"digest": digest})))
}
