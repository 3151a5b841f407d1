//! A checkpoint that belongs to a run: its tensors matched by name to the run's layout.

use std::sync::Arc;

use crate::run::Checkpoint;
use crate::run::format::{StateDict, TensorInfo};

use super::WeightsError;
use super::layout::{Layout, Role, Slot};

/// Anything that yields the weights of one point of a run, a piece of a tensor at a time.
pub trait Weighted: Send + Sync {
    /// Fills `values` with the elements of slot `slot` from `start` on, row-major.
    ///
    /// # Errors
    /// The source can no longer be read.
    fn read(&self, slot: usize, start: usize, values: &mut [f32]) -> Result<(), WeightsError>;

    /// Whether reading a piece of a tensor costs as much as reading all of it.
    fn whole(&self) -> bool;

    /// Files that are open as long as it is.
    fn files(&self) -> usize;
}

/// The names and shapes that every checkpoint of a run must have: those of its first one.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The run's first checkpoint.
    pub first: Checkpoint,
    /// Its tensors, laid out.
    pub layout: Arc<Layout>,
    /// Nested key of the state dict, when the user named one.
    pub key: Option<String>,
}

impl Shape {
    /// Takes names and shapes from a run's first checkpoint.
    ///
    /// # Errors
    /// The checkpoint cannot be read or holds no weights.
    pub fn of(first: &Checkpoint, key: Option<&str>) -> Result<Self, WeightsError> {
        let dict = StateDict::open(&first.path, key)?;
        let layout = Layout::of(dict.tensors());
        if layout.parameters() == 0 {
            return Err(WeightsError::NoWeights(first.path.clone()));
        }
        Ok(Self {
            first: first.clone(),
            layout: Arc::new(layout),
            key: key.map(str::to_owned),
        })
    }
}

/// An open checkpoint whose tensors were found to be those of its run.
#[derive(Debug)]
pub struct Member {
    dict: StateDict,
    /// Index into `dict.tensors()` for each slot.
    tensors: Vec<usize>,
}

impl Member {
    /// Opens a checkpoint and matches its tensors, which may come in any order.
    ///
    /// # Errors
    /// The checkpoint cannot be read, or a tensor is missing, has another shape or is unknown.
    pub fn open(checkpoint: &Checkpoint, shape: &Shape) -> Result<Self, WeightsError> {
        let dict = StateDict::open(&checkpoint.path, shape.key.as_deref())?;
        let tensors = shape
            .layout
            .slots()
            .iter()
            .map(|slot| matching(dict.tensors(), slot, checkpoint, shape))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(surplus) = surplus(dict.tensors(), &shape.layout) {
            return Err(WeightsError::Surplus {
                path: checkpoint.path.clone(),
                first: shape.first.path.clone(),
                tensor: surplus,
            });
        }
        Ok(Self { dict, tensors })
    }
}

/// A parameter that the layout does not know: the model was changed. Other buffers may come and go.
fn surplus(tensors: &[TensorInfo], layout: &Layout) -> Option<String> {
    Layout::of(tensors)
        .slots()
        .iter()
        .find(|slot| slot.role == Role::Parameter && layout.find(&slot.name).is_none())
        .map(|slot| slot.name.clone())
}

fn matching(
    tensors: &[TensorInfo],
    slot: &Slot,
    checkpoint: &Checkpoint,
    shape: &Shape,
) -> Result<usize, WeightsError> {
    let index = tensors.iter().position(|tensor| tensor.name == slot.name);
    match index.map(|index| (index, &tensors[index])) {
        Some((index, tensor)) if tensor.shape == slot.shape => Ok(index),
        other => Err(WeightsError::Mismatch {
            path: checkpoint.path.clone(),
            first: shape.first.path.clone(),
            tensor: slot.name.clone(),
            expected: slot.shape.clone(),
            found: other.map_or("none".into(), |(_, tensor)| format!("{:?}", tensor.shape)),
        }),
    }
}

impl Weighted for Member {
    fn read(&self, slot: usize, start: usize, values: &mut [f32]) -> Result<(), WeightsError> {
        Ok(self.dict.read_into(self.tensors[slot], start, values)?)
    }

    fn whole(&self) -> bool {
        self.dict.reads_whole()
    }

    fn files(&self) -> usize {
        self.dict.files()
    }
}
