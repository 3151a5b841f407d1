//! Programs that torch.export saved, with PyTorch's logits, losses and both derivatives along a direction
//! (`tests/fixtures/pt2`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod refusals;
mod values;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use isoloss::model::program::pt2;
use isoloss::model::{Datum, FloatPlace, Kind, Norms, Weights};
use isoloss::run::{Dtype, StateDict, TensorInfo};
use isoloss::weights::{Layout, Role};
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
