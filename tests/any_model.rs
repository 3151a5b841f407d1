//! Exported models through the command line and on planes, beside PyTorch's losses (`tests/fixtures/pt2`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod program;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor, safetensors};
use isoloss::data::{self, Columns, DataRequest};
use isoloss::landscape::{Compute, Objective, Place, Precision};
use isoloss::loss::{Criterion, Loss};
use isoloss::model;
use isoloss::run::Checkpoint;
use isoloss::weights::{BatchNorm, Plane, RunCheckpoint, RunShape, direction};
use rstest::rstest;
use serde_json::Value;
use tempfile::TempDir;

use program::{fixture, json, refusal};

/// One of the exported networks with its samples as a file of columns.
struct Network {
    folder: PathBuf,
    data: PathBuf,
    _temporary: TempDir,
}

impl Network {
    fn open(name: &str) -> Self {
        let folder = PathBuf::from(fixture("pt2")).join(name);
        let io = safetensors::load(folder.join("io.safetensors"), &Device::Cpu).unwrap();
        let columns = io.into_iter().filter_map(|(name, tensor)| {
            let input = name.strip_prefix("input.").map(str::to_owned);
            let target = (name == "target").then_some(name.clone());
            Some((input.or(target)?, tensor))
        });
        let columns: HashMap<String, Tensor> = columns.collect();
        let temporary = tempfile::tempdir().unwrap();
        let data = temporary.path().join("d.safetensors");
        safetensors::save(&columns, &data).unwrap();
        Self {
            folder,
            data,
            _temporary: temporary,
        }
    }

    fn model(&self) -> String {
        path(&self.folder.join("model.pt2"))
    }

    fn checkpoint(&self, letter: &str) -> String {
        let start = format!("checkpoint-{letter}.");
        let entries = fs::read_dir(&self.folder).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().path());
        let is_own = |path: &PathBuf| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&start)
        };
        path(&names.find(is_own).unwrap())
    }

    /// The arguments of a command on two checkpoints.
    fn line(&self, loss: &[&str]) -> Vec<String> {
        let (a, b) = (self.checkpoint("a"), self.checkpoint("b"));
        let (model, data) = (self.model(), path(&self.data));
        let start = [
            "line",
            &a,
            &b,
            "--model",
            &model,
            "--data",
            &data,
            "--samples",
            "all",
        ];
        let end = ["--bn", "states", "--x=0:1:3", "--format", "json"];
        let words = start.iter().chain(loss).chain(&end);
        words.map(|word| (*word).to_owned()).collect()
    }
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

fn surface(name: &str) -> Value {
    let text = fs::read_to_string(Path::new(&fixture("pt2")).join("surfaces.json")).unwrap();
    let surfaces: Value = serde_json::from_str(&text).unwrap();
    surfaces[name].clone()
}

/// Options that name each network's loss on the command line.
const LOSSES: [(&str, &[&str]); 5] = [
    ("nanogpt", &["--loss", "next-token", "--target", "target"]),
    ("hf_bert", &["--loss", "output"]),
    ("unet_diffusion", &["--loss", "mse"]),
    ("lstm", &[]),
    ("autoencoder", &["--loss", "bce"]),
];

#[test]
fn a_line_between_checkpoints_of_any_model_has_pytorch_s_losses() {
    for (name, loss) in LOSSES {
        let network = Network::open(name);
        let found = json(&words(&network.line(loss)));
        // The row of the surface from the first checkpoint to the second.
        let expected = numbers(&surface(name)["loss"][1]);
        let losses = numbers(&found["train"]["loss"]);
        assert_eq!(losses.len(), 3);
        for (found, expected) in losses.iter().zip(&expected[1..4]) {
            let error = (found - expected).abs() / expected;
            assert!(error < 1e-4, "{name}: {found}, expected {expected}");
        }
        assert_eq!(found["model"], "model.pt2");
    }
}

