//! A request: the host that it is routed by, and what the dyno sees of it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_runtime::fuzzing::request(input));
