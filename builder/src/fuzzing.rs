//! What `fuzz/` may call. Each function takes any input and panics when an invariant does not hold.

#![expect(clippy::expect_used, reason = "a fuzz target reports by panicking")]

use std::path::Path;

use wpaas_slug::{Limits, World, manifest::is_process_type};

use crate::{
    buildpacks::{external, rust::manifest, words},
    component::Component,
    procfile,
};

/// A Procfile.
pub fn procfile(text: &str) {
    let Ok(processes) = procfile::parse(text) else { return };
    for (name, command) in &processes {
        assert!(is_process_type(name) && !command.is_empty() && command.trim() == command);
    }
    let again: String = processes.iter().map(|(name, is)| format!("{name}: {is}\n")).collect();
    assert_eq!(procfile::parse(&again).expect("it is in the simplest form"), processes);
}

/// A command of a Procfile.
pub fn words(command: &str) {
    let Ok(words) = words::split(command) else { return };
    let (assignments, rest) = words::without_assignments(&words);
    assert_eq!(assignments.len() + rest.len(), words.len());
    assert!(assignments.iter().all(|word| word.contains('=')));
}

/// A `.wasm` file.
pub fn component(bytes: &[u8]) {
    let Ok(read) = Component::read("app.wasm", bytes.to_vec(), &Limits::default()) else { return };
    // What was made of a core module is read as it is.
    let again = Component::read("app.wasm", read.bytes.to_vec(), &Limits::default());
    let again = again.expect("a component is a component");
    assert_eq!((again.digest, &again.exports), (read.digest, &read.exports));
    for world in [World::Http, World::Cli, World::Cgi] {
        let _ = read.exports.offers(world);
    }
    let _ = read.world_for("web", "app.wasm");
}

/// A `Cargo.toml`.
pub fn cargo_toml(text: &str) {
    let _ = manifest::check(Path::new("a/b/Cargo.toml"), text);
}

/// What a user's `bin/release` prints.
pub fn release_info(text: &str) {
    let _ = external::release_info(text);
}