/// The losses of a network on the plane through its three checkpoints, with running statistics along.
fn measured(name: &str, loss: &str) -> Vec<Vec<f64>> {
    let network = Network::open(name);
    let layout_of = |letter: &str| {
        let checkpoint = Checkpoint::new(0, network.checkpoint(letter));
        let shape = RunShape::of(&Checkpoint::new(0, network.checkpoint("a")), None).unwrap();
        let member = RunCheckpoint::open(&checkpoint, &shape).unwrap();
        (
            shape.layout.clone(),
            direction::flat(&shape.layout, &member).unwrap(),
        )
    };
    let [(layout, a), (_, b), (_, c)] = ["a", "b", "c"].map(layout_of);
    let away = |other: &[f32]| other.iter().zip(&a).map(|(other, a)| other - a).collect();
    let directions = [away(&b), away(&c)];
    let plane = Plane {
        layout: layout.clone(),
        origin: a,
        directions,
        batch_norm: BatchNorm::States,
    };
    let model = network.model();
    let names = model::arguments(&model).unwrap().unwrap().into_iter();
    let data = data::load(&DataRequest {
        columns: Some(Columns {
            inputs: names.map(|input| input.name).collect(),
            ..Columns::default()
        }),
        ..DataRequest::whole(&network.data)
    });
    let data = data.unwrap();
    let loss = match loss {
        "output" => Loss::Output,
        "mse" => Loss::Mse,
        "bce" => Loss::Bce { positive: None },
        _ => Loss::default(),
    };
    let criterion = Criterion { loss, output: None };
    let recognized = model::recognize(&layout, &model, None).unwrap();
    let (compute, _) = Compute::open(Place::Cpu, Precision::F32, None).unwrap();
    let objective = Objective::new(&recognized, layout, &data, &criterion, &compute).unwrap();
    let resident = objective.resident(&plane).unwrap();
    let axis = numbers(&surface(name)["axis"]);
    let at = |alpha: f64, beta: f64| objective.on(&resident, [alpha, beta]).unwrap().loss;
    let row = |beta: &f64| axis.iter().map(|alpha| at(*alpha, *beta)).collect();
    axis.iter().map(row).collect()
}

#[rstest]
fn surfaces_have_pytorch_s_losses_at_every_point(
    #[values("nanogpt", "hf_bert", "unet_diffusion", "lstm", "autoencoder")] name: &str,
) {
    let loss = match name {
        "hf_bert" => "output",
        "unet_diffusion" => "mse",
        "autoencoder" => "bce",
        _ => "cross-entropy",
    };
    let found = measured(name, loss);
    let expected = surface(name)["loss"].as_array().unwrap().clone();
    assert_eq!(found.len(), 5);
    for (found, expected) in found.iter().zip(&expected) {
        for (found, expected) in found.iter().zip(numbers(expected)) {
            let error = (found - expected).abs() / expected;
            assert!(error < 1e-4, "{name}: {found}, expected {expected}");
        }
    }
}

/// A linear layer of zeros with a function at its end, and samples of it: fixtures/pt2/endings.
struct Ending {
    folder: TempDir,
}

impl Ending {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let save = |name: &str, tensors: [(&str, Tensor); 2]| {
            let tensors: HashMap<&str, Tensor> = tensors.into();
            safetensors::save(&tensors, folder.path().join(name)).unwrap();
        };
        save(
            "w.safetensors",
            [("lin.weight", zeros(&[4, 3])), ("lin.bias", zeros(&[4]))],
        );
        let ids = Tensor::new(&[0i64, 1, 2, 3, 0, 1], &Device::Cpu).unwrap();
        let x = Tensor::arange(0f32, 18.0, &Device::Cpu).unwrap();
        let x = x.sin().unwrap().reshape((6, 3)).unwrap();
        save("d.safetensors", [("x", x), ("target", ids)]);
        let one_hot = Tensor::eye(4, DType::F32, &Device::Cpu).unwrap();
        save(
            "bce.safetensors",
            [("x", zeros(&[4, 3])), ("target", one_hot)],
        );
        Self { folder }
    }

    /// The arguments of a command that measures the loss at the origin.
    fn command(&self, end: &str, loss: &str) -> Vec<String> {
        let of = |name: &str| path(&self.folder.path().join(name));
        let data = if loss == "bce" { "bce" } else { "d" };
        let model = fixture(&format!("pt2/endings/{end}.pt2"));
        let (weights, data) = (of("w.safetensors"), of(&format!("{data}.safetensors")));
        let words = [
            "surface",
            &weights,
            "--model",
            &model,
            "--data",
            &data,
            "--loss",
            loss,
            "--samples",
            "all",
            "--x=-1:1:3",
            "--y=-1:1:3",
            "--format",
            "json",
        ];
        words.map(str::to_owned).to_vec()
    }
}

