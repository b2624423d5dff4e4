//! Commands of a Procfile, split as a shell would, for buildpacks that start no shell.

/// The words of `command`, or why it needs a shell. `$PORT`, which every Procfile for Heroku has, stays as it is:
/// the dyno host fills it in.
pub(crate) fn split(command: &str) -> Result<Vec<String>, String> {
    let is_port = |rest: &str| {
        rest.starts_with("${PORT}")
            || rest.strip_prefix("$PORT").is_some_and(|after| {
                !after.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
    };
    let mut others = command.match_indices('$').filter_map(|(at, _)| command.get(at..));
    if let Some(other) = others.find(|rest| !is_port(rest)) {
        let variable: String = other.chars().take(40).collect();
        let variable = variable.split_whitespace().next().unwrap_or("$");
        return Err(format!(
            "there is no shell to fill in {variable}: let the program read it from its environment"
        ));
    }
    if let Some(sign) = command.chars().find(|sign| "|&;<>`()".contains(*sign)) {
        return Err(format!("there is no shell for {sign:?}: name one program and its arguments"));
    }
    shlex::split(command).ok_or_else(|| "a quotation mark is not closed".to_owned())
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
    fn assignments_come_first() {
        let words = split("NODE_ENV=production A_1='x y' node a=b.js").unwrap();
        let (assignments, rest) = without_assignments(&words);
        assert_eq!(assignments, ["NODE_ENV=production", "A_1=x y"]);
        assert_eq!(rest, ["node", "a=b.js"]);
    }
}
