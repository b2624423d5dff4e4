//! The app's source tree: which files belong to it, packed for an upload or copied for `wpaas dev`.
//!
//! `.gitignore` and `.slugignore` are respected in the directory and below it, never above: the same
//! directory gives the same slug wherever it lies. Some names are left out whatever those files say: what
//! git keeps, what builds make again, and what tends to hold secrets.

use std::{
    fs::{self, File},
    io::{Seek, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ignore::WalkBuilder;
use wpaas_slug::{Digest, Limits, pack, path};

use crate::{
    Error,
    error::{io as io_error, io_at},
};

/// Lists exclusions in Heroku's form, one `.gitignore` pattern a line.
const SLUGIGNORE: &str = ".slugignore";

/// Whether the file or directory `name` in `parent` is never part of an app.
pub(crate) fn always_out(parent: &Path, name: &str) -> bool {
    match name {
        ".git" | "node_modules" | ".wpaas" => true,
        // Cargo's own only: an app's folder may well be called `target`.
        "target" => {
            parent.join("Cargo.toml").is_file() || parent.join("target/CACHEDIR.TAG").is_file()
        }
        _ => name.starts_with(".env"),
    }
}

/// The files of the app in `dir`, relative to it and sorted. Symbolic links are listed as such and must
/// stay inside the tree; sockets and devices are left out.
pub fn files(dir: &Path, limits: &Limits) -> Result<Vec<PathBuf>, Error> {
    walk(dir, limits, true)
}

/// Removes what the root's `.slugignore` names: an upload by another client may hold it.
pub(crate) fn apply_slugignore(dir: &Path, limits: &Limits) -> Result<(), Error> {
    let files = walk(dir, limits, false)?;
    if dir.join(SLUGIGNORE).is_file() {
        remove_others(dir, &files)?;
    }
    Ok(())
}

fn walk(dir: &Path, limits: &Limits, gitignore: bool) -> Result<Vec<PathBuf>, Error> {
    if !dir.is_dir() {
        return Err(Error::NoDirectory(dir.to_owned()));
    }
    let mut files = Vec::new();
    let mut bytes = 0_u64;
    let walk = WalkBuilder::new(dir)
        .hidden(false)
        .parents(false)
        .ignore(false)
        .git_global(false)
        .git_exclude(false)
        .git_ignore(gitignore)
        .require_git(false)
        .add_custom_ignore_filename(SLUGIGNORE)
        .filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            entry.depth() == 0
                || entry.path().parent().is_none_or(|parent| !always_out(parent, &name))
        })
        .build();
    for entry in walk {
        let entry = entry.map_err(|error| walk_error(dir, error))?;
        let Some(kind) = entry.file_type() else { continue };
        if !kind.is_file() && !kind.is_symlink() {
            continue;
        }
        let relative = relative(dir, entry.path())?;
        let refused =
            |reason: String| Error::Source { path: relative.display().to_string(), reason };
        let name = path::check_os(&relative).map_err(|error| refused(error.to_string()))?;
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).map_err(io_at(entry.path()))?;
            if !pack::stays_inside(name, &target) {
                let target = target.display();
                return Err(refused(format!(
                    "a symbolic link that leads out of the app's directory, to {target}; put the \
                     file itself here, or leave the link out with .slugignore"
                )));
            }
        } else {
            let metadata = entry.metadata().map_err(|error| walk_error(dir, error))?;
            bytes = bytes.saturating_add(metadata.len());
        }
        if bytes > limits.source_bytes {
            return Err(Error::SourceTooLarge { what: "bytes", limit: limits.source_bytes });
        }
        files.push(relative);
        if files.len() as u64 > limits.source_files {
            return Err(Error::SourceTooLarge { what: "files", limit: limits.source_files });
        }
    }
    files.sort();
    Ok(files)
}

/// Packs the app in `dir` as a gzipped tar in an anonymous temporary file, positioned at its start. The same
/// files give the same bytes.
pub fn pack(dir: &Path, limits: &Limits) -> Result<File, Error> {
    let files = files(dir, limits)?;
    let file = tempfile::tempfile().map_err(io_error("temporary file for the source"))?;
    let bounded = Bounded { file, left: limits.source_upload_bytes };
    let packed = pack::pack(dir, &files, bounded).map_err(|error| match error {
        pack::Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::FileTooLarge => {
            Error::SourceTooLarge { what: "bytes compressed", limit: limits.source_upload_bytes }
        }
        error => error.into(),
    })?;
    let mut file = packed.file;
    file.rewind().map_err(io_error("temporary file for the source"))?;
    Ok(file)
}

/// A file that refuses to grow over a limit.
struct Bounded {
    file: File,
    left: u64,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        let left = self.left.checked_sub(written as u64);
        self.left = left.ok_or(std::io::ErrorKind::FileTooLarge)?;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// What [`copy`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files that were new or had changed.
    pub changed: u64,
    /// Files and directories that were removed, because the source has them no more.
    pub removed: u64,
}

