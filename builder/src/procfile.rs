//! The Procfile: `NAME: COMMAND`, one process type a line.

use std::collections::BTreeMap;

use wpaas_slug::manifest::is_process_type;

use crate::Error;

/// Parses a Procfile by Heroku's rule (`^[A-Za-z0-9_-]+:\s*.+$`); blank lines and lines that start with `#`
/// are allowed between. Errors name the line.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut processes = BTreeMap::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let shown: String = line.chars().take(60).collect();
        let Some((name, command)) = line.split_once(':') else {
            return Err(Error::procfile(
                number,
                format!("expected `NAME: COMMAND`, such as `web: node server.js`, found {shown:?}"),
            ));
        };
        if !is_process_type(name) {
            return Err(Error::procfile(
                number,
                format!(
                    "{name:?} is not a process type name: use letters, digits, - and _, at most 30"
                ),
            ));
        }
        let command = command.trim();
        if command.is_empty() {
            return Err(Error::procfile(number, format!("process type {name} has no command")));
        }
        if processes.insert(name.to_owned(), command.to_owned()).is_some() {
            return Err(Error::procfile(number, format!("process type {name} is declared twice")));
        }
    }
    Ok(processes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn reads_what_heroku_reads() {
        let text =
            "\u{feff}# the app\r\nweb: node server.js --x=a:b\r\n\n  worker:npm run work  \n";
        let parsed = parse(text).unwrap();
        let expected = [("web", "node server.js --x=a:b"), ("worker", "npm run work")]
            .map(|(n, c)| (n.into(), c.into()));
        assert_eq!(parsed, BTreeMap::from(expected));
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_line() {
        for (text, line, says) in [
            ("web: a\nnonsense", 2, "expected `NAME: COMMAND`"),
            ("\n\nweb:   ", 3, "no command"),
            ("web: a\n# c\nweb: b", 3, "declared twice"),
            ("we b: x", 1, "not a process type name"),
            (": x", 1, "not a process type name"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), Kind::Procfile { line: Some(line) }, "{text:?}");
            let message = error.to_string();
            assert!(message.starts_with(&format!("Procfile line {line}: ")), "{message}");
            assert!(message.contains(says), "{message}");
        }
    }
}
