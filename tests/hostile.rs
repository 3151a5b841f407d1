//! Checkpoints as nobody saves them: cut at every byte, with any byte changed, and built to lie. Each is read
//! or refused in a sentence; none panics, hangs or takes memory.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use isoloss::run::{Checkpoint, StateDict};
use isoloss::weights::RunShape;
use proptest::prelude::*;
use rstest::rstest;

fn torch(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/torch");
    fs::read(folder.join(name)).unwrap()
}

/// A folder for one file that is written again and again.
struct Bench {
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            file: folder.path().join("step_1.pt"),
            _folder: folder,
        }
    }

    /// Opens a file of these bytes and reads all of its tensors; the sentence if it is refused.
    fn read(&self, bytes: &[u8]) -> Result<Vec<f32>, String> {
        fs::write(&self.file, bytes).unwrap();
        let dict = StateDict::open(&self.file, None).map_err(|error| error.to_string())?;
        let mut all = Vec::new();
        for (index, tensor) in dict.tensors().iter().enumerate() {
            let count: usize = tensor.shape.iter().product();
            assert!(count <= 1 << 20, "{count} numbers in {} bytes", bytes.len());
            all.extend(dict.read(index, 0..count).unwrap_or_default());
        }
        Ok(all)
    }

    fn refusal(&self, bytes: &[u8]) -> String {
        self.read(bytes).unwrap_err()
    }
}

#[rstest]
fn a_file_that_is_cut_anywhere_is_refused_by_name(
    #[values(
        "plain.pt",
        "legacy.pt",
        "protocol4.pt",
        "lightning=9.ckpt",
        "with_ema.pt"
    )]
    name: &str,
) {
    let (whole, bench) = (torch(name), Bench::new());
    for end in 0..whole.len() {
        let told = bench.refusal(&whole[..end]);
        assert!(told.contains("step_1.pt"), "cut at {end}: {told}");
    }
}

#[rstest]
fn any_changed_byte_gives_numbers_or_a_sentence(
    #[values("plain.pt", "legacy.pt", "strided.pt", "shared.pt")] name: &str,
    #[values(0x01, 0x80, 0xff)] change: u8,
) {
    let (mut bytes, bench) = (torch(name), Bench::new());
    for at in 0..bytes.len() {
        bytes[at] ^= change;
        if let Err(told) = bench.read(&bytes) {
            assert!(told.contains("step_1.pt"), "byte {at}: {told}");
        }
        bytes[at] ^= change;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn pieces_of_files_in_any_order_give_numbers_or_a_sentence(
        pieces in prop::collection::vec((0..3usize, any::<u16>(), 1..400usize), 1..6),
    ) {
        let files = [torch("plain.pt"), torch("legacy.pt"), torch("lightning=9.ckpt")];
        let mut bytes = Vec::new();
        for (file, from, len) in pieces {
            let file = &files[file];
            let from = usize::from(from) % file.len();
            bytes.extend_from_slice(&file[from..file.len().min(from + len)]);
        }
        if let Err(told) = Bench::new().read(&bytes) {
            prop_assert!(told.contains("step_1.pt"), "{}", told);
        }
    }

    #[test]
    fn any_instructions_make_a_pickle_or_a_sentence(
        program in prop::collection::vec(
            prop::sample::select(&b"(.012NKIJM\x85\x86\x87\x88\x89]})tldaeusbRcioQPpqgh\x81\x8a\x8c\x93\x94x\n0"[..]),
            1..200,
        ),
    ) {
        let mut bytes = vec![0x80, 2];
        bytes.extend(program);
        bytes.push(b'.');
        if let Err(told) = Bench::new().read(&bytes) {
            prop_assert!(told.contains("step_1.pt"), "{}", told);
        }
    }

    #[test]
    fn any_header_of_safetensors_gives_numbers_or_a_sentence(
        shape in prop::collection::vec(any::<u64>(), 0..4),
        offsets in (0..64u64, 0..64u64),
        len in 0..64usize,
    ) {
        let header = serde_json::json!({
            "a": {"dtype": "F32", "shape": shape, "data_offsets": [offsets.0, offsets.1]},
        });
        let header = header.to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + len, 1);
        if let Ok(numbers) = Bench::new().read(&bytes) {
            let fits = shape.iter().try_fold(4u64, |all, extent| all.checked_mul(*extent));
            prop_assert_eq!(fits, Some(len as u64));
            prop_assert_eq!(numbers.len(), len / 4);
        }
    }
}

