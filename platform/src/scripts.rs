//! `npm run migrate` as a one-off command: there is no npm in a dyno, so the script of the slug's package.json is followed
//! to the program that it runs.

use serde::Deserialize;
use std::collections::BTreeMap;
use wpaas_slug::{Digest, SlugConfig};

use crate::{Error, Inner, config::Vars, words};

const FILE: &str = "package.json";
/// Scripts that run each other, at most.
const SCRIPTS: usize = 10;

/// A command without a package manager.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    pub(crate) words: Vec<String>,
    /// What the scripts set before their programs: `NODE_ENV=production node x.js`.
    pub(crate) env: Vars,
}

#[derive(Debug, Default, Deserialize)]
struct Package {
    #[serde(default)]
    scripts: BTreeMap<String, String>,
}

impl Inner {
    /// The words, or what the script that they name says where they begin with a package manager of Node.js.
    pub(crate) async fn follow_scripts(
        &self,
        slug: Option<Digest>,
        words: Vec<String>,
        vars: &Vars,
    ) -> Result<Followed, Error> {
        let manager = words.first().is_some_and(|word| is_manager(word));
        let Some(slug) = slug.filter(|_| manager) else {
            return Ok(Followed { words, env: Vars::new() });
        };
        let config = self.store.get_slug(slug, &self.limits).await?.config;
        follow(&self.scripts(&config).await?, words, vars)
    }

    async fn scripts(&self, config: &SlugConfig) -> Result<BTreeMap<String, String>, Error> {
        let Some(file) = config.files.iter().find(|file| file.path == FILE) else {
            return Err(Error::Invalid(format!("The app has no {FILE} with scripts.")));
        };
        let limit = self.limits.package_json_bytes;
        if file.size > limit {
            let text =
                format!("{FILE} has more than {limit} bytes; name the script's program itself.");
            return Err(Error::Invalid(text));
        }
        let bytes = self.store.get(file.digest, limit).await?;
        let package: Package = serde_json::from_slice(&bytes)
            .map_err(|error| Error::Invalid(format!("{FILE} cannot be read: {error}.")))?;
        Ok(package.scripts)
    }
}

fn is_manager(word: &str) -> bool {
    matches!(word, "npm" | "yarn" | "pnpm")
}

fn follow(
    scripts: &BTreeMap<String, String>,
    mut words: Vec<String>,
    vars: &Vars,
) -> Result<Followed, Error> {
    let mut env = Vars::new();
    for _ in 0..SCRIPTS {
        while let Some((name, value)) = words.first().and_then(|word| assignment(word)) {
            env.insert(name, value);
            words.remove(0);
        }
        if words.first().is_some_and(|word| word == "cross-env") {
            words.remove(0);
            continue;
        }
        let Some((first, rest)) = words.split_first() else {
            return Err(Error::Invalid("The script names no program.".into()));
        };
        if !is_manager(first) {
            return Ok(Followed { words, env });
        }
        let (name, further) = script(first, rest)?;
        let shown = format!("{first} run {name}");
        let Some(text) = scripts.get(&name) else {
            let known: Vec<&str> = scripts.keys().map(String::as_str).take(20).collect();
            return Err(Error::Invalid(format!(
                "There is no script for `{shown}` in {FILE}, which has {}.",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )));
        };
        words = words::split(text, vars).map_err(|error| {
            Error::Invalid(format!("`{shown}` runs `{text}`, which cannot run here. {error}"))
        })?;
        let programs = ["node", "nodejs", "cross-env"];
        let program = words.iter().find(|word| assignment(word).is_none());
        if !program.is_some_and(|word| programs.contains(&word.as_str()) || is_manager(word)) {
            return Err(Error::Invalid(format!(
                "`{shown}` runs `{text}`: of scripts only those that are `node FILE` run in a dyno."
            )));
        }
        words.extend(further);
    }
    Err(Error::Invalid(format!("The scripts of {FILE} run each other in a circle.")))
}

