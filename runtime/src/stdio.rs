//! Standard input and output of commands (`wasi:cli/run`), as streams that wait for whoever is slower.

mod input;
mod pipe;

pub(crate) use input::{Input, Source};
pub(crate) use pipe::{Reader, Writer, pipe};
