//! A dyno's file system: `/app` with the slug's files and the dyno's private changes on top, a private
//! `/tmp`, and nothing else.
//!
//! Why not directories of the host, which wasmtime-wasi would open for a guest: making and opening them
//! costs each fresh instance a dozen system calls, an `/app` that can be written needs a copy or a mount of
//! its own, nothing would bound what a guest writes, each descriptor of a guest would be one of the node,
//! and safety would rest on resolving guests' paths on the host's tree without a mistake. Here a tree is a table
//! in memory ([`Volume`](volume::Volume)) over one that all dynos of a slug share ([`Base`]). A path only ever
//! leads to a number in that table ([`walk`]), so there is nothing to escape to. The host's disk holds contents
//! alone: the slug's in the node's blobs, which are never written, and the dyno's own in files named by
//! number, made at its first write and gone with it.
//!
//! | file | subject |
//! |---|---|
//! | `base` | the shared tree |
//! | `node`, `volume` | the dyno's own nodes over it, what is open, quotas |
//! | `walk`, `paths` | from a path to a node, and what can be done there |
//! | `content`, `now` | bytes: copy on the first write, without blocking threads that serve requests |
//! | `disk` | tables and content together: what descriptors and streams hold |
//! | `streams`, `p2` | the guest's interfaces: wasi:io streams, wasi:filesystem 0.2 |
//!
//! Everything but the last row knows nothing of WIT, so that wasi:filesystem 0.3 can be one more file.

mod base;
mod content;
mod disk;
mod errno;
mod node;
mod now;
mod p2;
mod paths;
mod streams;
#[cfg(test)]
mod tests;
mod volume;
mod walk;

pub(crate) use base::Base;
pub(crate) use disk::Disk;
pub(crate) use p2::{FilesView, add_to_linker};
