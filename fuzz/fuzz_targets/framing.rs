//! Where the messages of an HTTP/1.1 connection end.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_runtime::fuzzing::framing(input));
