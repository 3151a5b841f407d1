//! HF-style folders: one weight file, or an index that says which shard holds which tensor.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::run::log::trainer_state::{self, TrainerState};

use super::tree::Item;
use super::{FormatError, OpenFile, Place, natural};
use crate::run::regular;

/// Files, where each tensor is, and the names as one dict.
pub(super) type Opened = (Vec<OpenFile>, Vec<Place>, Option<Item>);

/// Weight files and indices of a folder, the first that is there counts.
const WHOLE: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
const INDICES: [&str; 2] = [
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
];
/// An index is a name a tensor; this is far more than any has.
const LARGEST_INDEX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens the weights of a folder.
pub(super) fn open(folder: &Path) -> Result<Opened, FormatError> {
    if let Some(whole) = WHOLE
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
    {
        let mut file = OpenFile::open(&whole)?;
        let places = (0..file.tensors.len())
            .map(|tensor| Place { file: 0, tensor })
            .collect();
        let root = file.root.take();
        return Ok((vec![file], places, root));
    }
    match INDICES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
    {
        Some(index) => open_shards(folder, &index),
        None => Err(FormatError::Shards {
            path: folder.to_path_buf(),
            reason: format!(
                "expected one of {} or {}, found neither",
                WHOLE.join(", "),
                INDICES.join(", ")
            ),
        }),
    }
}

fn open_shards(folder: &Path, index_path: &Path) -> Result<Opened, FormatError> {
    let wrong = |reason: String| FormatError::Shards {
        path: index_path.to_path_buf(),
        reason,
    };
    let index = read_index(index_path)?;
    let names: BTreeSet<&str> = index.weight_map.values().map(String::as_str).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let mut files = Vec::new();
    for name in &names {
        // A name with a path in it could point anywhere.
        if Path::new(name).file_name().is_none_or(|file| file != *name) {
            return Err(wrong(format!(
                "expected the name of a shard in this folder, found {name}"
            )));
        }
        if !folder.join(name).is_file() {
            return Err(wrong(format!(
                "expected the shard {name} beside it, found no such file"
            )));
        }
        files.push(OpenFile::open(&folder.join(name))?);
    }
    let mut places: HashMap<&str, Vec<(&str, Place)>> = HashMap::new();
    for (file, opened) in files.iter().enumerate() {
        for (name, tensor) in opened.named() {
            let place = (names[file], Place { file, tensor });
            places.entry(name).or_default().push(place);
        }
    }
    let mut tensors: Vec<(&String, Place)> = Vec::new();
    for (tensor, shard) in &index.weight_map {
        let found = places.get(tensor.as_str()).and_then(|places| {
            let found = places.iter().find(|(name, _)| name == shard);
            found.map(|(_, place)| *place)
        });
        let place = found.ok_or_else(|| {
            wrong(format!(
                "expected tensor {tensor} in {shard}, found none there"
            ))
        })?;
        tensors.push((tensor, place));
    }
    tensors.sort_by(|a, b| natural(a.0, b.0));
    let fields = tensors.iter().enumerate();
    let fields = fields.map(|(at, (name, _))| (name.as_str().into(), Item::Tensor(at)));
    let root = Item::Dict(None, fields.collect());
    let places = tensors.into_iter().map(|(_, place)| place).collect();
    Ok((files, places, Some(root)))
}

fn read_index(path: &Path) -> Result<Index, FormatError> {
    let text = read_bounded(path, LARGEST_INDEX)?;
    serde_json::from_str(&text).map_err(|e| FormatError::Shards {
        path: path.to_path_buf(),
        reason: format!("expected a JSON object with a weight_map: {e}"),
    })
}

fn read_bounded(path: &Path, limit: u64) -> Result<String, FormatError> {
    regular::read_text(path, limit).map_err(|source| FormatError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// The step that the trainer noted beside the weights.
pub(super) fn step(folder: &Path) -> Option<u64> {
    let state = TrainerState::read(&folder.join(trainer_state::NAME));
    state.ok()??.global_step
}

/// The files of a folder whose change means another checkpoint; empty when it is none.
pub(in crate::run) fn weight_files(folder: &Path) -> Vec<PathBuf> {
    if let Some(whole) = WHOLE
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
    {
        return vec![whole];
    }
    if !INDICES.iter().any(|name| folder.join(name).is_file()) {
        return Vec::new();
    }
    let is_part = |path: &PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        INDICES.contains(&name) || name.starts_with("model-") || name.starts_with("pytorch_model-")
    };
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(is_part)
                .collect()
        })
        .unwrap_or_default();
    files.sort();
    files
}
