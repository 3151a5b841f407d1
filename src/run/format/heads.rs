//! Networks that share one flat state dict, told apart by the first part of their names.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::role::{NetworkRole, is_generator};

/// The rest of a flat name behind its head, and the shape of the tensor.
type Held<'a> = (&'a str, Option<&'a [usize]>);

/// Returns the heads whose tensors are a network of their own:
/// - `model_ema.` beside `model.`, `teacher.` beside `student.`: an average of the same names and shapes;
/// - `generator.` beside `discriminator.`: both;
/// - `loss.`, `lpips.` beside others.
pub(super) fn networks<'a>(
    tensors: &'a [(usize, String)],
    shape: &dyn Fn(usize) -> Option<&'a [usize]>,
) -> Vec<Arc<str>> {
    let mut heads: BTreeMap<&str, Vec<Held<'_>>> = BTreeMap::new();
    for (index, name) in tensors {
        if let Some((head, rest)) = name.split_once('.') {
            heads.entry(head).or_default().push((rest, shape(*index)));
        }
    }
    for held in heads.values_mut() {
        held.sort_unstable();
    }
    let role = |head: &str| NetworkRole::of(std::iter::once(head));
    let judged = heads.keys().any(|head| is_generator(head));
    let judging = heads
        .keys()
        .any(|head| role(head) == NetworkRole::Discriminator);
    let is_own = |head: &str, held: &Vec<Held<'_>>| match role(head) {
        NetworkRole::Average => heads
            .iter()
            .any(|(other, twin)| role(other) != NetworkRole::Average && twin == held),
        NetworkRole::Discriminator => judged,
        NetworkRole::Loss => heads.len() > 1,
        NetworkRole::Model => judging && is_generator(head),
    };
    let own = heads.iter().filter(|(head, held)| is_own(head, held));
    own.map(|(head, _)| Arc::from(*head)).collect()
}
