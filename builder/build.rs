//! Embeds the stacks' recipes, so that an installed `wpaas` builds its stacks without this source tree.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// Directories of a recipe that building the stack does not need.
const LEFT_OUT: &[&str] = &["node_modules", "test", "tests"];

fn main() -> io::Result<()> {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let stacks = manifest_dir.join("stacks");
    println!("cargo::rerun-if-changed=build.rs");
    let mut files = Vec::new();
    if stacks.is_dir() {
        collect(&stacks, &mut files)?;
    } else {
        println!("cargo::rerun-if-changed={}", stacks.display());
    }
    files.sort();
    let mut code = String::from("&[\n");
    for file in &files {
        let name = file.strip_prefix(&stacks).map_err(io::Error::other)?;
        let (name, file) = (name.display().to_string(), file.display().to_string());
        code.push_str(&format!("    ({name:?}, include_bytes!({file:?})),\n"));
    }
    code.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("recipes.rs"), code)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", dir.display());
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || LEFT_OUT.contains(&name.as_str()) || name.ends_with(".wasm") {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push(path);
        }
    }
    Ok(())
}