/// A program of protocol 2 around `middle`, `count` times.
fn program(front: &[u8], middle: &[u8], count: usize, back: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, 2];
    bytes.extend_from_slice(front);
    (0..count).for_each(|_| bytes.extend_from_slice(middle));
    bytes.extend_from_slice(back);
    bytes.push(b'.');
    bytes
}

#[test]
fn bombs_are_refused_before_they_take_memory() {
    let bench = Bench::new();
    // A tuple of two of itself, 60 times: 2^60 values as a tree.
    let doubling = program(b"K\x01", b"2\x86", 60, b"");
    // Dicts of one dict twice, 40 times: 2^40 dicts as a tree.
    let dicts = program(b"}U\x01wK\x01s", b"q\x01}(U\x01ah\x01U\x01bh\x01u", 40, b"");
    // Lists in lists, too deep for any stack.
    let deep = program(b"", b"]", 1_000_000, &vec![b'a'; 999_999]);
    // One tuple of ten thousand values as the arguments of a million calls.
    let mut calls = vec![b'('];
    calls.extend(std::iter::repeat_n(b'N', 10_000));
    calls.extend(b"tq\x000cbuiltins\nobject\nq\x010");
    let calls = program(&calls, b"h\x01h\x00R0", 1_000_000, b"N");
    // A key of a storage, a megabyte long, in a hundred thousand of them.
    let mut key = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\0\0\x10\0".to_vec();
    key.extend(vec![b'k'; 1 << 20]);
    key.extend(b"X\x03\0\0\0cpuK\x01tq\x000");
    let keys = program(&key, b"h\x00Q0", 100_000, b"N");
    // Bytes and texts that claim more than there is.
    let long = program(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"", 0, b"");
    let text = program(b"X\xff\xff\xff\xff", b"", 0, b"");
    let marks = program(b"", b"(", 9_000_000, b"N");
    for bomb in [doubling, dicts, deep, calls, keys, long, text, marks] {
        let told = bench.refusal(&bomb);
        assert!(told.contains("step_1.pt") && told.len() < 400, "{told}");
    }
}

