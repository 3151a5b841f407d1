//! Lines of an evaluator.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::evaluator(input));
