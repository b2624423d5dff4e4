//! A log line, cut into pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_runtime::fuzzing::lines(input));
