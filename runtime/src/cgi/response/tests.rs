use super::*;

fn parser() -> Parser {
    Parser::new(&Limits::default())
}

/// Parses in one piece, and checks that any other pieces give the same.
fn parse(text: &str) -> Result<(Head, &str), Malformed> {
    let bytes = text.as_bytes();
    let whole = parser().push(bytes);
    for at in 0..bytes.len() {
        let mut parser = parser();
        let (first, second) = bytes.split_at(at);
        let halves = match parser.push(first) {
            Ok(None) => parser.push(second).map(|done| done.map(|(head, used)| (head, used + at))),
            ended => ended,
        };
        assert_eq!(halves, whole, "cut at {at}");
    }
    let mut parser = parser();
    let mut last = Ok(None);
    for (at, byte) in bytes.iter().enumerate() {
        last = parser.push(&[*byte]).map(|done| done.map(|(head, used)| (head, used + at)));
        if !matches!(last, Ok(None)) {
            break;
        }
    }
    assert_eq!(last, whole, "byte by byte");
    let (head, used) = whole?.ok_or(Malformed::Unfinished)?;
    Ok((head, &text[used..]))
}

#[test]
fn documents() {
    let (head, body) = parse(
        "content-type:text/html\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\nX-CGI-Own: x\n\r\n\n<html>",
    )
    .unwrap();
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["content-type"], "text/html");
    assert_eq!(head.headers.get_all("set-cookie").iter().count(), 2);
    assert!(!head.headers.contains_key("x-cgi-own"));
    assert_eq!(body, "\n<html>");

    let (head, body) = parse("Status: 404 Not Found\nContent-Length: 3\n\nabc").unwrap();
    assert_eq!((head.status.as_u16(), head.length, body), (404, Some(3), "abc"));
    assert_eq!(parse("Status:204\n\n").unwrap().0.status, 204);
    assert_eq!(parse("Status: 299  \n\n").unwrap().0.status, 299);
}

#[test]
fn redirects() {
    for to in ["https://example.com/a?b#c", "/path?query"] {
        let text = format!("Location: {to}\r\n\r\n");
        let (head, body) = parse(&text).unwrap();
        assert_eq!((head.status.as_u16(), body), (302, ""));
        assert_eq!(head.headers["location"], to);
    }
    let with_document = "Status: 301 Moved\nLocation: /new\nContent-Type: text/plain\n\nmoved";
    let (head, body) = parse(with_document).unwrap();
    assert_eq!((head.status.as_u16(), body), (301, "moved"));
}

#[test]
fn nonsense_is_refused_with_what_it_is() {
    for (text, expected) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Malformed::NotParsed("HTTP/1.1 200 OK".into())),
        ("<html>\n", Malformed::Line("<html>".into())),
        ("A B: c\n", Malformed::Line("A B: c".into())),
        (": c\n", Malformed::Line(": c".into())),
        // Folded lines are obsolete (RFC 9112, 5.2).
        ("Content-Type: a\n b: c\n", Malformed::Line(" b: c".into())),
        ("A: \u{1}\n", Malformed::Line("A: \u{1}".into())),
        ("A: b\rStatus: 200\n", Malformed::Line("A: b\rStatus: 200".into())),
        ("Status: 100 Continue\n", Malformed::Status("100 Continue".into())),
        ("Status: 20\n", Malformed::Status("20".into())),
        ("Status: 2000\n", Malformed::Status("2000".into())),
        ("Status: OK\n", Malformed::Status("OK".into())),
        ("Content-Length: +1\n", Malformed::Length("+1".into())),
        ("Content-Length: \n", Malformed::Length("".into())),
        ("Status: 200\nStatus: 200\n", Malformed::Twice("Status")),
        ("Content-Type: a\nContent-Type: b\n", Malformed::Twice("Content-Type")),
        ("Location: a\nLocation: b\n", Malformed::Twice("Location")),
        ("Content-Length: 1\nContent-Length: 1\n", Malformed::Twice("Content-Length")),
        ("\n", Malformed::NoCgiField),
        ("X-Other: a\n\n", Malformed::NoCgiField),
        ("Location:\n\n", Malformed::NoCgiField),
        ("Content-Type: a\n", Malformed::Unfinished),
    ] {
        assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
    }
}

#[test]
fn the_header_section_is_limited() {
    let limits = Limits { response_header_bytes: 50, response_headers: 2, ..Limits::default() };
    let mut parser = Parser::new(&limits);
    assert_eq!(parser.push(b"A: b\nB: c\n"), Ok(None));
    assert_eq!(parser.push(b"C: d\n"), Err(Malformed::TooLarge { what: "fields", limit: 2 }));
    let mut parser = Parser::new(&limits);
    assert!(parser.is_untouched());
    for _ in 0..50 {
        assert_eq!(parser.push(b"a"), Ok(None));
    }
    assert!(!parser.is_untouched());
    assert_eq!(parser.push(b"a"), Err(Malformed::TooLarge { what: "bytes", limit: 50 }));
    let mut parser = Parser::new(&limits);
    let body = [b"Status: 200\n\n".as_slice(), &[b'x'; 100]].concat();
    assert!(matches!(parser.push(&body), Ok(Some((_, 13)))), "the body does not count");
}