/// Makes `to` hold the files of the app in `dir` and nothing else, except for what is never part of an app
/// ([`files`]), such as a `node_modules` that a build left. Touches only what differs: a file of the same
/// size and time of change counts as the same.
pub fn copy(dir: &Path, to: &Path, limits: &Limits) -> Result<Copied, Error> {
    sync(dir, to, limits, Times::Source)
}

/// Which time of change a copy gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// The source's, so that the next comparison is quick.
    Source,
    /// The time of the copy, for tools that build again whatever is newer than their last result. Files are
    /// then compared by content.
    Now,
}

pub(crate) fn sync(dir: &Path, to: &Path, limits: &Limits, times: Times) -> Result<Copied, Error> {
    let files = files(dir, limits)?;
    fs::create_dir_all(to).map_err(io_at(to))?;
    let mut copied = Copied { removed: remove_others(to, &files)?, ..Copied::default() };
    for relative in &files {
        let (from, to) = (dir.join(relative), to.join(relative));
        // A file that vanishes between walk and copy is as if it had never been there: editors do that.
        match copy_file(&from, &to, times) {
            Ok(changed) => copied.changed += u64::from(changed),
            Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound
                    && from.symlink_metadata().is_err() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(copied)
}

/// Removes what is in `to` but not among `files`.
fn remove_others(to: &Path, files: &[PathBuf]) -> Result<u64, Error> {
    let mut removed = 0;
    let mut walk = walkdir::WalkDir::new(to).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(|error| io_at(to)(error.into()))?;
        let is_dir = entry.file_type().is_dir();
        let parent = entry.path().parent().unwrap_or(to);
        if always_out(parent, &entry.file_name().to_string_lossy()) {
            if is_dir {
                walk.skip_current_dir();
            }
            continue;
        }
        let relative = relative(to, entry.path())?;
        let keep = if is_dir {
            // Sorted by components, so everything below a directory follows right after it.
            let first = files.partition_point(|file| *file < relative);
            files.get(first).is_some_and(|file| file != &relative && file.starts_with(&relative))
        } else {
            files.binary_search(&relative).is_ok()
        };
        if !keep {
            crate::files::remove(entry.path())?;
            removed += 1;
            if is_dir {
                walk.skip_current_dir();
            }
        }
    }
    Ok(removed)
}

/// Copies one file or link unless `to` is the same already.
fn copy_file(from: &Path, to: &Path, times: Times) -> Result<bool, Error> {
    let metadata = from.symlink_metadata().map_err(io_at(from))?;
    let there = to.symlink_metadata().ok();
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(io_at(parent))?;
    }
    if metadata.is_symlink() {
        let link = fs::read_link(from).map_err(io_at(from))?;
        if fs::read_link(to).is_ok_and(|old| old == link) {
            return Ok(false);
        }
        crate::files::remove(to)?;
        std::os::unix::fs::symlink(link, to).map_err(io_at(to))?;
        return Ok(true);
    }
    if let Some(there) = there {
        let mode = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o777;
        let alike =
            there.is_file() && there.len() == metadata.len() && mode(&there) == mode(&metadata);
        let same = alike
            && match times {
                Times::Source => modified(&there, to)? == modified(&metadata, from)?,
                Times::Now => same_content(from, to)?,
            };
        if same {
            return Ok(false);
        }
        crate::files::remove(to)?;
    }
    fs::copy(from, to).map_err(io_at(from))?;
    if times == Times::Source {
        let file = File::options().write(true).open(to);
        // A read-only file keeps the time of its copy and is copied again next time.
        if let Ok(file) = file {
            file.set_modified(modified(&metadata, from)?).map_err(io_at(to))?;
        }
    }
    Ok(true)
}

fn modified(metadata: &fs::Metadata, path: &Path) -> Result<SystemTime, Error> {
    metadata.modified().map_err(io_at(path))
}

fn same_content(one: &Path, other: &Path) -> Result<bool, Error> {
    let digest = |path: &Path| File::open(path).and_then(Digest::of_reader).map_err(io_at(path));
    Ok(digest(one)? == digest(other)?)
}

fn relative(dir: &Path, path: &Path) -> Result<PathBuf, Error> {
    path.strip_prefix(dir)
        .map(Path::to_path_buf)
        .map_err(|error| Error::Internal(format!("{}: {error}", path.display())))
}

fn walk_error(dir: &Path, error: ignore::Error) -> Error {
    let text = error.to_string();
    match error.into_io_error() {
        Some(source) => io_error(text)(source),
        None => Error::Source { path: dir.display().to_string(), reason: text },
    }
}

#[cfg(test)]
mod tests;
