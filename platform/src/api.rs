//! The HTTP API: Heroku's Platform API v3, plus wpaas' own additions.
//!
//! Requests are read liberally (ids and names everywhere, numbers as strings, no particular content type),
//! responses are exactly what Heroku's schema says. A client that sends
//! `Accept: application/vnd.wpaas+json; version=3` gets wpaas' own fields in the same objects.

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{MethodRouter, delete, get, post, put},
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Ctx, Error, authorizations::Authorization};

mod account;
mod apps;
mod authorizations;
mod blobs;
mod buildpacks;
mod builds;
mod catalog;
mod config;
mod domains;
mod drains;
mod dynos;
mod egress;
mod error;
mod extract;
mod formation;
mod git;
mod log_sessions;
mod range;
mod releases;
pub(crate) mod serialise;
mod slugs;
mod sources;
mod webhooks;

const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RATE_LIMIT_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");

/// Every path that needs a token, with what answers there.
pub(crate) fn authenticated() -> Vec<(&'static str, MethodRouter<Ctx>)> {
    vec![
        ("/account", get(account::info).patch(account::update)),
        ("/account/features", get(account::none)),
        ("/account/keys", get(account::none)),
        ("/oauth/authorizations", get(authorizations::list)),
        (
            "/oauth/authorizations/{id}",
            get(authorizations::info)
                .patch(authorizations::describe)
                .delete(authorizations::revoke),
        ),
        ("/oauth/authorizations/{id}/actions/regenerate-tokens", post(authorizations::rotate)),
        ("/oauth/sessions/{id}", delete(authorizations::no_session)),
        ("/users/{user}", get(account::info_of).patch(account::update)),
        ("/users/{user}/apps", get(apps::list_of)),
        ("/apps", post(apps::create).get(apps::list)),
        ("/apps/{app}", get(apps::info).patch(apps::update).delete(apps::delete)),
        ("/apps/{app}/addons", get(apps::none)),
        ("/apps/{app}/sni-endpoints", get(apps::none)),
        ("/apps/{app}/features", get(apps::none)),
        ("/apps/{app}/collaborators", get(account::collaborators)),
        ("/apps/{app}/config-vars", get(config::get).patch(config::patch)),
        ("/apps/{app}/egress", get(egress::get).patch(egress::patch)),
        ("/apps/{app}/releases", get(releases::list).post(releases::create)),
        ("/apps/{app}/releases/verification", get(releases::verification)),
        ("/apps/{app}/releases/{release}", get(releases::info)),
        ("/apps/{app}/releases/{release}/config-vars", get(config::of_release)),
        ("/apps/{app}/releases/{release}/egress", get(egress::of_release)),
        ("/apps/{app}/formation", get(formation::list).patch(formation::batch)),
        ("/apps/{app}/formation/{type}", get(formation::info).patch(formation::update)),
        ("/apps/{app}/formations/{type}", delete(dynos::restart_type)),
        ("/apps/{app}/formations/{type}/actions/stop", post(dynos::restart_type)),
        ("/apps/{app}/dynos", get(dynos::list).post(dynos::create).delete(dynos::restart_all)),
        ("/apps/{app}/dynos/{dyno}", get(dynos::info).delete(dynos::restart)),
        ("/apps/{app}/dynos/{dyno}/actions/stop", post(dynos::restart)),
        ("/apps/{app}/domains", get(domains::list).post(domains::create)),
        ("/apps/{app}/domains/{domain}", get(domains::info).delete(domains::delete)),
        ("/apps/{app}/log-drains", get(drains::list).post(drains::create)),
        ("/apps/{app}/log-drains/{drain}", get(drains::info).delete(drains::delete)),
        ("/apps/{app}/webhooks", get(webhooks::list).post(webhooks::create)),
        (
            "/apps/{app}/webhooks/{webhook}",
            get(webhooks::info).patch(webhooks::update).delete(webhooks::delete),
        ),
        ("/apps/{app}/webhook-deliveries", get(webhooks::deliveries)),
        ("/apps/{app}/webhook-deliveries/{delivery}", get(webhooks::delivery)),
        ("/apps/{app}/webhook-events", get(webhooks::events)),
        ("/apps/{app}/webhook-events/{event}", get(webhooks::event)),
        ("/apps/{app}/builds", get(builds::list).post(builds::create)),
        ("/apps/{app}/builds/{build}", get(builds::info)),
        ("/apps/{app}/buildpack-installations", get(buildpacks::list).put(buildpacks::update)),
        ("/apps/{app}/sources", post(sources::create_for_app)),
        ("/apps/{app}/slugs", post(slugs::create)),
        ("/apps/{app}/slugs/{slug}", get(slugs::info)),
        ("/apps/{app}/log-sessions", post(log_sessions::create)),
        ("/apps/{app}/available-stacks", get(catalog::stacks_of_app)),
        ("/sources", post(sources::create)),
        ("/blobs/missing", post(blobs::missing)),
        ("/blobs/{digest}", put(blobs::put)),
        ("/certificate-authority", get(catalog::certificate_authority)),
        ("/regions", get(catalog::regions)),
        ("/regions/{region}", get(catalog::region)),
        ("/stacks", get(catalog::stacks)),
        ("/stacks/{stack}", get(catalog::stack)),
        ("/{repository}/info/refs", get(git::refs)),
        ("/{repository}/git-receive-pack", post(git::receive)),
        ("/{repository}/git-upload-pack", post(git::upload)),
    ]
}

