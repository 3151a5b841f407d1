//! Cache of the losses on one plane: a window that comes back is not measured again.

use std::collections::HashMap;

use crate::landscape::{Position, Quantity, Query, Subset};
use crate::loss::Measure;

/// Values on one plane, by coordinates and samples.
#[derive(Clone, Debug, Default)]
pub struct MeasureCache(HashMap<Key, Measure>);

/// Bits of the coordinates, and the number of samples where these were few.
type Key = ([u64; 2], Option<usize>);

impl MeasureCache {
    /// Remembers the value at a point of the plane; of other queries nothing.
    pub fn insert(&mut self, query: &Query, measure: Measure) {
        if let Some(key) = key(query) {
            self.0.insert(key, measure);
        }
    }

    /// Returns the value at a point of the plane.
    #[must_use]
    pub fn get(&self, query: &Query) -> Option<Measure> {
        self.0.get(&key(query)?).copied()
    }
}

fn key(query: &Query) -> Option<Key> {
    let Quantity::Loss(Position::Plane(at)) = query.quantity else {
        return None;
    };
    // The zero below 0 is the other one.
    let bits = at.map(|at| (at + 0.0).to_bits());
    match query.samples {
        Subset::All => Some((bits, None)),
        Subset::Few(count) => Some((bits, Some(count))),
        Subset::Part { .. } => None,
    }
}
