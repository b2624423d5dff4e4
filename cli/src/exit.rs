//! How a command ends: the exit codes, and the last line that a person sees.
//!
//! 0 ok; 1 the operation failed; 2 usage; 3 the server cannot be reached; 4 not authorised;
//! 130 interrupted.

use std::{io, process::ExitCode};

use crate::{api, output::Style};

/// The operation failed.
pub(crate) const FAILED: u8 = 1;
/// The command line or what it names makes no sense; clap uses the same code.
pub(crate) const USAGE: u8 = 2;
/// No server answered.
pub(crate) const UNREACHABLE: u8 = 3;
/// The server refused the token, or there is none.
pub(crate) const UNAUTHORISED: u8 = 4;
/// Ended by Ctrl-C: 128 + SIGINT, as shells count.
pub(crate) const INTERRUPTED: u8 = 130;

/// A command line that clap accepts and that still cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// Ctrl-C.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// A failure whose explanation has been printed already (a build's own output, say).
#[derive(Debug, thiserror::Error)]
#[error("failed")]
pub(crate) struct Explained;

/// The command that a one-off dyno ran ended with this status, which is this command's as well.
#[derive(Debug, thiserror::Error)]
#[error("exited with status {0}")]
pub(crate) struct Status(pub(crate) u8);

/// The exit code for an error.
pub(crate) fn code(error: &anyhow::Error) -> u8 {
    for cause in error.chain() {
        if let Some(api) = cause.downcast_ref::<api::Error>() {
            return match api {
                api::Error::Unreachable { .. } | api::Error::Lost { .. } => UNREACHABLE,
                api::Error::Unauthorised { .. } | api::Error::Forbidden { .. } => UNAUTHORISED,
                api::Error::BadUrl { .. } => USAGE,
                _ => FAILED,
            };
        }
        if let Some(Status(status)) = cause.downcast_ref() {
            return *status;
        }
        if cause.is::<Usage>() {
            return USAGE;
        }
        if cause.is::<Interrupted>() {
            return INTERRUPTED;
        }
        if is_broken_pipe(cause) {
            return 0;
        }
    }
    FAILED
}

/// Prints what went wrong, once, and gives the process's exit code.
pub(crate) fn report(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let silent = error.chain().any(|cause| {
        // Whoever reads from us has read enough (`wpaas logs | head`), or knows already.
        is_broken_pipe(cause) && !error.chain().any(|cause| cause.is::<api::Error>())
            || cause.is::<Explained>()
            || cause.is::<Status>()
            || cause.is::<Interrupted>()
    });
    if !silent {
        let style = Style::of_stderr();
        eprintln!("{} {error:#}", style.red("Error:"));
    }
    ExitCode::from(code(&error))
}

fn is_broken_pipe(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_code() {
        let url = || "http://127.0.0.1:5080".to_owned();
        let cases: Vec<(anyhow::Error, u8)> = vec![
            (anyhow::anyhow!("build failed"), 1),
            (Explained.into(), 1),
            (Status(7).into(), 7),
            (Usage("no app".into()).into(), 2),
            (api::Error::BadUrl { url: url(), reason: "no host".into() }.into(), 2),
            (api::Error::Unreachable { url: url(), reason: None }.into(), 3),
            (api::Error::Lost { url: url(), reason: "reset".into() }.into(), 3),
            (api::Error::Unauthorised { url: url(), advice: "log in".into() }.into(), 4),
            (Interrupted.into(), 130),
            (io::Error::from(io::ErrorKind::BrokenPipe).into(), 0),
            (io::Error::from(io::ErrorKind::NotFound).into(), 1),
        ];
        for (error, expected) in cases {
            let shown = format!("{error:?}");
            assert_eq!(code(&error), expected, "{shown}");
            assert_eq!(code(&error.context("while deploying")), expected, "{shown}, wrapped");
        }
    }
}
