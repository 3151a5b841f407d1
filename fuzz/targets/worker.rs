//! Lines to a worker process, and of one.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::worker(input));
