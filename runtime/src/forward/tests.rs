use http::Request;

use super::*;

fn parts(uri: &str, headers: &[(&str, &str)]) -> RequestParts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn forwarded(headers: &[(&str, &str)]) -> (HeaderMap, RequestInfo) {
    let mut parts = parts("/a?b", headers);
    let client = Client { ip: "10.0.0.1".parse().unwrap(), tls: false };
    let info = request(&mut parts, "app.localhost:8080".into(), client);
    (parts.headers, info)
}

#[test]
fn host_is_the_authority_or_the_one_host_header() {
    let of = |uri, headers: &[_]| check(&parts(uri, headers));
    assert_eq!(of("/", &[("host", "a.b:80")]).unwrap(), "a.b:80");
    assert_eq!(of("http://c.d/", &[("host", "a.b")]).unwrap(), "c.d");
    assert_eq!(of("/", &[("host", "[::1]:80")]).unwrap(), "[::1]:80");
    for bad in [
        &[][..],
        &[("host", "a"), ("host", "b")],
        &[("host", "a@b")],
        &[("host", "a b")],
        &[("host", "a/b")],
        &[("host", "")],
    ] {
        assert!(of("/", bad).is_err(), "{bad:?}");
    }
}

#[test]
fn the_dyno_learns_where_the_request_came_from() {
    let (headers, info) = forwarded(&[]);
    assert_eq!(headers["x-forwarded-for"], "10.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], "8080");
    assert_eq!(headers["via"], "1.1 wpaas");
    assert_eq!(headers["host"], "app.localhost:8080");
    assert_eq!(headers["x-request-id"], info.request_id);
    assert!(
        headers["x-request-start"].to_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000_000
    );
    assert_eq!((info.method, info.target.unwrap().as_str()), (http::Method::GET, "/a?b"));
}

#[test]
fn what_other_proxies_said_is_kept_and_what_clients_must_not_say_is_replaced() {
    let (headers, info) = forwarded(&[
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "1"),
        ("x-request-start", "1"),
        ("via", "1.0 other"),
    ]);
    assert_eq!(info.fwd, "1.1.1.1, 2.2.2.2, 10.0.0.1");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    assert_eq!(headers["x-forwarded-for"], info.fwd);
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-port"], "8080");
    assert_ne!(headers["x-request-start"], "1");
    assert_eq!(headers.get_all("via").iter().count(), 2);
}

#[test]
fn request_ids_of_clients_are_taken_when_they_are_sane() {
    let sane = "01234567-89ab-cdef+/=";
    assert_eq!(forwarded(&[("x-request-id", sane)]).1.request_id, sane);
    for bad in
        ["short", "with spaces 0123456789012", "quote\"quote\"quote\"quote", &"a".repeat(129)]
    {
        let (headers, info) = forwarded(&[("x-request-id", bad)]);
        assert_ne!(info.request_id, bad);
        assert_eq!(headers["x-request-id"], info.request_id);
    }
}

#[test]
fn fields_of_one_connection_stay_there() {
    let (headers, _) = forwarded(&[
        ("connection", "close, X-Private , content-length, host"),
        ("x-private", "1"),
        ("keep-alive", "1"),
        ("te", "trailers"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("proxy-authorization", "secret"),
        ("content-length", "5"),
        ("x-public", "1"),
    ]);
    for gone in [
        "connection",
        "x-private",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    for kept in ["content-length", "x-public", "host"] {
        assert!(headers.contains_key(kept), "{kept}");
    }
}

#[test]
fn cookies_are_one_field() {
    let (headers, _) = forwarded(&[("cookie", "a=1"), ("cookie", "b=2")]);
    assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
}

#[test]
fn responses_lose_connection_fields_and_gain_via() {
    let mut headers = HeaderMap::new();
    headers.insert("connection", HeaderValue::from_static("x-a"));
    headers.insert("x-a", HeaderValue::from_static("1"));
    headers.insert("x-b", HeaderValue::from_static("1"));
    response(&mut headers);
    assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-b", "via"]);
}

#[test]
fn a_target_with_an_authority_needs_a_sound_host_beside_it() {
    let of = |version, headers: &[_]| {
        let mut parts = parts("http://c.d/", headers);
        parts.version = version;
        check(&parts)
    };
    assert_eq!(of(Version::HTTP_11, &[("host", "a.b")]).unwrap(), "c.d");
    assert_eq!(of(Version::HTTP_10, &[]).unwrap(), "c.d");
    assert_eq!(of(Version::HTTP_2, &[]).unwrap(), "c.d");
    assert_eq!(of(Version::HTTP_2, &[("host", "C.d")]).unwrap(), "c.d");
    assert!(of(Version::HTTP_11, &[]).is_err());
    assert!(of(Version::HTTP_11, &[("host", "a b")]).is_err());
    assert!(of(Version::HTTP_2, &[("host", "a.b")]).is_err());
    assert!(of(Version::HTTP_2, &[("host", "c.d"), ("host", "c.d")]).is_err());
    assert!(check(&parts("c.d", &[("host", "c.d")])).is_err(), "no path");
}

#[test]
fn transfer_codings_but_one_chunked_are_refused() {
    let of = |headers: &[_]| {
        let headers: Vec<_> = [("host", "a")].iter().chain(headers).copied().collect();
        check(&parts("/", &headers)).map_err(|refused| refused.status.as_u16())
    };
    assert_eq!(of(&[("transfer-encoding", " Chunked")]), Ok("a".into()));
    assert_eq!(of(&[("transfer-encoding", "gzip, chunked")]), Err(501));
    assert_eq!(of(&[("transfer-encoding", "gzip"), ("transfer-encoding", "chunked")]), Err(501));
    assert_eq!(of(&[("transfer-encoding", "chunked, chunked")]), Err(400));
    assert_eq!(of(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")]), Err(400));
}

#[test]
fn requests_over_tls_say_so() {
    let mut parts = parts("/", &[("x-forwarded-proto", "http")]);
    let client = Client { ip: "10.0.0.1".parse().unwrap(), tls: true };
    let info = request(&mut parts, "app.localhost".into(), client);
    assert_eq!(info.protocol, "https");
    assert_eq!(parts.headers["x-forwarded-proto"], "https");
    assert_eq!(parts.headers["x-forwarded-port"], "443");
    assert!(parts.extensions.get::<OverTls>().is_some());
}
