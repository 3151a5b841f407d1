//! The header of a safetensors file before a whole body, or the index of a folder of them.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::safetensors(input));
