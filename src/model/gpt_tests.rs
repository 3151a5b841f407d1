//! GPT-2 and nanoGPT by names against PyTorch's logits and exported programs (tests/fixtures/models/gpt,
//! tests/fixtures/pt2/hf_gpt2), and what nearly fits.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use rstest::rstest;

use super::program::run::Norms;
use super::tests::layout;
use super::*;
use crate::run::Checkpoint;
use crate::weights::{RunCheckpoint, RunShape, direction};

fn file(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(name)
}

/// Returns a checkpoint with the settings that stand beside it.
fn opened(path: PathBuf) -> (RunShape, Weights) {
    let checkpoint = Checkpoint::new(0, path);
    let shape = RunShape::of(&checkpoint, None).unwrap();
    let member = RunCheckpoint::open(&checkpoint, &shape).unwrap();
    let flat = direction::flat(&shape.layout, &member).unwrap();
    let flat = Tensor::from_vec(flat, shape.layout.len(), &Device::Cpu).unwrap();
    (shape.clone(), Weights::new(flat, shape.layout))
}

fn known(shape: &RunShape, model: &str, asked: Reading) -> Result<Recognized, ModelError> {
    let told = Reading::of_settings(&shape.settings);
    recognize_as(&shape.layout, model, None, asked, told)
}

fn heads(heads: usize) -> Reading {
    Reading {
        heads: Some(heads),
        ..Reading::default()
    }
}

fn logits(model: &Recognized, weights: &Weights, ids: &Tensor) -> Vec<f32> {
    let numbers: Vec<i64> = ids.flatten_all().unwrap().to_vec1().unwrap();
    let inputs = vec![Datum::ints(&numbers, ids.dims()).unwrap()];
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let prepared = model.program.prepare(inputs, &place).unwrap();
    let outputs = model
        .program
        .run(weights, &prepared, &place, &mut Norms::Stored)
        .unwrap();
    let flat = outputs[0].tensor().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

fn apart(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let apart = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max)
}

#[rstest]
#[case::nanogpt(
    "models/gpt/nanogpt.pt",
    "models/gpt/nanogpt.safetensors",
    "models/gpt/nanogpt.pt2",
    ["idx", "logits"],
    Reading::default(),
    "28 tensors named like GPT-2, weights as in nanoGPT: 2 blocks, width 16, 4 heads told beside the weights, 12 places, \
     20 tokens, their table is the head, activation gelu assumed, ε 0.00001 assumed"
)]
#[case::without_biases(
    "models/gpt/nanogpt_bare.pt",
    "models/gpt/nanogpt_bare.safetensors",
    "models/gpt/nanogpt_bare.pt2",
    ["idx", "logits"],
    Reading::default(),
    "15 tensors named like GPT-2, weights as in nanoGPT"
)]
#[case::hugging_face(
    "pt2/hf_gpt2/checkpoint-a.safetensors",
    "pt2/hf_gpt2/io.safetensors",
    "pt2/hf_gpt2/model.pt2",
    ["input.input_ids", "a.logits32"],
    heads(2),
    "28 tensors named like GPT-2, weights as in Hugging Face's library: 2 blocks, width 16, 2 heads, 24 places, 60 \
     tokens, their table is the head, activation gelu-tanh assumed"
)]
#[case::hugging_face_in_a_pickle(
    "pt2/hf_gpt2/checkpoint-b.pt",
    "pt2/hf_gpt2/io.safetensors",
    "pt2/hf_gpt2/model.pt2",
    ["input.input_ids", "b.logits32"],
    heads(2),
    "2 heads, 24 places"
)]
fn gpts_have_the_logits_of_pytorch_and_of_the_exported_program(
    #[case] checkpoint: &str,
    #[case] io: &str,
    #[case] program: &str,
    #[case] names: [&str; 2],
    #[case] asked: Reading,
    #[case] evidence: &str,
) {
    let (shape, weights) = opened(file(checkpoint));
    let io = safetensors::load(file(io), &Device::Cpu).unwrap();
    let [ids, expected] = names;
    let model = known(&shape, "auto", asked).unwrap();
    assert!(model.evidence.contains(evidence), "{}", model.evidence);
    let found = logits(&model, &weights, &io[ids]);
    let expected: Vec<f32> = io[expected].flatten_all().unwrap().to_vec1().unwrap();
    let off = apart(&found, &expected);
    assert!(off < 1e-4, "{off}");
    let exported = recognize(&shape.layout, file(program).to_str().unwrap(), None).unwrap();
    let off = apart(&found, &logits(&exported, &weights, &io[ids]));
    assert!(off < 1e-5, "{off}");
    // Another number of heads, or another activation, is another function.
    let other = known(&shape, "auto", heads(8)).unwrap();
    assert!(apart(&found, &logits(&other, &weights, &io[ids])) > 1e-3);
    let relu = Reading {
        activation: Some(Activation::Relu),
        ..asked
    };
    let other = known(&shape, "auto", relu).unwrap();
    assert!(apart(&found, &logits(&other, &weights, &io[ids])) > 1e-3);
}

