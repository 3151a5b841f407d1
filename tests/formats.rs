//! Every way in which checkpoints are saved, good and hostile. `tests/fixtures/torch/make.py` made the
//! PyTorch files: all hold w = 0 … 11 of shape (3, 4) and b = (1.5, −2.5).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::fs;
use std::path::{Path, PathBuf};

use isoloss::run::{FormatError, StateDict};
use rstest::rstest;

fn torch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/torch")
        .join(name)
}

/// Names and values in the checkpoint's order.
fn read(path: &Path) -> Vec<(String, Vec<f32>)> {
    let dict = StateDict::open(path, None).unwrap();
    let tensors = dict.tensors().iter().enumerate();
    tensors
        .map(|(index, tensor)| {
            let all = dict.read(index, 0..tensor.shape.iter().product()).unwrap();
            (tensor.name.clone(), all)
        })
        .collect()
}

fn expected() -> Vec<(String, Vec<f32>)> {
    let w = (0u8..12).map(f32::from).collect();
    vec![("w".into(), w), ("b".into(), vec![1.5, -2.5])]
}

#[rstest]
fn every_pytorch_file_gives_its_values_in_its_own_order(
    #[values(
        "plain.pt",
        "legacy.pt",
        "protocol4.pt",
        "ddp_compiled.pt",
        "half.pt",
        "bfloat16.pt",
        "double.pt",
        "in_net.pth",
        "with_ema.pt",
        "strided.pt",
        "transposed.pt",
        "shared.pt",
        "lightning=9.ckpt"
    )]
    name: &str,
) {
    assert_eq!(read(&torch(name)), expected());
}

#[test]
fn a_range_of_a_tensor_is_that_part_of_it() {
    let dict = StateDict::open(&torch("strided.pt"), None).unwrap();
    assert_eq!(dict.read(0, 5..8).unwrap(), [5.0, 6.0, 7.0]);
    assert!(dict.read(0, 5..13).is_err());
    assert!(dict.read(9, 0..1).is_err());
}

#[test]
fn keys_and_steps_are_the_checkpoint_s_own() {
    let dict = StateDict::open(&torch("lightning=9.ckpt"), None).unwrap();
    assert_eq!(
        (dict.key(), dict.counters().step),
        (Some("state_dict"), Some(9))
    );
    let dict = StateDict::open(&torch("with_ema.pt"), Some("ema")).unwrap();
    assert_eq!(dict.read(0, 0..12).unwrap(), [0.0; 12]);
    assert_eq!(dict.counters().step, Some(12));
    let error = StateDict::open(&torch("with_ema.pt"), Some("nets"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected tensors under the key nets, found only ema, model"),
        "{error}"
    );
}

#[test]
fn an_optimizer_alone_is_no_model() {
    let error = StateDict::open(&torch("optimizer_only.pt"), None).unwrap_err();
    assert!(
        error.to_string().contains("an optimizer and no model"),
        "{error}"
    );
}

#[test]
fn code_in_a_checkpoint_is_not_run() {
    // Unpickling this file would call os.system("touch isoloss-was-here").
    let _ = StateDict::open(&torch("evil.pt"), None).map(|dict| dict.read(0, 0..12));
    assert!(!Path::new("isoloss-was-here").exists());
}

/// Opens bytes as a file of this name and reads all of it; panics and aborts fail the test.
fn try_bytes(name: &str, bytes: &[u8]) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let dict = StateDict::open(&path, None).map_err(|error| error.to_string())?;
    for (index, tensor) in dict.tensors().iter().enumerate() {
        let all = 0..tensor.shape.iter().product();
        dict.read(index, all).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let length = (header.len() as u64).to_le_bytes();
    [&length, header.as_bytes(), &vec![0; data]].concat()
}

const ONE: &str = r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}"#;

#[test]
fn a_safetensors_file_cut_anywhere_is_an_error_that_says_so() {
    let whole = safetensors(ONE, 16);
    assert_eq!(try_bytes("a.safetensors", &whole), Ok(()));
    for length in 0..whole.len() {
        let error = try_bytes("a.safetensors", &whole[..length]).unwrap_err();
        assert!(error.contains("a.safetensors: expected"), "{error}");
    }
    assert!(
        try_bytes("a.safetensors", &[whole, vec![0]].concat())
            .unwrap_err()
            .contains("found 80")
    );
}

#[rstest]
#[case::overlapping(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}"#)]
#[case::larger_than_its_bytes(r#"{"w":{"dtype":"F32","shape":[4000],"data_offsets":[0,16]}}"#)]
#[case::overflowing(
    r#"{"w":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,16]}}"#
)]
#[case::backwards(r#"{"w":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#)]
#[case::unknown_type(r#"{"w":{"dtype":"Z9","shape":[4],"data_offsets":[0,16]}}"#)]
#[case::no_json("{nonsense")]
fn a_lying_safetensors_header_is_refused(#[case] header: &str) {
    let error = try_bytes("a.safetensors", &safetensors(header, 16)).unwrap_err();
    assert!(error.contains("a.safetensors"), "{error}");
}

#[test]
fn a_header_of_huge_length_asks_for_no_memory() {
    let mut bytes = safetensors(ONE, 16);
    bytes[..8].copy_from_slice(&(1u64 << 60).to_le_bytes());
    assert!(
        try_bytes("a.safetensors", &bytes)
            .unwrap_err()
            .contains("claims")
    );
}

#[test]
fn a_file_that_changes_after_it_was_opened_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    fs::write(&path, safetensors(ONE, 16)).unwrap();
    let dict = StateDict::open(&path, None).unwrap();
    let longer = r#"{"w":{"dtype":"F32","shape":[5],"data_offsets":[0,20]}}"#;
    fs::write(&path, safetensors(longer, 20)).unwrap();
    assert!(matches!(dict.read(0, 0..4), Err(FormatError::Changed(_))));
}

#[test]
fn a_sharded_folder_is_one_checkpoint_and_its_gaps_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let index = |map: &str| {
        write(
            "model.safetensors.index.json",
            format!(r#"{{"weight_map":{{{map}}}}}"#).as_bytes(),
        );
    };
    let error = || {
        StateDict::open(folder.path(), None)
            .unwrap_err()
            .to_string()
    };
    let names = || {
        read(folder.path())
            .into_iter()
            .map(|(name, _)| name)
            .collect::<Vec<_>>()
    };
    assert!(error().contains("found neither"));
    write("model-1.safetensors", &safetensors(ONE, 16));
    let two = ONE.replace('w', "layer10.w");
    write("model-2.safetensors", &safetensors(&two, 16));
    index(r#""w":"model-1.safetensors","layer10.w":"model-2.safetensors""#);
    assert_eq!(names(), ["layer10.w", "w"]);
    write(
        "trainer_state.json",
        br#"{"global_step": 300, "epoch": 1.5}"#,
    );
    assert_eq!(
        StateDict::open(folder.path(), None)
            .unwrap()
            .counters()
            .step,
        Some(300)
    );
    index(r#""w":"model-1.safetensors","v":"model-2.safetensors""#);
    assert!(error().contains("expected tensor v in model-2.safetensors, found none"));
    index(r#""w":"model-3.safetensors""#);
    assert!(error().contains("expected the shard model-3.safetensors beside it"));
    index(r#""w":"../model-1.safetensors""#);
    assert!(error().contains("expected the name of a shard in this folder"));
}
