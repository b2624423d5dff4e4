//! Brings a buildpack from a git repository or a web server to the app's cache.
//!
//! git and curl run in the build's sandbox, so a fetch reaches what any build reaches. What they write is bounded as
//! it is written; what came is unpacked as any untrusted archive. A copy is kept for each address, and used again
//! while the other side says that it has nothing newer.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wpaas_slug::{Digest, pack};

use super::super::{Build, place::Place};
use crate::{
    error::io_at,
    files,
    sandbox::{Command, Deadline, check},
};

/// What git answers about one reference.
const ANSWER_BYTES: usize = 64 * 1024;
/// Units of `ulimit -f`.
const BLOCK: u64 = 512;
/// Protocols that git may speak, also where a server sends it elsewhere.
const PROTOCOLS: &str = "https:git:file";

/// Why there is no buildpack.
#[derive(Debug)]
pub(in super::super) enum Error {
    /// The buildpack is at fault.
    Refused(String),
    Build(crate::Error),
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        Self::Build(error)
    }
}

/// The directory of all that was fetched for an app.
pub(in super::super) fn directory(cache: &Path) -> PathBuf {
    cache.join("buildpacks")
}

/// The name of a place in that directory.
pub(in super::super) fn key(place: &Place) -> Option<String> {
    match place {
        Place::Git { url, reference, .. } => {
            let reference = reference.as_deref().unwrap_or_default();
            Some(Digest::of(format!("git {url}#{reference}").as_bytes()).short())
        }
        Place::Tarball(url) => Some(Digest::of(format!("tarball {url}").as_bytes()).short()),
        Place::Local(path) => {
            let path = path.display();
            Some(Digest::of(format!("local {path}").as_bytes()).short())
        }
        Place::BuiltIn(_) => None,
    }
}

/// A directory with the buildpack.
pub(super) async fn fetch(place: &Place, build: &Build<'_>) -> Result<PathBuf, Error> {
    let kept = kept(place, build);
    fs::create_dir_all(&kept).map_err(io_at(&kept))?;
    let deadline = Deadline::after_ms(build.tools.limits.buildpack_fetch_ms);
    let fetch = Fetch { build, deadline, kept };
    match place {
        Place::Git { url, reference, local } => {
            fetch.git(url, reference.as_deref(), local.as_deref()).await
        }
        Place::Tarball(url) => fetch.tarball(url).await,
        Place::BuiltIn(_) | Place::Local(_) => Err(Error::Refused("it needs no fetching".into())),
    }
}

fn kept(place: &Place, build: &Build<'_>) -> PathBuf {
    directory(build.cache).join(key(place).unwrap_or_default())
}

/// The buildpack in a tarball of this machine.
pub(super) async fn local(archive: PathBuf, build: &Build<'_>) -> Result<PathBuf, Error> {
    let kept = kept(&Place::Local(archive.clone()), build);
    unpack(archive, kept.join("tree"), build).await
}

/// Unpacks an archive into the directory `to`, and returns where in it the buildpack is.
async fn unpack(archive: PathBuf, to: PathBuf, build: &Build<'_>) -> Result<PathBuf, Error> {
    let limits = &build.tools.limits;
    let bounds = pack::Bounds { bytes: limits.buildpack_bytes, entries: limits.source_files };
    let unpacked = files::blocking(move || {
        files::fresh_dir(&to)?;
        let file = fs::File::open(&archive).map_err(io_at(&archive))?;
        Ok(pack::unpack(std::io::BufReader::new(file), &to, bounds)
            .map(|()| only_directory(&to).unwrap_or(to)))
    });
    unpacked.await?.map_err(|error| Error::Refused(error.to_string()))
}

/// Archives often hold one directory with everything inside.
fn only_directory(dir: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let only = entries.next().filter(|entry| entry.file_name() != "bin")?;
    (entries.next().is_none() && only.path().is_dir()).then(|| only.path())
}

struct Fetch<'a> {
    build: &'a Build<'a>,
    deadline: Deadline,
    /// `version`, by which the other side knows what was fetched, and `tree`.
    kept: PathBuf,
}