#[test]
fn a_target_of_which_nothing_counts_is_refused() {
    let ending = Ending::new();
    let mut command = ending.command("none", "cross-entropy");
    let ids = Tensor::new(&[7i64; 6], &Device::Cpu).unwrap();
    let x = Tensor::zeros((6, 3), DType::F32, &Device::Cpu).unwrap();
    let tensors: HashMap<&str, Tensor> = [("x", x), ("target", ids)].into();
    safetensors::save(&tensors, ending.folder.path().join("d.safetensors")).unwrap();
    command.extend(["--ignore-index", "7"].map(str::to_owned));
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = refusal(&words, 1);
    assert!(
        said.contains("d: every target is 7, the id that does not count (--ignore-index)"),
        "{said}"
    );
}

#[rstest]
#[case("batch_mean", "2", true)]
#[case("batch_mean", "6", false)]
#[case("none", "2", false)]
fn samples_that_depend_on_their_batch_are_told(
    #[case] end: &str,
    #[case] batch: &str,
    #[case] is_told: bool,
) {
    let ending = Ending::new();
    let mut command = ending.command(end, "cross-entropy");
    command.extend(["--batch", batch].map(str::to_owned));
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = json(&words)["assumed"].to_string();
    let sentence = "depends on the others of its batch, and here 3 batches make the 6 samples";
    assert_eq!(said.contains(sentence), is_told, "{said}");
}

#[rstest]
#[case("none", "cross-entropy", None)]
#[case("none", "bce", None)]
#[case("log_softmax", "cross-entropy", None)]
#[case("log_softmax", "nll", None)]
#[case(
    "log_softmax",
    "bce",
    Some("give --loss nll, which takes it for what it is")
)]
#[case(
    "softmax",
    "cross-entropy",
    Some("export the model without the softmax")
)]
#[case("softmax", "nll", Some("and give --loss cross-entropy"))]
#[case("sigmoid", "bce", Some("export the model without the sigmoid"))]
fn a_model_s_end_that_the_loss_has_too_is_told_beside_the_number(
    #[case] end: &str,
    #[case] loss: &str,
    #[case] remedy: Option<&str>,
) {
    let ending = Ending::new();
    let command = ending.command(end, loss);
    let output = program::run(&words(&command));
    let stderr = String::from_utf8(output.stderr).unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = found["assumed"]["output"].as_str();
    assert_eq!(told.is_some(), remedy.is_some(), "{told:?}");
    let name = end.trim_start_matches("log_");
    let says = stderr.matches("the output is that of aten.").count();
    assert_eq!(says, usize::from(remedy.is_some()), "{stderr}");
    if let (Some(told), Some(remedy)) = (told, remedy) {
        assert!(told.contains(name) && told.contains(remedy), "{told}");
        assert!(told.contains(&format!("--loss {loss} takes")), "{told}");
        let mut plain: Vec<&str> = words(&command);
        plain.truncate(plain.len() - 2);
        let text = program::run(&plain).stdout;
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(&format!("warning: {told}")), "{text}");
    }
    if loss == "cross-entropy" {
        // Of four scores that are alike, whatever is done to them.
        let origin = found["path"][0]["loss"].as_f64().unwrap();
        assert!((origin - 4f64.ln()).abs() < 1e-6, "{found}");
    }
}

