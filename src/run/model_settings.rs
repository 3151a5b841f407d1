//! Settings of a model that stand beside its weights: in the checkpoint, or in `config.json` in its folder.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::note::{self, Note};
use super::{Checkpoint, regular};

/// Bytes of a `config.json` at most.
const LARGEST: u64 = 1 << 20;
/// The file's name, as Hugging Face's library writes it.
const FILE: &str = "config.json";
/// Keys under which checkpoints keep a model's settings: nanoGPT, then what is usual by hand and in Lightning.
const KEPT: [&str; 7] = [
    "model_args",
    "model_config",
    "config",
    "hyper_parameters",
    "hparams",
    "args",
    "cfg",
];
const HEADS: [&str; 4] = ["n_head", "num_attention_heads", "n_heads", "num_heads"];
const ACTIVATIONS: [&str; 2] = ["activation_function", "hidden_act"];

/// A model's settings, as far as files have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// Number of attention heads.
    pub heads: Option<usize>,
    /// Function between dense layers, by Hugging Face's names, e.g. `gelu_new`.
    pub activation: Option<String>,
}

impl ModelSettings {
    /// Reads the settings of a checkpoint. What is not told, or cannot be read, is none; no weights are read.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let path = checkpoint.path.as_path();
        let own = if path.is_dir() {
            Self::read(path)
        } else {
            Self {
                heads: note::read(path).and_then(|note| heads(&note)),
                activation: None,
            }
        };
        let beside = path.parent().map(Self::read).unwrap_or_default();
        Self {
            heads: own.heads.or(beside.heads),
            activation: own.activation.or(beside.activation),
        }
    }

    /// Reads `config.json` in a folder.
    fn read(folder: &Path) -> Self {
        let text = regular::read_text(&folder.join(FILE), LARGEST);
        let read = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        let config: Value = read.unwrap_or_default();
        let heads = HEADS.iter().find_map(|name| config.get(name)?.as_u64());
        let activation = ACTIVATIONS
            .iter()
            .find_map(|name| config.get(name)?.as_str());
        Self {
            heads: heads.and_then(|heads| heads.try_into().ok()),
            activation: activation.map(str::to_owned),
        }
    }
}

/// Returns the number of heads that a checkpoint keeps beside its weights.
fn heads(note: &Note) -> Option<usize> {
    let settings = KEPT.iter().filter_map(|name| note.get(name));
    let mut told = settings.flat_map(|kept| HEADS.iter().filter_map(|name| kept.get(name)));
    let number = told.find_map(Note::number)?;
    let is_count = number.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&number);
    is_count.then_some(number as usize)
}