/// Every path that does not: what is public, and what a password or the secret in the URL protects.
pub(crate) fn unauthenticated() -> Vec<(&'static str, MethodRouter<Ctx>)> {
    vec![
        ("/", get(root)),
        ("/buildpacks/{name}", get(buildpacks::registered)),
        ("/oauth/authorizations", post(authorizations::create)),
        ("/sources/{token}", put(sources::upload).get(sources::download)),
        ("/builds/{token}/output", get(builds::output)),
        ("/releases/{token}/output", get(releases::output)),
        ("/logs/{token}", get(log_sessions::stream)),
    ]
}

fn routed(table: Vec<(&'static str, MethodRouter<Ctx>)>) -> Router<Ctx> {
    let add = |router: Router<Ctx>, (path, methods)| router.route(path, methods);
    table.into_iter().fold(Router::new(), add)
}

/// All routes.
pub(crate) fn router(ctx: Ctx) -> Router {
    routed(authenticated())
        .route_layer(from_fn_with_state(ctx.clone(), authenticate))
        .merge(routed(unauthenticated()))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(from_fn(conditional))
        .layer(from_fn(identify))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(ctx)
}

async fn root() -> Response {
    let about = serde_json::json!({"name": "wpaas", "version": env!("CARGO_PKG_VERSION")});
    extract::reply(StatusCode::OK, &about)
}

async fn unknown() -> Response {
    error::response(
        StatusCode::NOT_FOUND,
        &serde_json::json!({
            "id": "not_found",
            "message": "The requested API endpoint was not found. Are you using the right HTTP verb \
                        (i.e. `GET` vs. `POST`), and did you specify your intended version with the \
                        `Accept` header?",
        }),
    )
}

/// The token that a request came with.
#[derive(Clone)]
struct Presented {
    authorization: Authorization,
    token: String,
}

/// Finds out who asks, and counts the request.
async fn authenticate(State(ctx): State<Ctx>, mut request: Request, next: Next) -> Response {
    let token = extract::token(request.headers());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let answer = async {
        let token = token.ok_or(Error::Unauthorized)?;
        let (user, authorization) = {
            let mut db = ctx.db.read().await?;
            crate::auth::authenticate(&mut db, &token).await?
        };
        let left = ctx.rate_limit.take(user.id, std::time::Instant::now())?;
        authorization.scopes.allow(&method, &path)?;
        Ok::<_, Error>((user, Presented { authorization, token }, left))
    };
    match answer.await {
        Ok((user, presented, left)) => {
            request.extensions_mut().insert(user);
            request.extensions_mut().insert(presented);
            let mut response = next.run(request).await;
            response.headers_mut().insert(RATE_LIMIT_REMAINING, HeaderValue::from(left));
            response
        }
        Err(error) => {
            let limited = matches!(error, Error::RateLimited);
            let mut response = error.into_response();
            if limited {
                response.headers_mut().insert(RATE_LIMIT_REMAINING, HeaderValue::from(0));
            }
            response
        }
    }
}

/// Gives every response its id.
async fn identify(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let (method, path) = (request.method().clone(), shown_path(request.uri().path()));
    let mut response = next.run(request).await;
    let status = response.status().as_u16();
    if response.status().is_server_error() {
        tracing::error!(id, %method, path, status, "API request");
    } else {
        tracing::debug!(id, %method, path, status, "API request");
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The path without the secrets that some URLs carry.
fn shown_path(path: &str) -> String {
    let secret = |part: &str| part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
    path.split('/').map(|part| if secret(part) { "…" } else { part }).collect::<Vec<_>>().join("/")
}

/// ETag and If-None-Match for JSON.
async fn conditional(request: Request, next: Next) -> Response {
    let get = request.method() == Method::GET;
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    let response = next.run(request).await;
    let json = response.headers().get(header::CONTENT_TYPE);
    let json = json.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !get || !json || !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // JSON is made in memory, so this neither waits nor grows.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let etag = format!("\"{}\"", hex::encode(Sha256::digest(&bytes)));
    let unchanged = known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| {
        known.split(',').any(|one| one.trim().trim_start_matches("W/") == etag || one.trim() == "*")
    });
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        parts.headers.insert(header::ETAG, etag);
    }
    if unchanged {
        parts.status = StatusCode::NOT_MODIFIED;
        parts.headers.remove(header::CONTENT_TYPE);
        return (parts, ()).into_response();
    }
    (parts, bytes).into_response()
}
