//! Processes: commands (`wasi:cli/run`) that run by themselves, not for a request. Workers are kept running
//! ([`Workers`]); one-off dynos run once ([`wpaas_slug::feed::NodeLink::run`]).
//!
//! There are no signals. A process is asked to end by the end of its standard input, and has `drain_ms` to do so.

mod command;
mod one_off;
mod rest;
mod run;
mod table;
mod terminal;
mod workers;

pub(crate) use command::run;
pub(crate) use rest::Crashes;
pub(crate) use run::{Process, silent, until};
pub(crate) use table::OneOffs;
pub(crate) use workers::Workers;