/// The script that a manager's arguments name, and what they pass on to it.
fn script(manager: &str, arguments: &[String]) -> Result<(String, Vec<String>), Error> {
    let refused = || {
        Error::Invalid(format!(
            "There is no {manager} in a dyno: of it only `{manager} start` and `{manager} run SCRIPT` are understood."
        ))
    };
    let mut own = Vec::new();
    let mut rest = arguments.iter();
    // npm keeps flags before `--` to itself; the others pass on what follows the name.
    for word in rest.by_ref() {
        let named = own.first().is_some_and(|first| first != "run" && first != "run-script")
            || own.len() > 1;
        if word == "--" {
            break;
        }
        if manager != "npm" && named {
            let further = std::iter::once(word).chain(rest).cloned().collect();
            return Ok((name_of(manager, &own).ok_or_else(refused)?, further));
        }
        if !word.starts_with('-') {
            own.push(word.clone());
        }
    }
    let name = name_of(manager, &own).ok_or_else(refused)?;
    let skipped = match own.first().map(String::as_str) {
        Some("run" | "run-script") => 2,
        _ => 1,
    };
    let further = own.into_iter().skip(skipped).chain(rest.cloned()).collect();
    Ok((name, further))
}

fn name_of(manager: &str, own: &[String]) -> Option<String> {
    match own.first()?.as_str() {
        "run" | "run-script" => own.get(1).cloned(),
        name @ ("start" | "test" | "stop" | "restart") => Some(name.to_owned()),
        _ if manager == "npm" => None,
        name => Some(name.to_owned()),
    }
}

fn assignment(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let named = name.chars().all(plain) && !name.starts_with(|first: char| first.is_ascii_digit());
    (named && !name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn followed(command: &str) -> Result<Followed, String> {
        let scripts = [
            ("migrate", "node scripts/migrate.js --up"),
            ("start", "NODE_ENV=production node server.js"),
            ("again", "npm run migrate -- --again"),
            ("set", "cross-env A=1 B=2 nodejs x.js $C"),
            ("tool", "prisma migrate deploy"),
            ("two", "node a.js && node b.js"),
            ("round", "npm run round"),
        ];
        let scripts = scripts.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let vars = Vars::from([("C".to_owned(), "three".to_owned())]);
        let words = words::split(command, &vars).unwrap();
        follow(&scripts, words, &vars).map_err(|error| error.to_string())
    }

    #[test]
    fn scripts_are_followed_to_node() {
        for (command, words) in [
            ("npm run migrate", "node scripts/migrate.js --up"),
            ("npm run migrate -- --dry x", "node scripts/migrate.js --up --dry x"),
            ("npm run --silent migrate now", "node scripts/migrate.js --up now"),
            ("npm run again", "node scripts/migrate.js --up --again"),
            ("yarn migrate --dry", "node scripts/migrate.js --up --dry"),
            ("yarn run migrate --dry", "node scripts/migrate.js --up --dry"),
            ("pnpm migrate", "node scripts/migrate.js --up"),
            ("npm start", "node server.js"),
            ("npm run set", "nodejs x.js three"),
        ] {
            assert_eq!(followed(command).unwrap().words.join(" "), words, "{command}");
        }
        let env = followed("npm start").unwrap().env;
        assert_eq!(env, Vars::from([("NODE_ENV".to_owned(), "production".to_owned())]));
        assert_eq!(followed("npm run set").unwrap().env.len(), 2);
    }

    #[test]
    fn what_cannot_run_is_refused_by_name() {
        for (command, says) in [
            ("npm run absent", "no script for `npm run absent`"),
            ("npm run tool", "`npm run tool` runs `prisma migrate deploy`"),
            ("npm run two", "no shell in a dyno"),
            ("npm run round", "in a circle"),
            ("npm install", "only `npm start`"),
            ("npm", "only `npm start`"),
        ] {
            let error = followed(command).unwrap_err();
            assert!(error.contains(says), "{command}: {error}");
        }
    }
}
