//! Where each tensor of a model lies in one flat vector of weights.
//!
//! The flat vector holds the trainable parameters first, in the checkpoint's own order, then the
//! running statistics of the batch norms. θ is the first part; `states` mode moves both.

use crate::run::format::{Dtype, TensorInfo};

/// What a tensor is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trainable: a coordinate of weight space.
    Parameter,
    /// A batch norm's running mean or variance: moves only in `states` mode.
    RunningStatistic,
}

/// One tensor's place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Name in the state dict, prefixes stripped.
    pub name: String,
    /// Extents, outermost first.
    pub shape: Vec<usize>,
    /// Parameter or running statistic.
    pub role: Role,
    /// Index of the first element in the flat vector.
    pub offset: usize,
}

impl Slot {
    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a tensor without elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of dimensions: 0 and 1 are biases and norm parameters, 2 and more are weights.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

/// The slots of every tensor that counts, in flat-vector order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: Vec<Slot>,
    parameters: usize,
    len: usize,
}

impl Layout {
    /// Lays out the floating-point tensors of a state dict; integers and other buffers are left out.
    #[must_use]
    pub fn of(tensors: &[TensorInfo]) -> Self {
        let float = |t: &&TensorInfo| !matches!(t.dtype, Dtype::Other(_));
        let statistic =
            |t: &TensorInfo| t.name.ends_with("running_mean") || t.name.ends_with("running_var");
        let mut slots = Vec::with_capacity(tensors.len());
        let mut len = 0;
        let mut parameters = 0;
        for role in [Role::Parameter, Role::RunningStatistic] {
            for tensor in tensors.iter().filter(float) {
                if statistic(tensor) != (role == Role::RunningStatistic) {
                    continue;
                }
                let slot = Slot {
                    name: tensor.name.clone(),
                    shape: tensor.shape.clone(),
                    role,
                    offset: len,
                };
                len += slot.len();
                slots.push(slot);
            }
            if role == Role::Parameter {
                parameters = len;
            }
        }
        Self {
            slots,
            parameters,
            len,
        }
    }

    /// Every slot, parameters first.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The slot of this name, with its index.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Slot)> {
        self.slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.name == name)
    }

    /// Number of trainable parameters: the dimension of weight space.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Length of the flat vector: parameters and running statistics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is no tensor that counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}
