//! Heroku's error codes: what they are called, and the pages that clients see.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body_util::Full;

use crate::forward::Refused;

/// Why a request did not get the app's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HCode {
    /// The app failed while it started.
    H10,
    /// Too many requests wait.
    H11,
    /// No first byte in time.
    H12,
    /// The dyno ended without a response.
    H13,
    /// Scaled to zero.
    H14,
    /// Nothing was sent for too long.
    H15,
    /// A response that HTTP does not allow.
    H17,
    /// The dyno ended in the middle of the response.
    H18,
    /// The dyno took no connection in time.
    H19,
    /// The app did not listen in time.
    H20,
    /// The dyno has stopped listening.
    H21,
    /// The client went away.
    H27,
    /// The client stopped sending its request.
    H28,
    /// Maintenance mode.
    H80,
    /// Nothing was deployed.
    H81,
    /// The platform's own fault.
    H99,
}

impl HCode {
    /// Every code, in the order of the numbers that they are counted by. Its length is that of the last
    /// one's number plus one, so a code that is missing here does not compile.
    pub(crate) const ALL: [Self; Self::H99 as usize + 1] = [
        Self::H10,
        Self::H11,
        Self::H12,
        Self::H13,
        Self::H14,
        Self::H15,
        Self::H17,
        Self::H18,
        Self::H19,
        Self::H20,
        Self::H21,
        Self::H27,
        Self::H28,
        Self::H80,
        Self::H81,
        Self::H99,
    ];

    /// `H12`
    pub(crate) fn code(self) -> &'static str {
        self.texts().0
    }

    /// `Request timeout`
    pub(crate) fn description(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::H10 => ("H10", "App crashed"),
            Self::H11 => ("H11", "Backlog too deep"),
            Self::H12 => ("H12", "Request timeout"),
            Self::H13 => ("H13", "Connection closed without response"),
            Self::H14 => ("H14", "No web processes running"),
            Self::H15 => ("H15", "Idle connection"),
            Self::H17 => ("H17", "Poorly formatted HTTP response"),
            Self::H18 => ("H18", "Server Request Interrupted"),
            Self::H19 => ("H19", "Backend connection timeout"),
            Self::H20 => ("H20", "App boot timeout"),
            Self::H21 => ("H21", "Backend connection refused"),
            Self::H27 => ("H27", "Client Request Interrupted"),
            Self::H28 => ("H28", "Client Connection Idle"),
            Self::H80 => ("H80", "Maintenance mode"),
            Self::H81 => ("H81", "Blank app"),
            Self::H99 => ("H99", "Platform error"),
        }
    }

    /// The status in the log line; the client sees it too unless it is gone.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::H27 => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The page that the client gets.
    pub(crate) fn page(self) -> Response<Full<Bytes>> {
        let (title, text) = match self {
            Self::H80 => (
                "Offline for Maintenance",
                "This app is undergoing maintenance. Please check back later.",
            ),
            Self::H81 => (
                "No app here yet",
                "This app has a name but no release. Deploy it with <code>wpaas deploy</code>.",
            ),
            _ => (
                "Application error",
                "An error occurred in the application and your page could not be served. If you \
                 are the application's owner, see its log with <code>wpaas logs --tail</code>.",
            ),
        };
        page(self.status(), title, text, Some(self.code()))
    }
}

/// The page for a host that no app has.
pub(crate) fn no_such_app() -> Response<Full<Bytes>> {
    let text = "There is no app with this name or domain on this server.";
    page(StatusCode::NOT_FOUND, "No such app", text, None)
}

/// The page for a request that cannot be routed at all. On HTTP/1 it is the connection's last: what follows
/// such a request is best not read as another one.
pub(crate) fn refused(refused: &Refused, version: Version) -> Response<Full<Bytes>> {
    let mut page = page(refused.status, "Bad request", refused.message, None);
    // HTTP/2 has no such field (RFC 9113, 8.2.2).
    if version <= Version::HTTP_11 {
        page.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    page
}

/// The page while the gate is closed; `text` is shown as it is.
pub(crate) fn not_ready(text: &str) -> Response<Full<Bytes>> {
    let text = format!("</p><pre>{}</pre><p>", escape(text));
    page(StatusCode::SERVICE_UNAVAILABLE, "Not ready", &text, None)
}

fn page(status: StatusCode, title: &str, text: &str, code: Option<&str>) -> Response<Full<Bytes>> {
    let code = code.map(|code| format!("<p><small>{code}</small></p>")).unwrap_or_default();
    let html = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><title>{title}</title><style>body \
         {{ font: 16px/1.5 sans-serif; max-width: 38em; margin: 15vh auto; padding: 0 1em; color: \
         #333 }} pre {{ overflow: auto; background: #f4f4f4; padding: 1em }}</style></head>\
         <body><h1>{title}</h1><p>{text}</p>{code}</body></html>\n"
    );
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    let no_cache = HeaderValue::from_static("no-cache, no-store");
    headers.insert(header::CACHE_CONTROL, no_cache);
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn text(response: Response<Full<Bytes>>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn pages_say_what_happened() {
        let crashed = HCode::H10.page();
        assert_eq!(crashed.status(), 503);
        assert_eq!(crashed.headers()["cache-control"], "no-cache, no-store");
        let crashed = text(crashed).await;
        assert!(crashed.contains("Application error") && crashed.contains("H10"), "{crashed}");
        assert!(text(HCode::H80.page()).await.contains("maintenance"));
        assert!(text(HCode::H81.page()).await.contains("H81"));
        assert_eq!(no_such_app().status(), 404);
        assert!(text(not_ready("<b> & co")).await.contains("&lt;b&gt; &amp; co"));
        assert_eq!(HCode::H27.status().as_u16(), 499);
    }
}
