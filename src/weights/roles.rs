//! The tensors that a model takes of its checkpoints, and what each is to it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::run::{Buffers, Dtype, TensorInfo};

use super::layout::{Layout, Role};
use super::names;

/// Weights of a checkpoint under other names than the model's, so that nobody knows which is which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} of the model's parameters are not in the checkpoint (e.g. {missing}), which has {} tensors that the model does not know (e.g. {surplus}): expected the names of the exported module's own state_dict()",
    counts[0], counts[1]
)]
pub struct OtherNames {
    missing: String,
    surplus: String,
    counts: [usize; 2],
}

/// Tensors of a model by the names that it gives them. One that is tied has several names and counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles(Vec<NamedRole>);

/// A tensor of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct NamedRole {
    names: Vec<String>,
    role: Role,
}

impl Roles {
    /// Adds a tensor by all of its names.
    pub fn add(&mut self, names: Vec<String>, role: Role) {
        self.0.push(NamedRole { names, role });
    }

    /// Lays out the tensors of a checkpoint that the model takes; `None` if there is none.
    ///
    /// # Errors
    /// The checkpoint lacks parameters and has tensors that the model does not take: an adapter's checkpoint lacks
    /// many, and has none but the model's.
    pub fn layout(&self, tensors: &[TensorInfo]) -> Result<Option<Layout>, OtherNames> {
        let wanted: Vec<Vec<String>> = self.0.iter().map(|named| named.names.clone()).collect();
        let known = tensors.iter().enumerate();
        let known = known.map(|(at, tensor)| (tensor.name.as_str(), at));
        let found = names::matched(&wanted, known);
        let pairs = || found.iter().zip(&self.0);
        let roles = pairs().filter_map(|(at, named)| Some(((*at)?, named.role)));
        let roles: HashMap<usize, Role> = roles.collect();
        if roles.is_empty() {
            return Ok(None);
        }
        let missing = pairs().filter(|(at, named)| at.is_none() && named.role == Role::Parameter);
        let missing = missing.filter_map(|(_, named)| named.names.first());
        let buffers = Buffers::of(tensors);
        let surplus = tensors.iter().enumerate().filter(|(at, tensor)| {
            let is_weight = !matches!(tensor.dtype, Dtype::Other(_)) && !buffers.has(tensor);
            is_weight && !roles.contains_key(at)
        });
        let surplus = surplus.map(|(_, tensor)| &tensor.name);
        let counts = [missing.clone().count(), surplus.clone().count()];
        if let (Some(missing), Some(surplus)) = (missing.clone().next(), surplus.clone().next()) {
            return Err(OtherNames {
                missing: missing.clone(),
                surplus: surplus.clone(),
                counts,
            });
        }
        let of = |at: usize, _: &TensorInfo| roles.get(&at).copied();
        Ok(Some(Layout::with_roles(tensors, of)))
    }
}

/// Lays out the tensors of a checkpoint that count: those that a model takes where it tells, else all that names tell.
///
/// # Errors
/// As [`Roles::layout`].
pub fn layout(tensors: &[TensorInfo], roles: Option<&Roles>) -> Result<Layout, OtherNames> {
    let of_model = roles.map(|roles| roles.layout(tensors)).transpose()?;
    Ok(of_model.flatten().unwrap_or_else(|| Layout::of(tensors)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

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
        let layout = roles.layout(&tensors).unwrap().unwrap();
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
        assert_eq!(roles.layout(&[tensor("conv.weight")]), Ok(None));
        // An adapter's checkpoint has nothing but what the model knows.
        let part = roles.layout(&[tensor("model.h.0.weight")]);
        assert!(part.is_ok_and(|part| part.is_some_and(|part| part.parameters() == 6)));
        let renamed = roles.layout(&[tensor("h.0.weight"), tensor("blocks.wte.weight")]);
        let said = renamed.unwrap_err().to_string();
        assert!(
            said.starts_with(
                "1 of the model's parameters are not in the checkpoint (e.g. wte.weight)"
            ),
            "{said}"
        );
        assert!(
            said.contains("1 tensors that the model does not know (e.g. blocks.wte.weight)"),
            "{said}"
        );
    }
}
