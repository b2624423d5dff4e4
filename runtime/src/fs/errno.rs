//! What can go wrong in a dyno's file system, in POSIX's words. Each guest interface translates them into
//! its own.

use std::io::ErrorKind;

/// Why an operation is refused or has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Errno {
    #[error("bad descriptor")]
    BadDescriptor,
    #[error("resource busy")]
    Busy,
    #[error("file exists")]
    Exist,
    #[error("file too large")]
    FileTooLarge,
    #[error("invalid argument")]
    Invalid,
    #[error("i/o error")]
    Io,
    #[error("is a directory")]
    IsDirectory,
    #[error("too many levels of symbolic links")]
    Loop,
    #[error("name too long")]
    NameTooLong,
    #[error("no such file or directory")]
    NoEntry,
    #[error("no space left")]
    NoSpace,
    #[error("not a directory")]
    NotDirectory,
    #[error("directory not empty")]
    NotEmpty,
    #[error("operation not permitted")]
    NotPermitted,
    #[error("too many links")]
    TooManyLinks,
}

/// Errors of the host's disk. They are the operator's to repair, so they go to the node's log with their
/// reason; the guest learns only what a process would.
impl From<std::io::Error> for Errno {
    fn from(error: std::io::Error) -> Self {
        tracing::error!("a dyno's files: {error}");
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::Io,
        }
    }
}
