//! Programs that torch.export saved, with PyTorch's logits, losses and both derivatives along a direction
//! (`tests/fixtures/pt2`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use isoloss::model::Weights;
use isoloss::model::program::datum::{Datum, FloatPlace, Kind};
use isoloss::model::program::pt2;
use isoloss::model::program::run::Norms;
use isoloss::run::format::{Dtype, StateDict, TensorInfo};
use isoloss::weights::layout::{Layout, Role};
use rstest::rstest;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// candle keeps gradients differentiable only when this is set before a thread's first backward pass.
const KEEP_GRAPH: &str = "CANDLE_GRAD_DO_NOT_DETACH";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/pt2")
        .join(name)
}

/// A checkpoint's tensors by name, the names of tied ones too.
fn tensors(state: &StateDict) -> HashMap<String, Tensor> {
    let infos = state.tensors().iter().enumerate();
    let floats = infos.filter(|(_, info)| !matches!(info.dtype, Dtype::Other(_)));
    let read = floats.map(|(index, info)| {
        let count = info.shape.iter().product();
        let values = state.read(index, 0..count).unwrap();
        let tensor = Tensor::from_vec(values, info.shape.as_slice(), &Device::Cpu).unwrap();
        (info.name.clone(), tensor)
    });
    let mut tensors: HashMap<String, Tensor> = read.collect();
    for (index, other) in state.tied() {
        let tensor = tensors[&state.tensors()[*index].name].clone();
        tensors.insert(other.clone(), tensor);
    }
    tensors
}

struct Case {
    folder: PathBuf,
    json: serde_json::Value,
    io: HashMap<String, Tensor>,
    dtype: DType,
}

impl Case {
    fn open(name: &str, dtype: DType) -> Self {
        let folder = fixture(name);
        let json = std::fs::read_to_string(folder.join("case.json")).unwrap();
        let io = folder.join("io.safetensors");
        Self {
            json: serde_json::from_str(&json).unwrap(),
            io: candle_core::safetensors::load(io, &Device::Cpu).unwrap(),
            folder,
            dtype,
        }
    }

    fn place(&self) -> FloatPlace {
        FloatPlace {
            device: Device::Cpu,
            dtype: self.dtype,
        }
    }

    fn checkpoint(&self, letter: &str) -> StateDict {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        let mut paths = entries.map(|entry| entry.unwrap().path());
        let start = format!("checkpoint-{letter}.");
        let is_own = |path: &PathBuf| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with(&start)
        };
        StateDict::open(&paths.find(is_own).unwrap(), None).unwrap()
    }

    fn datum(&self, name: &str) -> Datum {
        let tensor = &self.io[name];
        if tensor.dtype().is_float() {
            return Datum::float(tensor.clone());
        }
        let values = tensor.flatten_all().unwrap().to_dtype(DType::I64).unwrap();
        Datum::ints(&values.to_vec1::<i64>().unwrap(), tensor.dims()).unwrap()
    }

    fn inputs(&self) -> Vec<Datum> {
        let names = self.json["inputs"].as_array().unwrap().iter();
        names
            .map(|name| self.datum(&format!("input.{}", name.as_str().unwrap())))
            .collect()
    }

    /// Mean loss, differentiable.
    fn loss(&self, outputs: &[Datum]) -> Tensor {
        let kind = self.json["loss"].as_str().unwrap();
        if kind == "graph" {
            let at = self.json["loss_output"].as_u64().unwrap();
            return outputs[at as usize].tensor().clone();
        }
        let at = self.json["logits_output"].as_u64().unwrap() as usize;
        let logits = outputs[at].tensor().clone();
        let target = &self.io["target"];
        let loss = match kind {
            "mse" => {
                let target = target.to_dtype(self.dtype).unwrap();
                (logits - target).and_then(|d| d.sqr()?.mean_all())
            }
            "bce_with_logits" => {
                let target = target.to_dtype(self.dtype).unwrap();
                let both = logits.exp().and_then(|e| (e + 1.0)?.log());
                both.and_then(|both| (both - (logits * target)?)?.mean_all())
            }
            _ => classes(kind, &logits, target),
        };
        loss.unwrap()
    }
}

