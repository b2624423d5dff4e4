//! Builds of small real trees, with the sandbox that this machine has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that panics is a test that fails"
)]

mod component;
mod errors;
mod external;
mod node;
mod rust;
mod several;
mod support;
