//! The record beside a file of machine code.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| wpaas_runtime::fuzzing::code_record(input));
