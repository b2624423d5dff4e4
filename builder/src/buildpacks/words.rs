//! Commands of a Procfile, split as a shell would, for buildpacks that start no shell.

/// What a shell acts on.
const SHELL_SIGNS: &str = "|&;<>`()";

/// The words of `command`, or why it needs a shell. `$PORT`, which every Procfile for Heroku has, stays as it is:
/// the dyno host fills it in.
pub(crate) fn split(command: &str) -> Result<Vec<String>, String> {
    let is_port = |rest: &str| {
        let name = variable(rest).and_then(|length| rest.get(..length));
        matches!(name, Some("$PORT" | "${PORT}"))
    };
    let mut others = command.match_indices('$').filter_map(|(at, _)| command.get(at..));
    if let Some(other) = others.find(|rest| !is_port(rest)) {
        let variable: String = other.chars().take(40).collect();
        let variable = variable.split_whitespace().next().unwrap_or("$");
        return Err(format!(
            "there is no shell to fill in {variable}: let the program read it from its environment"
        ));
    }
    if let Some(sign) = command.chars().find(|sign| SHELL_SIGNS.contains(*sign)) {
        return Err(no_shell(sign));
    }
    shlex::split(command).ok_or_else(|| "a quotation mark is not closed".to_owned())
}

/// As [`split`], for a stack that fills in variables when the process starts: `$NAME`, `${NAME}` and
/// `${NAME:-DEFAULT}` stay in the words.
pub(crate) fn split_for_start(command: &str) -> Result<Vec<String>, String> {
    let (mut single, mut double) = (false, false);
    let mut rest = command;
    while let Some(sign) = rest.chars().next() {
        let mut length = sign.len_utf8();
        match sign {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            '\\' if !single => {
                length += rest.chars().nth(1).map_or(0, char::len_utf8);
            }
            '$' if single => {
                return Err(
                    "a variable in single quotes: leave the quotes out, or use double ones".into(),
                );
            }
            '$' => {
                length = variable(rest).ok_or_else(|| {
                    let shown: String = rest.chars().take(20).collect();
                    format!(
                        "there is no shell for {shown:?}: only $NAME, ${{NAME}} and ${{NAME:-DEFAULT}} are filled in"
                    )
                })?;
            }
            '`' if !single => return Err(no_shell(sign)),
            _ if !single && !double && SHELL_SIGNS.contains(sign) => return Err(no_shell(sign)),
            _ => {}
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    shlex::split(command).ok_or_else(|| "a quotation mark is not closed".to_owned())
}

fn no_shell(sign: char) -> String {
    format!("there is no shell for {sign:?}: name one program and its arguments")
}

/// The length of the variable that `text` begins with.
fn variable(text: &str) -> Option<usize> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let rest = text.strip_prefix('$')?;
    if let Some(inside) = rest.strip_prefix('{') {
        let end = inside.find('}')?;
        let inside = inside.get(..end)?;
        let (name, default) = match inside.split_once(":-").or_else(|| inside.split_once('-')) {
            Some((name, default)) => (name, default),
            None => (inside, ""),
        };
        let plain = !default.contains(['{', '$', '\'', '"', '\\', ' ']);
        return (is_name(name) && plain).then_some(end + 3);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    is_name(rest.get(..end)?).then_some(end + 1)
}

/// Splits `NAME=VALUE` words off the front.
pub(crate) fn without_assignments(words: &[String]) -> (&[String], &[String]) {
    let is_assignment = |word: &String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty()
                && !name.starts_with(|first: char| first.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
    };
    let count = words.iter().take_while(|word| is_assignment(word)).count();
    words.split_at(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_and_shell_syntax_is_refused() {
        assert_eq!(split("node 'a b.js' --x=1").unwrap(), ["node", "a b.js", "--x=1"]);
        let bound = split("serve --bind 0.0.0.0:$PORT ${PORT}").unwrap();
        assert_eq!(bound, ["serve", "--bind", "0.0.0.0:$PORT", "${PORT}"]);
        for (command, says) in [
            ("node server.js --host $HOST", "$HOST"),
            ("node server.js $PORT $PORTAL", "$PORTAL"),
            ("node server.js ${PORT1}", "${PORT1}"),
            ("a && b", "'&'"),
            ("a > b", "'>'"),
            ("a 'b", "quotation mark"),
        ] {
            let error = split(command).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn variables_that_are_filled_in_at_the_start_stay() {
        for (command, words) in [
            ("uvicorn main:app --port $PORT", &["uvicorn", "main:app", "--port", "$PORT"][..]),
            (
                "gunicorn -b 0.0.0.0:${PORT:-8000} a:b",
                &["gunicorn", "-b", "0.0.0.0:${PORT:-8000}", "a:b"],
            ),
            ("a \"$X y\" ${Y}z", &["a", "$X y", "${Y}z"]),
            ("gunicorn 'shop:make(1)' \"a;b\" c\\&d", &["gunicorn", "shop:make(1)", "a;b", "c&d"]),
        ] {
            assert_eq!(split_for_start(command).unwrap(), words);
        }
        for (command, says) in [
            ("a $(date)", "no shell"),
            ("a $", "no shell"),
            ("a ${X:+y}", "no shell"),
            ("a '$X'", "single quotes"),
            ("a $X && b", "'&'"),
            ("a ${X:-y", "no shell"),
            ("a \"$X", "quotation mark"),
            ("a:b()", "'('"),
            ("a \"`b`\"", "'`'"),
        ] {
            let error = split_for_start(command).unwrap_err();
            assert!(error.contains(says), "{command}: {error}");
        }
    }

    #[test]
    fn assignments_come_first() {
        let words = split("NODE_ENV=production A_1='x y' node a=b.js").unwrap();
        let (assignments, rest) = without_assignments(&words);
        assert_eq!(assignments, ["NODE_ENV=production", "A_1=x y"]);
        assert_eq!(rest, ["node", "a=b.js"]);
    }
}
