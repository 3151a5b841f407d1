//! What was measured on one plane: a window that comes back is not measured again.

use std::collections::HashMap;

use crate::landscape::surface::Measure;
use crate::landscape::surveyor::Spot;

/// Values on one plane, by coordinates and samples.
#[derive(Clone, Debug, Default)]
pub struct Known(HashMap<Key, Measure>);

/// Bits of the coordinates, and the number of samples where these were few.
type Key = ([u64; 2], Option<usize>);

impl Known {
    /// Remembers the value at a point of the plane; of other spots nothing.
    pub fn insert(&mut self, spot: &Spot, measure: Measure) {
        if let Some(key) = key(spot) {
            self.0.insert(key, measure);
        }
    }

    /// The value at a point of the plane.
    #[must_use]
    pub fn get(&self, spot: &Spot) -> Option<Measure> {
        self.0.get(&key(spot)?).copied()
    }
}

fn key(spot: &Spot) -> Option<Key> {
    match spot {
        Spot::OnPlane(at) => Some((at.map(f64::to_bits), None)),
        Spot::OnFew { at, samples } => Some((at.map(f64::to_bits), Some(*samples))),
        Spot::Checkpoint(_)
        | Spot::Average(_)
        | Spot::Update { .. }
        | Spot::Curvature(_)
        | Spot::CurvatureOf(_)
        | Spot::Evidence(_) => None,
    }
}
