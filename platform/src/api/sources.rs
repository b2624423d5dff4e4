//! `/sources`: where source archives are uploaded to.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::extract::{Params, reply};
use crate::{Ctx, Error, apps::App, auth::User, error::io, sources};

pub(super) async fn create(State(ctx): State<Ctx>, user: User) -> Result<Response, Error> {
    let token = ctx.create_source(&user).await?;
    let url = format!("{}/sources/{token}", ctx.urls.api);
    let object = json!({"source_blob": {"get_url": url, "put_url": url}});
    Ok(reply(StatusCode::CREATED, &object))
}

pub(super) async fn create_for_app(ctx: State<Ctx>, user: User, _: App) -> Result<Response, Error> {
    create(ctx, user).await
}

pub(super) async fn upload(
    State(ctx): State<Ctx>,
    params: Params,
    request: Request,
) -> Result<Response, Error> {
    let body = request.into_body().into_data_stream();
    ctx.upload_source(params.get("token"), body).await?;
    Ok(StatusCode::OK.into_response())
}

pub(super) async fn download(State(ctx): State<Ctx>, params: Params) -> Result<Response, Error> {
    let source = {
        let mut db = ctx.db.read().await?;
        sources::find(&mut db, params.get("token")).await?
    };
    let size = source.size.ok_or(Error::NotFound("source"))?;
    let file = tokio::fs::File::open(ctx.data.source(source.id)).await.map_err(io("source"))?;
    let headers = [
        (header::CONTENT_TYPE, "application/gzip".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
    ];
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
