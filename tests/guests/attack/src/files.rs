//! Routes that touch the file system.

use std::io::{Read, Write};

use crate::http::Request;

fn refused(error: std::io::Error) -> String {
    format!("refused: {error}")
}

pub fn read(path: &str) -> String {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => refused(error),
    }
}

pub fn list(path: &str) -> String {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return refused(error),
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.join("\n")
}

/// Writes `bytes` bytes (5 by default), in blocks, so that a full disk shows in the middle.
pub fn write(path: &str, request: &Request) -> String {
    const BLOCK: usize = 64 * 1024;
    let mut file = match std::fs::File::create(path) {
        Ok(file) => file,
        Err(error) => return refused(error),
    };
    let total = request.number("bytes").unwrap_or(5) as usize;
    let mut written = 0;
    while written < total {
        let size = BLOCK.min(total - written);
        if let Err(error) = file.write_all(&vec![b'w'; size]) {
            return format!("{} after {written} bytes", refused(error));
        }
        written += size;
    }
    format!("{written} bytes written")
}

pub fn symlink(target: &str, path: &str) -> String {
    // std has no stable symlink on this target, hence the raw binding.
    let mount = if path.starts_with("/tmp/") { "/tmp" } else { "/app" };
    let relative = path.strip_prefix(mount).and_then(|path| path.strip_prefix('/'));
    let (Some(directory), Some(relative)) = (crate::disk::directory(mount), relative) else {
        return "refused: no such directory".to_owned();
    };
    match directory.symlink_at(target, relative) {
        Ok(()) => format!("{path} -> {target}"),
        Err(error) => format!("refused: {}", error.name()),
    }
}

pub fn stdin() -> String {
    let mut text = String::new();
    match std::io::stdin().read_to_string(&mut text) {
        Ok(_) => text,
        Err(error) => refused(error),
    }
}
