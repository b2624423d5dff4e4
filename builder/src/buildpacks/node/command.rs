//! From a Procfile's command to the JavaScript file that it runs: `node server.js`, `npm start`, `node .`.

use std::path::{Path, PathBuf};

use serde_json::Value;
use wpaas_slug::path;

use super::package_json::PackageJson;
use crate::{Error, buildpacks::words};

/// Scripts that run each other, at most.
const MAX_SCRIPTS: usize = 10;

/// Flags of `node` that make no difference to what runs, or only to how Node's own engine does it. Those that
/// end in `=` or have a value take it in the same word.
const HARMLESS_FLAGS: &[&str] = &[
    "--enable-source-maps",
    "--expose-gc",
    "--expose_gc",
    "--dns-result-order",
    "--http-parser",
    "--insecure-http-parser",
    "--inspect",
    "--max-http-header-size",
    "--max-old-space-size",
    "--max_old_space_size",
    "--max-semi-space-size",
    "--no-deprecation",
    "--no-warnings",
    "--optimize-for-size",
    "--optimize_for_size",
    "--pending-deprecation",
    "--stack-size",
    "--stack-trace-limit",
    "--throw-deprecation",
    "--trace-deprecation",
    "--trace-uncaught",
    "--trace-warnings",
    "--unhandled-rejections",
    "--use-openssl-ca",
];

/// What a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// The script as `node` was given it: `server.js`, `.`, `dist/main`.
    script: String,
    /// Arguments after it.
    pub(super) args: Vec<String>,
    /// What of the command has no effect here.
    pub(super) warnings: Vec<String>,
}

/// Follows `command` to the `node` that it starts. The script's file may not exist yet.
pub(super) fn launch(
    dir: &Path,
    package: &PackageJson,
    process: &str,
    command: &str,
) -> Result<Launch, Error> {
    follow(dir, package, command).map_err(|reason| Error::Command {
        process: process.to_owned(),
        command: command.to_owned(),
        reason,
    })
}

fn follow(dir: &Path, package: &PackageJson, command: &str) -> Result<Launch, String> {
    let mut text = command.to_owned();
    let mut warnings = Vec::new();
    for _ in 0..MAX_SCRIPTS {
        let all = words::split(&text)?;
        let (assignments, rest) = words::without_assignments(&all);
        let (cross_env, rest) = match rest {
            [first, rest @ ..] if first == "cross-env" => words::without_assignments(rest),
            rest => (&[][..], rest),
        };
        warnings.extend(assignments.iter().chain(cross_env).map(|assignment| {
            format!("{assignment} in `{text}` has no effect: set it with config:set")
        }));
        let [program, args @ ..] = rest else { return Err("it names no program".into()) };
        match program.as_str() {
            "node" | "nodejs" => return node(args, warnings),
            "npm" => text = script(dir, package, program, args, &mut warnings)?,
            "yarn" | "pnpm" => match args {
                // Both run Node.js by its own name, too.
                [node_, args @ ..] if node_ == "node" => return node(args, warnings),
                args => text = script(dir, package, program, args, &mut warnings)?,
            },
            "bun" => return Err("bun is not supported: use npm, yarn, pnpm or node".into()),
            other => {
                return Err(format!(
                    "{other} cannot run here: a Node.js process type is `node FILE`, `npm start` or \
                     `npm run SCRIPT`"
                ));
            }
        }
    }
    Err("its npm scripts run each other in a circle".into())
}

