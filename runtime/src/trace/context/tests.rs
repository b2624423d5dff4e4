use super::*;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE: [u8; 16] = [
    0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36,
];
const SPAN: [u8; 8] = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];

fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut headers = HeaderMap::new();
    for (name, value) in values.iter().map(pair) {
        headers.append(name, value);
    }
    headers
}

/// What is left of `tracestate` fields, as the result and as the header.
fn kept(values: &[&str], has_parent: bool) -> Option<String> {
    let values: Vec<_> = values.iter().map(|value| ("tracestate", *value)).collect();
    let mut headers = headers(&values);
    let state = state(&mut headers, has_parent);
    let fields: Vec<_> = headers.get_all("tracestate").iter().collect();
    match fields.as_slice() {
        [] => {
            assert_eq!(state, "");
            None
        }
        [field] => {
            assert_eq!(field.to_str().unwrap(), state);
            Some(state)
        }
        several => panic!("{several:?}"),
    }
}

#[test]
fn reads_what_is_valid() {
    let flags = |flags: &str| parse(format!("{}{flags}", &VALID[..53]).as_bytes());
    assert_eq!(flags("01"), Some(Parent { trace_id: TRACE, span_id: SPAN, flags: 1 }));
    assert_eq!(flags("00").unwrap().flags, 0);
    assert_eq!(flags("03").unwrap().flags, 3);
    assert_eq!(flags("ff").unwrap().flags, 3, "undefined flags are not passed on");
    let later = |rest: &str| parse(format!("cc{}{rest}", &VALID[2..]).as_bytes());
    assert_eq!(later("").unwrap().trace_id, TRACE);
    assert_eq!(later("-what-the-future-brings").unwrap().span_id, SPAN);
    assert_eq!(later(".what"), None);
}

#[test]
fn refuses_what_is_not() {
    for value in [
        "",
        "00",
        &VALID[..54],
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g",
        "00-4bf92f3577b34da6a3ce929d0e0e47-3600f067aa0ba902b7-01",
        "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
        "-00-bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7--1",
    ] {
        assert_eq!(parse(value.as_bytes()), None, "{value}");
    }
    let twice = headers(&[("traceparent", VALID), ("traceparent", VALID)]);
    assert_eq!(parent(&twice), None);
    assert_eq!(parent(&headers(&[("traceparent", "\u{e4}")])), None);
}

#[test]
fn keeps_a_valid_state_as_one_field() {
    assert_eq!(kept(&["congo=t61rcWkgMzE"], true).unwrap(), "congo=t61rcWkgMzE");
    assert_eq!(kept(&["a=1, b=2", "0t@sys=x y"], true).unwrap(), "a=1, b=2,0t@sys=x y");
    assert_eq!(kept(&["a=1,,\t,b=2"], true).unwrap(), "a=1,,\t,b=2");
    let most: Vec<String> = (0..32).map(|n| format!("k{n}={n}")).collect();
    assert!(kept(&[&most.join(",")], true).is_some());
    let key = "k".repeat(256);
    assert!(kept(&[&format!("{key}={}", "v".repeat(256))], true).is_some());
}

#[test]
fn drops_a_state_that_is_invalid_or_belongs_to_nothing() {
    assert_eq!(kept(&["a=1"], false), None);
    assert_eq!(kept(&[], true), None);
    assert_eq!(kept(&[""], true), None);
    let many: Vec<String> = (0..33).map(|n| format!("k{n}={n}")).collect();
    for value in [
        "a",
        "=1",
        "a=",
        "a=1=2",
        "A=1",
        "a=1,a=2",
        "_a=1",
        "a b=1",
        "a=\u{e4}",
        &many.join(","),
        &format!("{}=1", "k".repeat(257)),
        &format!("a={}", "v".repeat(257)),
    ] {
        assert_eq!(kept(&[value], true), None, "{value}");
    }
}

#[test]
fn a_child_stays_in_the_trace_and_has_an_id_of_its_own() {
    let parent = parse(VALID.as_bytes());
    let child = Context::child(parent, |trace, parent| {
        assert_eq!((trace, parent), (TRACE, Some(true)));
        true
    });
    assert_eq!((child.trace_id, child.parent_id, child.flags), (TRACE, Some(SPAN), 1));
    assert_ne!(child.span_id, SPAN);
    let mut passed = headers(&[("traceparent", VALID)]);
    child.write(&mut passed);
    let seen = super::parent(&passed).unwrap();
    assert_eq!((seen.trace_id, seen.span_id, seen.flags), (TRACE, child.span_id, 1));
    assert!(!Context::child(parent, |_, _| false).sampled());
}

#[test]
fn a_new_trace_is_random_and_says_so() {
    let asked = |_, parent: Option<bool>| {
        assert_eq!(parent, None);
        false
    };
    let [one, two] = [Context::child(None, asked), Context::child(None, asked)];
    assert_ne!(one.trace_id, two.trace_id);
    assert_ne!(one.span_id, two.span_id);
    assert_eq!((one.parent_id, one.flags), (None, RANDOM));
    let zeroes = std::cell::Cell::new(3);
    let id = not_zero(|| {
        zeroes.set(zeroes.get() - 1);
        [u8::from(zeroes.get() == 0)]
    });
    assert_eq!(id, [1]);
}
