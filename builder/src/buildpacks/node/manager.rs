//! The package manager of an app: which one its lockfile and package.json ask for, and what it is called with.

use std::{fs, path::Path};

use super::package_json::{self, PackageJson};
use crate::{
    Error,
    buildpacks::Build,
    error::io_at,
    sandbox::Command,
    toolchain::{
        lock::{Lock, ManagerLock},
        manager::{self, Manager},
        node::Node,
    },
};

/// A package manager's way to install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Npm,
    /// Yarn 1.
    YarnClassic,
    /// Yarn 2 and later, with packages in node_modules.
    Yarn,
    Pnpm,
}

/// What the app asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) kind: Kind,
    pub(super) lockfile: Vec<u8>,
    /// Where the lock of toolchains has it.
    default: &'static str,
    /// What the app's package.json names.
    version: Option<String>,
}

const YARN: &str = "yarn.lock";
const PNPM: &str = "pnpm-lock.yaml";

/// Finds the app's package manager. Errors when there is no lockfile.
pub(super) fn choose(dir: &Path, package: &PackageJson) -> Result<Choice, Error> {
    let named = package.package_manager();
    let asks_for = |name: &str| named.is_some_and(|(named, _)| named == name);
    let version = named.map(|(_, version)| version.to_owned());
    let read = |file: &str| {
        let file = dir.join(file);
        fs::read(&file).map_err(io_at(&file))
    };
    let has = |file: &str| dir.join(file).is_file();
    // Where there are several lockfiles, packageManager says which one counts; without it npm's does.
    let npm = package_json::has_lockfile(dir) && !asks_for("yarn") && !asks_for("pnpm");
    if !npm && has(YARN) && !asks_for("pnpm") {
        let lockfile = read(YARN)?;
        let is_classic = String::from_utf8_lossy(&lockfile).contains("# yarn lockfile v1");
        let (kind, default) =
            if is_classic { (Kind::YarnClassic, "yarn-1") } else { (Kind::Yarn, "yarn") };
        let version = version.filter(|version| version.starts_with("1.") == is_classic);
        return Ok(Choice { kind, lockfile, default, version });
    }
    if !npm && has(PNPM) {
        let lockfile = read(PNPM)?;
        let default = match lockfile_version(&lockfile) {
            Some(5) | None => {
                return Err(Error::MissingLockfile {
                    reason: format!(
                        "{PNPM} is of a version of pnpm that is too old, or is damaged: run `pnpm install` with \
                         pnpm 8 or newer and commit it"
                    ),
                });
            }
            Some(6) => "pnpm-8",
            Some(_) => "pnpm",
        };
        return Ok(Choice { kind: Kind::Pnpm, lockfile, default, version });
    }
    let lockfile = package_json::lockfile(dir)?;
    Ok(Choice { kind: Kind::Npm, lockfile, default: "npm", version: None })
}

/// The major version in the first line of pnpm's lockfile: `lockfileVersion: '9.0'`.
fn lockfile_version(lockfile: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(lockfile).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("lockfileVersion:"))?;
    line.trim().trim_matches(['\'', '"']).split('.').next()?.parse().ok()
}

impl Choice {
    /// Which package to install for it; None for npm, which is there.
    fn wanted(&self, lock: &Lock) -> Result<Option<ManagerLock>, Error> {
        if self.kind == Kind::Npm {
            return Ok(None);
        }
        let known = lock.managers.get(self.default).ok_or_else(|| {
            Error::Internal(format!("toolchains.lock has no manager {}", self.default))
        })?;
        let version = self.version.as_ref().unwrap_or(&known.version).clone();
        Ok(Some(ManagerLock { version, ..known.clone() }))
    }

    /// Installs the package manager, if it is not npm.
    pub(super) async fn ensure(&self, build: &Build<'_>, node: &Node) -> Result<Tool, Error> {
        let Some(wanted) = self.wanted(&build.tools.lock)? else { return Ok(Tool::npm()) };
        let manager = manager::ensure(&wanted, build, node).await?;
        Ok(Tool { kind: self.kind, version: wanted.version, manager: Some(manager) })
    }
}

/// A package manager that is ready.
#[derive(Debug)]
pub(super) struct Tool {
    kind: Kind,
    version: String,
    manager: Option<Manager>,
}

