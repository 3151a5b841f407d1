//! Any bytes through the readers of the program, as a stranger's file or message brings them: shared by the fuzz
//! targets and by the test of what they found.
//!
//! Each function reads all that the program reads of such a file, and fails where a refusal is not one short
//! sentence. Memory and time are watched by the caller.

#![allow(dead_code, unreachable_pub, reason = "each user takes its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod checkpoints;
mod data;
mod logs;
mod messages;
mod programs;
mod sessions;
mod settings;

use std::fmt::Display;
use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use isoloss::report::visible;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub use checkpoints::{pickle, safetensors, torch};
pub use data::data;
pub use logs::logs;
pub use messages::{evaluator, worker};
pub use programs::pt2;
pub use sessions::recordings;
pub use settings::config;

/// Reads an input.
pub type Reader = fn(&[u8]);

/// All readers, by the names of their fuzz targets.
pub const READERS: [(&str, Reader); 10] = [
    ("torch", torch),
    ("pickle", pickle),
    ("safetensors", safetensors),
    ("data", data),
    ("logs", logs),
    ("config", config),
    ("recordings", recordings),
    ("pt2", pt2),
    ("worker", worker),
    ("evaluator", evaluator),
];

/// Characters of a refusal at most, as it is printed.
const LONGEST: usize = 5000;

thread_local! {
    static FOLDER: TempDir = folder();
}

/// A folder in memory, where the system has one.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Writes a file of this thread's folder, and returns its path.
fn write(name: &str, bytes: &[u8]) -> PathBuf {
    let path = FOLDER.with(|folder| folder.path().join(name));
    if let Err(error) = fs::write(&path, bytes) {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    path
}

/// Fails unless a refusal is a sentence as a terminal may show it: one line, not long, nothing hidden in it.
fn assert_sentence(refusal: impl Display) {
    let refusal = refusal.to_string();
    let shown = visible::sentence(&refusal);
    let count = shown.chars().count();
    assert!(
        !shown.contains(visible::is_hidden) && !shown.trim().is_empty() && count <= LONGEST,
        "{count} characters: {}",
        shown.chars().take(200).collect::<String>()
    );
}

/// The first byte, which chooses among forms, and the rest.
fn chosen(input: &[u8], forms: usize) -> Option<(usize, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((usize::from(*first) % forms, rest))
}

/// Two parts, the first as long as the first two bytes say.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((length, rest)) = input.split_first_chunk() else {
        return (input, &[]);
    };
    let length = usize::from(u16::from_le_bytes(*length));
    rest.split_at(length.min(rest.len()))
}

/// A zip archive of these files, with right checksums.
fn archive(files: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A file of tests/fixtures, from the package or from `fuzz` in it.
fn fixture(name: &str) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut places = own.ancestors().map(|folder| folder.join("tests/fixtures"));
    places.find(|folder| folder.is_dir()).unwrap().join(name)
}
