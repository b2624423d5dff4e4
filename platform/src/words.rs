//! The command of a one-off dyno, split into words as a shell would split it. There is no shell in a dyno: what would
//! need one is refused by name.

use std::iter::Peekable;

use crate::{Error, config::Vars};

/// How clients that want the exit status end a command: their shell would print it behind this mark.
const MARK: char = '\u{FFFF}';
/// What is printed after the mark.
const STATUS: &str = " heroku-command-exit-status: ";

/// What only a shell understands, outside of quotation marks.
const SHELL_SIGNS: &str = "|&;<>`()";

/// The line that tells a client the exit status.
pub(crate) fn status_line(status: i32) -> String {
    format!("{MARK}{STATUS}{status}\n")
}

/// The command without the shell's part of the heroku CLI's `run --exit-code`, and whether it had one.
pub(crate) fn without_status(command: &str) -> (&str, bool) {
    let suffix = format!("echo \"{MARK}{STATUS}$?\"");
    let stripped = command.trim_end().strip_suffix(&suffix).map(str::trim_end);
    match stripped.and_then(|rest| rest.strip_suffix(';')) {
        Some(rest) => (rest.trim_end(), true),
        None => (command, false),
    }
}

/// The words, with `$NAME`, `${NAME}` and `${NAME:-DEFAULT}` filled in from `vars` where a shell would. Unlike there a
/// value stays one word, which is what those who forget the quotation marks mean.
pub(crate) fn split(command: &str, vars: &Vars) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut signs = command.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                quoted(&mut signs, '\'', |sign, _| {
                    word.push(sign);
                    Ok(())
                })?;
            }
            '"' => {
                let word = word.get_or_insert_default();
                quoted(&mut signs, '"', |sign, signs| {
                    match sign {
                        '\\' => match signs.next_if(|next| "\"\\$`\n".contains(*next)) {
                            Some('\n') => {}
                            Some(next) => word.push(next),
                            None => word.push(sign),
                        },
                        '$' => word.push_str(&variable(signs, vars)?),
                        '`' => return Err(no_shell(sign)),
                        sign => word.push(sign),
                    }
                    Ok(())
                })?;
            }
            '\\' => word.get_or_insert_default().extend(signs.next().filter(|sign| *sign != '\n')),
            '$' => {
                let value = variable(&mut signs, vars)?;
                word.get_or_insert_default().push_str(&value);
            }
            sign if SHELL_SIGNS.contains(sign) => return Err(no_shell(sign)),
            sign => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Gives everything up to the closing `mark` to `take`.
fn quoted<S: Iterator<Item = char>>(
    signs: &mut Peekable<S>,
    mark: char,
    mut take: impl FnMut(char, &mut Peekable<S>) -> Result<(), Error>,
) -> Result<(), Error> {
    loop {
        match signs.next() {
            None => {
                return Err(Error::Invalid(
                    "A quotation mark of the command is not closed.".into(),
                ));
            }
            Some(sign) if sign == mark => return Ok(()),
            Some(sign) => take(sign, signs)?,
        }
    }
}

/// The value of the variable whose `$` was just read.
fn variable(
    signs: &mut Peekable<impl Iterator<Item = char>>,
    vars: &Vars,
) -> Result<String, Error> {
    let is_name = |sign: &char| sign.is_ascii_alphanumeric() || *sign == '_';
    let braces = signs.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(sign) = signs.next_if(is_name) {
        name.push(sign);
    }
    let refused = || {
        Error::Invalid(format!(
            "There is no shell in a dyno for ${}{name}: only $NAME, ${{NAME}} and ${{NAME:-DEFAULT}} are \
             filled in. Put a dollar sign in single quotes.",
            if braces { "{" } else { "" }
        ))
    };
    if name.is_empty() || name.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(refused());
    }
    let value = vars.get(&name).cloned().unwrap_or_default();
    if !braces {
        return Ok(value);
    }
    let mut rest = String::new();
    loop {
        match signs.next() {
            None => return Err(refused()),
            Some('}') => break,
            Some(sign) => rest.push(sign),
        }
    }
    match rest.strip_prefix(":-") {
        None if rest.is_empty() => Ok(value),
        Some(default) if value.is_empty() => Ok(default.to_owned()),
        Some(_) => Ok(value),
        None => Err(refused()),
    }
}

fn no_shell(sign: char) -> Error {
    Error::Invalid(format!(
        "There is no shell in a dyno for {sign:?}: name one program and its arguments, or put it in quotation marks."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Vars {
        [("A", "one two"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into())).into()
    }

    #[test]
    fn words_are_a_shells() {
        for (command, words) in [
            ("node x.js  --y=1", &["node", "x.js", "--y=1"][..]),
            ("python -c 'print(\"$A; b\")'", &["python", "-c", "print(\"$A; b\")"]),
            ("a \"b \\\"c\\\" \\$A \\n\" d\\ e", &["a", "b \"c\" $A \\n", "d e"]),
            ("a $A \"${A}\" x${EMPTY:-y}z $NONE", &["a", "one two", "one two", "xyz", ""]),
            ("a '' \"\"", &["a", "", ""]),
            ("", &[]),
            ("  ", &[]),
        ] {
            assert_eq!(split(command, &vars()).unwrap(), words, "{command}");
        }
    }

    #[test]
    fn what_needs_a_shell_is_named() {
        for (command, says) in [
            ("a && b", "'&'"),
            ("a; b", "';'"),
            ("a > b", "'>'"),
            ("a $(date)", "no shell in a dyno for $"),
            ("a $?", "no shell in a dyno for $"),
            ("a ${A%x}", "no shell in a dyno for ${A"),
            ("a \"`b`\"", "'`'"),
            ("a 'b", "not closed"),
            ("a ${A", "no shell"),
        ] {
            let error = split(command, &vars()).unwrap_err().to_string();
            assert!(error.contains(says), "{command}: {error}");
        }
    }

    #[test]
    fn the_clients_question_for_the_exit_status_is_recognised() {
        let asked = "node x.js ; echo \"\u{FFFF} heroku-command-exit-status: $?\"";
        assert_eq!(without_status(asked), ("node x.js", true));
        assert_eq!(without_status("node x.js; echo \"$?\""), ("node x.js; echo \"$?\"", false));
        assert_eq!(status_line(3), "\u{FFFF} heroku-command-exit-status: 3\n");
    }
}
