//! The API as clients see it: over a real socket, with a node and a builder that only take notes. Every
//! response is validated against Heroku's schema.

mod apps;
mod auth;
mod builds;
mod config;
mod drains;
mod dynos;
mod egress;
mod fakes;
pub(crate) mod harness;
mod limits;
mod login;
mod logs;
mod pages;
mod phases;
mod releases;
mod schema;
mod security;
mod uploads;
mod webhooks;
