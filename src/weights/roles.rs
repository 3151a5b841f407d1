//! The tensors that a model takes of its checkpoints, and what each is to it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::run::format::TensorInfo;

use super::layout::{Layout, Role};
use super::names;

/// Tensors of a model by the names that it gives them. One that is tied has several names and counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles(Vec<Named>);

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Named {
    names: Vec<String>,
    role: Role,
}

impl Roles {
    /// Adds a tensor by all of its names.
    pub fn add(&mut self, names: Vec<String>, role: Role) {
        self.0.push(Named { names, role });
    }

    /// Lays out the tensors of a checkpoint that the model takes; `None` if there is none.
    #[must_use]
    pub fn layout(&self, tensors: &[TensorInfo]) -> Option<Layout> {
        let wanted: Vec<Vec<String>> = self.0.iter().map(|named| named.names.clone()).collect();
        let known = tensors.iter().enumerate();
        let known = known.map(|(at, tensor)| (tensor.name.as_str(), at));
        let found = names::matched(&wanted, known);
        let roles = found.into_iter().zip(&self.0);
        let roles = roles.filter_map(|(at, named)| Some((at?, named.role)));
        let roles: HashMap<usize, Role> = roles.collect();
        let of = |at: usize, _: &TensorInfo| roles.get(&at).copied();
        (!roles.is_empty()).then(|| Layout::with_roles(tensors, of))
    }
}

/// Lays out the tensors of a checkpoint that count: those that a model takes where it tells, else all that names tell.
#[must_use]
pub fn layout(tensors: &[TensorInfo], roles: Option<&Roles>) -> Layout {
    let of_model = roles.and_then(|roles| roles.layout(tensors));
    of_model.unwrap_or_else(|| Layout::of(tensors))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::run::format::Dtype;

    fn tensor(name: &str) -> TensorInfo {
        TensorInfo {
            name: name.into(),
            shape: vec![2, 3],
            dtype: Dtype::F32,
        }
    }

    #[test]
    fn a_model_tells_which_tensors_count_and_a_tie_counts_once() {
        let mut roles = Roles::default();
        let tied = ["wte.weight", "lm_head.weight"].map(str::to_owned).to_vec();
        roles.add(tied, Role::Parameter);
        roles.add(vec!["h.0.weight".into()], Role::Parameter);
        roles.add(vec!["rope.inv_freq".into()], Role::RunningStatistic);
        let names = [
            "rope.inv_freq",
            "ema.h.0.weight",
            "lm_head.weight",
            "h.0.weight",
        ];
        let tensors = names.map(|name| tensor(&format!("model.{name}")));
        let layout = roles.layout(&tensors).unwrap();
        let slots: Vec<(&str, Role)> = (layout.slots().iter())
            .map(|slot| (slot.name.as_str(), slot.role))
            .collect();
        assert_eq!(
            slots,
            [
                ("model.lm_head.weight", Role::Parameter),
                ("model.h.0.weight", Role::Parameter),
                ("model.rope.inv_freq", Role::RunningStatistic),
            ]
        );
        assert_eq!((layout.parameters(), layout.len()), (12, 18));
        assert_eq!(roles.layout(&[tensor("conv.weight")]), None);
    }
}