/// Cross-entropy of class ids, the classes along the last axis.
fn classes(kind: &str, logits: &Tensor, target: &Tensor) -> candle_core::Result<Tensor> {
    let (logits, target) = if kind == "next_token" {
        let steps = logits.dim(1)? - 1;
        (logits.narrow(1, 0, steps)?, target.narrow(1, 1, steps)?)
    } else {
        (logits.clone(), target.clone())
    };
    let count = logits.dims()[logits.rank() - 1];
    let rows = logits.contiguous()?.reshape(((), count))?;
    let logs = if kind == "nll" {
        rows
    } else {
        let sum = rows.exp()?.sum_keepdim(1)?.log()?;
        rows.broadcast_sub(&sum)?
    };
    let ids = target
        .flatten_all()?
        .to_dtype(DType::I64)?
        .to_vec1::<i64>()?;
    let flat = ids.iter().enumerate();
    let flat: Vec<u32> = flat
        .map(|(row, id)| (row * count) as u32 + *id as u32)
        .collect();
    let own = logs
        .flatten_all()?
        .index_select(&Tensor::new(flat, logs.device())?, 0)?;
    own.mean_all()?.neg()
}

fn scalar(tensor: &Tensor) -> f64 {
    let tensor = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    tensor.to_vec1::<f64>().unwrap()[0]
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let a = a.to_dtype(DType::F64).unwrap();
    let b = b.to_dtype(DType::F64).unwrap();
    let d = (a - b)
        .and_then(|d| d.abs()?.flatten_all()?.max(0))
        .unwrap();
    scalar(&d)
}

/// The layout of a checkpoint, and its weights as one flat vector.
fn flat(state: &StateDict, dtype: DType) -> (Arc<Layout>, Tensor) {
    let layout = Arc::new(Layout::of(state.tensors()));
    let own = tensors(state);
    let slots = layout.slots().iter();
    let parts: Vec<Tensor> = slots
        .map(|slot| {
            own[&slot.name]
                .flatten_all()
                .unwrap()
                .to_dtype(dtype)
                .unwrap()
        })
        .collect();
    (layout, Tensor::cat(&parts, 0).unwrap())
}

fn check(name: &str) {
    let case = Case::open(name, DType::F32);
    let place = case.place();
    let at = case.json["logits_output"].as_u64().unwrap() as usize;
    for letter in ["a", "b", "c"] {
        let (layout, values) = flat(&case.checkpoint(letter), DType::F32);
        let bound = pt2::read(&case.folder.join("model.pt2"), &layout).unwrap();
        assert_eq!(bound.kept, [] as [String; 0], "{name} {letter}");
        let weights = Weights::new(values, layout);
        let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
        let outputs = bound
            .program
            .run(&weights, &prepared, &place, &mut Norms::Stored)
            .unwrap();
        assert!(outputs.iter().all(|output| output.kind() == Kind::Float));
        let expected = &case.io[&format!("{letter}.logits64")];
        let apart = distance(outputs[at].tensor(), expected);
        assert!(apart < 1e-4, "{name} {letter}: logits {apart}");
        let (loss, expected) = (
            scalar(&case.loss(&outputs)),
            scalar(&case.io[&format!("{letter}.loss")]),
        );
        let apart = (loss / expected - 1.0).abs();
        assert!(apart < 1e-4, "{name} {letter}: loss {loss}, not {expected}");
        derivatives(name, letter);
    }
}

