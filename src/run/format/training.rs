//! What a torch file holds beside its tensors, as far as it is plain values.

use std::path::Path;

use pytorch_reader::{PickleValue, PytorchReader};

use super::torch::guarded;

/// A value of a checkpoint that is no tensor.
#[derive(Debug)]
pub(in crate::run) enum Note {
    /// By name.
    Dict(Vec<(String, Note)>),
    /// In order.
    List(Vec<Note>),
    /// A whole number or another.
    Number(f64),
    /// Anything else.
    Other,
}

/// The outermost value of a torch file; none when it cannot be read.
pub(in crate::run) fn note(path: &Path) -> Option<Note> {
    let value = guarded(path, || {
        PytorchReader::read_pickle_data(path, None).map_err(|e| e.to_string())
    });
    value.ok().map(Note::from)
}

impl From<PickleValue> for Note {
    fn from(value: PickleValue) -> Self {
        match value {
            PickleValue::Dict(fields) => Self::Dict(
                fields
                    .into_iter()
                    .map(|(name, value)| (name, value.into()))
                    .collect(),
            ),
            PickleValue::List(values) => Self::List(values.into_iter().map(Self::from).collect()),
            PickleValue::Int(value) => Self::Number(value as f64),
            PickleValue::Float(value) => Self::Number(value),
            _ => Self::Other,
        }
    }
}

impl Note {
    /// The value of this name in a dict.
    pub(in crate::run) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Dict(fields) => fields
                .iter()
                .find(|field| field.0 == name)
                .map(|field| &field.1),
            _ => None,
        }
    }

    /// The first value of a list.
    pub(in crate::run) fn first(&self) -> Option<&Self> {
        match self {
            Self::List(values) => values.first(),
            _ => None,
        }
    }

    /// A number that is finite.
    pub(in crate::run) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value).filter(|value| value.is_finite()),
            _ => None,
        }
    }
}
