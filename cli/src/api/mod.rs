//! The client of the Platform API.

mod client;
mod error;
mod events;
mod types;

pub(crate) use client::{Client, base_url};
pub(crate) use error::Error;
pub(crate) use events::Events;
pub(crate) use types::*;
