//! One connection to one server: addresses, token, answers.

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::{
    Method, RequestBuilder, Response, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RANGE},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use wpaas_slug::{Digest, Limits};

use super::{Error, Missing};
use crate::credentials::Token;

/// Heroku's objects with our own fields.
const ACCEPTED: &str = "application/vnd.wpaas+json; version=3";
/// Heroku's header for the next page of a list.
const NEXT_RANGE: &str = "next-range";
/// Heroku's header for a word to the person at the command line.
const WARNING: &str = "x-heroku-warning";

/// A client of the Platform API. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    name: String,
    token: Option<Token>,
    limits: Limits,
}

/// The address of a server as it is written in the credentials file: scheme, host and port.
pub(crate) fn base_url(text: &str) -> Result<String, Error> {
    let bad = |reason: &str| Error::BadUrl { url: text.to_owned(), reason: reason.to_owned() };
    let text = text.trim();
    let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&full).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("a token goes into WPAAS_API_KEY, not into the address"));
    }
    let host = url.host_str().ok_or_else(|| bad("it names no host"))?;
    if url.path() != "/" || url.query().is_some() {
        return Err(bad("it must end after the port"));
    }
    // The port is always written when it was given, except where the scheme implies it.
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Ok(format!("{}://{host}{port}", url.scheme()))
}

