//! A `Cargo.toml` of an uploaded app.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| wpaas_builder::fuzzing::cargo_toml(input));
