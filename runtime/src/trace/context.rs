//! W3C trace context (<https://www.w3.org/TR/trace-context-2/>): reading, judging and writing the two header
//! fields.

use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Length of version 00: `00-{trace-id}-{parent-id}-{trace-flags}` (section "version-format").
const LENGTH: usize = 55;
/// Members of a `tracestate` (section "list").
const MEMBERS: usize = 32;
/// Whoever sent the request may have recorded it (section "Sampled flag").
const SAMPLED: u8 = 0x01;
/// The trace id is random where samplers look (section "Random trace ID flag").
const RANDOM: u8 = 0x02;

/// The span of whoever sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parent {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    /// Those that are defined; the others may not be passed on (section "Other Flags").
    pub(super) flags: u8,
}

/// The router's own span in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) parent_id: Option<[u8; 8]>,
    pub(super) flags: u8,
}

/// The context that a request brings. `None` when there is none, or it is invalid: then a new trace starts
/// (section "Processing Model").
pub(super) fn parent(headers: &HeaderMap) -> Option<Parent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value.as_bytes()),
        _ => None,
    }
}

fn parse(value: &[u8]) -> Option<Parent> {
    let (known, rest) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let [version] = hex(parts.next()?)?;
    let trace_id = hex::<16>(parts.next()?)?;
    let span_id = hex::<8>(parts.next()?)?;
    let [flags] = hex(parts.next()?)?;
    // A later version may have more parts, and is read as far as this one goes (section "Versioning of
    // traceparent").
    let ends = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    let valid = ends && parts.next().is_none() && trace_id != [0; 16] && span_id != [0; 8];
    valid.then_some(Parent { trace_id, span_id, flags: flags & (SAMPLED | RANDOM) })
}

/// Bytes as lower-case hexadecimal, which is the only one allowed.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// The valid `tracestate` of a request as one field, or nothing. What is invalid is removed, and without a
/// valid `traceparent` everything is (section "Tracestate Header").
pub(super) fn state(headers: &mut HeaderMap, has_parent: bool) -> String {
    let joined = {
        let values: Option<Vec<&str>> = headers
            .get_all(TRACESTATE)
            .iter()
            .map(|value| value.to_str().ok())
            .filter(|_| has_parent)
            .collect();
        values.map(|values| values.join(",")).filter(|joined| is_state(joined)).unwrap_or_default()
    };
    match HeaderValue::from_str(&joined) {
        Ok(value) if !joined.is_empty() => drop(headers.insert(TRACESTATE, value)),
        _ => drop(headers.remove(TRACESTATE)),
    }
    joined
}

/// Whether this is a list of at most 32 members with different keys (section "list"). Empty members are
/// allowed and do not count.
fn is_state(list: &str) -> bool {
    let mut keys: Vec<&str> = Vec::new();
    for member in list.split(',') {
        let member = member.trim_matches([' ', '\t']);
        if member.is_empty() {
            continue;
        }
        let Some((key, value)) = member.split_once('=') else { return false };
        if !is_key(key) || !is_value(value) || keys.contains(&key) || keys.len() == MEMBERS {
            return false;
        }
        keys.push(key);
    }
    true
}

/// Up to 256 lower-case letters, digits and `_-*/@`, not beginning with one of the latter (section "Key").
fn is_key(key: &str) -> bool {
    let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    key.len() <= 256
        && key.bytes().next().is_some_and(is_alphanumeric)
        && key.bytes().all(|byte| is_alphanumeric(byte) || b"_-*/@".contains(&byte))
}

/// Up to 256 printable characters without comma and equals sign; not ending in a space, which the trimming
/// has seen to (section "Value").
fn is_value(value: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b',' && byte != b'=';
    (1..=256).contains(&value.len()) && value.bytes().all(allowed)
}

impl Context {
    /// The router's span below `parent`, or as the first one of a new trace. `sample` decides whether it is
    /// recorded.
    pub(super) fn child(
        parent: Option<Parent>,
        sample: impl FnOnce([u8; 16], Option<bool>) -> bool,
    ) -> Self {
        let trace_id = parent.map_or_else(|| not_zero(rand::random), |parent| parent.trace_id);
        let sampled = parent.map(|parent| parent.flags & SAMPLED != 0);
        let sampled = if sample(trace_id, sampled) { SAMPLED } else { 0 };
        let random = parent.map_or(RANDOM, |parent| parent.flags & RANDOM);
        Self {
            trace_id,
            span_id: not_zero(rand::random),
            parent_id: parent.map(|parent| parent.span_id),
            flags: sampled | random,
        }
    }

    pub(super) fn sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Makes this span the parent that the guest sees.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        let put = |to: Option<&mut [u8]>, bytes: &[u8]| {
            to.is_some_and(|to| hex::encode_to_slice(bytes, to).is_ok())
        };
        let written = put(text.get_mut(3..35), &self.trace_id)
            && put(text.get_mut(36..52), &self.span_id)
            && put(text.get_mut(53..55), &[self.flags]);
        debug_assert!(written);
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// Zero stands for "none" (sections "trace-id" and "parent-id").
fn not_zero<const N: usize>(random: impl Fn() -> [u8; N]) -> [u8; N] {
    loop {
        let bytes = random();
        if bytes != [0; N] {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests;
