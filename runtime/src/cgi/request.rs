//! A request as a CGI program sees it: the meta-variables of RFC 3875, section 4.1, as environment.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, header, request::Parts};

/// The meta-variables that are no request header. Config vars of these names are not passed on, nor are any
/// that begin with [`HEADER_PREFIX`]: they would pass for a header of the request.
const RESERVED: [&str; 20] = [
    "AUTH_TYPE",
    "CONTENT_LENGTH",
    "CONTENT_TYPE",
    "GATEWAY_INTERFACE",
    "HTTPS",
    "PATH_INFO",
    "PATH_TRANSLATED",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "REMOTE_HOST",
    "REMOTE_IDENT",
    "REMOTE_USER",
    "REQUEST_METHOD",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
];
const HEADER_PREFIX: &str = "HTTP_";
/// Where the program finds the app's files.
const ROOT: &str = "/app";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Whether a config var of this name is kept from CGI programs.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(HEADER_PREFIX) || RESERVED.contains(&name)
}

/// A path that cannot be a meta-variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadPath;

/// The variables of a request that the router has prepared ([`crate::forward::request`]), without config vars.
///
/// # Errors
///
/// [`BadPath`] for a path with an encoded NUL, at which the variable would end for a program in C.
pub(crate) fn variables(request: &Parts) -> Result<Vec<(String, String)>, BadPath> {
    let headers = &request.headers;
    let path = decode(request.uri.path()).ok_or(BadPath)?;
    let host = text(headers, &header::HOST);
    let name = match host.rsplit_once(':') {
        // Not the colons of an IPv6 address in brackets.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => &host,
    };
    let scheme = text(headers, &FORWARDED_PROTO);
    let forwarded = text(headers, &FORWARDED_FOR);
    // The router has appended the address that the connection comes from.
    let client = forwarded.rsplit(',').next().unwrap_or_default().trim();
    let target = request.uri.path_and_query().map_or("/", |target| target.as_str());

    let mut variables = Variables(Vec::with_capacity(20 + headers.len()));
    variables.set("GATEWAY_INTERFACE", "CGI/1.1");
    variables.set("SERVER_SOFTWARE", "wpaas");
    variables.set("SERVER_PROTOCOL", "HTTP/1.1");
    variables.set("SERVER_NAME", name);
    variables.set("SERVER_PORT", &text(headers, &FORWARDED_PORT));
    variables.set("REQUEST_METHOD", request.method.as_str());
    variables.set("REQUEST_SCHEME", &scheme);
    if scheme == "https" {
        variables.set("HTTPS", "on");
    }
    variables.set("REQUEST_URI", target);
    // There is one program, and it gets all paths.
    variables.set("SCRIPT_NAME", "");
    variables.set("PATH_INFO", &path);
    // Or a program that serves files by it could be made to serve any.
    if !path.split('/').any(|segment| segment == "..") {
        variables.set("PATH_TRANSLATED", &format!("{ROOT}{path}"));
    }
    variables.set("QUERY_STRING", request.uri.query().unwrap_or_default());
    variables.set("REMOTE_ADDR", client);
    variables.set("REMOTE_HOST", client);
    for (header, variable) in
        [(header::CONTENT_LENGTH, "CONTENT_LENGTH"), (header::CONTENT_TYPE, "CONTENT_TYPE")]
    {
        if headers.contains_key(&header) {
            variables.set(variable, &text(headers, &header));
        }
    }
    variables.headers(headers);
    Ok(variables.0)
}

struct Variables(Vec<(String, String)>);

impl Variables {
    fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// `HTTP_*`: each header with the values of all its fields (RFC 3875, 4.1.18). `Authorization` is among them:
    /// the router does not authenticate, so nobody but the app can.
    fn headers(&mut self, headers: &HeaderMap) {
        for name in headers.keys().filter(|name| passes(name)) {
            let values: Vec<Cow<'_, str>> = headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect();
            let name = name.as_str().to_ascii_uppercase().replace('-', "_");
            self.0.push((format!("{HEADER_PREFIX}{name}"), values.join(", ")));
        }
    }
}

fn passes(name: &HeaderName) -> bool {
    // It would become HTTP_PROXY, which many HTTP clients take for their proxy (httpoxy, CVE-2016-5385).
    name != "proxy"
        // `X_User` would pass for `X-User`, which whoever is before this router may have set or removed.
        && !name.as_str().contains('_')
        // These have variables of their own.
        && name != header::CONTENT_LENGTH
        && name != header::CONTENT_TYPE
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Cow<'a, str> {
    headers.get(name).map_or(Cow::Borrowed(""), |value| String::from_utf8_lossy(value.as_bytes()))
}

