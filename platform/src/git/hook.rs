//! The pre-receive hook of a push: a script of three lines that hands the updates to this process and prints
//! what this process says, by pipes with names in a directory of the push's own.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

use rustix::fs::{CWD, Mode};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::unix::pipe,
};

use crate::{Error, error::io};

/// The output is opened before the updates are told, so that nothing is said to nobody.
const SCRIPT: &str = "#!/bin/sh
exec 3< \"$WPAAS_PUSH/said\" || exit 1
{ echo \"$GIT_QUARANTINE_PATH\"; cat; echo end; } > \"$WPAAS_PUSH/updates\" || exit 1
cat <&3
exit \"$(cat \"$WPAAS_PUSH/status\")\"
";

/// Names of all refs of one push; one has at most some 100 bytes.
const UPDATES_BYTES: u64 = 256 * 1024;

/// A ref that a push wants to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Update {
    /// The object that the ref has now; all zeros for none.
    pub(super) old: String,
    /// The object that it is to have; all zeros to delete it.
    pub(super) new: String,
    /// `refs/heads/main`
    pub(super) name: String,
}

impl Update {
    /// `OLD NEW NAME`
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        let (old, new, name) = (words.next()?, words.next()?, words.next()?);
        let id = |word: &str| {
            matches!(word.len(), 40 | 64) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        (id(old) && id(new)).then(|| Self { old: old.into(), new: new.into(), name: name.into() })
    }
}

/// What a push asks for, when git has taken its objects into quarantine.
pub(super) struct Asked {
    pub(super) quarantine: PathBuf,
    pub(super) updates: Vec<Update>,
    pub(super) answer: Answer,
}

/// Where the push is answered.
pub(super) struct Answer {
    directory: PathBuf,
    said: pipe::Sender,
}

/// The hook of one push, before it runs.
pub(super) struct Hook {
    directory: TempDir,
    updates: pipe::Receiver,
    said: pipe::Sender,
}

impl Hook {
    /// Makes it in a directory of its own.
    pub(super) fn new(directory: TempDir) -> Result<Self, Error> {
        let make = || -> std::io::Result<(pipe::Receiver, pipe::Sender)> {
            let hooks = directory.path().join("hooks");
            std::fs::create_dir(&hooks)?;
            let script = hooks.join("pre-receive");
            std::fs::write(&script, SCRIPT)?;
            std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700))?;
            let (updates, said) = (directory.path().join("updates"), directory.path().join("said"));
            for path in [&updates, &said] {
                rustix::fs::mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
            }
            // Both ends, so that neither side's opening waits for the other's.
            let mut options = pipe::OpenOptions::new();
            options.read_write(true);
            Ok((options.open_receiver(&updates)?, options.open_sender(&said)?))
        };
        let (updates, said) = make().map_err(io("hook of a push"))?;
        Ok(Self { directory, updates, said })
    }

    /// For `core.hooksPath`.
    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("hooks")
    }

    /// For the script's `WPAAS_PUSH`.
    pub(super) fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Waits until git runs the hook, which it does not where it refuses the push by itself. The directory has
    /// to stay until git has ended.
    pub(super) async fn asked(self) -> Result<(Asked, TempDir), Error> {
        let mut lines = BufReader::new(self.updates.take(UPDATES_BYTES)).lines();
        let context = "updates of a push";
        let quarantine = lines.next_line().await.map_err(io(context))?.unwrap_or_default();
        let mut updates = Vec::new();
        loop {
            match lines.next_line().await.map_err(io(context))? {
                Some(line) if line == "end" => break,
                Some(line) => updates.push(Update::parse(&line).ok_or_else(|| {
                    Error::Invalid(format!("git's update {line:?} cannot be read."))
                })?),
                None => {
                    return Err(Error::TooLarge("The push changes too many branches.".into()));
                }
            }
        }
        let answer = Answer { directory: self.directory.path().to_owned(), said: self.said };
        Ok((Asked { quarantine: quarantine.into(), updates, answer }, self.directory))
    }
}

impl Answer {
    /// Prints bytes as they are: whole lines, or parts of them. A client that is gone reads nothing.
    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.said.write_all(bytes).await.map_err(io("answer to a push"))
    }

    /// Prints a line.
    pub(super) async fn line(&mut self, text: &str) -> Result<(), Error> {
        self.raw(format!("{text}\n").as_bytes()).await
    }

    /// Ends the hook: git moves the refs, or refuses to.
    pub(super) fn end(self, accepted: bool) -> Result<(), Error> {
        let status = if accepted { "0" } else { "1" };
        std::fs::write(self.directory.join("status"), status).map_err(io("answer to a push"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gits_own_lines_are_updates() {
        let (old, new) = ("0".repeat(40), "a1".repeat(20));
        let update = Update::parse(&format!("{old} {new} refs/heads/main")).unwrap();
        assert_eq!(
            update,
            Update { old: old.clone(), new: new.clone(), name: "refs/heads/main".into() }
        );
        for line in
            ["", "end", &old, &format!("{old} {new}"), &format!("{old} ../../x refs/heads/main")]
        {
            assert_eq!(Update::parse(line), None, "{line}");
        }
    }
}
