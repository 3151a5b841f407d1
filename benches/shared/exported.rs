//! Networks that `benches/pytorch.py DIR` wrote, beside PyTorch: a batch through each, loss included.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use isoloss::data::{self, Columns, DataRequest};
use isoloss::landscape::{Compute, Objective, Place, Precision};
use isoloss::loss::{Criterion, Loss};
use isoloss::model;
use isoloss::run::Checkpoint;
use isoloss::weights::{RunCheckpoint, RunShape, direction};
use serde_json::{Map, Value, json};

const ROUNDS: usize = 7;

/// Prints seconds a batch and the ratio to PyTorch's for each network of the folder.
pub(crate) fn measure(folder: &Path) -> Result<Value, Box<dyn Error>> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("model.pt2").is_file())
        .collect();
    names.sort();
    let mut table = Map::new();
    for path in names {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let objective = open(&path)?;
        // PyTorch's turn stands between two of ours, so that a busy machine is busy for both.
        let mut ours = seconds(&objective.0, &objective.1)?;
        let theirs = pytorch(&name);
        ours.extend(seconds(&objective.0, &objective.1)?);
        ours.sort_by(f64::total_cmp);
        let ours = ours[ours.len() / 2];
        let ratio = theirs.map(|theirs| theirs / ours);
        println!(
            "{name:<14} {:>8.1} ms   {} × PyTorch",
            ours * 1e3,
            ratio.map_or("?".into(), |ratio| format!("{ratio:.2}"))
        );
        table.insert(
            name.into_owned(),
            json!({ "seconds": ours, "vs_pytorch": ratio }),
        );
    }
    Ok(Value::Object(table))
}

fn open(folder: &Path) -> Result<(Objective, Vec<f32>), Box<dyn Error>> {
    let checkpoint = Checkpoint::new(0, folder.join("weights.safetensors"));
    let shape = RunShape::of(&checkpoint, None)?;
    let flat = direction::flat(&shape.layout, &RunCheckpoint::open(&checkpoint, &shape)?)?;
    let file = folder.join("model.pt2");
    let file = file.to_str().ok_or("a folder in UTF-8")?;
    let arguments = model::arguments(file)?.unwrap_or_default();
    let data = data::load(&DataRequest {
        columns: Some(Columns {
            inputs: arguments.into_iter().map(|input| input.name).collect(),
            ..Columns::default()
        }),
        ..DataRequest::whole(folder.join("data.safetensors"))
    })?;
    let recognized = model::recognize(&shape.layout, file, None)?;
    let (compute, _) = Compute::open(Place::Cpu, Precision::F32, None)?;
    let criterion = Criterion {
        loss: Loss::default(),
        output: None,
    };
    let layout = Arc::clone(&shape.layout);
    Ok((
        Objective::new(&recognized, layout, &data, &criterion, &compute)?,
        flat,
    ))
}

/// Seconds of forward passes, each with weights that are new.
fn seconds(objective: &Objective, flat: &[f32]) -> Result<Vec<f64>, Box<dyn Error>> {
    objective.at_flat(flat)?;
    let mut seconds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        objective.at_flat(flat)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok(seconds)
}

/// PyTorch's seconds for the same network; `None` where it is not installed.
fn pytorch(name: &str) -> Option<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pytorch.py");
    let output = Command::new("python3")
        .args([script, "--only", name])
        .output();
    let line: Value = serde_json::from_slice(&output.ok()?.stdout).ok()?;
    line["seconds"].as_f64()
}
