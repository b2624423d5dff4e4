//! What build, platform and node agree on.
//!
//! A *slug* is what a build makes: an OCI image manifest whose config lists the process types and the
//! app's files, and whose layers are the content-addressed blobs of those files ([`manifest`]). Blobs and
//! manifests live in one object store ([`store`]). The platform tells nodes what to run through the
//! revisioned [`feed`], and the only things that flow back are [`log`] lines, dyno states
//! and what its [`one_off`] dynos print. Every limit
//! of the system is a field of one table, [`limits::Limits`].
//!
//! This crate knows no database, no HTTP and no Wasm engine.

pub mod digest;
pub mod egress;
pub mod feed;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod one_off;
pub mod pack;
pub mod path;
pub mod store;

pub use digest::Digest;
pub use limits::Limits;
pub use manifest::{ComponentRef, FileEntry, Isolation, ProcessType, Slug, SlugConfig, World};
pub use store::Store;