impl Tool {
    pub(super) fn npm() -> Self {
        Self { kind: Kind::Npm, version: String::new(), manager: None }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// `yarn 1.22.22`
    pub(super) fn name(&self, node: &Node) -> String {
        match self.kind {
            Kind::Npm => format!("npm {}", node.npm_version),
            Kind::Pnpm => format!("pnpm {}", self.version),
            Kind::YarnClassic | Kind::Yarn => format!("yarn {}", self.version),
        }
    }

    /// The command that makes node_modules what the lockfile says, without running any code of the packages.
    /// `cache` is a directory of the manager's own; `production` leaves devDependencies out.
    pub(super) fn install(
        &self,
        node: &Node,
        dir: &Path,
        cache: &Path,
        production: bool,
    ) -> Command {
        let Some(manager) = &self.manager else { return node.npm_ci(dir, cache, production) };
        let only = |no: &'static str, yes: &'static str| if production { yes } else { no };
        let (shown, args): (&str, Vec<&str>) = match self.kind {
            Kind::Pnpm => (
                "pnpm install",
                vec!["install", "--frozen-lockfile", only("--prod=false", "--prod")],
            ),
            Kind::Yarn if production => {
                ("yarn install", vec!["workspaces", "focus", "--all", "--production"])
            }
            Kind::Yarn => ("yarn install", vec!["install", "--immutable"]),
            _ => (
                "yarn install",
                vec![
                    "install",
                    "--frozen-lockfile",
                    "--ignore-engines",
                    "--ignore-scripts",
                    "--non-interactive",
                    "--no-progress",
                    only("--production=false", "--production=true"),
                ],
            ),
        };
        let command = node.node(dir, shown).arg(&manager.program).args(args).readable(&manager.dir);
        let command = command.path_first(&manager.bin()).writable(cache).uses_registry();
        match self.kind {
            Kind::Pnpm => command
                .args([
                    "--ignore-scripts",
                    "--package-import-method=copy",
                    "--reporter=append-only",
                ])
                .arg("--store-dir")
                .arg(cache)
                // The version is chosen by this buildpack.
                .env("npm_config_manage_package_manager_versions", "false")
                .env("CI", "true"),
            Kind::Yarn => command
                .env("YARN_NODE_LINKER", "node-modules")
                .env("YARN_ENABLE_SCRIPTS", "false")
                .env("YARN_ENABLE_TELEMETRY", "0")
                .env("YARN_ENABLE_PROGRESS_BARS", "false")
                // Else it is a file of the app, only after an installation.
                .env("YARN_INSTALL_STATE_PATH", "node_modules/.install-state.gz")
                .env("YARN_GLOBAL_FOLDER", cache),
            _ => command.env("YARN_CACHE_FOLDER", cache),
        }
    }

    /// Runs a script of package.json, with the manager on `PATH`.
    pub(super) fn script(&self, node: &Node, dir: &Path, name: &str) -> Command {
        let command = node.npm(dir, &["run", name]);
        match &self.manager {
            Some(manager) => command.path_first(&manager.bin()).readable(&manager.dir),
            None => command,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(package: &str, files: &[(&str, &str)]) -> Result<Choice, Error> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(package_json::FILE), package).unwrap();
        for (name, content) in files {
            fs::write(dir.path().join(name), content).unwrap();
        }
        choose(dir.path(), &PackageJson::read(dir.path()).unwrap())
    }

    const CLASSIC: (&str, &str) = (YARN, "# yarn lockfile v1\n");
    const BERRY: (&str, &str) = (YARN, "__metadata:\n  version: 8\n");
    const NPM: (&str, &str) = ("package-lock.json", "{}");
    const PNPM_9: (&str, &str) = (PNPM, "lockfileVersion: '9.0'\n");

    #[test]
    fn the_lockfile_says_which_manager_and_package_json_which_version() {
        let lock = Lock::read().unwrap();
        for (package, files, kind, version) in [
            ("{}", &[NPM][..], Kind::Npm, None),
            ("{}", &[NPM, CLASSIC], Kind::Npm, None),
            (
                r#"{"packageManager": "yarn@1.22.19"}"#,
                &[NPM, CLASSIC],
                Kind::YarnClassic,
                Some("1.22.19"),
            ),
            ("{}", &[CLASSIC], Kind::YarnClassic, Some("1.22.22")),
            ("{}", &[BERRY], Kind::Yarn, Some("4.18.1")),
            (r#"{"packageManager": "yarn@4.5.0+sha224.abc"}"#, &[BERRY], Kind::Yarn, Some("4.5.0")),
            // Not a version that could read the lockfile.
            (r#"{"packageManager": "yarn@4.5.0"}"#, &[CLASSIC], Kind::YarnClassic, Some("1.22.22")),
            ("{}", &[PNPM_9], Kind::Pnpm, Some("10.34.8")),
            ("{}", &[(PNPM, "lockfileVersion: '6.0'\n")], Kind::Pnpm, Some("8.15.9")),
            (r#"{"packageManager": "pnpm@9.1.0"}"#, &[PNPM_9, CLASSIC], Kind::Pnpm, Some("9.1.0")),
            (r#"{"packageManager": "npm@10.0.0"}"#, &[NPM], Kind::Npm, None),
        ] {
            let choice = choice(package, files).unwrap();
            let wanted = choice.wanted(&lock).unwrap().map(|wanted| wanted.version);
            assert_eq!((choice.kind, wanted.as_deref()), (kind, version), "{package} {files:?}");
        }
    }

    #[test]
    fn a_lockfile_that_nobody_reads_says_what_to_do() {
        for (files, says) in [
            (&[(PNPM, "lockfileVersion: 5.4\n")][..], "pnpm 8 or newer"),
            (&[(PNPM, "")], "damaged"),
            (&[("bun.lock", "")], "bun is not supported"),
            (&[], "run `npm install`"),
        ] {
            let error = choice("{}", files).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