impl Client {
    /// A client of the server at `name`, which is a [`base_url`]; its certificate may be from `authority` (PEM) or from
    /// an authority of the system's.
    pub(crate) fn new(
        name: &str,
        token: Option<Token>,
        authority: Option<&str>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadUrl { url: name.to_owned(), reason };
        let base = Url::parse(name).map_err(|error| bad(error.to_string()))?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("wpaas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Limits::ms(limits.client_connect_ms))
            // A dead peer must not hold `logs --tail` for ever, and a quiet one must not end it.
            .tcp_keepalive(Limits::ms(limits.idle_ms))
            // A redirect would carry a PUT or the token to a place that nobody named.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = authority {
            let bad = |error: String| bad(format!("its certificate authority is none: {error}"));
            let certificates = reqwest::Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|error| bad(error.to_string()))?;
            if certificates.is_empty() {
                return Err(bad("the file holds no certificate in PEM".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| bad(error.to_string()))?;
        Ok(Self { http, base, name: name.to_owned(), token, limits })
    }

    /// The server's address, for people and for `.wpaas/app.json`.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How much it takes of anything.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Another client's request for a path of the server, as it stands; the answer is its to read.
    pub(crate) async fn forward(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: reqwest::Body,
    ) -> Result<Response, Error> {
        // Set apart, so that no path becomes another host's address.
        let (path, query) =
            path.split_once('?').map_or((path, None), |(path, rest)| (path, Some(rest)));
        let mut url = self.base.clone();
        url.set_path(path);
        url.set_query(query);
        let request = self.http.request(method, url).headers(headers).body(body);
        request.send().await.map_err(|error| Error::transport(&self.name, &error))
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url
    }

    /// An address that the server gave us; it may be relative to the server.
    fn given(&self, url: &str) -> Result<Url, Error> {
        self.base.join(url).map_err(|error| self.strange(format!("its address {url:?}: {error}")))
    }

    fn strange(&self, reason: String) -> Error {
        Error::Protocol { url: self.name.clone(), reason }
    }

    fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, Error> {
        // The token goes to the server that it is for, and not to a bucket that an upload is sent to.
        let ours = url.origin() == self.base.origin();
        let request = self.http.request(method, url);
        match self.token.as_ref().filter(|_| ours) {
            None => Ok(request),
            Some(token) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", token.value)).map_err(|_| {
                        Error::Unauthorised {
                            url: self.name.clone(),
                            advice: format!(
                                "the token from {} holds other than letters",
                                token.origin
                            ),
                        }
                    })?;
                value.set_sensitive(true);
                Ok(request.header(AUTHORIZATION, value))
            }
        }
    }

    /// Sends, and makes an error of everything that is not a success.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, Error> {
        let response =
            request.send().await.map_err(|error| Error::transport(&self.name, &error))?;
        if let Some(warning) = header(response.headers(), WARNING) {
            eprintln!("Warning: {warning}");
        }
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let request_id = header(response.headers(), "request-id");
        let body = self.body(response).await.unwrap_or_default();
        Err(Error::response(&self.name, self.token.as_ref(), status, request_id, &body))
    }

    /// The whole body, up to the limit.
    async fn body(&self, response: Response) -> Result<Bytes, Error> {
        let limit = Limits::size(self.limits.client_response_bytes);
        let mut chunks = response.bytes_stream();
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|error| Error::transport(&self.name, &error))?;
            if body.len().saturating_add(chunk.len()) > limit {
                return Err(self.strange(format!("its answer has more than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        headers: &[(reqwest::header::HeaderName, String)],
        body: Option<&Value>,
    ) -> Result<(HeaderMap, Value), Error> {
        let mut request = self.request(method, self.url(path))?;
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.exchange(request).await
    }

    /// Sends a request and reads the JSON of its answer, `null` when that is empty.
    async fn exchange(&self, request: RequestBuilder) -> Result<(HeaderMap, Value), Error> {
        let limit = Limits::ms(self.limits.client_response_ms);
        let response = self.answer(request.header(ACCEPT, ACCEPTED).timeout(limit)).await?;
        let headers = response.headers().clone();
        let body = self.body(response).await?;
        if body.is_empty() {
            return Ok((headers, Value::Null));
        }
        let value = serde_json::from_slice(&body)
            .map_err(|error| self.strange(format!("its answer is not JSON: {error}")))?;
        Ok((headers, value))
    }

    /// Reads an object out of an answer.
    pub(crate) fn parse<T: DeserializeOwned>(&self, value: &Value) -> Result<T, Error> {
        T::deserialize(value)
            .map_err(|error| self.strange(format!("its answer cannot be understood: {error}")))
    }

    /// GET, as JSON.
    pub(crate) async fn get(&self, path: &[&str]) -> Result<Value, Error> {
        Ok(self.call(Method::GET, path, &[], None).await?.1)
    }

    /// GET one object.
    pub(crate) async fn get_as<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.parse(&self.get(path).await?)
    }

    /// One page of a list: `range` is Heroku's, `version ..; order=desc,max=15`.
    pub(crate) async fn page(&self, path: &[&str], range: &str) -> Result<Value, Error> {
        Ok(self.call(Method::GET, path, &[(RANGE, range.to_owned())], None).await?.1)
    }

    /// A whole list, page by page.
    pub(crate) async fn list(&self, path: &[&str]) -> Result<Value, Error> {
        let mut items = Vec::new();
        let mut range: Option<String> = None;
        for _ in 0..self.limits.client_pages {
            let ranges: Vec<_> = range.take().map(|range| (RANGE, range)).into_iter().collect();
            let (headers, value) = self.call(Method::GET, path, &ranges, None).await?;
            match value {
                Value::Array(page) => items.extend(page),
                _ => return Err(self.strange("its answer is not a list".to_owned())),
            }
            match header(&headers, NEXT_RANGE) {
                Some(next) => range = Some(next),
                None => return Ok(Value::Array(items)),
            }
        }
        Err(self.strange(format!("its list has more than {} pages", self.limits.client_pages)))
    }

    /// POST.
    pub(crate) async fn post(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        Ok(self.call(Method::POST, path, &[], Some(body)).await?.1)
    }

    /// PATCH.
    pub(crate) async fn patch(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        Ok(self.call(Method::PATCH, path, &[], Some(body)).await?.1)
    }

    /// PUT.
    pub(crate) async fn put(&self, path: &[&str], body: &Value) -> Result<Value, Error> {
        Ok(self.call(Method::PUT, path, &[], Some(body)).await?.1)
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Value, Error> {
        Ok(self.call(Method::DELETE, path, &[], None).await?.1)
    }

    /// Asks for an authorization with a password in place of the token.
    pub(crate) async fn log_in(
        &self,
        email: &str,
        password: &str,
        body: &Value,
    ) -> Result<Value, Error> {
        let request = self
            .http
            .post(self.url(&["oauth", "authorizations"]))
            .basic_auth(email, Some(password))
            .json(body);
        let answered = self.exchange(request).await.map_err(|error| match error {
            Error::Unauthorised { .. } => Error::Forbidden {
                message:
                    "there was a problem with your login: the e-mail address or the password is \
                          wrong, or the account has no password yet (`wpaas password` sets one)"
                        .to_owned(),
            },
            other => other,
        })?;
        Ok(answered.1)
    }

    /// The token that this client sends.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.value.as_str())
    }

    /// PUT of `length` bytes to an address that the server gave.
    pub(crate) async fn upload(
        &self,
        url: &str,
        body: reqwest::Body,
        length: u64,
    ) -> Result<(), Error> {
        self.send_bytes(self.given(url)?, body, length).await
    }

    /// *wpaas*: those of `digests` that the store lacks.
    pub(crate) async fn missing_blobs(&self, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let body = serde_json::json!({ "digests": digests });
        let answer = self.post(&["blobs", "missing"], &body).await?;
        Ok(self.parse::<Missing>(&answer)?.missing)
    }

    /// *wpaas*: writes a blob; the server verifies that it is what its name says.
    pub(crate) async fn put_blob(&self, digest: Digest, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        self.send_bytes(self.url(&["blobs", &digest.to_string()]), bytes.into(), length).await
    }

    async fn send_bytes(&self, url: Url, body: reqwest::Body, length: u64) -> Result<(), Error> {
        let request = self
            .request(Method::PUT, url)?
            .header(ACCEPT, ACCEPTED)
            .header(reqwest::header::CONTENT_LENGTH, length)
            .body(body);
        self.answer(request).await.map(drop)
    }

    /// The bytes of a build's output or of a log, as they come, from an address that the server gave.
    pub(crate) async fn stream(
        &self,
        url: &str,
        accept: &'static str,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Unpin + use<>, Error> {
        let request = self.request(Method::GET, self.given(url)?)?.header(ACCEPT, accept);
        let response = self.answer(request).await?;
        let name = self.name.clone();
        Ok(response.bytes_stream().map_err(move |error| Error::transport(&name, &error)))
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests;
