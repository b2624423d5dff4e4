//! A core module that is given room in its memory.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|module: &[u8]| wpaas_runtime::fuzzing::headroom(module));
