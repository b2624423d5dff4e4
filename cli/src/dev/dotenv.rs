//! `.env` as foreman and `heroku local` read it: `NAME=value` lines, where the value is the rest of the line.
//!
//! Our own few lines because the maintained crates read shell syntax, in which the everyday
//! `GREETING=Hello world` is an error and `$` in a password is a variable.

use std::collections::BTreeMap;

/// A line that is neither a variable, a comment nor blank.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} is not NAME=value: {text:?}")]
pub(super) struct Error {
    line: usize,
    text: String,
}

/// Reads the file's text. `export ` before a name is allowed; quotes around a value are taken off, and in
/// double quotes `\n`, `\"` and `\\` mean what they mean in most languages.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut variables = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let assignment = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let (name, value) = assignment
            .split_once('=')
            .map(|(name, value)| (name.trim(), value.trim()))
            .filter(|(name, _)| is_name(name))
            .ok_or_else(|| Error { line: index + 1, text: trimmed.chars().take(40).collect() })?;
        variables.insert(name.to_owned(), unquoted(value));
    }
    Ok(variables)
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn unquoted(value: &str) -> String {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = inside('\'') {
        return text.to_owned();
    }
    let Some(text) = inside('"') else { return value.to_owned() };
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => plain.push('\n'),
            Some(escaped @ ('"' | '\\')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let text = "# comment\n\nGREETING=Hello world\nexport A = 1\nURL=postgres://u:p$x#y@h/db?a=b\n\
                    QUOTED=\"two\\nlines \\\"here\\\"\"\nLITERAL='a\\nb'\nEMPTY=\n";
        let expected = [
            ("A", "1"),
            ("EMPTY", ""),
            ("GREETING", "Hello world"),
            ("LITERAL", "a\\nb"),
            ("QUOTED", "two\nlines \"here\""),
            ("URL", "postgres://u:p$x#y@h/db?a=b"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text).unwrap(), BTreeMap::from(expected));
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (text, line) in [("A=1\nnonsense", 2), ("1A=x", 1), ("=x", 1), ("A B=x", 1)] {
            assert_eq!(parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