#[test]
fn a_loss_of_one_number_in_which_samples_weigh_differently_is_told_once() {
    let network = Network::open("hf_bert");
    let said = |batch: &str| {
        let line = network.line(&["--loss", "output", "--batch", batch]);
        let output = program::run(&words(&line));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let batches = found["assumed"]["batches"].as_str();
        let batches = batches.unwrap_or_default().to_owned();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let told = stderr.matches("one loss for each of").count();
        (batches, told)
    };
    // Every sample weighs as much as the others.
    assert_eq!(said("3"), (String::new(), 0));
    let mut columns = safetensors::load(&network.data, &Device::Cpu).unwrap();
    let labels: Vec<i64> = columns["labels"].to_vec1().unwrap();
    let labels = [&[-100], &labels[1..]].concat();
    let labels = Tensor::new(labels, &Device::Cpu).unwrap();
    columns.insert("labels".into(), labels);
    safetensors::save(&columns, &network.data).unwrap();
    let (batches, told) = said("3");
    let expected = "the model gives one loss for each of 2 batches, and their mean by samples is \
                    that of all 4 only if every batch scores as many items";
    assert!(batches.contains(expected), "{batches}");
    assert!(batches.contains("--batch 4 takes all as one"), "{batches}");
    assert_eq!(told, 1);
    let (batches, told) = said("4");
    assert_eq!((batches.as_str(), told), ("", 0));
}

#[test]
fn cross_entropy_of_one_output_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = folder.path().join("m.safetensors");
    let weight = Tensor::ones((1, 64), DType::F32, &Device::Cpu).unwrap();
    safetensors::save(&HashMap::from([("fc.weight", weight)]), &checkpoint).unwrap();
    let said = refusal(&["surface", &path(&checkpoint), "--data", "digits"], 1);
    assert!(
        said.contains("mlp has one output, of which cross-entropy is always 0"),
        "{said}"
    );
}

/// Writes a run of two checkpoints of nanoGPT with both names of its tie and a tensor that it does not take.
fn run_of_nanogpt() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let network = Network::open("nanogpt");
    for (letter, step) in [("a", 10), ("c", 20)] {
        let mut tensors = safetensors::load(network.checkpoint(letter), &Device::Cpu).unwrap();
        let tied = tensors["transformer.wte.weight"].copy().unwrap();
        tensors.insert("lm_head.weight".into(), tied);
        let more = Tensor::ones((7, 1), DType::F32, &Device::Cpu).unwrap();
        tensors.insert("ema.weight".into(), (more * f64::from(step)).unwrap());
        let path = folder.path().join(format!("step_{step}.safetensors"));
        safetensors::save(&tensors, path).unwrap();
    }
    folder
}

#[test]
fn paths_and_weights_count_what_the_model_takes_as_surfaces_do() {
    let run = run_of_nanogpt();
    let (run, model) = (path(run.path()), fixture("pt2/nanogpt/model.pt2"));
    let parameters = |command: &str, model: &[&str]| {
        let start = [command, &run, "--format", "json"];
        json(&[&start[..], model].concat())["parameters"]
            .as_u64()
            .unwrap()
    };
    let network = Network::open("nanogpt");
    let tensors = safetensors::load(network.checkpoint("a"), &Device::Cpu).unwrap();
    let own: usize = tensors.values().map(Tensor::elem_count).sum();
    for command in ["trajectory", "weights", "inspect"] {
        assert_eq!(
            parameters(command, &["--model", &model]),
            own as u64,
            "{command}"
        );
        assert_eq!(parameters(command, &[]), (own + 7) as u64, "{command}");
    }
    let matrices = tensors.values().filter(|tensor| tensor.rank() > 1);
    let matrices: usize = matrices.map(Tensor::elem_count).sum();
    let counted = |model: &[&str]| {
        let histogram = ["weights", &run, "--histogram", "--format", "json"];
        json(&[&histogram[..], model].concat())["checkpoints"][0]["count"].clone()
    };
    assert_eq!(counted(&["--model", &model]), matrices);
    assert_eq!(counted(&[]), matrices + 7);
    let said = refusal(&["trajectory", &run, "--model", "resnet19"], 1);
    assert!(
        said.contains("the model \"resnet19\" is not known"),
        "{said}"
    );
}