/// Slope and curvature along the way from a to b, in float64.
fn derivatives(name: &str, letter: &str) {
    let case = Case::open(name, DType::F64);
    let place = case.place();
    let (layout, values) = flat(&case.checkpoint(letter), DType::F64);
    let [from, to] = ["a", "b"].map(|letter| tensors(&case.checkpoint(letter)));
    let t = Var::new(&[0f64], &Device::Cpu).unwrap();
    let bound = pt2::read(&case.folder.join("model.pt2"), &layout).unwrap();
    let weights = Weights::new(values, Arc::clone(&layout));
    let moved = layout.slots().iter().enumerate();
    let moved = moved.filter(|(_, slot)| slot.role == Role::Parameter);
    let moved = moved.map(|(at, slot)| {
        let find = |own: &HashMap<String, Tensor>| {
            let tied = case.json["tied"].as_array().unwrap().iter();
            let tied = tied.flat_map(|group| group.as_array().unwrap());
            let mut names = tied.map(|name| name.as_str().unwrap());
            let found = own
                .get(&slot.name)
                .or_else(|| names.find_map(|name| own.get(name)));
            found.unwrap().to_dtype(DType::F64).unwrap()
        };
        let along = (find(&to) - find(&from)).unwrap();
        let own = weights.slot(at).unwrap();
        let step = along.broadcast_mul(&t.reshape(vec![1; along.rank()]).unwrap());
        (at, (own + step.unwrap()).unwrap())
    });
    let moved = weights.with(moved.collect::<Vec<_>>());
    let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
    let outputs = bound
        .program
        .run(&moved, &prepared, &place, &mut Norms::Stored)
        .unwrap();
    let slope = case.loss(&outputs).backward().unwrap();
    let slope = slope.get(&t).unwrap().clone();
    let curvature = slope.sum_all().unwrap().backward().unwrap();
    let curvature = curvature.get(&t).map_or(0.0, scalar);
    for (what, found) in [("slope", scalar(&slope)), ("curvature", curvature)] {
        let expected = scalar(&case.io[&format!("{letter}.{what}")]);
        let bound = (1e-3 * expected.abs()).max(1e-6);
        let apart = (found - expected).abs();
        assert!(
            apart < bound,
            "{name} {letter}: {what} {found}, not {expected}"
        );
    }
}

#[rstest]
fn an_exported_program_gives_pytorch_s_numbers(
    #[values(
        "autoencoder",
        "cnn1d",
        "hf_bert",
        "hf_gpt2",
        "lstm",
        "mlp",
        "nanogpt",
        "pinn",
        "swin",
        "unet_diffusion",
        "vgg_bn",
        "vit"
    )]
    name: &str,
) {
    let name = name.to_owned();
    twice_differentiable(move || check(&name));
}

