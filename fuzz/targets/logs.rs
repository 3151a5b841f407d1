//! Training's own logs: event files with right checksums, tables, a trainer's state; the first byte chooses.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::logs(input));
