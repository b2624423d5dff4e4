//! A release's rules for connections, and what a guest names.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| wpaas_runtime::fuzzing::egress(input));
