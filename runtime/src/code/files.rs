//! The directory of machine code: its files' names, what is recorded of them, and which of them go.
//!
//! `<component>-<shape>.cwasm` is code, both in hex, so that another version of wpaas sees which components
//! it has no code of its own shape for. `.sha256` beside it is its record. The record's modification
//! time says when the code was last used: changing the code file's own would change its [`Identity`].

use std::{
    collections::HashSet,
    fs::{File, Metadata},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use wpaas_slug::Digest;

/// A record is far shorter, in bytes.
const RECORD_BYTES: u64 = 1024;
/// How exact the time of the last use is. Nodes that run mark what they have mapped more often than this.
const USE_GRANULARITY: Duration = Duration::from_secs(3600);
/// Temporary files that are older belong to a process that was killed.
const TEMPORARY_AGE: Duration = Duration::from_secs(24 * 3600);
const CODE: &str = "cwasm";
const RECORD: &str = "sha256";
const TEMPORARY: &str = ".tmp";

/// Where code files are.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    boot: String,
}

/// One code file.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// Component and shape; `None` when an earlier version of wpaas has named the file.
    pub(crate) name: Option<(Digest, String)>,
    pub(crate) bytes: u64,
    pub(crate) used: SystemTime,
}

/// What a record says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The digest of the code file when the compiler had written it.
    digest: Digest,
    /// The file whose content was last found to have that digest.
    verified: Option<Identity>,
}

/// What tells a file that nobody has written to: device, inode, size, times of change, and the machine's
/// boot. As text, because it is only ever compared.
#[derive(Debug, PartialEq, Eq)]
struct Identity(String);

/// Which code is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// Code of other shapes that nobody has used for this long goes.
    pub(crate) unused: Duration,
    /// Bytes of all code; beyond that the code that was not used longest goes.
    pub(crate) bytes: u64,
}

impl Files {
    pub(crate) fn open(directory: PathBuf) -> io::Result<Self> {
        // Machine code is loaded from here: nobody else may write.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        // Without this file every process verifies everything once.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());
        Ok(Self { directory, boot: boot.trim().to_owned() })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a component's code.
    pub(crate) fn path(&self, component: Digest, shape: &str) -> PathBuf {
        self.directory.join(format!("{}-{shape}.{CODE}", component.hex()))
    }

    /// A file for the compiler to write to.
    pub(crate) fn temporary(&self) -> io::Result<tempfile::TempPath> {
        Ok(temporary_in(&self.directory)?.into_temp_path())
    }

    /// Takes a file that the compiler has just written, and puts it in place.
    pub(crate) fn install(&self, written: tempfile::TempPath, path: &Path) -> io::Result<()> {
        let mut file = File::open(&written)?;
        let (digest, _) = Digest::of_reader(&mut file)?;
        // A power cut may still leave less than this, and the digest tells; but then it is compiled again.
        file.sync_all()?;
        written.persist(path).map_err(|error| error.error)?;
        let verified = Some(self.identity(&file.metadata()?));
        Record { digest, verified }.write(path)
    }

    /// Whether the code is what the compiler wrote. The file is read for that once after each boot of the
    /// machine, and again when anything has happened to it.
    pub(crate) fn verify(&self, path: &Path) -> bool {
        let Some((record, used)) = Record::read(path) else { return false };
        let Ok(mut file) = File::open(path) else { return false };
        let Ok(metadata) = file.metadata() else { return false };
        let identity = self.identity(&metadata);
        if record.verified.as_ref() == Some(&identity) {
            if used.elapsed().is_ok_and(|age| age > USE_GRANULARITY) {
                self.touch(path);
            }
            return true;
        }
        if !Digest::of_reader(&mut file).is_ok_and(|(digest, _)| digest == record.digest) {
            tracing::warn!(path = %path.display(), "compiled code is damaged; compiling it again");
            return false;
        }
        let record = Record { verified: Some(identity), ..record };
        if let Err(error) = record.write(path) {
            tracing::warn!(path = %path.display(), "it will be verified again: {error}");
        }
        true
    }

    /// Marks code as used now.
    pub(crate) fn touch(&self, path: &Path) {
        let record = File::options().write(true).open(path.with_extension(RECORD));
        if let Err(error) = record.and_then(|record| record.set_modified(SystemTime::now())) {
            tracing::debug!(path = %path.display(), "cannot mark code as used: {error}");
        }
    }

    fn identity(&self, file: &Metadata) -> Identity {
        let (boot, device, inode, size) = (&self.boot, file.dev(), file.ino(), file.size());
        let (modified, changed) = (file.mtime(), file.ctime());
        let (modified_ns, changed_ns) = (file.mtime_nsec(), file.ctime_nsec());
        Identity(format!(
            "{boot} {device} {inode} {size} {modified}.{modified_ns} {changed}.{changed_ns}"
        ))
    }

    /// All code files, those used last first.
    pub(crate) fn list(&self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            // It may go away meanwhile.
            let Ok(metadata) = path.metadata() else { continue };
            if path.extension().is_some_and(|extension| extension == CODE) {
                let record = path.with_extension(RECORD).metadata();
                let used = record.and_then(|record| record.modified()).or(metadata.modified());
                let used = used.unwrap_or(SystemTime::UNIX_EPOCH);
                entries.push(Entry { name: name(&path), path, bytes: metadata.len(), used });
            }
        }
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.used));
        Ok(entries)
    }

    /// Removes code of shapes other than `shape` that nobody uses, then the code that was not used longest
    /// while there is too much of it; never what is `mapped`. Another process that has mapped a file
    /// keeps its content all the same. Returns how many files went.
    pub(crate) fn prune(
        &self,
        shape: &str,
        keep: Keep,
        mapped: &HashSet<PathBuf>,
    ) -> io::Result<u64> {
        self.remove_temporary()?;
        let (mapped, others): (Vec<Entry>, Vec<Entry>) =
            self.list()?.into_iter().partition(|entry| mapped.contains(&entry.path));
        let mut bytes = mapped.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.bytes));
        let mut removed = 0;
        for entry in others {
            let own = entry.name.as_ref().is_some_and(|(_, of)| of == shape);
            let unused = entry.used.elapsed().unwrap_or_default();
            let stale = !own && unused > keep.unused;
            let excess = bytes.saturating_add(entry.bytes) > keep.bytes;
            if stale || excess {
                remove(&entry.path)?;
                removed += 1;
            } else {
                bytes = bytes.saturating_add(entry.bytes);
            }
        }
        Ok(removed)
    }

    fn remove_temporary(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(TEMPORARY) {
                let modified = path.metadata().and_then(|metadata| metadata.modified());
                let age = modified.ok().and_then(|modified| modified.elapsed().ok());
                if age.is_some_and(|age| age > TEMPORARY_AGE) {
                    ignore_absent(std::fs::remove_file(&path))?;
                }
            }
        }
        Ok(())
    }
}