impl Fetch<'_> {
    async fn git(
        &self,
        url: &str,
        reference: Option<&str>,
        local: Option<&Path>,
    ) -> Result<PathBuf, Error> {
        let reference = reference.unwrap_or("HEAD");
        let bare = self.build.workspace.dir("buildpack.git")?;
        let git = |arguments: &[&str]| {
            let mut command = self.program("git", &bare)?;
            command = local.into_iter().fold(command, Command::readable);
            Ok::<_, Error>(command.args(arguments))
        };
        let is_commit =
            matches!(reference.len(), 40 | 64) && reference.chars().all(|c| c.is_ascii_hexdigit());
        let version = if is_commit {
            reference.to_owned()
        } else {
            let asked = git(&["ls-remote", "--exit-code", "--", url, reference])?;
            let Build { tools, workspace, output, .. } = *self.build;
            let answer =
                tools.sandbox.capture(asked, workspace, self.deadline, output, ANSWER_BYTES);
            let answer = answer.await?;
            match answer.status.code() {
                Some(0) => Digest::of(&answer.stdout).to_string(),
                // git's own words for that.
                Some(2) => {
                    return Err(Error::Refused(format!("the repository has no {reference}")));
                }
                _ => return Err(Error::Refused("git cannot reach the repository".into())),
            }
        };
        if let Some(tree) = self.unchanged(&version) {
            return Ok(tree);
        }
        self.run(git(&["init", "--quiet", "--bare", "."])?).await?;
        let keep = "fetch.unpackLimit=1";
        let fetch =
            ["-c", keep, "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, reference];
        self.run(git(&fetch)?).await?;
        let archive = ["archive", "--format=tar.gz", "--output=buildpack.tgz", "FETCH_HEAD"];
        self.run(git(&archive)?).await?;
        self.keep(bare.join("buildpack.tgz"), &version).await
    }

    async fn tarball(&self, url: &str) -> Result<PathBuf, Error> {
        let dir = self.build.workspace.dir("buildpack.tgz")?;
        let limit = self.build.tools.limits.buildpack_bytes;
        let options = ["--fail", "--silent", "--show-error", "--location", "--max-redirs", "5"];
        let mut curl = self
            .program("curl", &dir)?
            .args(options)
            .args(["--proto", "=https", "--proto-redir", "=https"])
            .args(["--etag-save", "etag", "--output", "archive"])
            .args(["--max-filesize", &limit.to_string()]);
        let version = self.kept.join("version");
        if self.tree().is_some() && version.is_file() {
            fs::copy(&version, dir.join("known")).map_err(io_at(&version))?;
            curl = curl.args(["--etag-compare", "known"]);
        }
        self.run(curl.arg("--").arg(url)).await?;
        let archive = dir.join("archive");
        // A server that has nothing newer sends nothing.
        if !archive.metadata().is_ok_and(|archive| archive.len() > 0)
            && let Some(tree) = self.tree()
        {
            return Ok(tree);
        }
        let etag = fs::read_to_string(dir.join("etag")).unwrap_or_default();
        self.keep(archive, &etag).await
    }

    /// `name`, which must be installed, in `dir`; no file that it writes has more than the limit.
    fn program(&self, name: &str, dir: &Path) -> Result<Command, Error> {
        let sandbox = &self.build.tools.sandbox;
        let program = sandbox.host().find(name).ok_or_else(|| {
            let text =
                format!("fetching buildpacks needs {name}: install it on the platform's machine");
            crate::Error::Toolchain(text)
        })?;
        let blocks = self.build.tools.limits.buildpack_bytes.div_ceil(BLOCK);
        Ok(Command::new("/bin/sh", dir, name)
            .arg("-c")
            .arg(format!("ulimit -f {blocks}; exec \"$0\" \"$@\""))
            .arg(program)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS))
    }

    async fn run(&self, command: Command) -> Result<(), Error> {
        let Build { tools, workspace, output, .. } = *self.build;
        let shown = command.shown().to_owned();
        // Its words are the person's who deploys, and nothing else is printed.
        let run = tools.sandbox.capture(command, workspace, self.deadline, output, 0).await?;
        check(run.status, shown).map_err(|error| {
            let limit = self.build.tools.limits.buildpack_bytes;
            Error::Refused(format!(
                "it cannot be fetched ({error}; at most {limit} bytes are taken)"
            ))
        })
    }

    fn tree(&self) -> Option<PathBuf> {
        let tree = self.kept.join("tree");
        tree.is_dir().then(|| only_directory(&tree).unwrap_or(tree))
    }

    /// The kept copy, if it is of this version.
    fn unchanged(&self, version: &str) -> Option<PathBuf> {
        let kept = fs::read_to_string(self.kept.join("version")).ok()?;
        self.tree().filter(|_| kept == version)
    }

    /// Replaces the kept copy. Its version is written last, so that half a copy has none.
    async fn keep(&self, archive: PathBuf, version: &str) -> Result<PathBuf, Error> {
        let file = self.kept.join("version");
        files::remove(&file)?;
        let tree = self.kept.join("tree");
        let dir = unpack(archive, tree.clone(), self.build).await;
        if dir.is_err() {
            files::remove(&tree)?;
        }
        let dir = dir?;
        files::write_whole(&file, version.as_bytes())?;
        Ok(dir)
    }
}

/// Removes what was fetched for buildpacks that the app has no longer.
pub(in super::super) fn forget_others(cache: &Path, places: &[Place]) -> Result<(), crate::Error> {
    let keys: Vec<String> = places.iter().filter_map(key).collect();
    let Ok(entries) = fs::read_dir(directory(cache)) else { return Ok(()) };
    for entry in entries.filter_map(Result::ok) {
        if !keys.iter().any(|key| entry.file_name() == **key) {
            files::remove(&entry.path())?;
        }
    }
    Ok(())
}
