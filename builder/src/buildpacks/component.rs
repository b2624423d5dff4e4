//! Apps that bring their own WebAssembly: the Procfile names a `.wasm` file of the tree.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use wpaas_slug::{ComponentRef, Limits, ProcessType, path};

use super::{Build, Buildpack, Commands, Compiled, words};
use crate::{
    Error, component::Component, error::io_at, files::blocking, settings::Settings, source,
};

/// At most as many files are listed in an error.
const SHOWN_FILES: usize = 5;

/// The buildpack of prebuilt components.
#[derive(Debug)]
pub(crate) struct Prebuilt;

#[async_trait]
impl Buildpack for Prebuilt {
    fn name(&self) -> String {
        "Component".into()
    }

    async fn detect(&self, build: &Build<'_>) -> Result<bool, Error> {
        let Some(web) = build.procfile.and_then(|procfile| procfile.get("web")) else {
            return Ok(false);
        };
        let Some(file) = wasm_file(web) else { return Ok(false) };
        // A `.wasm` that is not there yet is what another buildpack is to make.
        let other =
            ["package.json", "Cargo.toml"].iter().any(|name| build.dir.join(name).is_file());
        Ok(!other || build.dir.join(file).is_file())
    }

    async fn compile(&self, build: &Build<'_>) -> Result<Compiled, Error> {
        let commands = build.procfile.cloned().unwrap_or_default();
        let (dir, limits) = (build.dir.to_owned(), build.tools.limits.clone());
        let settings = build.settings.clone();
        blocking(move || compile(&dir, &commands, &settings, &limits)).await
    }
}

/// The `.wasm` file that a command runs, if it runs one.
fn wasm_file(command: &str) -> Option<&str> {
    command.split_whitespace().next().filter(|word| word.ends_with(".wasm"))
}

/// Process types that run `.wasm` files of the tree.
pub(super) fn compile(
    dir: &Path,
    commands: &Commands,
    settings: &Settings,
    limits: &Limits,
) -> Result<Compiled, Error> {
    let mut files: BTreeMap<String, Component> = BTreeMap::new();
    let mut processes = BTreeMap::new();
    for (process, command) in commands {
        let refused = |reason: String| Error::Command {
            process: process.clone(),
            command: command.clone(),
            reason,
        };
        let mut args = words::split(command).map_err(refused)?;
        let file = args.first_mut().filter(|word| word.ends_with(".wasm")).ok_or_else(|| {
            refused("expected a .wasm file of the source, such as `app.wasm`".to_owned())
        })?;
        // As a program's first argument, `./app.wasm` and `app.wasm` are the same.
        *file = file.trim_start_matches("./").to_owned();
        let file = file.clone();
        if !files.contains_key(&file) {
            files.insert(file.clone(), read(dir, &file, limits)?);
        }
        let Some(component) = files.get(&file) else { continue };
        let world = component.world_for(process, &file, settings)?;
        let component = ComponentRef::Own { digest: component.digest, size: component.size() };
        let process_type = ProcessType::new(command, component, world, args);
        processes.insert(process.clone(), process_type);
    }
    let components: HashMap<_, _> =
        files.values().map(|component| (component.digest, component.bytes.clone())).collect();
    let component_files = files.into_keys().collect();
    let programs = BTreeMap::new();
    Ok(Compiled {
        stack: None,
        processes,
        programs,
        components,
        component_files,
        leave_out: |_| false,
    })
}

fn read(dir: &Path, file: &str, limits: &Limits) -> Result<Component, Error> {
    let refused = |reason: String| Error::Component { file: file.to_owned(), reason };
    path::check(file).map_err(|_| refused("expected a path inside the app's directory".into()))?;
    let full = dir.join(file);
    let Ok(real) = full.canonicalize() else { return Err(refused(missing(dir, limits))) };
    if !real.starts_with(dir) {
        return Err(refused("a symbolic link that leads out of the app's directory".into()));
    }
    let metadata = real.metadata().map_err(io_at(&full))?;
    if !metadata.is_file() {
        return Err(refused("expected a WebAssembly component, found a directory".into()));
    }
    if metadata.len() > limits.component_bytes {
        let (size, limit) = (metadata.len(), limits.component_bytes);
        return Err(refused(format!("it has {size} bytes, more than the limit of {limit}")));
    }
    Component::read(file, std::fs::read(&real).map_err(io_at(&full))?, limits)
}

/// Says what there is instead of the file.
fn missing(dir: &Path, limits: &Limits) -> String {
    let files = source::files(dir, limits).unwrap_or_default();
    let is_wasm = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "wasm");
    let found: Vec<String> = files
        .iter()
        .filter(is_wasm)
        .take(SHOWN_FILES)
        .map(|path| path.display().to_string())
        .collect();
    let found = match found.as_slice() {
        [] => "there is no .wasm file in the source".to_owned(),
        found => format!("the source has {}", found.join(", ")),
    };
    format!(
        "no such file: {found} (what .gitignore or .slugignore names, and cargo's `target`, is left out)"
    )
}