#[test]
fn config_json_tells_heads_and_activation() {
    let run = tempfile::tempdir().unwrap();
    let folder = run.path().join("checkpoint-5");
    std::fs::create_dir(&folder).unwrap();
    let weights = folder.join("model.safetensors");
    std::fs::copy(file("pt2/hf_gpt2/checkpoint-a.safetensors"), weights).unwrap();
    let evidence = |config: &str| {
        std::fs::write(folder.join("config.json"), config).unwrap();
        let (shape, _) = opened(folder.clone());
        known(&shape, "gpt2", Reading::default()).map(|model| model.evidence)
    };
    let said = evidence(r#"{"n_head": 4, "activation_function": "relu"}"#).unwrap();
    assert!(said.contains("4 heads told beside the weights"), "{said}");
    assert!(said.contains("activation relu told beside"), "{said}");
    let said = evidence(r#"{"n_head": 5}"#).unwrap_err().to_string();
    assert!(
        said.contains("5 heads do not share a width of 16 evenly"),
        "{said}"
    );
    for broken in [r#"{"n_head": -1}"#, "[", r#"{"n_head": 1e30}"#, "7"] {
        let said = evidence(broken).unwrap_err().to_string();
        assert_eq!(
            said,
            "the tensors were taken for GPT-2, but neither config.json nor the checkpoint tells its number of heads, \
             and its width of 16 is not a multiple of 64: say it with --heads"
        );
    }
}

/// Returns the tensors of a GPT of one block, whose weights are (outputs, inputs).
fn tensors(width: usize) -> Vec<(String, Vec<usize>)> {
    let of = |name: &str, shape: &[usize]| (format!("transformer.{name}.weight"), shape.to_vec());
    vec![
        of("wte", &[20, width]),
        of("wpe", &[8, width]),
        of("h.0.ln_1", &[width]),
        of("h.0.attn.c_attn", &[width.saturating_mul(3), width]),
        of("h.0.attn.c_proj", &[width, width]),
        of("h.0.ln_2", &[width]),
        of("h.0.mlp.c_fc", &[2, width]),
        of("h.0.mlp.c_proj", &[width, 2]),
        of("ln_f", &[width]),
    ]
}

fn said(tensors: &[(String, Vec<usize>)]) -> Result<Recognized, String> {
    let tensors = tensors.iter();
    let layout = layout(tensors.map(|(name, shape)| (name.as_str(), shape.as_slice())));
    recognize(&layout, "auto", None).map_err(|error| error.to_string())
}

#[test]
fn what_nearly_fits_is_refused_in_a_sentence() {
    let model = said(&tensors(128)).unwrap();
    assert!(
        model.evidence.contains("2 heads assumed"),
        "{}",
        model.evidence
    );
    assert_eq!(model.reading.heads, Some(2));
    let changes: [(usize, &[usize], &str); 5] = [
        (
            1,
            &[8, 127],
            "transformer.wpe.weight has shape [8, 127], expected [any, 128]",
        ),
        (
            3,
            &[128, 383],
            "transformer.h.0.attn.c_attn.weight has shape [128, 383], expected [128, 384]",
        ),
        (3, &[384, 128, 1], "expected [384, 128]"),
        (
            7,
            &[128, 3],
            "transformer.h.0.mlp.c_proj.weight has shape [128, 3], expected [128, 2]",
        ),
        (
            8,
            &[0],
            "transformer.ln_f.weight has shape [0], expected [128]",
        ),
    ];
    for (at, shape, expected) in changes {
        let mut changed = tensors(128);
        changed[at].1 = shape.to_vec();
        let said = said(&changed).unwrap_err();
        assert!(said.contains(expected), "{said}");
    }
    let mut more = tensors(128);
    more.push(("transformer.h.0.cross.weight".into(), vec![128, 128]));
    let sentence = said(&more).unwrap_err();
    assert!(
        sentence.ends_with("1 tensor is no part of it: transformer.h.0.cross.weight"),
        "{sentence}"
    );
    let mut gap = tensors(128);
    gap.push(("transformer.h.4000000000.ln_1.weight".into(), vec![128]));
    let sentence = said(&gap).unwrap_err();
    assert!(
        sentence.ends_with("transformer.h.1.ln_1.weight is missing"),
        "{sentence}"
    );
}

#[test]
fn heads_are_no_question_of_other_models() {
    let mlp = [("fc.weight".to_owned(), vec![3, 4])];
    let mlp = layout(
        mlp.iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice())),
    );
    let nothing = Reading::default();
    let error = recognize_as(&mlp, "auto", None, heads(2), nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--heads 2: mlp has no open heads, expected auto"
    );
    let told = Reading {
        activation: Some(Activation::Gelu),
        ..heads(2)
    };
    let model = recognize_as(&mlp, "auto", None, nothing, told).unwrap();
    assert_eq!(model.reading.activation, Some(Activation::Relu));
}
