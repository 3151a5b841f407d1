//! Programs that torch.export saved: whole archives, or their JSON in a right one.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::pt2(input));
