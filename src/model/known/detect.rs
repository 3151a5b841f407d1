//! Finding an architecture's tensors in a state dict by name, and saying what does not fit.
//!
//! A layout comes from a file that may be hostile: names, extents and indices are checked here
//! before any network is built from them.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::weights::{Layout, Slot};

/// Number of names that an error or a piece of evidence quotes.
const QUOTED: usize = 4;

/// Reason why a state dict is not the architecture that its names suggest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// A tensor that belongs to the architecture is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A tensor has other extents than its neighbours call for.
    #[error("{name} has shape {found:?}, expected {expected}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its extents.
        found: Vec<usize>,
        /// The extents that would fit.
        expected: Pattern,
    },
    /// Tensors are there that do not belong to the architecture.
    #[error("{} no part of it: {}", if .0.len() == 1 { "1 tensor is" } else { "some tensors are" }, quoted(.0))]
    Foreign(Vec<String>),
    /// The layers are there, and do not form the architecture.
    #[error("{0}")]
    Structure(String),
}

/// Returns the first few of many names, and how many there are.
pub(super) fn quoted(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(QUOTED).map(String::as_str).collect();
    match names.len().checked_sub(QUOTED) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// Extents that a tensor should have; `None` is any but zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(pub Vec<Option<usize>>);

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let extents: Vec<String> = self
            .0
            .iter()
            .map(|extent| extent.map_or_else(|| "any".into(), |n| n.to_string()))
            .collect();
        write!(f, "[{}]", extents.join(", "))
    }
}

impl Pattern {
    fn fits(&self, shape: &[usize]) -> bool {
        let fits = |(expected, &found): (&Option<usize>, &usize)| {
            found > 0 && expected.is_none_or(|expected| expected == found)
        };
        self.0.len() == shape.len() && self.0.iter().zip(shape).all(fits)
    }
}

/// The tensors of a state dict, ticked off as an architecture claims them.
pub(super) struct Inventory<'a> {
    slots: &'a [Slot],
    index: HashMap<&'a str, usize>,
    taken: Vec<bool>,
}

impl<'a> Inventory<'a> {
    pub(super) fn of(layout: &'a Layout) -> Self {
        let slots = layout.slots();
        Self {
            slots,
            index: layout.names().collect(),
            taken: vec![false; slots.len()],
        }
    }

    /// Returns all names, those of ties too.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.index.keys().copied()
    }

    /// Returns every tensor, in flat-vector order.
    pub(super) fn slots(&self) -> &'a [Slot] {
        self.slots
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// Returns the extents of the tensor of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&'a [usize]> {
        let index = self.index.get(name)?;
        Some(&self.slots[*index].shape)
    }

    /// Returns the numbers N of all names `prefix.N.…`, ascending.
    pub(super) fn numbers(&self, prefix: &str) -> BTreeSet<usize> {
        let number = |slot: &Slot| {
            let rest = slot.name.strip_prefix(prefix)?.strip_prefix('.')?;
            rest.split_once('.')?.0.parse().ok()
        };
        self.slots.iter().filter_map(number).collect()
    }

    /// Returns the index and extents of the tensor of this name, which must match `expected`.
    pub(super) fn take(
        &mut self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<(usize, &'a [usize]), Mismatch> {
        self.take_if_there(name, expected)?
            .ok_or_else(|| Mismatch::Missing(name.into()))
    }

    /// Takes a tensor that the architecture may do without.
    pub(super) fn take_if_there(
        &mut self,
        name: &str,
        expected: &[Option<usize>],
    ) -> Result<Option<(usize, &'a [usize])>, Mismatch> {
        let Some(&index) = self.index.get(name) else {
            return Ok(None);
        };
        let shape = self.slots[index].shape.as_slice();
        let expected = Pattern(expected.to_vec());
        if !expected.fits(shape) {
            return Err(Mismatch::Shape {
                name: name.into(),
                found: shape.to_vec(),
                expected,
            });
        }
        self.taken[index] = true;
        Ok(Some((index, shape)))
    }

    /// Checks that nothing was left over.
    pub(super) fn finish(&self) -> Result<(), Mismatch> {
        let left_over = self.slots.iter().zip(&self.taken);
        let foreign: Vec<String> = left_over
            .filter(|(_, taken)| !**taken)
            .map(|(slot, _)| slot.name.clone())
            .collect();
        if foreign.is_empty() {
            Ok(())
        } else {
            Err(Mismatch::Foreign(foreign))
        }
    }
}