#[test]
fn what_does_not_belong_to_a_model_is_refused_in_a_sentence() {
    let network = Network::open("lstm");
    let says = |loss: &[&str], expected: &str, code: i32| {
        let said = refusal(&words(&network.line(loss)), code);
        assert!(said.contains(expected), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    };
    says(
        &["--output", "hidden"],
        "--output hidden: model.pt2 has the outputs 0, by name or number",
        1,
    );
    says(
        &["--target", "labels"],
        "expected an array labels for --target",
        1,
    );
    says(
        &["--mean", "0.5"],
        "d.safetensors is read in columns, which the model takes as they are; leave --mean out",
        1,
    );
    says(
        &["--activation", "gelu"],
        "model.pt2 has no open activation",
        1,
    );
    says(
        &["--loss", "mse"],
        "mse of an output (6, 4) and a target (6,)",
        1,
    );
    says(
        &["--ignore-index", "0", "--loss", "mse"],
        "--ignore-index belongs to",
        2,
    );
    let known = refusal(
        &[
            "line",
            &network.checkpoint("a"),
            &network.checkpoint("b"),
            "--data",
            "digits",
            "--target",
            "y",
        ],
        2,
    );
    assert!(
        known.contains("--target belongs to an exported model"),
        "{known}"
    );
}

/// A GPT that names tell needs no export: a file of tokens says what it takes, and named so it takes columns too.
#[test]
fn a_nanogpt_is_measured_on_its_tokens_without_an_export() {
    let models = PathBuf::from(fixture("models")).join("gpt");
    let io = safetensors::load(models.join("nanogpt.safetensors"), &Device::Cpu).unwrap();
    let pytorch = |name: &str| f64::from(io[name].to_scalar::<f32>().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let run = temporary.path().join("run");
    fs::create_dir(&run).unwrap();
    for step in [10, 20] {
        let copy = run.join(format!("ckpt_{step}.pt"));
        fs::copy(models.join("nanogpt.pt"), copy).unwrap();
    }
    let tokens: Vec<u16> = (0..46).map(|i| (7 * i * i + 3 * i) % 20).collect();
    let text = temporary.path().join("train.bin");
    let bytes: Vec<u8> = tokens
        .iter()
        .flat_map(|token| token.to_le_bytes())
        .collect();
    fs::write(&text, bytes).unwrap();
    let ids: Vec<i64> = tokens[..45].iter().map(|token| i64::from(*token)).collect();
    let ids = HashMap::from([("ids", Tensor::from_vec(ids, (5, 9), &Device::Cpu).unwrap())]);
    let blocks = temporary.path().join("blocks.safetensors");
    safetensors::save(&ids, &blocks).unwrap();
    let (run, text, blocks) = (path(&run), path(&text), path(&blocks));
    let measured = |data: &str, options: &[&str]| {
        let first = [
            "average",
            &run,
            "--data",
            data,
            "--samples",
            "all",
            "--format",
            "json",
        ];
        let found = json(&[&first[..], options].concat());
        found["averages"][0]["loss"].as_f64().unwrap()
    };
    for (found, expected) in [
        (measured(&text, &["--block", "9"]), pytorch("loss")),
        (
            measured(&blocks, &["--model", "nanogpt"]),
            pytorch("loss_of_blocks"),
        ),
    ] {
        assert!(
            (found / expected - 1.0).abs() < 1e-5,
            "{found}, expected {expected}"
        );
    }
    let said = refusal(&["average", &run, "--data", &text, "--block", "13"], 1);
    assert!(
        said.contains("12 places: expected --block 12 or less"),
        "{said}"
    );
}