fn temporary_in(directory: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().suffix(TEMPORARY).tempfile_in(directory)
}

/// The record goes first: code without one is never loaded.
fn remove(path: &Path) -> io::Result<()> {
    ignore_absent(std::fs::remove_file(path.with_extension(RECORD)))?;
    ignore_absent(std::fs::remove_file(path))
}

/// Another node may have removed it.
fn ignore_absent(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Component and shape from a file's name.
fn name(path: &Path) -> Option<(Digest, String)> {
    let (component, shape) = path.file_stem()?.to_str()?.split_once('-')?;
    let component = format!("sha256:{component}").parse().ok()?;
    (!shape.is_empty()).then(|| (component, shape.to_owned()))
}

impl Record {
    /// The record of a code file, and when the code was last used.
    fn read(path: &Path) -> Option<(Self, SystemTime)> {
        let file = File::open(path.with_extension(RECORD)).ok()?;
        let used = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
        let mut bytes = Vec::new();
        file.take(RECORD_BYTES).read_to_end(&mut bytes).ok()?;
        Some((Self::parse(&bytes)?, used))
    }

    /// A digest, and the identity on a line of its own.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut lines = std::str::from_utf8(bytes).ok()?.lines();
        let digest = lines.next()?.parse().ok()?;
        let verified = lines.next().filter(|line| !line.is_empty());
        Some(Self { digest, verified: verified.map(|line| Identity(line.to_owned())) })
    }

    pub(crate) fn render(&self) -> String {
        let verified = self.verified.as_ref().map_or("", |identity| &identity.0);
        format!("{}\n{verified}\n", self.digest)
    }

    /// Writes the record of a code file, so that it appears whole or not at all.
    fn write(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = temporary_in(directory)?;
        file.write_all(self.render().as_bytes())?;
        file.persist(path.with_extension(RECORD)).map(drop).map_err(|error| error.error)
    }
}

#[cfg(test)]
pub(crate) mod tests;
