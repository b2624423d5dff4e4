//! The host's Python, which installs the stack of Python apps and what they require. It runs no code of apps.

use std::path::{Path, PathBuf};

use crate::{
    Error,
    sandbox::{Command, Host},
    toolchain::{ask, cargo::Cargo},
};

/// A Python that is new enough, by its real path: version managers put wrappers on `PATH` that need the user's
/// home, which builds do not see.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: PathBuf,
    /// Where its library is.
    prefix: PathBuf,
}

impl Python {
    /// Looks on the host's `PATH` for Python 3 with at least the minor version `oldest`.
    pub(crate) async fn find(host: &Host, oldest: u64) -> Result<Self, Error> {
        let install =
            format!("install Python 3.{oldest} or newer, with venv and pip, and put it on PATH");
        let Some(found) = host.find("python3") else {
            return Err(Error::Toolchain(format!("Python is needed to build this app: {install}")));
        };
        let script = "import sys; print(sys.version_info.minor, sys.base_prefix, \
                      getattr(sys, '_base_executable', sys.executable), sep='\\n'); import ensurepip, venv";
        let answer = ask(&found, ["-I", "-c", script]).await?;
        let mut lines = answer.lines();
        let minor = lines.next().and_then(|minor| minor.parse::<u64>().ok());
        let (Some(minor), Some(prefix), Some(program)) = (minor, lines.next(), lines.next()) else {
            return Err(Error::Toolchain(format!("{} is not Python: {install}", found.display())));
        };
        if minor < oldest {
            return Err(Error::Toolchain(format!(
                "{} is Python 3.{minor}: {install}",
                found.display()
            )));
        }
        Ok(Self { program: program.into(), prefix: prefix.into() })
    }

    /// `python ARGS…` in `dir`.
    pub(crate) fn python(&self, dir: &Path, shown: impl Into<String>) -> Command {
        self.with_library(Command::new(&self.program, dir, shown))
    }

    /// What the system has is visible anyway; a Python of the user's own is not.
    fn with_library(&self, command: Command) -> Command {
        let command = command.env("PYTHONDONTWRITEBYTECODE", "1");
        if self.prefix == Path::new("/usr") { command } else { command.readable(&self.prefix) }
    }

    /// What fetches the packages of a recipe in `dir`: componentize-py in an environment of its own, because it adds
    /// to a component whatever is installed beside it, and what builds of apps use in `host`.
    pub(crate) fn fetch(&self, dir: &Path, cache: &Path) -> Vec<Command> {
        let install = |command: Command, requirements: &str| {
            let command = command.args(["install", "--quiet", "--disable-pip-version-check"]);
            let command =
                command.args(["--require-hashes", "--only-binary=:all:", "-r", requirements]);
            command.env("PIP_CACHE_DIR", cache).writable(cache).uses_registry()
        };
        let venv = self.python(dir, "python3 -m venv venv").args(["-I", "-m", "venv", "venv"]);
        // A link to the host's.
        let pip = |requirements: &str| {
            let command = Command::new(
                dir.join("venv/bin/python"),
                dir,
                format!("pip install -r {requirements}"),
            );
            self.with_library(command).args(["-I", "-m", "pip"])
        };
        let host = install(pip("host-requirements.txt"), "host-requirements.txt");
        vec![
            venv,
            install(pip("requirements.txt"), "requirements.txt"),
            host.args(["--target", "host"]),
        ]
    }

    /// What compiles the native packages of the recipe in `dir` with the host's Rust, unless `cache` has them.
    pub(crate) fn native(&self, dir: &Path, cache: &Path, cargo: &Cargo) -> Result<Command, Error> {
        let build = Command::new("/bin/bash", dir, "native/build.sh")
            .arg("native/build.sh")
            .arg(cache)
            .arg(dir.join(WHEELS))
            .path_first(&dir.join("venv/bin"))
            .writable(cache);
        cargo.lend(self.with_library(build))
    }

    /// What builds the stack's component `made` in `dir`, and its machine code for builds of apps.
    pub(crate) fn build(&self, dir: &Path, made: &Path) -> Vec<Command> {
        let build = Command::new("/bin/bash", dir, "build-stack.sh")
            .arg("build-stack.sh")
            .arg(made)
            .arg(dir.join(WHEELS))
            .arg(dir.join(LIB))
            .path_first(&dir.join("venv/bin"));
        let compile =
            self.tool(dir, dir, "guest.py").arg("--compile").arg(made).arg(dir.join(CODE));
        vec![self.with_library(build), compile]
    }

    /// What makes in `dir` an app's own component `made`: the stack's, with the modules in `list` loaded from
    /// `site_packages`.
    pub(crate) fn snapshot(
        &self,
        stack: &Path,
        dir: &Path,
        (site_packages, list, made): (&Path, &Path, &Path),
    ) -> Command {
        let make = Command::new("/bin/bash", dir, "loading libraries for the snapshot")
            .arg(stack.join("snapshot.sh"))
            .arg(stack.join(LIB))
            .args([site_packages, list, made])
            .readable(stack)
            .readable(site_packages)
            .path_first(&stack.join("venv/bin"));
        self.with_library(make)
    }

    /// A program of the recipe in `stack`, run in `dir`.
    pub(crate) fn tool(&self, stack: &Path, dir: &Path, name: &str) -> Command {
        self.python(dir, name)
            .readable(stack)
            .env("PYTHONPATH", stack.join("host"))
            .arg(stack.join("tools").join(name))
    }
}

/// The machine code of the stack's component, for builds of apps.
pub(crate) const CODE: &str = "stack.cwasm";
/// What the stack's component was made of, for those of apps.
const LIB: &str = "lib";
/// The native packages of the stack. `tools/install.py` has the same.
const WHEELS: &str = "wheels";

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[tokio::test]
    async fn what_is_missing_or_too_old_is_said() {
        let host = Host::with([("PATH", "/nonexistent".into())]);
        let error = Python::find(&host, 11).await.unwrap_err().to_string();
        assert!(error.contains("install Python 3.11 or newer"), "{error}");
        for (script, says) in [
            ("printf '9\\n/usr\\n/usr/bin/python3\\n'", "is Python 3.9: install Python 3.11"),
            ("echo hello", "is not Python"),
            ("echo No module named venv >&2; exit 1", "No module named venv"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let program = dir.path().join("python3");
            fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let host = Host::with([("PATH", dir.path().into())]);
            let error = Python::find(&host, 11).await.unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[tokio::test]
    async fn finds_the_real_one() {
        let python = Python::find(&Host::of_this_process(), 11).await.unwrap();
        assert!(python.program.is_absolute() && python.prefix.is_dir(), "{python:?}");
    }
}