/// Each operator's values, and slope and curvature of Σ c·y³ along a direction of the parameters.
fn check_operators() {
    let folder = fixture("operators");
    let values = folder.join("values.safetensors");
    let values = candle_core::safetensors::load(values, &Device::Cpu).unwrap();
    let state = StateDict::open(&folder.join("checkpoint.safetensors"), None).unwrap();
    let (layout, flat) = flat(&state, DType::F64);
    let bound = pt2::read(&folder.join("model.pt2"), &layout).unwrap();
    let weights = Weights::new(flat, Arc::clone(&layout));
    let t = Var::new(&[0f64], &Device::Cpu).unwrap();
    let moved = layout.slots().iter().enumerate().filter_map(|(at, slot)| {
        let along = values.get(&format!("direction.{}", slot.name))?;
        let along = along.to_dtype(DType::F64).unwrap();
        let step = along.broadcast_mul(&t.reshape(vec![1; along.rank()]).unwrap());
        Some((at, (weights.slot(at).unwrap() + step.unwrap()).unwrap()))
    });
    let moved = weights.with(moved.collect::<Vec<_>>());
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F64,
    };
    let x = Tensor::zeros((2, 1), DType::F64, &Device::Cpu).unwrap();
    let prepared = bound
        .program
        .prepare(vec![Datum::float(x)], &place)
        .unwrap();
    let outputs = bound
        .program
        .run(&moved, &prepared, &place, &mut Norms::Stored)
        .unwrap();
    let mut wrong = Vec::new();
    assert_eq!(outputs.len(), 143);
    for (output, datum) in bound.program.outputs.iter().zip(outputs) {
        let name = output.name.as_deref().unwrap();
        let y = datum.tensor();
        let expected = &values[&format!("{name}.y")];
        if y.dims() != expected.dims() {
            wrong.push(format!(
                "{name}: shape {:?}, not {:?}",
                y.dims(),
                expected.dims()
            ));
            continue;
        }
        let apart = distance(y, expected);
        if apart.is_nan() || apart >= 1e-9 {
            wrong.push(format!("{name}: values {apart}"));
            continue;
        }
        let c = values[&format!("{name}.c")].to_dtype(DType::F64).unwrap();
        let cube = y
            .sqr()
            .and_then(|square| ((square * y)? * c)?.sum_all())
            .unwrap();
        let slope = cube.backward().unwrap();
        let slope = slope.get(&t).cloned();
        let curvature = slope
            .as_ref()
            .map(|slope| slope.sum_all().unwrap().backward().unwrap());
        let curvature = curvature
            .and_then(|second| second.get(&t).map(scalar))
            .unwrap_or(0.0);
        let found = [slope.as_ref().map_or(0.0, scalar), curvature];
        let expected: Vec<f64> = values[&format!("{name}.slopes")].to_vec1().unwrap();
        for (what, (found, expected)) in ["slope", "curvature"]
            .iter()
            .zip(found.iter().zip(expected))
        {
            let apart = (found - expected).abs();
            if apart.is_nan() || apart > 1e-6 * expected.abs().max(1.0) {
                wrong.push(format!("{name}: {what} {found}, not {expected}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn operators_in_f32_without_gradients_have_pytorch_s_values() {
    let folder = fixture("operators");
    let values = folder.join("values.safetensors");
    let values = candle_core::safetensors::load(values, &Device::Cpu).unwrap();
    let state = StateDict::open(&folder.join("checkpoint.safetensors"), None).unwrap();
    let (layout, flat) = flat(&state, DType::F32);
    let bound = pt2::read(&folder.join("model.pt2"), &layout).unwrap();
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let x = Tensor::zeros((2, 1), DType::F32, &Device::Cpu).unwrap();
    let weights = Weights::new(flat, Arc::clone(&layout));
    let program = &bound.program;
    let prepared = program.prepare(vec![Datum::float(x)], &place).unwrap();
    let outputs = program.run(&weights, &prepared, &place, &mut Norms::Stored);
    for (output, datum) in program.outputs.iter().zip(outputs.unwrap()) {
        let name = output.name.as_deref().unwrap();
        let expected = &values[&format!("{name}.y")];
        assert_eq!(datum.tensor().dims(), expected.dims(), "{name}");
        let apart = distance(datum.tensor(), expected);
        assert!(apart < 1e-4, "{name}: {apart}");
    }
}

/// Runs a test again in a process in which gradients stay differentiable, on a stack that deep graphs need.
fn twice_differentiable(work: impl FnOnce() + Send + 'static) {
    if std::env::var_os(KEEP_GRAPH).is_some() {
        let thread = std::thread::Builder::new().stack_size(64 << 20);
        thread.spawn(work).unwrap().join().unwrap();
        return;
    }
    let own = std::thread::current().name().unwrap().to_owned();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &own])
        .env(KEEP_GRAPH, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    let why = String::from_utf8_lossy(&child.stderr);
    assert!(
        child.status.success() && said.contains("1 passed"),
        "{said}{why}"
    );
}

#[test]
fn operators_have_pytorch_s_values_and_both_derivatives() {
    twice_differentiable(check_operators);
}

/// Reads an archive in which some text of the program is another, and returns the sentence that refuses it.
fn refused(name: &str, from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    let mut own = ZipArchive::new(File::open(fixture(name).join("model.pt2")).unwrap()).unwrap();
    let mut other = ZipWriter::new(File::create(&path).unwrap());
    for index in 0..own.len() {
        let mut entry = own.by_index(index).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let entry = entry.name().unwrap().into_owned();
        if entry.ends_with("models/model.json") {
            let program = String::from_utf8(bytes).unwrap();
            assert!(program.contains(from), "{from}");
            bytes = program.replace(from, to).into_bytes();
        }
        other
            .start_file(entry, SimpleFileOptions::default())
            .unwrap();
        other.write_all(&bytes).unwrap();
    }
    other.finish().unwrap();
    let state = Case::open(name, DType::F32).checkpoint("a");
    let read = pt2::read(&path, &Layout::of(state.tensors()));
    read.unwrap_err()
        .to_string()
        .replace(path.to_str().unwrap(), "model.pt2")
}

#[rstest]
#[case::operator(
    "pinn",
    "aten.tanh.default",
    "aten.bessel_j0.default",
    "model.pt2 uses 1 operator that isoloss does not know: aten.bessel_j0.default (2×, "
)]
#[case::argument(
    "pinn",
    r#""target": "torch.ops.aten.tanh.default", "inputs": ["#,
    r#""target": "torch.ops.aten.tanh.default", "inputs": [{"name": "decimals", "arg": {"as_int": 1}, "kind": 1}, "#,
    "model.pt2 uses 1 operator that isoloss does not know: aten.tanh.default (2×, "
)]
#[case::second_result(
    "pinn",
    r#""outputs": [{"as_tensor": {"name": "tanh"}}]"#,
    r#""outputs": [{"as_tensor": {"name": "other"}}, {"as_tensor": {"name": "tanh"}}]"#,
    "model.pt2 uses 1 operator that isoloss does not know: aten.tanh.default (1×, "
)]
#[case::training(
    "lstm",
    r#""name": "train", "arg": {"as_bool": false}"#,
    r#""name": "train", "arg": {"as_bool": true}"#,
    "model.pt2 was exported in training mode (aten.lstm.input): call model.eval() before torch.export.export"
)]
#[case::random(
    "pinn",
    "aten.tanh.default",
    "aten.randn_like.default",
    "model.pt2 draws random numbers in forward (aten.randn_like.default): make it deterministic in evaluation mode"
)]
#[case::size(
    "pinn",
    "aten.tanh.default",
    "aten.nonzero.default",
    "model.pt2 has a value whose size depends on the data (aten.nonzero.default)"
)]
#[case::sparse(
    "pinn",
    r#""layout": 7"#,
    r#""layout": 1"#,
    "model.pt2 has a sparse tensor (aten.linear.default): build the model of dense tensors before torch.export.export"
)]
#[case::complex(
    "pinn",
    r#""dtype": 7"#,
    r#""dtype": 10"#,
    "model.pt2 has a tensor of complex numbers (aten.linear.default): compute with real and imaginary parts"
)]
#[case::quantized(
    "pinn",
    "aten.tanh.default",
    "quantized_decomposed.quantize_per_tensor.default",
    "model.pt2 has a quantized tensor (quantized_decomposed.quantize_per_tensor.default): export the model as it was before"
)]
#[case::fake_quantized(
    "pinn",
    "aten.tanh.default",
    "aten.fake_quantize_per_tensor_affine.default",
    "model.pt2 has a quantized tensor (aten.fake_quantize_per_tensor_affine.default)"
)]
#[case::object(
    "pinn",
    r#""user_input": {"arg": {"as_tensor": {"name": "xt"}}}"#,
    r#""custom_obj": {"arg": {"name": "xt"}}"#,
    "model.pt2 has a custom object (xt): give the model tensors alone before torch.export.export"
)]
#[case::schema(
    "pinn",
    r#""major": 8"#,
    r#""major": 9"#,
    "model.pt2: expected a program that torch.export.save wrote, found schema 9 of PyTorch "
)]
#[case::names(
    "pinn",
    r#""parameter_name": ""#,
    r#""parameter_name": "a.b.c."#,
    "tensors of model.pt2 are not in the checkpoint, e.g. a.b.c."
)]
fn what_cannot_be_measured_is_said_in_one_sentence(
    #[case] name: &str,
    #[case] from: &str,
    #[case] to: &str,
    #[case] said: &str,
) {
    let found = refused(name, from, to);
    assert!(found.contains(said), "{found}");
}

