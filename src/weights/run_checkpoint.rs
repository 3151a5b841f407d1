//! A checkpoint that belongs to a run: its tensors matched by name to the run's layout.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::run::format::bare;
use crate::run::{Checkpoint, FormatError, ModelSettings, StateDict, TensorInfo};

use super::WeightsError;
use super::layout::{Layout, Role, Slot};
use super::roles::{Roles, layout};

/// Anything that yields the weights of one point of a run, a piece of a tensor at a time.
pub trait WeightSource: Send + Sync {
    /// Fills `values` with the elements of slot `slot` from `start` on, row-major.
    ///
    /// # Errors
    /// The source can no longer be read.
    fn read(&self, slot: usize, start: usize, values: &mut [f32]) -> Result<(), WeightsError>;

    /// Returns true if reading a piece of a tensor costs as much as reading all of it.
    fn whole(&self) -> bool;

    /// Returns the number of files that are open as long as it is.
    fn files(&self) -> usize;
}

/// The names and shapes that every checkpoint of a path has: those of the run's newest one, because a
/// model that was changed is the one that is trained now.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RunShape {
    /// The checkpoint that told them; it may be gone by now.
    pub newest: PathBuf,
    /// Its tensors, laid out.
    pub layout: Arc<Layout>,
    /// Nested key of the state dict, when the user named one.
    pub key: Option<String>,
    /// Roles that the model gives its tensors; `None` if names tell them.
    #[serde(default)]
    pub roles: Option<Arc<Roles>>,
    /// Settings of the model that stand beside its weights.
    #[serde(default)]
    pub settings: ModelSettings,
}

impl RunShape {
    /// Takes names and shapes from a checkpoint.
    ///
    /// # Errors
    /// The checkpoint cannot be read or holds no weights.
    pub fn of(checkpoint: &Checkpoint, key: Option<&str>) -> Result<Self, WeightsError> {
        Self::of_model(checkpoint, key, None)
    }

    /// Takes them where a model may tell the roles of its tensors.
    ///
    /// # Errors
    /// As [`RunShape::of`].
    pub fn of_model(
        checkpoint: &Checkpoint,
        key: Option<&str>,
        roles: Option<&Arc<Roles>>,
    ) -> Result<Self, WeightsError> {
        let dict = open(checkpoint, key)?;
        let name = |at: usize| dict.tensors().get(at).map(|tensor| tensor.name.as_str());
        let ties = dict.tied().iter();
        let ties = ties.filter_map(|(at, other)| Some((name(*at)?, other.as_str())));
        let layout = layout(dict.tensors(), roles.map(Arc::as_ref));
        let layout = layout.map_err(|source| WeightsError::OtherNames {
            path: checkpoint.path.clone(),
            source,
        })?;
        let layout = layout.with_aliases(ties);
        if layout.parameters() == 0 {
            return Err(WeightsError::NoWeights(checkpoint.path.clone()));
        }
        let names = TensorNames::of(&dict);
        let slots = layout.slots().iter();
        slots
            .filter_map(|slot| names.find(&slot.name))
            .try_for_each(|tensor| dict.check(tensor))?;
        Ok(Self {
            newest: checkpoint.path.clone(),
            layout: Arc::new(layout),
            key: key.map(str::to_owned),
            roles: roles.cloned(),
            settings: ModelSettings::of(checkpoint),
        })
    }
}

/// Opens the kept copy of a checkpoint, or the run's own file if none was kept, or the copy was cleared away
/// or damaged and the file is still the one that was read.
fn open(checkpoint: &Checkpoint, key: Option<&str>) -> Result<StateDict, FormatError> {
    let (file, own) = checkpoint.source(key);
    match StateDict::open(file, own) {
        Err(_) if checkpoint.kept.is_some() && checkpoint.is_on_disk() => {
            StateDict::open(&checkpoint.path, key)
        }
        opened => opened,
    }
}

