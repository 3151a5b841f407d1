//! The layer behind which each norm of a chain stands, as far as names tell it.

use std::collections::HashMap;

use super::detect::Mismatch;
use super::layers::{Layer, Norm};

/// The modules of a checkpoint in its order.
pub(super) struct StoredModules<'a> {
    places: HashMap<&'a str, usize>,
    /// The order is that of names, as in a `.safetensors` file, and says nothing.
    is_sorted: bool,
}

impl<'a> StoredModules<'a> {
    pub(super) fn of(modules: impl Iterator<Item = &'a str> + Clone) -> Self {
        Self {
            is_sorted: modules.clone().is_sorted(),
            places: modules.enumerate().map(|(at, name)| (name, at)).collect(),
        }
    }

    /// Returns true for a norm that was defined before its layer.
    fn is_ahead(&self, norm: &str, layer: &str) -> bool {
        !self.is_sorted && self.places.get(norm) < self.places.get(layer)
    }
}

/// The norm behind each layer, and that of the inputs.
pub(super) struct Paired {
    pub(super) first: Option<Norm>,
    pub(super) behind: Vec<Option<Norm>>,
}

/// Finds the layer of each norm: by the numbers of a `Sequential`, else one behind each hidden layer or each
/// convolution, else by equal numbers.
pub(super) fn paired(
    layers: &[Layer],
    norms: Vec<Norm>,
    stored: &StoredModules,
) -> Result<Paired, Mismatch> {
    let mut paired = Paired {
        first: None,
        behind: layers.iter().map(|_| None).collect(),
    };
    let Some(example) = norms.first().map(|norm| norm.name.clone()) else {
        return Ok(paired);
    };
    let places = by_sequence(layers, &norms).or_else(|| {
        let places = in_turn(layers, &norms).or_else(|| by_numbers(layers, &norms))?;
        let mut pairs = norms.iter().zip(&places);
        let is_ahead = pairs.any(|(norm, at)| {
            let layer = at.and_then(|at| layers.get(at));
            layer.is_some_and(|layer| stored.is_ahead(&norm.name, layer.name()))
        });
        (!is_ahead).then_some(places)
    });
    let misfit = |name: &str| {
        Mismatch::Structure(format!(
            "names do not tell behind which layer the norm {name} stands: export the model (--model model.pt2)"
        ))
    };
    let places = places.ok_or_else(|| misfit(&example))?;
    for (norm, at) in norms.into_iter().zip(places) {
        let slot = match at {
            Some(at) => paired
                .behind
                .get_mut(at)
                .ok_or_else(|| misfit(&norm.name))?,
            None => &mut paired.first,
        };
        if slot.is_some() {
            return Err(misfit(&norm.name));
        }
        *slot = Some(norm);
    }
    Ok(paired)
}

/// Returns the layer of each norm by their places in a `Sequential`; `None` among them is before the first layer.
fn by_sequence(layers: &[Layer], norms: &[Norm]) -> Option<Vec<Option<usize>>> {
    let places: Vec<_> = layers.iter().map(|layer| place(layer.name())).collect();
    let of = |norm: &Norm| {
        let (parent, number) = place(&norm.name)?;
        let own = places.iter().enumerate();
        let own = own.filter_map(|(at, layer)| Some((at, (*layer)?)));
        let own: Vec<_> = own.filter(|(_, layer)| layer.0 == parent).collect();
        let ahead = own.iter().filter(|(_, layer)| layer.1 < number);
        let at = match ahead.max_by_key(|(_, layer)| layer.1) {
            Some((at, _)) => Some(*at),
            // A norm at the start of a block stands behind the layer of the block before.
            None => own.iter().map(|(at, _)| *at).min()?.checked_sub(1),
        };
        let width = match at {
            Some(at) => layers.get(at)?.outputs(),
            None => layers.first()?.inputs(),
        };
        (width == norm.width).then_some(at)
    };
    norms.iter().map(of).collect()
}

/// Returns the layer of each norm where there is one for each layer but the last, or for each convolution.
fn in_turn(layers: &[Layer], norms: &[Norm]) -> Option<Vec<Option<usize>>> {
    let convs = layers
        .iter()
        .filter(|layer| matches!(layer, Layer::Conv(_)));
    let counts = [layers.len().saturating_sub(1), convs.count()];
    if !counts.contains(&norms.len()) {
        return None;
    }
    let mut order: Vec<usize> = (0..norms.len()).collect();
    let names: Vec<&str> = norms.iter().map(|norm| norm.name.as_str()).collect();
    if are_alike(&names) {
        order.sort_by_key(|at| numbers(names[*at]));
    }
    let mut places = vec![None; norms.len()];
    for (layer, norm) in order.into_iter().enumerate() {
        if layers[layer].outputs() != norms[norm].width {
            return None;
        }
        places[norm] = Some(layer);
    }
    Some(places)
}

/// Returns the layer of each norm by the same numbers in both names.
fn by_numbers(layers: &[Layer], norms: &[Norm]) -> Option<Vec<Option<usize>>> {
    let of = |norm: &Norm| {
        let own = numbers(&norm.name);
        let mut found = layers.iter().enumerate().filter(|(_, layer)| {
            !own.is_empty() && numbers(layer.name()) == own && layer.outputs() == norm.width
        });
        let (at, _) = found.next()?;
        found.next().is_none().then_some(Some(at))
    };
    norms.iter().map(of).collect()
}

/// Returns true for names that differ in nothing but numbers.
pub(super) fn are_alike(names: &[&str]) -> bool {
    let template = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
    let first = names.first().map(|name| template(name));
    names.iter().all(|name| Some(template(name)) == first)
}

/// Returns the numbers in a name, in order.
pub(super) fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .collect()
}

/// Returns the `Sequential` of a module and its number there; `None` if it is in none.
pub(super) fn place(name: &str) -> Option<(&str, u64)> {
    let (parent, number) = name.rsplit_once('.').unwrap_or(("", name));
    Some((parent, number.parse().ok()?))
}

/// Returns the number of modules between two of one `Sequential`; `None` if they are in none, or in another order.
pub(super) fn gap(from: &str, to: &str) -> Option<u64> {
    let ((parent, from), (other, to)) = (place(from)?, place(to)?);
    to.checked_sub(from)?
        .checked_sub(1)
        .filter(|_| parent == other)
}