/// The text of the script that `npm ARGS…` runs, or another `manager`.
fn script(
    dir: &Path,
    package: &PackageJson,
    manager: &str,
    args: &[String],
    warnings: &mut Vec<String>,
) -> Result<String, String> {
    let (own, passed) = match args.iter().position(|arg| arg == "--") {
        Some(at) => (args.get(..at).unwrap_or_default(), args.get(at + 1..).unwrap_or_default()),
        None => (args, &[][..]),
    };
    // npm keeps every flag before `--` to itself, the others those before the script's name.
    let is_own = |arg: &&str| arg.starts_with('-');
    let own = own.iter().map(String::as_str);
    let own: Vec<&str> = match manager {
        "npm" => own.filter(|arg| !is_own(arg)).collect(),
        _ => own.skip_while(is_own).collect(),
    };
    let (name, more) = match own.as_slice() {
        ["start", more @ ..] => ("start", more),
        ["run" | "run-script", name, more @ ..] => (*name, more),
        [name, more @ ..] if manager != "npm" && package.scripts.contains_key(*name) => {
            (*name, more)
        }
        _ => return Err(format!("{manager} can only `start` or `run` a script here")),
    };
    let text = match package.scripts.get(name) {
        Some(text) => text.clone(),
        // npm's own rule.
        None if name == "start" && dir.join("server.js").is_file() => "node server.js".into(),
        None => {
            let known: Vec<&str> = package.scripts.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(format!("package.json has no script {name:?}; its scripts: {known}"));
        }
    };
    for hook in [format!("pre{name}"), format!("post{name}")] {
        if package.scripts.contains_key(&hook) {
            warnings.push(format!(
                "the script {hook} is not run: what it does belongs into the script `build`"
            ));
        }
    }
    let added: Vec<&str> = more.iter().copied().chain(passed.iter().map(String::as_str)).collect();
    if added.is_empty() {
        return Ok(text);
    }
    let added = shlex::try_join(added).map_err(|error| error.to_string())?;
    Ok(format!("{text} {added}"))
}

fn node(args: &[String], warnings: Vec<String>) -> Result<Launch, String> {
    let flags = args.iter().take_while(|arg| arg.starts_with('-') && *arg != "--").count();
    let (flags, rest) = args.split_at(flags);
    for flag in flags {
        let name = flag.split('=').next().unwrap_or(flag);
        if !HARMLESS_FLAGS.contains(&name) {
            return Err(format!("node's flag {flag} is not supported here"));
        }
    }
    let rest = match rest {
        [dashes, rest @ ..] if dashes == "--" => rest,
        rest => rest,
    };
    let [script, args @ ..] = rest else { return Err("node is given no file to run".into()) };
    Ok(Launch { script: script.clone(), args: args.to_vec(), warnings })
}

impl Launch {
    /// The script's file, relative to `dir`, found as Node finds it.
    pub(super) fn entry(&self, dir: &Path, process: &str, command: &str) -> Result<String, Error> {
        self.find(dir).map_err(|reason| Error::Command {
            process: process.to_owned(),
            command: command.to_owned(),
            reason,
        })
    }

    fn find(&self, dir: &Path) -> Result<String, String> {
        let given = self.script.strip_prefix("/app/").unwrap_or(&self.script);
        let given = given.trim_start_matches("./").trim_end_matches('/');
        let relative = if given == "." { "" } else { given };
        if !relative.is_empty() {
            path::check(relative)
                .map_err(|_| format!("{given:?} is not a path inside the app's directory"))?;
        }
        let missing = || {
            format!(
                "there is no file {given:?} in the source (what .gitignore or .slugignore names is left \
                 out), and the build did not make it"
            )
        };
        let found = as_file(&dir.join(relative))
            .or_else(|| as_directory(&dir.join(relative)))
            .ok_or_else(missing)?;
        let real = found.canonicalize().map_err(|_| missing())?;
        if !real.starts_with(dir) {
            return Err(format!("{given:?} is a link that leads out of the app's directory"));
        }
        let relative = found.strip_prefix(dir).map_err(|_| missing())?;
        relative.to_str().map(str::to_owned).ok_or_else(missing)
    }
}

/// A file by its name, or by its name without the extension.
fn as_file(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let name = path.file_name()?.to_str()?;
    ["js", "cjs", "mjs", "ts"]
        .iter()
        .map(|extension| path.with_file_name(format!("{name}.{extension}")))
        .find(|path| path.is_file())
}

/// The main file of a package's directory.
fn as_directory(path: &Path) -> Option<PathBuf> {
    let main = PackageJson::read(path).ok().and_then(|package| package.main);
    let main = main.as_ref().and_then(Value::as_str).map(|main| path.join(plain(main)));
    main.and_then(|main| as_file(&main).or_else(|| as_file(&main.join("index"))))
        .or_else(|| as_file(&path.join("index")))
}

/// `./dist/main.js` as `dist/main.js`.
fn plain(path: &str) -> &str {
    path.trim_start_matches("./")
}

#[cfg(test)]
mod tests;
