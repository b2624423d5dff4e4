//! git's smart HTTP protocol (gitprotocol-http): `/{app}.git/info/refs`, `git-receive-pack` for pushes and
//! `git-upload-pack` for fetches. Errors are plain text, which git shows as `remote:` lines.

use std::io::Read as _;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt as _;
use serde::Deserialize;
use tokio::{
    io::AsyncWriteExt as _,
    process::Child,
    sync::{OwnedSemaphorePermit, oneshot},
};
use tokio_util::{io::ReaderStream, sync::CancellationToken};
use wpaas_slug::Limits;

use super::extract::Params;
use crate::{
    Ctx, Error, apps,
    apps::App,
    auth::User,
    error::io,
    git::{Push, patience},
};

const RECEIVE: &str = "git-receive-pack";
const UPLOAD: &str = "git-upload-pack";

/// An error for a person in front of git.
pub(super) struct Plain(Error);

impl<E: Into<Error>> From<E> for Plain {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        let text = format!("{}\n", self.0);
        let response = self.0.into_response();
        match response.status() {
            status if status.is_server_error() => response,
            status => (status, [(header::CONTENT_TYPE, "text/plain")], text).into_response(),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Service {
    service: Option<String>,
}

/// What an app's repository has.
pub(super) async fn refs(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    axum::extract::Query(query): axum::extract::Query<Service>,
    headers: HeaderMap,
) -> Result<Response, Plain> {
    let (app, place) = enter(&ctx, &user, &params).await?;
    let service = match query.service.as_deref() {
        Some(service @ (RECEIVE | UPLOAD)) => service,
        _ => {
            let text = "Only git's smart HTTP protocol is spoken here; use git 1.6.6 or newer.";
            return Err(Error::Invalid(text.into()).into());
        }
    };
    let repository = ctx.open_repository(app.id).await?;
    let mut command = ctx.git_of(&repository);
    let newer = service == UPLOAD && protocol(&headers, &mut command);
    let program = service.trim_start_matches("git-");
    command.args([program, "--stateless-rpc", "--advertise-refs", "."]);
    let child = command.spawn().map_err(io("git"))?;
    // Version 2 of the protocol begins without it.
    let announced = match newer {
        true => Bytes::new(),
        false => announcement(service),
    };
    let before = futures::stream::iter([Ok(announced)]);
    let body = Body::from_stream(before.chain(output(&ctx, child, place)?));
    Ok(answer(&format!("application/x-{service}-advertisement"), body))
}

/// Takes a push.
pub(super) async fn receive(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    request: Request,
) -> Result<Response, Plain> {
    let (app, place) = enter(&ctx, &user, &params).await?;
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Err(Error::BadRequest("A push is sent as it is, not compressed.".into()).into());
    }
    let body = request.into_body().into_data_stream();
    let answered = ctx.push(Push { app, user }, body).await?;
    let body = futures::stream::unfold((answered, place), |(mut answered, place)| async move {
        Some((answered.recv().await?, (answered, place)))
    });
    Ok(answer("application/x-git-receive-pack-result", Body::from_stream(body)))
}

/// Serves a fetch or a clone.
pub(super) async fn upload(
    State(ctx): State<Ctx>,
    user: User,
    params: Params,
    request: Request,
) -> Result<Response, Plain> {
    let (app, place) = enter(&ctx, &user, &params).await?;
    let repository = ctx.open_repository(app.id).await?;
    let (parts, body) = request.into_parts();
    let limit = ctx.limits.git_fetch_request_bytes;
    let asked = axum::body::to_bytes(body, Limits::size(limit)).await;
    let too_large = || Error::TooLarge(format!("The fetch asks with more than {limit} bytes."));
    let mut asked = asked.map_err(|_| too_large())?.to_vec();
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding == "gzip") {
        let mut plain = Vec::new();
        let unpacked = flate2::read::GzDecoder::new(asked.as_slice())
            .take(limit.saturating_add(1))
            .read_to_end(&mut plain);
        unpacked.map_err(|error| Error::BadRequest(format!("The fetch's gzip: {error}")))?;
        if plain.len() as u64 > limit {
            return Err(too_large().into());
        }
        asked = plain;
    }
    let mut command = ctx.git_of(&repository);
    protocol(&parts.headers, &mut command);
    command.args(["upload-pack", "--stateless-rpc", "."]).stdin(std::process::Stdio::piped());
    let mut child = command.spawn().map_err(io("git"))?;
    if let Some(mut stdin) = child.stdin.take() {
        tokio::spawn(async move {
            // git that ended has said why.
            let _ = stdin.write_all(&asked).await;
        });
    }
    let body = Body::from_stream(output(&ctx, child, place)?);
    Ok(answer("application/x-git-upload-pack-result", body))
}

/// The user's app whose repository the path names, and a place: a request of git's is a process or more.
async fn enter(
    ctx: &Ctx,
    user: &User,
    params: &Params,
) -> Result<(App, OwnedSemaphorePermit), Error> {
    let name = params.get("repository").strip_suffix(".git").ok_or(Error::NotFound("app"))?;
    let app = {
        let mut db = ctx.db.read().await?;
        apps::find(&mut db, user.id, name).await?
    };
    let place = ctx.git_requests.clone().try_acquire_owned().map_err(|_| {
        Error::Busy("Too many pushes and fetches are under way; try again in a minute.".into())
    })?;
    Ok((app, place))
}

/// Passes on the version that the client speaks; whether it is 2.
fn protocol(headers: &HeaderMap, command: &mut tokio::process::Command) -> bool {
    let asked = headers.get("git-protocol").and_then(|value| value.to_str().ok());
    let Some(version @ ("version=1" | "version=2")) = asked else { return false };
    command.env("GIT_PROTOCOL", version);
    version == "version=2"
}

/// The first pkt-line of an advertisement, and a flush.
fn announcement(service: &str) -> Bytes {
    let line = format!("# service={service}\n");
    format!("{:04x}{line}0000", line.len() + 4).into()
}

/// What git prints, as long as somebody reads it, and no longer than a request of git's may take: then it is ended,
/// and so is the connection, since a client of git's waits for ever when an answer ends too soon.
fn output(
    ctx: &Ctx,
    mut child: Child,
    place: OwnedSemaphorePermit,
) -> Result<impl futures::Stream<Item = std::io::Result<Bytes>> + use<>, Error> {
    let stdout = child.stdout.take().ok_or(Error::Stopping)?;
    // Nobody reads what it says on the side.
    drop(child.stderr.take());
    let patience = patience(&ctx.limits);
    let gone = CancellationToken::new();
    let reader = gone.clone().drop_guard();
    let (ended, end) = oneshot::channel();
    // Not in the stream, which nobody polls while its client reads nothing.
    tokio::spawn(async move {
        let _held = place;
        tokio::select! {
            status = child.wait() => drop(ended.send(status)),
            () = tokio::time::sleep(patience) => {}
            () = gone.cancelled() => {}
        }
    });
    let cut = move |end: Result<_, _>| {
        let _held = &reader;
        let cut = end.is_err().then(|| Err(std::io::Error::other("the request took too long")));
        futures::future::ready(cut)
    };
    Ok(ReaderStream::new(stdout).chain(futures::stream::once(end).filter_map(cut)))
}

fn answer(kind: &str, body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
    (StatusCode::OK, headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_advertisement_begins_as_the_protocol_says() {
        assert_eq!(announcement(UPLOAD), "001e# service=git-upload-pack\n0000");
    }
}
