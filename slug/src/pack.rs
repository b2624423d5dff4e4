//! Archives: a directory packed into a gzipped tar, and untrusted archives unpacked safely.
//!
//! Used for source uploads, for buildpacks given as tarballs and for slugs built on the user's machine.

use std::{
    fs::File,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

use crate::path;

/// Why an archive was refused or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An entry's path would land outside, or is malformed.
    #[error("archive refused: {0}")]
    Path(#[from] path::Error),
    /// An entry is a link out of the tree, a device or the like.
    #[error("archive refused: {path} is {what}")]
    Entry {
        /// The entry.
        path: String,
        /// Why it cannot be taken.
        what: &'static str,
    },
    /// More than the limit.
    #[error("archive refused: it holds more than {limit} {what}")]
    Limit {
        /// Unit.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// Not a gzipped tar, or the disk failed.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The cause.
        source: std::io::Error,
    },
}

fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let context = context.into();
    move |source| Error::Io { context, source }
}

/// How much an archive may hold once unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

/// Packs `files` (paths relative to `root`, in the order given) as a gzipped tar. The same files give the
/// same bytes: no times, owners or other modes than 644 and 755 are recorded.
pub fn pack<W: Write>(root: &Path, files: &[PathBuf], to: W) -> Result<W, Error> {
    let mut archive = tar::Builder::new(GzEncoder::new(to, Compression::fast()));
    for relative in files {
        let name = path::check_os(relative)?;
        let full = root.join(relative);
        let metadata = full.symlink_metadata().map_err(io(full.display().to_string()))?;
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        if metadata.is_symlink() {
            let target = full.read_link().map_err(io(full.display().to_string()))?;
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            archive.append_link(&mut header, name, target).map_err(io(name))?;
        } else if metadata.is_file() {
            let file = File::open(&full).map_err(io(full.display().to_string()))?;
            let executable = metadata.permissions().mode() & 0o111 != 0;
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(metadata.len());
            header.set_mode(if executable { 0o755 } else { 0o644 });
            // A file that grows meanwhile must not overrun the size that the header announced.
            let content = file.take(metadata.len());
            archive.append_data(&mut header, name, content).map_err(io(name))?;
        }
    }
    archive.into_inner().and_then(GzEncoder::finish).map_err(io("archive"))
}

/// Unpacks an untrusted gzipped tar into the empty directory `to`. Refuses `..`, absolute paths, links
/// that leave the tree, devices, and anything over `bounds`; on error `to` holds part of the archive and is
/// the caller's to delete.
pub fn unpack(from: impl Read, to: &Path, bounds: Bounds) -> Result<(), Error> {
    let mut bytes = 0_u64;
    let mut entries = 0_u64;
    let mut links = Vec::new();
    // The tar reader itself reads headers and long names; this stops a bomb in either.
    let ceiling =
        bounds.bytes.saturating_add(bounds.entries.saturating_mul(4_096)).saturating_add(1);
    let mut archive = tar::Archive::new(GzDecoder::new(from).take(ceiling));
    for entry in archive.entries().map_err(io("not a gzipped tar archive"))? {
        let mut entry = entry.map_err(io("not a gzipped tar archive, or a damaged one"))?;
        entries += 1;
        if entries > bounds.entries {
            return Err(Error::Limit { what: "files", limit: bounds.entries });
        }
        let raw = entry.path().map_err(io("archive entry"))?.into_owned();
        let text = raw.to_string_lossy();
        // `tar czf x.tgz .` names everything `./…`, and directories end in `/`.
        let name = text.strip_prefix("./").unwrap_or(&text).trim_end_matches('/').to_owned();
        if name.is_empty() || name == "." {
            continue;
        }
        path::check(&name)?;
        let target = to.join(&name);
        let refused = |what| Error::Entry { path: name.clone(), what };
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                std::fs::create_dir_all(&target).map_err(io(name.clone()))?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                bytes = bytes.saturating_add(entry.size());
                if bytes > bounds.bytes {
                    return Err(Error::Limit { what: "bytes", limit: bounds.bytes });
                }
                let executable = entry.header().mode().unwrap_or(0o644) & 0o111 != 0;
                write_file(&mut entry, &target, executable, &name)?;
            }
            tar::EntryType::Symlink => {
                let link = entry.link_name().map_err(io(name.clone()))?;
                let link = link.ok_or_else(|| refused("a link to nowhere"))?.into_owned();
                if !stays_inside(&name, &link) {
                    return Err(refused("a link that leads out of the archive"));
                }
                links.push((target, link, name));
            }
            tar::EntryType::XGlobalHeader => {}
            _ => return Err(refused("neither a file, a directory nor a symbolic link")),
        }
    }
    // Links come last, so that no entry can be written through one.
    for (target, link, name) in &links {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).map_err(io(name.clone()))?;
        }
        if target.symlink_metadata().is_ok() {
            return Err(Error::Entry { path: name.clone(), what: "listed twice" });
        }
        std::os::unix::fs::symlink(link, target).map_err(io(name.clone()))?;
    }
    // A link through another link can climb further than its own text says, so ask the file system too.
    let root = to.canonicalize().map_err(io(to.display().to_string()))?;
    for (target, _, name) in links {
        match target.canonicalize() {
            Ok(real) if real.starts_with(&root) => {}
            Ok(_) => {
                let what = "a link that leads out of the archive";
                return Err(Error::Entry { path: name, what });
            }
            // It leads nowhere now; do not let it lead somewhere later.
            Err(_) => std::fs::remove_file(&target).map_err(io(name))?,
        }
    }
    Ok(())
}

fn write_file(
    content: &mut impl Read,
    target: &Path,
    executable: bool,
    name: &str,
) -> Result<(), Error> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).map_err(io(name))?;
    }
    let mut file = File::create(target).map_err(io(name))?;
    std::io::copy(content, &mut file).map_err(io(name))?;
    let mode = if executable { 0o755 } else { 0o644 };
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(io(name))
}

/// Whether a link at `name` pointing to `link` stays in the tree when `..` is followed literally.
pub fn stays_inside(name: &str, link: &Path) -> bool {
    let mut depth = name.matches('/').count();
    for part in link.components() {
        match part {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return false,
            },
            std::path::Component::RootDir | std::path::Component::Prefix(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests;