#[test]
fn files_that_are_no_programs_are_named() {
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let layout = Layout::of(state.tensors());
    let missing = pt2::read(&fixture("pinn").join("none.pt2"), &layout);
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("none.pt2: expected a program")
    );
    let weights = pt2::read(&fixture("nanogpt").join("checkpoint-b.pt"), &layout);
    let weights = weights.unwrap_err().to_string();
    assert!(
        weights.contains("weights or TorchScript, no exported program"),
        "{weights}"
    );
    let other = pt2::read(&fixture("lstm").join("model.pt2"), &layout)
        .unwrap_err()
        .to_string();
    assert!(
        other.contains("are not in the checkpoint, e.g. "),
        "{other}"
    );
}

#[test]
fn a_tensor_of_another_shape_is_named_with_both_shapes() {
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let mut infos = state.tensors().to_vec();
    let own = infos[0].shape.clone();
    infos[0].shape.push(1);
    let said = pt2::read(&fixture("pinn").join("model.pt2"), &Layout::of(&infos));
    let said = said.unwrap_err().to_string();
    let expected = format!(
        "takes {} of shape {own:?}, the checkpoint has {:?}",
        infos[0].name, infos[0].shape
    );
    assert!(said.contains(&expected), "{said}");
}

#[test]
fn a_file_that_is_cut_or_changed_is_an_error_and_no_panic() {
    let bytes = std::fs::read(fixture("pinn").join("model.pt2")).unwrap();
    let state = Case::open("pinn", DType::F32).checkpoint("a");
    let layout = Layout::of(state.tensors());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    for cut in (0..bytes.len()).step_by(97) {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let said = pt2::read(&path, &layout).unwrap_err().to_string();
        let is_told = said.contains("an archive that is damaged or was cut, copy or export it");
        assert_eq!(is_told, cut > 0, "cut at {cut}: {said}");
        let mut changed = bytes.clone();
        changed[cut] ^= 0x55;
        std::fs::write(&path, &changed).unwrap();
        let _ = pt2::read(&path, &layout);
    }
}

