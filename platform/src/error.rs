//! What can go wrong in the control plane, and whose fault it is. `api/error.rs` turns it into a response.

use std::path::PathBuf;

use wpaas_slug::{feed::ApplyError, store};

/// An error of the platform.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist, or belongs to somebody else.
    #[error("Couldn't find that {0}.")]
    NotFound(&'static str),
    /// The request asks for something that is not allowed; the text says what is.
    #[error("{0}")]
    Invalid(String),
    /// The request cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// Bigger than a limit.
    #[error("{0}")]
    TooLarge(String),
    /// No token, or none that we know.
    #[error("Invalid credentials provided. Send a token as `Authorization: Bearer TOKEN`.")]
    Unauthorized,
    /// No account with this e-mail address and password; which of the two is wrong is nobody's business.
    #[error("There was a problem with your login: the e-mail address or the password is wrong.")]
    WrongPassword,
    /// The token is good, but not for this.
    #[error("{0}")]
    Forbidden(String),
    /// The account used up its requests.
    #[error("Your account reached the API rate limit. Wait a minute and try again.")]
    RateLimited,
    /// Not now, because of something that goes on; the text says what to wait for.
    #[error("{0}")]
    Conflict(String),
    /// A bounded queue is full.
    #[error("{0}")]
    Busy(String),
    /// The node cannot run what was asked for; nothing was changed.
    #[error("{0}")]
    Refused(ApplyError),
    /// The change is recorded, but the node did not take it.
    #[error(
        "The change is recorded, but the node did not take it: {0}. \
         It will when the app changes next or wpaas is restarted."
    )]
    NotApplied(ApplyError),
    /// The builder refused or failed; its text is for the person who deploys.
    #[error("{0}")]
    Build(String),
    /// The object store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database's schema cannot be brought up to date.
    #[error("database schema: {0}. Was this data directory written by a newer wpaas?")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not what we wrote.
    #[error("damaged data: {0}. `wpaas releases:verify` names the entry.")]
    Corrupt(String),
    /// The data directory cannot be used.
    #[error("cannot use data directory {path}: {reason}", path = path.display())]
    DataDir {
        /// The directory or the file in it.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file in the data directory cannot be read or written.
    #[error("{context}: {source}")]
    Io {
        /// What was being done.
        context: String,
        /// The cause.
        source: std::io::Error,
    },
    /// The platform is stopping.
    #[error("wpaas is shutting down; try again when it is back.")]
    Stopping,
}

/// For `map_err`: an I/O error with what was being done.
pub(crate) fn io(context: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let context = context.into();
    move |source| Error::Io { context, source }
}

/// Whether a statement failed because a UNIQUE constraint forbids the row.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(error) if error.is_unique_violation())
}

/// For `map_err` of inserts for an app: the app may have been deleted meanwhile.
pub(crate) fn app_is_gone(error: sqlx::Error) -> Error {
    let gone = matches!(&error, sqlx::Error::Database(error) if error.is_foreign_key_violation());
    if gone { Error::NotFound("app") } else { error.into() }
}
