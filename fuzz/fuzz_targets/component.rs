//! A `.wasm` file: its check, and a core module made into a component.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_builder::fuzzing::component(input));
