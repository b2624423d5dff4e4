//! A command of a Procfile, split into words.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| wpaas_builder::fuzzing::words(input));
