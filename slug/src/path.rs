//! Paths that come from outside: tar entries, manifests, uploads.

/// Why a path is not acceptable inside a slug or a source tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Absolute, has a `..`, `.` or empty component, a NUL, a backslash, or is not UTF-8.
    #[error("path {0:?} is not a plain relative path")]
    NotPlain(String),
    /// Longer than the limit.
    #[error("path {0:?}… is longer than {1} bytes")]
    TooLong(String, usize),
    /// More directories than the limit.
    #[error("path {0:?} is deeper than {1} directories")]
    TooDeep(String, usize),
}

/// The longest accepted path, in bytes; Linux's `PATH_MAX` is 4,096 and the root takes its share.
pub const MAX_BYTES: usize = 1_024;
/// The deepest accepted path, in components.
pub const MAX_DEPTH: usize = 64;

/// Accepts `a/b/c` and nothing else: relative, `/`-separated, no `.`/`..`/empty component.
pub fn check(path: &str) -> Result<&str, Error> {
    let shown = || path.chars().take(80).collect::<String>();
    if path.len() > MAX_BYTES {
        return Err(Error::TooLong(shown(), MAX_BYTES));
    }
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.contains(['\0', '\\']) || !path.split('/').all(plain) {
        return Err(Error::NotPlain(shown()));
    }
    if path.split('/').count() > MAX_DEPTH {
        return Err(Error::TooDeep(shown(), MAX_DEPTH));
    }
    Ok(path)
}

/// As [`check`], for an operating system path.
pub fn check_os(path: &std::path::Path) -> Result<&str, Error> {
    let text = path
        .to_str()
        .ok_or_else(|| Error::NotPlain(path.to_string_lossy().chars().take(80).collect()))?;
    check(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_pass() {
        for good in ["a", "a/b.txt", "über/straße", "..a/b..", "a b/c"] {
            assert_eq!(check(good), Ok(good));
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/../b", "./a", "a/.", "a\0b", "a\\..\\b"] {
            assert!(matches!(check(bad), Err(Error::NotPlain(_))), "{bad:?}");
        }
        assert!(matches!(check(&"a".repeat(MAX_BYTES + 1)), Err(Error::TooLong(..))));
        assert!(matches!(check(&vec!["a"; MAX_DEPTH + 1].join("/")), Err(Error::TooDeep(..))));
    }
}
