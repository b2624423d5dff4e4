//! Rust apps: a crate that exports `wasi:http/incoming-handler`, compiled by the host's cargo.

pub(crate) mod manifest;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use manifest::Target;
use wpaas_slug::{ComponentRef, Limits, ProcessType};

use super::{Build, Buildpack, Commands, Compiled, Tools, words};
use crate::{
    Error, Output,
    component::Component,
    error::io_at,
    files::blocking,
    sandbox::{Command, check},
    source::{self, Times},
    toolchain::cargo::{Artifact, Cargo},
};

const MANIFEST: &str = "Cargo.toml";
const LOCKFILE: &str = "Cargo.lock";

/// The buildpack of Rust.
#[derive(Debug)]
pub(crate) struct Rust;

#[async_trait]
impl Buildpack for Rust {
    fn name(&self) -> String {
        "Rust".into()
    }

    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error> {
        if !build.dir.join(MANIFEST).is_file() {
            return Ok(false);
        }
        let (dir, limits) = (build.dir.to_owned(), build.tools.limits.clone());
        blocking(move || {
            let mut manifests = source::files(&dir, &limits)?;
            manifests.retain(|path| path.file_name().is_some_and(|name| name == MANIFEST));
            manifest::check_paths(&dir, &manifests)
        })
        .await?;
        Ok(true)
    }

    async fn prepare(&self, tools: &Tools, _output: &Output) -> Result<(), Error> {
        tools.cargo().await.map(drop)
    }

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
        let cargo = build.tools.cargo().await?;
        build.output.detail(&format!("Building with {}", cargo.version));
        // Cargo knows what it built by the path and the times of the sources: both stay the same from one
        // build to the next in a copy of our own.
        let source = build.cache.join("rust/source");
        let (from, to, limits) = (build.dir.to_owned(), source.clone(), build.tools.limits.clone());
        let sync = blocking(move || source::sync(&from, &to, &limits, Times::Now).map(drop));
        build.steps.time("copy source", sync).await?;
        let app = App { build, cargo, source: &source };
        app.compile().await
    }
}

/// Sources and cargo's own files are of no use to a running app; everything else may be.
fn is_source(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let tools = ["rust-toolchain", "rust-toolchain.toml", "rustfmt.toml", "clippy.toml"];
    name.ends_with(".rs")
        || [MANIFEST, LOCKFILE].contains(&name)
        || tools.contains(&name)
        || path.starts_with(".cargo/")
}

struct App<'a> {
    build: &'a Build<'a>,
    cargo: &'a Cargo,
    source: &'a Path,
}

