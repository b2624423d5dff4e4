//! What handlers read from requests, and how they answer.

use std::{collections::HashMap, future::Future, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use base64::Engine;
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};

use crate::{
    Ctx, Error,
    apps::{self, App},
    auth::User,
    page::Listed,
};

/// The token of a request: `Bearer TOKEN`, or Basic with the token as the password.
pub(super) fn token(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = credentials(headers)?;
    let token =
        if scheme.eq_ignore_ascii_case("bearer") { rest.to_owned() } else { basic(headers)?.1 };
    (!token.is_empty()).then_some(token)
}

/// The name and the password of a request with Basic authentication.
pub(super) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, rest) = credentials(headers)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(rest).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

fn credentials(headers: &HeaderMap) -> Option<(&str, &str)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    Some((scheme, rest.trim()))
}

/// Answers with JSON.
pub(super) fn reply(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    (status, headers, body.to_string()).into_response()
}

/// Answers with a page of a list: 206 with `Next-Range` when there is more.
pub(super) fn reply_list<T>(
    listed: &Listed<T>,
    page: &crate::page::Page,
    show: impl FnMut(&T) -> Value,
) -> Response {
    let items: Vec<Value> = listed.items.iter().map(show).collect();
    let status = if listed.more { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = reply(status, &Value::from(items));
    for (name, value) in super::range::headers(listed, page) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Runs a change to its end even when the client goes away in the middle of it: a change that is committed must
/// also reach the node.
pub(super) async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let result = tokio::spawn(change).await;
    result.map_err(|error| crate::error::io("change")(std::io::Error::other(error)))?
}

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or(Error::Unauthorized)
    }
}

/// The parameters of the path, by name.
pub(super) struct Params(HashMap<String, String>);

impl Params {
    /// One of them. Absent means that the route has none of this name.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let params = Path::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let Path(params) = params.map_err(|error| Error::BadRequest(error.body_text()))?;
        Ok(Self(params))
    }
}

/// The app that the path names, by id or name, if it is the user's.
impl FromRequestParts<Ctx> for App {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> Result<Self, Error> {
        let user = User::from_request_parts(parts, ctx).await?;
        let params = Params::from_request_parts(parts, ctx).await?;
        let mut db = ctx.db.read().await?;
        apps::find(&mut db, user.id, params.get("app")).await
    }
}

/// Whether the client asked for wpaas' own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extended(pub(crate) bool);

impl<S: Sync> FromRequestParts<S> for Extended {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let mut accepts = parts.headers.get_all(header::ACCEPT).iter();
        let ours = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| text.contains("application/vnd.wpaas+json"))
        };
        Ok(Self(accepts.any(ours)))
    }
}

/// A JSON body, whatever content type it claims; an empty one counts as `{}`.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Ctx> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, ctx: &Ctx) -> Result<Self, Error> {
        read_json(ctx, request.into_body(), ctx.limits.api_body_bytes).await.map(Self)
    }
}

/// Reads a JSON body of at most `limit` bytes.
pub(super) async fn read_json<T: DeserializeOwned>(
    ctx: &Ctx,
    body: Body,
    limit: u64,
) -> Result<T, Error> {
    let size = usize::try_from(limit).unwrap_or(usize::MAX);
    let wait = Duration::from_millis(ctx.limits.idle_ms);
    let bytes = tokio::time::timeout(wait, axum::body::to_bytes(body, size))
        .await
        .map_err(|_| Error::BadRequest("The request's body stalled; try again.".into()))?;
    let bytes = bytes.map_err(|_| {
        Error::TooLarge(format!(
            "The request's body broke off or is over the limit of {limit} bytes."
        ))
    })?;
    let text = if bytes.trim_ascii().is_empty() { b"{}" } else { bytes.as_ref() };
    serde_json::from_slice(text).map_err(|error| match error.classify() {
        Category::Data => {
            Error::Invalid(format!("Unexpected value in the request's body: {error}."))
        }
        _ => Error::BadRequest(format!("The request's body is not valid JSON: {error}.")),
    })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_goes_on_when_its_client_goes_away() {
        let ((go, gone), (done, is_done)) = (oneshot::channel::<()>(), oneshot::channel());
        let mut change = Box::pin(to_the_end(async move {
            gone.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        }));
        assert!(futures::poll!(&mut change).is_pending());
        drop(change);
        go.send(()).unwrap();
        is_done.await.unwrap();
    }

    #[test]
    fn tokens_are_read_from_bearer_and_basic() {
        for (text, expected) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic OmFiYw==", Some("abc")),
            ("Basic dXNlckBhLmI6YTpiYw==", Some("a:bc")),
            ("Bearer ", None),
            ("Basic abc", None),
            ("Digest abc", None),
            ("abc", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            assert_eq!(token(&headers).as_deref(), expected, "{text}");
        }
    }
}
