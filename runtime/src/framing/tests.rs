use super::*;

/// Where the bytes are refused, given in parts of every size.
fn refused(bytes: &[u8]) -> Option<usize> {
    let whole = Framing::new().follow(bytes).err().map(|ambiguous| ambiguous.at);
    for size in 1..bytes.len() {
        let mut framing = Framing::new();
        let mut passed = 0;
        let mut refused = None;
        for part in bytes.chunks(size) {
            if let Err(ambiguous) = framing.follow(part) {
                refused = Some(passed + ambiguous.at);
                break;
            }
            passed += part.len();
        }
        assert_eq!(refused, whole, "in parts of {size}");
    }
    whole
}

/// A good request that would be seen if `before` ended where it should.
const NEXT: &str = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";

fn is_good(messages: &str) {
    assert_eq!(refused(messages.as_bytes()), None, "{messages:?}");
    let mut framing = Framing::new();
    framing.follow(messages.as_bytes()).unwrap();
    assert!(framing.between_messages(), "{messages:?}");
    // Whatever comes next is taken for a head, and its ambiguity is seen.
    let bad = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    framing.follow(NEXT.as_bytes()).unwrap();
    assert!(framing.follow(bad.as_bytes()).is_err(), "{messages:?}");
}

#[test]
fn messages_end_where_they_end() {
    is_good("");
    is_good("\r\n\r\n");
    is_good(NEXT);
    is_good("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab\r\nc");
    is_good("POST / HTTP/1.1\r\ncontent-length:0\r\n\r\n");
    is_good("POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n");
    is_good("POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n00\r\n\r\n");
    is_good(
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nab\n\r\nA ;x\r\n0123456789\r\n\
         0\r\nx-a: 1\r\ncontent-length: 7\r\n\r\n",
    );
    // The names count in whole only, and long lines may come in parts.
    let long = "y".repeat(1000);
    is_good(&format!(
        "GET /{long}?content-length:5 HTTP/1.1\r\nx-content-length: 5\r\nx-long: {long}\r\n\r\n"
    ));
}

#[test]
fn ambiguous_heads_are_refused_before_they_are_whole() {
    for fields in [
        "content-length: 1\r\ntransfer-encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "transfer-encoding: chunked\r\nx: y\r\ncontent-length: 0",
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 1\r\ncontent-length: 1",
        "content-length: 1, 1",
        "content-length: +1",
        "content-length: -1",
        "content-length: 0x1",
        "content-length: 1 1",
        "content-length:",
        "content-length: 18446744073709551616",
        "transfer-encoding: xchunked",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding:",
        "x: y\nx: z",
        "x: y\n",
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n");
        let at = refused(head.as_bytes());
        assert!(at.is_some_and(|at| at < head.len()), "{head:?}: {at:?}");
    }
    assert_eq!(refused(b"GET / HTTP/1.1\n"), Some(14));
    assert_eq!(refused(b"\nGET / HTTP/1.1\r\n"), Some(0));
    // A coding that is hidden behind the end of what is kept of a line.
    let long = format!(
        "POST / HTTP/1.1\r\ntransfer-encoding: {}chunked\r\n\r\n",
        "gzip, ".repeat(LINE_BYTES)
    );
    assert!(refused(long.as_bytes()).is_some());
    let long = format!("POST / HTTP/1.1\r\ncontent-length: {}5\r\n\r\n", "0".repeat(LINE_BYTES));
    assert!(refused(long.as_bytes()).is_some());
}

#[test]
fn ambiguous_chunks_are_refused() {
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (chunks, at) in [
        ("\r\n", 0),
        (" 1\r\na", 0),
        ("-1\r\na", 0),
        ("+1\r\na", 0),
        ("0x1\r\na", 1),
        ("1 \r\na", 2),
        ("1\na", 1),
        ("1;x\ny\r\na", 3),
        ("1\r\nab\r\n", 4),
        ("1\r\na\n", 4),
        ("00000000000000001\r\na", 16),
        ("fffffffffffffffff\r\n", 16),
        ("0\r\nx: y\n\r\n", 7),
        ("0\r\nx: y\r\n\n", 9),
    ] {
        let message = format!("{head}{chunks}");
        assert_eq!(refused(message.as_bytes()), Some(head.len() + at), "{chunks:?}");
    }
}

#[test]
fn other_protocols_are_left_alone() {
    let ambiguous = "content-length: 1\ntransfer-encoding: chunked\n\n";
    assert_eq!(refused(&[PREFACE, ambiguous.as_bytes()].concat()), None);
    assert!(
        refused(&[b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", ambiguous.as_bytes()].concat()).is_some()
    );
    let mut framing = Framing::new();
    framing.follow(NEXT.as_bytes()).unwrap();
    framing.opaque();
    framing.follow(ambiguous.as_bytes()).unwrap();
    // Only at the beginning of a connection.
    let later = [NEXT.as_bytes(), PREFACE, ambiguous.as_bytes()].concat();
    assert!(refused(&later).is_some());
}
