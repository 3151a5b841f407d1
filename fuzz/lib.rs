//! The readers of the program as the fuzz targets use them: what they refuse is looked at, and an input that takes
//! more memory than it should ends the run.

#[path = "../tests/readers/mod.rs"]
pub mod readers;

use std::alloc::System;

use cap::Cap;

/// Bytes that an input may take, with the little that is kept between inputs.
const MEMORY: usize = 256 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);
