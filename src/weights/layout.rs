//! Place of each tensor of a model in one flat vector of weights.
//!
//! The flat vector holds the trainable parameters first, in the checkpoint's own order, then the
//! running statistics of the batch norms. θ is the first part; `states` mode moves both.

use std::collections::HashMap;
use std::ops::Range;

use crate::run::{Buffers, Dtype, TensorInfo};

/// Role of a tensor in the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Role {
    /// Trainable: a coordinate of weight space.
    Parameter,
    /// A batch norm's running mean or variance: moves only in `states` mode.
    RunningStatistic,
}

/// One tensor's place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Returns true for a tensor without elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of dimensions: 0 and 1 are biases and norm parameters, 2 and more are weights.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

/// A piece of one tensor: slot index and range of elements.
pub type SlotRange = (usize, Range<usize>);

/// The slots of every tensor that counts, in flat-vector order.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    slots: Vec<Slot>,
    by_name: HashMap<String, usize>,
    parameters: usize,
    len: usize,
}

impl Layout {
    /// Lays out the floating-point tensors of a state dict by their names; integers and other buffers are left out.
    #[must_use]
    pub fn of(tensors: &[TensorInfo]) -> Self {
        let buffers = Buffers::of(tensors);
        Self::with_roles(tensors, |_, tensor| {
            let name = &tensor.name;
            let is_statistic = name.ends_with("running_mean") || name.ends_with("running_var");
            let role = if is_statistic {
                Role::RunningStatistic
            } else {
                Role::Parameter
            };
            (!buffers.has(tensor)).then_some(role)
        })
    }

    /// Lays out the floating-point tensors that have a role, by their places in the list.
    pub(super) fn with_roles(
        tensors: &[TensorInfo],
        role: impl Fn(usize, &TensorInfo) -> Option<Role>,
    ) -> Self {
        let float = |t: &TensorInfo| !matches!(t.dtype, Dtype::Other(_));
        let roles = tensors.iter().enumerate();
        let roles = roles.map(|(at, tensor)| role(at, tensor).filter(|_| float(tensor)));
        let roles: Vec<Option<Role>> = roles.collect();
        let mut slots = Vec::with_capacity(tensors.len());
        let mut len = 0;
        let mut parameters = 0;
        for role in [Role::Parameter, Role::RunningStatistic] {
            for (tensor, own) in tensors.iter().zip(&roles) {
                if *own != Some(role) {
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
        let names = slots.iter().enumerate().rev();
        Self {
            by_name: names.map(|(at, slot)| (slot.name.clone(), at)).collect(),
            slots,
            parameters,
            len,
        }
    }

    /// Returns the same with other names of tied tensors: (own name, other name).
    #[must_use]
    pub fn with_aliases<'a>(mut self, ties: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        for (own, other) in ties {
            if let Some(slot) = self.by_name.get(own).copied() {
                self.by_name.entry(other.to_owned()).or_insert(slot);
            }
        }
        self
    }

    /// Returns all names of all slots, those of ties too.
    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, usize)> {
        self.by_name
            .iter()
            .map(|(name, slot)| (name.as_str(), *slot))
    }

    /// Returns every slot, parameters first.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Returns the slot of this name, with its index.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Slot)> {
        let index = *self.by_name.get(name)?;
        Some((index, self.slots.get(index)?))
    }

    /// Returns the number of trainable parameters: the dimension of weight space.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// Returns true if there are running statistics, as those of batch norm.
    #[must_use]
    pub fn has_statistics(&self) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.role == Role::RunningStatistic)
    }

    /// Returns the length of the flat vector: parameters and running statistics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true when there is no tensor that counts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Cuts the tensors of `slots` into groups of pieces of at most `limit` elements a group. A tensor
    /// is cut only when it does not fit a whole group, since some formats read a tensor all at once.
    #[must_use]
    pub fn groups(&self, slots: Range<usize>, limit: usize) -> Vec<Vec<SlotRange>> {
        let limit = limit.max(1);
        let mut groups = vec![Vec::new()];
        let mut room = limit;
        for index in slots {
            let len = self.slots[index].len();
            let mut start = 0;
            while start < len {
                if room == 0 || (room < len - start && room < limit) {
                    groups.push(Vec::new());
                    room = limit;
                }
                let end = len.min(start + room);
                if let Some(group) = groups.last_mut() {
                    group.push((index, start..end));
                }
                room -= end - start;
                start = end;
            }
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(name: &str, shape: &[usize], dtype: Dtype) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            shape: shape.into(),
            dtype,
        }
    }

    fn layout() -> Layout {
        Layout::of(&[
            tensor("conv.weight", &[2, 3], Dtype::F32),
            tensor("bn.running_mean", &[2], Dtype::F32),
            tensor("bn.num_batches_tracked", &[], Dtype::Other("i64".into())),
            tensor("bn.weight", &[2], Dtype::Bf16),
        ])
    }

    #[test]
    fn parameters_come_first_and_integers_not_at_all() {
        let layout = layout();
        let names: Vec<&str> = layout
            .slots()
            .iter()
            .map(|slot| slot.name.as_str())
            .collect();
        assert_eq!(names, ["conv.weight", "bn.weight", "bn.running_mean"]);
        assert_eq!((layout.parameters(), layout.len()), (8, 10));
        assert_eq!(
            layout
                .find("bn.running_mean")
                .map(|(i, slot)| (i, slot.offset)),
            Some((2, 8))
        );
    }

    #[test]
    fn pieces_cover_every_element_once_within_the_limit() {
        let layout = layout();
        for limit in 1..14 {
            let mut seen = vec![0; layout.len()];
            for group in layout.groups(0..layout.slots().len(), limit) {
                let size: usize = group.iter().map(|(_, range)| range.len()).sum();
                assert!(size <= limit && size > 0);
                for (slot, range) in group {
                    let offset = layout.slots()[slot].offset;
                    for n in &mut seen[offset + range.start..offset + range.end] {
                        *n += 1;
                    }
                }
            }
            assert_eq!(seen, vec![1; layout.len()], "limit {limit}");
        }
    }
}
