//! The YAML that a user's `bin/release` prints.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| wpaas_builder::fuzzing::release_info(input));
