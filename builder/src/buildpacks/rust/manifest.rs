//! What `Cargo.toml` and `cargo metadata` say about an app: which targets it has, and whether everything
//! that it needs is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{Error, error::io_at, toolchain::cargo::Artifact};

/// Something that the app can be built to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) artifact: Artifact,
}

impl Target {
    /// Whether a Procfile's `./target/release/my-app`, `my_app.wasm` or `my-app` means this target.
    pub(super) fn is_meant_by(&self, program: &str) -> bool {
        let file = program.rsplit('/').next().unwrap_or(program);
        let name = file.strip_suffix(".wasm").unwrap_or(file);
        name.replace('-', "_") == self.name.replace('-', "_")
    }
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    #[serde(default)]
    workspace_default_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    targets: Vec<MetadataTarget>,
}

#[derive(Deserialize)]
struct MetadataTarget {
    name: String,
    kind: Vec<String>,
    crate_types: Vec<String>,
}

/// The programs and `cdylib` libraries in the output of `cargo metadata --no-deps`.
pub(super) fn targets(metadata: &[u8]) -> Result<Vec<Target>, Error> {
    let metadata: Metadata = serde_json::from_slice(metadata)
        .map_err(|error| Error::Toolchain(format!("cargo metadata: {error}")))?;
    let members = &metadata.workspace_default_members;
    let targets = metadata
        .packages
        .iter()
        .filter(|package| members.is_empty() || members.contains(&package.id))
        .flat_map(|package| &package.targets)
        .filter_map(|target| {
            let artifact = if target.kind.iter().any(|kind| kind == "bin") {
                Artifact::Command
            } else if target.crate_types.iter().any(|kind| kind == "cdylib")
                && target.kind.iter().all(|kind| kind != "example")
            {
                Artifact::Reactor
            } else {
                return None;
            };
            Some(Target { name: target.name.clone(), artifact })
        });
    Ok(targets.collect())
}

/// The target of an app without a Procfile: its only library for a host, or else its only program.
pub(super) fn default(targets: &[Target]) -> Result<&Target, Error> {
    let of = |artifact| targets.iter().filter(move |target| target.artifact == artifact);
    for artifact in [Artifact::Reactor, Artifact::Command] {
        let mut candidates = of(artifact);
        if let (Some(only), None) = (candidates.next(), candidates.next()) {
            return Ok(only);
        }
    }
    let reason = if targets.is_empty() {
        "it has neither a program (src/main.rs) nor a library with `crate-type = [\"cdylib\"]`"
            .into()
    } else {
        format!(
            "it has several programs; choose one in a Procfile: `web: NAME` with {}",
            list(targets)
        )
    };
    Err(Error::CargoToml { file: "Cargo.toml".into(), reason })
}

/// The targets' names, for an error.
pub(super) fn list(targets: &[Target]) -> String {
    let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Refuses paths in the `Cargo.toml` files (`manifests`, relative to `dir`) that lead out of the tree: they work
/// on the author's machine, and here there is nothing at them.
pub(super) fn check_paths(dir: &Path, manifests: &[PathBuf]) -> Result<(), Error> {
    for file in manifests {
        let full = dir.join(file);
        let text = fs::read_to_string(&full).map_err(io_at(&full))?;
        check(file, &text)?;
    }
    Ok(())
}

/// Refuses such paths in the text of one `Cargo.toml`.
pub(crate) fn check(file: &Path, text: &str) -> Result<(), Error> {
    let refused = |reason: String| Error::CargoToml { file: file.display().to_string(), reason };
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| refused(error.to_string()))?;
    let from = file.parent().unwrap_or(Path::new(""));
    check_table(&table, from, &mut Vec::new()).map_err(refused)
}

fn check_table<'a>(
    table: &'a toml::Table,
    from: &Path,
    keys: &mut Vec<&'a str>,
) -> Result<(), String> {
    for (key, value) in table {
        keys.push(key);
        match value {
            toml::Value::String(path) if key == "path" && leaves(from, Path::new(path)) => {
                let what: Vec<&str> = keys.iter().rev().skip(1).take(1).copied().collect();
                return Err(format!(
                    "{} has the path {path}, which leads out of the app's directory; use a version from \
                     a registry, a git URL, or a copy inside the directory",
                    what.first().unwrap_or(&"it")
                ));
            }
            toml::Value::Table(inner) => check_table(inner, from, keys)?,
            _ => {}
        }
        keys.pop();
    }
    Ok(())
}