impl App<'_> {
    async fn compile(&self) -> Result<Compiled, Error> {
        let Build { steps, output, .. } = *self.build;
        let locked = self.source.join(LOCKFILE).is_file();
        if !locked {
            output.warning(
                "Cargo.lock is missing: commit it, so that every build uses the same versions",
            );
        }
        output.step("Fetching dependencies");
        let fetch = self.cargo.fetch(self.source, locked)?;
        steps.time("cargo fetch", self.run(fetch)).await?;
        let metadata = ["metadata", "--no-deps", "--format-version=1", "--offline"];
        let metadata = self.cargo.cargo(self.source, Artifact::Command, &metadata);
        let targets = manifest::targets(&self.capture(metadata).await?)?;
        let commands = match self.build.procfile {
            Some(procfile) => procfile.clone(),
            None => {
                let target = manifest::default(&targets)?;
                Commands::from([("web".to_owned(), target.name.clone())])
            }
        };
        let chosen = choose(&commands, &targets)?;

        output.step("Compiling");
        let mut made: HashMap<String, Component> = HashMap::new();
        for artifact in [Artifact::Reactor, Artifact::Command] {
            let of_kind = chosen.values().filter(|(target, _)| target.artifact == artifact);
            let targets: Vec<&Target> = of_kind.map(|(target, _)| *target).collect();
            if !targets.is_empty() {
                made.extend(self.cargo_build(artifact, &targets).await?);
            }
        }

        let mut processes = BTreeMap::new();
        for (process, (target, args)) in &chosen {
            let (Some(component), Some(command)) = (made.get(&target.name), commands.get(process))
            else {
                continue;
            };
            let world = component.world_for(process, &target.name, self.build.settings)?;
            let own = ComponentRef::Own { digest: component.digest, size: component.size() };
            let process_type = ProcessType::new(command, own, world, args.clone());
            processes.insert(process.clone(), process_type);
        }
        let components = made.into_values().map(|made| (made.digest, made.bytes)).collect();
        Ok(Compiled {
            stack: None,
            processes,
            programs: BTreeMap::new(),
            components,
            component_files: Vec::new(),
            leave_out: is_source,
        })
    }

    /// Builds targets of one kind, and reads what was made, by the target's name.
    async fn cargo_build(
        &self,
        artifact: Artifact,
        targets: &[&Target],
    ) -> Result<Vec<(String, Component)>, Error> {
        let mut args = vec!["build", "--release", "--offline"];
        match artifact {
            Artifact::Reactor => args.push("--lib"),
            Artifact::Command => {
                args.extend(targets.iter().flat_map(|target| ["--bin", target.name.as_str()]));
            }
        }
        // Flags differ by kind; in one directory, each build would throw away the other's.
        let target_dir = self.build.cache.join(match artifact {
            Artifact::Reactor => "rust/target-lib",
            Artifact::Command => "rust/target",
        });
        std::fs::create_dir_all(&target_dir).map_err(io_at(&target_dir))?;
        let command = self
            .cargo
            .cargo(self.source, artifact, &args)
            .arg("--message-format=json-render-diagnostics")
            .env("CARGO_TARGET_DIR", &target_dir)
            .writable(&target_dir)
            .config_vars(self.build.env);
        let messages = self.build.steps.time("cargo build", self.capture(command)).await?;
        let mut made = Vec::new();
        for target in targets {
            let file = manifest::made(&messages, target).ok_or_else(|| {
                Error::Toolchain(format!("cargo made no .wasm file for {}", target.name))
            })?;
            let (name, limits) = (target.name.clone(), self.build.tools.limits.clone());
            let read = blocking(move || read(&name, file, &limits));
            let component = self.build.steps.time("componentize", read).await?;
            made.push((target.name.clone(), component));
        }
        Ok(made)
    }

    async fn run(&self, command: Command) -> Result<(), Error> {
        let Build { tools, workspace, deadline, output, .. } = *self.build;
        tools.sandbox.run(command, workspace, deadline, output).await
    }

    async fn capture(&self, command: Command) -> Result<Vec<u8>, Error> {
        let Build { tools, workspace, deadline, output, .. } = *self.build;
        let shown = command.shown().to_owned();
        let limit = Limits::size(tools.limits.build_output_bytes);
        let captured = tools.sandbox.capture(command, workspace, deadline, output, limit).await?;
        check(captured.status, shown)?;
        Ok(captured.stdout)
    }
}

fn read(name: &str, file: PathBuf, limits: &Limits) -> Result<Component, Error> {
    let bytes = std::fs::read(&file).map_err(io_at(&file))?;
    Component::read(name, bytes, limits)
}

/// The target and the arguments of each process type.
fn choose<'a>(
    commands: &Commands,
    targets: &'a [Target],
) -> Result<BTreeMap<String, (&'a Target, Vec<String>)>, Error> {
    let mut chosen = BTreeMap::new();
    for (process, command) in commands {
        let refused = |reason: String| Error::Command {
            process: process.clone(),
            command: command.clone(),
            reason,
        };
        let args = words::split(command).map_err(refused)?;
        let program = args.first().map(String::as_str).unwrap_or_default();
        let target =
            targets.iter().find(|target| target.is_meant_by(program)).ok_or_else(|| {
                refused(format!(
                    "the crate has no such target; it has: {}",
                    manifest::list(targets)
                ))
            })?;
        chosen.insert(process.clone(), (target, args));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_shipped_and_sources_are_not() {
        for source in ["src/main.rs", "Cargo.toml", "x/Cargo.lock", ".cargo/config.toml"] {
            assert!(is_source(source), "{source}");
        }
        for asset in ["Procfile", "static/app.css", "config.toml", "README.md"] {
            assert!(!is_source(asset), "{asset}");
        }
    }

    #[test]
    fn commands_choose_targets() {
        let target = |name: &str| Target { name: name.into(), artifact: Artifact::Command };
        let targets = [target("my-app"), target("work")];
        let commands = |text: &str| crate::procfile::parse(text).unwrap();
        let both = commands("web: ./target/release/my-app --x\nworker: work");
        let chosen = choose(&both, &targets).unwrap();
        assert_eq!(chosen["web"].0.name, "my-app");
        assert_eq!(chosen["web"].1, ["./target/release/my-app", "--x"]);
        let error = choose(&commands("web: other"), &targets).unwrap_err().to_string();
        assert!(error.contains("no such target; it has: my-app, work"), "{error}");
    }
}
