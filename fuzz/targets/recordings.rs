//! Recordings of sessions, packed or as they unpack.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::recordings(input));
