//! Heroku's pagination: `Range: version ]5..; max=10, order=desc`, answered by 206 with `Next-Range`.
//!
//! Read liberally: clients separate options with `,` or `;`, end with one, send the header empty or with keys
//! that a list does not have. What cannot be used is ignored.

use axum::http::{HeaderName, header, request::Parts};

use crate::{
    Ctx,
    page::{Listed, Page},
};

const NEXT_RANGE: HeaderName = HeaderName::from_static("next-range");

impl axum::extract::FromRequestParts<Ctx> for Page {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, ctx: &Ctx) -> Result<Self, Self::Rejection> {
        let text = parts.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        Ok(parse(text.unwrap_or(""), ctx.limits.list_items_default, ctx.limits.list_items))
    }
}

/// Reads the header.
fn parse(text: &str, default: u64, most: u64) -> Page {
    let most = most.max(1);
    let max = default.clamp(1, most);
    let mut page = Page { key: None, start: None, end: None, descending: false, max };
    for part in text.split([';', ',']).map(str::trim).filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("max", value)) => {
                // No page at all would have no next one either.
                page.max = value.trim().parse().unwrap_or(max).clamp(1, most);
            }
            Some(("order", value)) => page.descending = value.trim().eq_ignore_ascii_case("desc"),
            Some(_) => {}
            None => bounds(part, &mut page),
        }
    }
    page
}

/// Reads `version ]5..9`.
fn bounds(part: &str, page: &mut Page) {
    let (key, range) = part.split_once(char::is_whitespace).unwrap_or((part, ""));
    if key.contains("..") {
        return;
    }
    page.key = Some(key.to_owned());
    let Some((start, end)) = range.trim().split_once("..") else { return };
    let exclusive = start.starts_with(']');
    let start = start.trim_start_matches([']', '[']).trim();
    let end = end.trim_end_matches(['[', ']']).trim();
    page.start = (!start.is_empty()).then(|| (start.to_owned(), exclusive));
    page.end = (!end.is_empty()).then(|| end.to_owned());
}

/// The headers of a page.
pub(super) fn headers<T>(listed: &Listed<T>, page: &Page) -> Vec<(HeaderName, String)> {
    let mut headers = vec![(header::ACCEPT_RANGES, listed.key.to_owned())];
    let Some((first, last)) = &listed.ends else { return headers };
    let order = if page.descending { ", order=desc" } else { "" };
    headers.push((header::CONTENT_RANGE, format!("{} {first}..{last}", listed.key)));
    if listed.more {
        let end = page.end.as_deref().filter(|_| page.key.as_deref() == Some(listed.key));
        let next =
            format!("{} ]{last}..{}; max={}{order}", listed.key, end.unwrap_or(""), page.max);
        headers.push((NEXT_RANGE, next));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(key: Option<&str>, start: Option<(&str, bool)>, descending: bool, max: u64) -> Page {
        let start = start.map(|(value, exclusive)| (value.to_owned(), exclusive));
        Page { key: key.map(str::to_owned), start, end: None, descending, max }
    }

    #[test]
    fn reads_what_clients_send() {
        for (text, expected) in [
            ("", page(None, None, false, 200)),
            ("version ..; order=desc,max=1", page(Some("version"), None, true, 1)),
            ("version ..; max=15, order=desc", page(Some("version"), None, true, 15)),
            ("id ..; max=1000;", page(Some("id"), None, false, 1_000)),
            ("id ..; max=5000", page(Some("id"), None, false, 1_000)),
            ("id ]abc..; max=2", page(Some("id"), Some(("abc", true)), false, 2)),
            ("id abc..", page(Some("id"), Some(("abc", false)), false, 200)),
            ("max=0", page(None, None, false, 1)),
            ("max=x;;, ,", page(None, None, false, 200)),
            ("..", page(None, None, false, 200)),
            ("bytes=0-100", page(None, None, false, 200)),
        ] {
            assert_eq!(parse(text, 200, 1_000), expected, "{text}");
        }
        assert_eq!(parse("name a..f[", 200, 1_000).end.as_deref(), Some("f"));
    }

    #[test]
    fn the_next_range_reads_back() {
        let asked = parse("version ..; order=desc,max=2", 200, 1_000);
        let ends = Some(("9".to_owned(), "8".to_owned()));
        let listed = Listed { items: vec![(), ()], key: "version", ends, more: true };
        let headers = headers(&listed, &asked);
        let (_, next) = headers.iter().find(|(name, _)| *name == NEXT_RANGE).unwrap();
        let next = parse(next, 200, 1_000);
        assert_eq!(next, page(Some("version"), Some(("8", true)), true, 2));
    }
}