/// An open checkpoint whose tensors were found to be those of its run.
#[derive(Debug)]
pub struct RunCheckpoint {
    dict: StateDict,
    /// Index into `dict.tensors()` for each slot.
    tensors: Vec<usize>,
}

impl RunCheckpoint {
    /// Opens a checkpoint and matches its tensors, which may come in any order.
    ///
    /// # Errors
    /// The checkpoint cannot be read, or a tensor is missing, has another shape or is unknown.
    pub fn open(checkpoint: &Checkpoint, shape: &RunShape) -> Result<Self, WeightsError> {
        let dict = open(checkpoint, shape.key.as_deref())?;
        let names = TensorNames::of(&dict);
        let found = |slot: &Slot| {
            let index = names.find(&slot.name);
            matching(index, dict.tensors(), slot, checkpoint, shape)
        };
        let tensors = shape.layout.slots().iter().map(found);
        let tensors = tensors.collect::<Result<Vec<_>, _>>()?;
        tensors.iter().try_for_each(|tensor| dict.check(*tensor))?;
        let roles = shape.roles.as_deref();
        if let Some(surplus) = surplus(dict.tensors(), &tensors, roles) {
            return Err(WeightsError::Surplus {
                path: checkpoint.path.clone(),
                newest: shape.newest.clone(),
                tensor: surplus,
            });
        }
        Ok(Self { dict, tensors })
    }
}

/// The tensors of a checkpoint by name, as it is and without the words of wrappers: a run that was resumed
/// under another wrapper has other words in its names and the same tensors.
struct TensorNames<'a> {
    exact: HashMap<&'a str, usize>,
    /// `None` if several tensors have the same bare name.
    bare: HashMap<Cow<'a, str>, Option<usize>>,
}

impl<'a> TensorNames<'a> {
    fn of(dict: &'a StateDict) -> Self {
        let tensors = dict.tensors();
        let mut names = Self {
            exact: HashMap::with_capacity(tensors.len()),
            bare: HashMap::with_capacity(tensors.len()),
        };
        for (index, tensor) in tensors.iter().enumerate() {
            names.exact.insert(&tensor.name, index);
            names
                .bare
                .entry(bare(&tensor.name))
                .and_modify(|known| *known = None)
                .or_insert(Some(index));
        }
        // The newest may have kept another name of a tie, or tie no longer.
        for (index, name) in dict.tied() {
            names.exact.entry(name).or_insert(*index);
            names.bare.entry(bare(name)).or_insert(Some(*index));
        }
        names
    }

    fn find(&self, name: &str) -> Option<usize> {
        let exact = self.exact.get(name).copied();
        exact.or_else(|| self.bare.get(&*bare(name)).copied().flatten())
    }
}

/// Returns a parameter that none of the layout's slots is: the model was changed. Other buffers may come and go.
fn surplus(tensors: &[TensorInfo], matched: &[usize], roles: Option<&Roles>) -> Option<String> {
    let matched: HashSet<&str> = matched
        .iter()
        .filter_map(|&index| Some(tensors.get(index)?.name.as_str()))
        .collect();
    // One that has other names than the model lacks tensors of the layout, which is reported first.
    let layout = layout(tensors, roles).unwrap_or_default();
    let mut slots = layout.slots().iter();
    slots
        .find(|slot| slot.role == Role::Parameter && !matched.contains(slot.name.as_str()))
        .map(|slot| slot.name.clone())
}

fn matching(
    index: Option<usize>,
    tensors: &[TensorInfo],
    slot: &Slot,
    checkpoint: &Checkpoint,
    shape: &RunShape,
) -> Result<usize, WeightsError> {
    match index.map(|index| (index, &tensors[index])) {
        Some((index, tensor)) if tensor.shape == slot.shape => Ok(index),
        other => Err(WeightsError::Mismatch {
            path: checkpoint.path.clone(),
            newest: shape.newest.clone(),
            tensor: slot.name.clone(),
            expected: slot.shape.clone(),
            found: other.map(|(_, tensor)| tensor.shape.clone()),
        }),
    }
}

impl WeightSource for RunCheckpoint {
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