/// The parts of older archives are archives themselves, of weights, with ends of their own.
#[rstest]
fn an_archive_that_is_cut_is_never_taken_for_one_of_its_parts(
    #[values("layouts/torch-2.6.pt2", "layouts/torch-2.8.pt2", "nanogpt/model.pt2")] file: &str,
) {
    let bytes = std::fs::read(fixture(file)).unwrap();
    let layout = Layout::of(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.pt2");
    let ends = bytes.windows(4).enumerate();
    let ends = ends.filter(|(_, mark)| mark == b"PK\x05\x06");
    let mut cuts: Vec<usize> = ends.map(|(at, _)| (at + 22).min(bytes.len() - 1)).collect();
    cuts.extend((4..bytes.len()).step_by(1009));
    for cut in cuts {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let said = pt2::read(&path, &layout).unwrap_err().to_string();
        assert!(said.contains("damaged or was cut"), "{cut}: {said}");
    }
    std::fs::write(&path, "weights").unwrap();
    let said = pt2::read(&path, &layout).unwrap_err().to_string();
    assert!(said.ends_with("found no zip archive"), "{said}");
}

/// As PyTorch 2.6 and 2.8 laid archives out: make_layouts.py.
#[rstest]
fn archives_of_older_pytorch_hold_the_same_program(
    #[values("torch-2.6.pt2", "torch-2.8.pt2")] file: &str,
) {
    let case = Case::open("hf_bert", DType::F32);
    let state = case.checkpoint("a");
    // A tensor that the checkpoint lacks is taken from the archive.
    let infos = state.tensors().iter();
    let infos = infos.filter(|info| info.name != "classifier.weight");
    let layout = Arc::new(Layout::of(&infos.cloned().collect::<Vec<_>>()));
    let all = tensors(&state);
    let slots = layout.slots().iter();
    let flat: Vec<Tensor> = slots
        .map(|slot| all[&slot.name].flatten_all().unwrap())
        .collect();
    let weights = Weights::new(Tensor::cat(&flat, 0).unwrap(), Arc::clone(&layout));
    let outputs = |path: &Path| {
        let bound = pt2::read(path, &layout).unwrap();
        assert_eq!(bound.kept, ["classifier.weight"]);
        let place = case.place();
        let prepared = bound.program.prepare(case.inputs(), &place).unwrap();
        let outputs = bound
            .program
            .run(&weights, &prepared, &place, &mut Norms::Stored);
        let outputs = outputs.unwrap().into_iter();
        let numbers = outputs.map(|output| output.tensor().flatten_all().unwrap());
        numbers
            .flat_map(|numbers| numbers.to_vec1::<f32>().unwrap())
            .map(f32::to_bits)
            .collect::<Vec<_>>()
    };
    let found = outputs(&fixture("layouts").join(file));
    assert_eq!(found, outputs(&case.folder.join("model.pt2")));
}

#[test]
fn a_program_of_a_fixed_number_of_samples_is_refused() {
    let weight = TensorInfo {
        name: "weight".into(),
        shape: vec![3],
        dtype: Dtype::F32,
    };
    let layout = Layout::of(&[weight]);
    let said = pt2::read(&fixture("operators/fixed.pt2"), &layout).unwrap_err();
    let said = said.to_string();
    let expected = "fixed.pt2 takes exactly 2 samples (x): export a batch of two or more with \
                    dynamic_shapes={\"x\": {0: torch.export.Dim.AUTO}}";
    assert!(said.contains(expected), "{said}");
}

/// PyTorch's functional form says the same without a write.
#[test]
fn a_write_to_a_part_of_a_tensor_is_refused_and_its_functional_form_is_right() {
    let weight = TensorInfo {
        name: "weight".into(),
        shape: vec![3],
        dtype: Dtype::F32,
    };
    let layout = Arc::new(Layout::of(&[weight]));
    let said = pt2::read(&fixture("operators/writes.pt2"), &layout).unwrap_err();
    let said = said.to_string();
    assert!(
        said.contains("writes.pt2 writes into part of a tensor (aten.copy_.default"),
        "{said}"
    );
    assert!(said.contains("program.run_decompositions({})"), "{said}");
    let bound = pt2::read(&fixture("operators/written.pt2"), &layout).unwrap();
    let place = FloatPlace {
        device: Device::Cpu,
        dtype: DType::F32,
    };
    let x = Tensor::ones((2, 5), DType::F32, &Device::Cpu).unwrap();
    let weights = Tensor::new(&[3f32, 4.0, 5.0], &Device::Cpu).unwrap();
    let prepared = bound
        .program
        .prepare(vec![Datum::float(x)], &place)
        .unwrap();
    let outputs = bound.program.run(
        &Weights::new(weights, layout),
        &prepared,
        &place,
        &mut Norms::Stored,
    );
    let found = outputs.unwrap()[0].tensor().to_vec2::<f32>().unwrap();
    assert_eq!(found, [[2.0, 6.0, 8.0, 10.0, 2.0]; 2]);
}