/// Undoes percent encoding. What is not UTF-8 then becomes U+FFFD, as the environment of a component is text;
/// `REQUEST_URI` has the path as it was.
fn decode(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = (*first == b'%').then(|| after.split_at_checked(2)).flatten();
        let byte = hex.and_then(|(digits, after)| {
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).ok()?;
            Some((byte, after))
        });
        let ([byte], after) = byte.unwrap_or(([*first], after));
        if byte == 0 {
            return None;
        }
        decoded.push(byte);
        rest = after;
    }
    Some(String::from_utf8_lossy(&decoded).into_owned())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::IpAddr};

    use http::Request;

    use super::*;
    use crate::forward;

    /// What a program sees of a request that came through the router.
    fn seen(request: http::request::Builder) -> BTreeMap<String, String> {
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let host = forward::check(&parts).unwrap();
        let client = forward::Client { ip: IpAddr::from([192, 0, 2, 7]), tls: false };
        forward::request(&mut parts, host, client);
        let variables = variables(&parts).unwrap();
        let count = variables.len();
        let map: BTreeMap<_, _> = variables.into_iter().collect();
        assert_eq!(map.len(), count, "each variable once");
        map
    }

    #[test]
    fn the_meta_variables_of_a_post() {
        let variables = seen(
            Request::post("/a%20b/%C3%A4?x=%20&y")
                .header("host", "app.localhost:8080")
                .header("content-type", "text/plain")
                .header("content-length", "5")
                .header("authorization", "Basic eDp5")
                .header("x-forwarded-for", "10.0.0.1")
                .header("accept", "a")
                .header("accept", "b")
                .header("x-request-id", "an-id-of-twenty-characters"),
        );
        for (name, value) in [
            ("GATEWAY_INTERFACE", "CGI/1.1"),
            ("SERVER_SOFTWARE", "wpaas"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "app.localhost"),
            ("SERVER_PORT", "8080"),
            ("REQUEST_METHOD", "POST"),
            ("REQUEST_SCHEME", "http"),
            ("REQUEST_URI", "/a%20b/%C3%A4?x=%20&y"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", "/a b/ä"),
            ("PATH_TRANSLATED", "/app/a b/ä"),
            ("QUERY_STRING", "x=%20&y"),
            ("REMOTE_ADDR", "192.0.2.7"),
            ("REMOTE_HOST", "192.0.2.7"),
            ("CONTENT_TYPE", "text/plain"),
            ("CONTENT_LENGTH", "5"),
            ("HTTP_HOST", "app.localhost:8080"),
            ("HTTP_AUTHORIZATION", "Basic eDp5"),
            ("HTTP_ACCEPT", "a, b"),
            ("HTTP_X_FORWARDED_FOR", "10.0.0.1, 192.0.2.7"),
            ("HTTP_X_REQUEST_ID", "an-id-of-twenty-characters"),
        ] {
            assert_eq!(variables.get(name).map(String::as_str), Some(value), "{name}");
            assert!(is_reserved(name), "{name}");
        }
        for absent in ["HTTPS", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "REMOTE_USER"] {
            assert!(!variables.contains_key(absent), "{absent}");
        }
    }

    #[test]
    fn what_a_request_must_not_set() {
        let variables = seen(
            Request::get("/")
                .header("host", "[::1]:80")
                .header("proxy", "http://evil.example")
                .header("x_user", "root")
                .header("x-ok", "yes"),
        );
        assert!(!variables.contains_key("HTTP_PROXY") && !variables.contains_key("HTTP_X_USER"));
        assert_eq!(variables["HTTP_X_OK"], "yes");
        assert_eq!(variables["SERVER_NAME"], "[::1]");
        assert_eq!(variables["QUERY_STRING"], "");
        assert!(!variables.contains_key("CONTENT_LENGTH"));
        assert!(is_reserved("HTTP_ANYTHING") && !is_reserved("DATABASE_URL"));
    }

    #[test]
    fn paths_are_decoded_once_and_do_not_lead_out() {
        assert_eq!(decode("/a%2525%2fb%zz%"), Some("/a%25/b%zz%".into()));
        assert_eq!(decode("/%ff"), Some("/\u{fffd}".into()));
        assert_eq!(decode("/a%00.php"), None);
        for path in ["/../tmp/x", "/a/%2e%2e/b", "/a/..%2fb"] {
            let variables = seen(Request::get(path).header("host", "a"));
            assert!(!variables.contains_key("PATH_TRANSLATED"), "{path}");
        }
    }
}