/// Whether `path`, seen from the directory `from`, leaves the tree.
fn leaves(from: &Path, path: &Path) -> bool {
    let mut depth = from.components().count();
    for part in path.components() {
        match part {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return true,
        }
    }
    false
}

/// The `.wasm` file that cargo made for `target`, from `cargo build --message-format=json`.
pub(super) fn made(messages: &[u8], target: &Target) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        reason: String,
        target: Option<MetadataTarget>,
        #[serde(default)]
        filenames: Vec<PathBuf>,
    }
    let messages = messages.split(|byte| *byte == b'\n').filter_map(|line| {
        let message: Message = serde_json::from_slice(line).ok()?;
        (message.reason == "compiler-artifact").then_some(message)
    });
    messages
        .filter(|message| message.target.as_ref().is_some_and(|made| made.name == target.name))
        .flat_map(|message| message.filenames)
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_programs_and_host_libraries() {
        let metadata = br#"{
            "packages": [
                {"id": "app", "targets": [
                    {"name": "my-app", "kind": ["bin"], "crate_types": ["bin"]},
                    {"name": "lib", "kind": ["lib"], "crate_types": ["lib"]},
                    {"name": "host", "kind": ["cdylib"], "crate_types": ["cdylib"]},
                    {"name": "build-script-build", "kind": ["custom-build"], "crate_types": ["bin"]}]},
                {"id": "other", "targets": [{"name": "o", "kind": ["bin"], "crate_types": ["bin"]}]}],
            "workspace_default_members": ["app"]}"#;
        let targets = targets(metadata).unwrap();
        assert_eq!(list(&targets), "my-app, host");
        assert_eq!(default(&targets).unwrap().name, "host");
        for program in ["./target/release/my-app", "my_app.wasm", "my-app"] {
            assert!(targets[0].is_meant_by(program), "{program}");
        }
        assert!(!targets[0].is_meant_by("my-app2"));
        let two = vec![targets[0].clone(), targets[0].clone()];
        assert!(default(&two).unwrap_err().to_string().contains("several programs"));
        assert!(default(&[]).unwrap_err().to_string().contains("cdylib"));
    }

    #[test]
    fn paths_out_of_the_tree_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let check = |file: &str, text: &str| {
            let full = dir.path().join(file);
            fs::create_dir_all(full.parent().unwrap()).unwrap();
            fs::write(full, text).unwrap();
            check_paths(dir.path(), &[file.into()])
        };
        let sdk = "[dependencies]\nsdk = { path = \"../../sdk\" }\n";
        let error = check("Cargo.toml", sdk).unwrap_err().to_string();
        assert!(
            error.starts_with("Cargo.toml: sdk has the path ../../sdk, which leads out"),
            "{error}"
        );
        let target = "[target.'cfg(unix)'.dependencies.x]\npath = \"/abs\"\n";
        assert!(check("Cargo.toml", target).is_err());
        let workspace = "[dependencies]\na = { path = \"../b\" }\n";
        check("crates/a/Cargo.toml", workspace).unwrap();
        assert!(check("a/Cargo.toml", "[dependencies]\na = { path = \"../../b\" }").is_err());
        let error = check("Cargo.toml", "[package\n").unwrap_err().to_string();
        assert!(error.starts_with("Cargo.toml: ") && error.contains("line 1"), "{error}");
    }

    #[test]
    fn the_made_file_is_in_cargos_messages() {
        let messages = br#"{"reason":"compiler-artifact","target":{"name":"dep","kind":["lib"],"crate_types":["lib"]},"filenames":["/t/libdep.rlib"]}
not json
{"reason":"compiler-artifact","target":{"name":"app","kind":["bin"],"crate_types":["bin"]},"filenames":["/t/app.wasm"]}
{"reason":"build-finished","success":true}"#;
        let target = Target { name: "app".into(), artifact: Artifact::Command };
        assert_eq!(made(messages, &target), Some("/t/app.wasm".into()));
        assert_eq!(made(b"", &target), None);
    }
}
