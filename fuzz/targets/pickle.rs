//! The pickle of a torch file; the archive around it is right.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::pickle(input));
