//! Inputs that fuzzing found, and those made by hand beside them: each input is read, or refused in a sentence, within a
//! second of processor time and 256 MB. The first word of a file's name tells its reader.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod readers;

use std::alloc::System;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap::Cap;
use readers::READERS;

/// Bytes that an input may take.
const MEMORY: usize = 256 << 20;
/// Processor time that it may take.
const TIME: Duration = Duration::from_secs(1);

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// Processor time of this process so far.
#[cfg(unix)]
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn spent() -> Duration {
    Duration::ZERO
}

#[test]
fn what_was_found_is_read_or_refused_in_little_time_and_memory() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hostile");
    let entries = fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 10, "{} inputs", files.len());
    // What the readers keep for all inputs is none of the first one's.
    for (_, read) in READERS {
        read(b"\0{}");
    }
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let known = READERS.iter().find(|(known, _)| name.starts_with(known));
        let (_, read) = known.unwrap();
        let input = fs::read(&file).unwrap();
        println!("{name}");
        let (before, begun) = (ALLOCATOR.allocated(), spent());
        read(&input);
        let taken = spent().saturating_sub(begun);
        assert!(taken < TIME, "{name}: {taken:?}");
        // The most of all so far is the most of this one, if it is above the limit.
        let most = ALLOCATOR.max_allocated();
        assert!(most < before + MEMORY, "{name}: {most} bytes");
    }
}
