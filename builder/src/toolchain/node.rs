//! The host's Node.js and npm.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    sandbox::{Command, Host},
    toolchain::ask,
};

/// A Node.js that is new enough, with its npm. Both by their real paths: version managers put wrappers on
/// `PATH` that need the user's home, which builds do not see.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    program: PathBuf,
    npm_cli: PathBuf,
    pub(crate) version: String,
    pub(crate) npm_version: String,
}

impl Node {
    /// Looks on the host's `PATH`.
    pub(crate) async fn find(host: &Host, oldest: u64) -> Result<Self, Error> {
        let install = format!("install Node.js {oldest} or newer, with npm, and put it on PATH");
        let Some(found) = host.find("node") else {
            return Err(Error::Toolchain(format!(
                "Node.js is needed to build this app: {install}"
            )));
        };
        let answer =
            ask(&found, ["-p", r"process.versions.node + '\n' + process.execPath"]).await?;
        let (version, program) = answer.split_once('\n').ok_or_else(|| {
            Error::Toolchain(format!("{} is not Node.js: {install}", found.display()))
        })?;
        let major = version.split('.').next().and_then(|major| major.parse::<u64>().ok());
        if major.is_none_or(|major| major < oldest) {
            return Err(Error::Toolchain(format!(
                "{} is Node.js {version}: {install}",
                found.display()
            )));
        }
        let program = PathBuf::from(program);
        let npm_cli = find_npm(host, &program).ok_or_else(|| {
            Error::Toolchain(format!(
                "npm is needed to build this app and is not on PATH: {install}"
            ))
        })?;
        let npm_version = match version_of_package(&npm_cli) {
            Some(version) => version,
            None => ask(&program, [npm_cli.as_os_str(), "--version".as_ref()]).await?,
        };
        Ok(Self { program, npm_cli, version: version.to_owned(), npm_version })
    }

    /// `node ARGS…` in `dir`.
    pub(crate) fn node(&self, dir: &Path, shown: impl Into<String>) -> Command {
        self.with_tools(Command::new(&self.program, dir, shown))
    }

    /// `npm ARGS…` in `dir`.
    pub(crate) fn npm(&self, dir: &Path, args: &[&str]) -> Command {
        let shown = format!("npm {}", args.join(" "));
        self.with_tools(Command::new(&self.program, dir, shown)).arg(&self.npm_cli).args(args)
    }

    /// `npm ci` in `dir`, without running any code of the packages. `cache` is npm's own cache; `production`
    /// leaves devDependencies out.
    pub(crate) fn npm_ci(&self, dir: &Path, cache: &Path, production: bool) -> Command {
        let mut command = self.npm(dir, &["ci"]);
        let dev = if production { "--omit=dev" } else { "--include=dev" };
        command = command
            .args(["--ignore-scripts", dev, "--no-audit", "--no-fund"])
            .args(["--no-progress", "--loglevel=error"]);
        command.env("npm_config_cache", cache).writable(cache).uses_registry()
    }

    /// `npm install PACKAGE` in `dir`, without running any code of it.
    pub(crate) fn npm_install(&self, dir: &Path, package: &str, cache: &Path) -> Command {
        let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
        let command = self.npm(dir, &["install", package]).args(quiet);
        command.env("npm_config_cache", cache).writable(cache).uses_registry()
    }

    /// Whether this Node.js' version is in npm's range `range`; None when it is no range.
    pub(crate) async fn is_in(&self, range: &str) -> Result<Option<bool>, Error> {
        // npm brings the library that defines what a range means.
        let semver = self.npm_cli.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let script = "const s = require(process.argv[1]); const r = s.validRange(process.argv[2]); \
                      console.log(r === null ? 'none' : s.satisfies(process.versions.node, r))";
        let semver = semver.join("node_modules/semver");
        let args = ["-e".as_ref(), script.as_ref(), semver.as_os_str(), range.as_ref()];
        Ok(match ask(&self.program, args).await?.as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    fn with_tools(&self, command: Command) -> Command {
        let bin = self.program.parent().unwrap_or(Path::new("/"));
        // Packages that npm itself needs lie anywhere below its own directory.
        let npm = self.npm_cli.parent().and_then(Path::parent).unwrap_or(bin);
        command
            .path_first(bin)
            .readable(npm)
            .env("npm_config_update_notifier", "false")
            .env("NODE_NO_WARNINGS", "1")
    }
}

/// npm's program, a JavaScript file: behind the link on `PATH`, or where Node.js' own packages put it.
fn find_npm(host: &Host, node: &Path) -> Option<PathBuf> {
    let bin = node.parent()?;
    let beside = Some(bin.join("npm")).filter(|path| path.exists());
    let linked = [beside, host.find("npm")].into_iter().flatten();
    let packaged = bin.parent()?.join("lib/node_modules/npm/bin/npm-cli.js");
    linked
        .chain([packaged])
        .filter_map(|path| path.canonicalize().ok())
        .find(|path| path.extension().is_some_and(|extension| extension == "js"))
}

/// The version in the `package.json` that belongs to `PACKAGE/bin/npm-cli.js`.
fn version_of_package(npm_cli: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Package {
        version: String,
    }
    let file = npm_cli.parent()?.parent()?.join("package.json");
    let package: Package = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    Some(package.version)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn with_node(script: &str) -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("node");
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let host = Host::with([("PATH", dir.path().into())]);
        (dir, host)
    }

    #[tokio::test]
    async fn what_is_missing_or_too_old_is_said() {
        let host = Host::with([("PATH", "/nonexistent".into())]);
        let error = Node::find(&host, 20).await.unwrap_err().to_string();
        assert!(error.contains("install Node.js 20 or newer"), "{error}");

        for (script, says) in [
            ("echo 18.1.0; echo \"$0\"", "is Node.js 18.1.0: install Node.js 20"),
            ("echo hello", "is not Node.js"),
            ("echo broken >&2; exit 1", "broken"),
            ("echo 20.1.0; echo \"$0\"", "npm is needed"),
        ] {
            let (_dir, host) = with_node(script);
            let error = Node::find(&host, 20).await.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn finds_the_real_one() {
        let node = Node::find(&Host::of_this_process(), 20).await.unwrap();
        assert!(node.program.is_absolute() && node.npm_cli.ends_with("npm-cli.js"));
        assert!(node.npm_version.contains('.'), "{node:?}");
        for (range, is_in) in [
            (">=18", Some(true)),
            ("<20", Some(false)),
            ("10.x || >=12", Some(true)),
            ("latest!", None),
        ] {
            assert_eq!(node.is_in(range).await.unwrap(), is_in, "{range}");
        }
    }
}
