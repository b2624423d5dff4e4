//! Where the frames of a WebSocket end.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_runtime::fuzzing::websocket(input));
