//! `.egress`: what the app may connect to while it is developed. Each line is what follows `wpaas egress:allow`.

use std::path::Path;

use anyhow::Context as _;
use clap::Parser;
use wpaas_slug::feed::EgressRule;

use crate::commands::egress::Wanted;

/// The arguments of one line.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct Line {
    #[command(flatten)]
    wanted: Wanted,
}

/// Reads the file's text. Files that it names are relative to `directory`.
pub(super) fn parse(text: &str, directory: &Path) -> anyhow::Result<Vec<EgressRule>> {
    let mut rules = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = || format!("line {}, {line:?}", index + 1);
        let parsed = Line::try_parse_from(line.split_whitespace()).map_err(|error| {
            // Clap's first line says what is wrong; the rest is about a command line.
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default();
            anyhow::anyhow!("{}", first.trim_start_matches("error: ").to_owned())
        });
        rules.extend(parsed.and_then(|line| line.wanted.read(directory)).with_context(wrong)?);
    }
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use wpaas_slug::feed::EgressTls;

    use super::*;

    #[test]
    fn lines_are_the_commands_arguments() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), "PEM").unwrap();
        let text = "# databases\n\nlocalhost:5432 localhost:6379\n  *.example.com:*\n\
                    db.example.com:5432 --pgtls --ca ca.pem\n";
        let rules = parse(text, directory.path()).unwrap();
        let shown: Vec<String> = rules.iter().map(EgressRule::destination).collect();
        let expected =
            ["localhost:5432", "localhost:6379", "*.example.com:*", "db.example.com:5432"];
        assert_eq!(shown, expected);
        let last = rules.last().unwrap();
        assert_eq!((last.tls, last.ca.as_deref()), (Some(EgressTls::Pgtls), Some("PEM")));
        assert!(rules[0].tls.is_none() && rules[0].ca.is_none());
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let directory = tempfile::tempdir().unwrap();
        for (text, says) in [
            ("a:1\nlocalhost", "does not name a port"),
            ("\nhttp://a:1", "does not name a port"),
            ("\na:1 --pgtls --tls", "cannot be used with"),
            ("\na:1 --ca missing.pem", "missing.pem"),
            ("\n--tls", "required"),
        ] {
            let error = format!("{:#}", parse(text, directory.path()).unwrap_err());
            assert!(error.contains("line 2") && error.contains(says), "{error}");
        }
    }
}