/// A zip archive of records, each with its name, bytes, and the size that its directory claims.
fn archive(records: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, data, claimed) in records {
        let (at, len) = (bytes.len() as u32, data.len() as u32);
        let lengths = [(name.len() as u16).to_le_bytes(), [0, 0]].concat();
        bytes.extend(b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend([len.to_le_bytes(), claimed.to_le_bytes()].concat());
        bytes.extend([&lengths, name.as_bytes(), *data].concat());
        directory.extend(b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0\0\0\0\0");
        directory.extend([claimed.to_le_bytes(), claimed.to_le_bytes()].concat());
        directory.extend([&lengths[..], &[0; 10], &at.to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, len) = (bytes.len() as u32, directory.len() as u32);
    bytes.extend(directory);
    let count = (records.len() as u16).to_le_bytes();
    bytes.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    bytes.extend([len.to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([0, 0]);
    bytes
}

/// The pickle of `{"w": two floats of storage 0}`.
const TWO: &[u8] =
    b"\x80\x02}U\x01wctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\nFloatStorage\n\
    U\x010U\x03cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89ccollections\nOrderedDict\n)RtRs.";

/// Those floats, 1.5 and −2.5.
fn two_floats() -> Vec<u8> {
    let floats = [1.5f32, -2.5].into_iter();
    floats.flat_map(f32::to_le_bytes).collect()
}

#[test]
fn an_archive_is_read_by_what_it_has_and_refused_for_what_it_claims() {
    let (bench, data) = (Bench::new(), two_floats());
    let size = TWO.len() as u32;
    let good = [("a/data.pkl", TWO, size), ("a/data/0", &data, 8)];
    assert_eq!(bench.read(&archive(&good)), Ok(vec![1.5, -2.5]));
    // Behind the largest directory entry stands a comment, as some tools write.
    let mut commented = archive(&good);
    let end = commented.len();
    commented[end - 2..].copy_from_slice(&5u16.to_le_bytes());
    commented.write_all(b"hello").unwrap();
    assert_eq!(bench.read(&commented), Ok(vec![1.5, -2.5]));
    let claims = [("a/data.pkl", TWO, u32::MAX - 1), ("a/data/0", &data, 8)];
    let twice = [good[0], good[0], good[1]];
    for lies in [&claims[..], &twice] {
        let told = bench.refusal(&archive(lies));
        assert!(told.contains("step_1.pt"), "{told}");
    }
    // Beside the model a buffer of observations, as bytes and as the text that protocol 2 makes of them.
    for (mark, len) in [(&b"B"[..], 80 << 20), (b"X", 80 << 20)] {
        let mut large = TWO[..TWO.len() - 2].to_vec();
        large.extend(b"sX\x06\0\0\0buffer");
        large.extend(mark);
        large.extend((len as u32).to_le_bytes());
        large.resize(large.len() + len, b'x');
        large.extend(b"s.");
        let size = large.len() as u32;
        let beside = [("a/data.pkl", &large[..], size), good[1]];
        assert_eq!(bench.read(&archive(&beside)), Ok(vec![1.5, -2.5]));
    }
    // A tensor whose storage is too short, or is not there, is one that cannot be read.
    let short = [good[0], ("a/data/0", &data[..4], 4)];
    for lies in [&short[..], &good[..1]] {
        assert_eq!(bench.read(&archive(lies)), Ok(vec![]));
        // No plane is laid out for it, which would take the memory that its shape asks for.
        let checkpoint = Checkpoint::new(1, &bench.file);
        let told = RunShape::of(&checkpoint, None).unwrap_err().to_string();
        assert!(told.contains("tensor w cannot be read"), "{told}");
    }
}

#[test]
fn an_archive_within_an_archive_holds_no_other() {
    let (bench, data) = (Bench::new(), two_floats());
    let size = TWO.len() as u32;
    let within = |inner: &[u8]| archive(&[("policy.pth", inner, inner.len() as u32)]);
    let inner = archive(&[("a/data.pkl", TWO, size), ("a/data/0", &data, 8)]);
    let outer = within(&inner);
    assert_eq!(bench.read(&outer), Ok(vec![1.5, -2.5]));
    // Each level would take a part of the stack.
    let deep = (0..200).fold(outer, |inner, _| within(&inner));
    let told = bench.refusal(&deep);
    assert!(
        told.contains("step_1.pt") && told.contains("data.pkl"),
        "{told}"
    );
}

#[test]
fn many_views_of_a_few_numbers_are_no_model() {
    let bench = Bench::new();
    // Tensors of a million numbers each, which are one number of the storage.
    let views = |count: u8| {
        let mut pickle = b"\x80\x02}(".to_vec();
        for at in 0..count {
            pickle.extend([b"U\x02w".as_slice(), &[at]].concat());
            pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((U\x07storagectorch\n");
            pickle.extend(b"FloatStorage\nU\x010U\x03cpuK\x10tQK");
            pickle.extend([&[at % 16], b"J\0\0\x10\0\x85K\0\x85\x89".as_slice()].concat());
            pickle.extend(b"ccollections\nOrderedDict\n)RtR");
        }
        pickle.extend(b"u.");
        pickle
    };
    let read = |pickle: &[u8]| {
        let size = pickle.len() as u32;
        bench.read(&archive(&[
            ("a/data.pkl", pickle, size),
            ("a/data/0", &[0; 64], 64),
        ]))
    };
    assert_eq!(read(&views(1)).map(|numbers| numbers.len()), Ok(1 << 20));
    let told = read(&views(9)).unwrap_err();
    assert!(
        told.contains("many times the numbers that the file holds"),
        "{told}"
    );
}
