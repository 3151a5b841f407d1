//! Samples: idx, CIFAR, npz, npy, safetensors, ids; the first byte chooses.
#![no_main]

use isoloss_fuzz::readers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| readers::data(input));
