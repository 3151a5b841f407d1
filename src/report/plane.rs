//! A plane as `surface`, `compare` and `hessian` report it.

use serde::Serialize;

use crate::weights::{Ignore, Norm};

/// The plane of a surface or of a map of curvature.
#[derive(Clone, Debug, Serialize)]
pub struct PlaneReport {
    /// `pca`, `random` or `file`.
    pub kind: &'static str,
    /// Scaling of random directions.
    pub norm: Option<Norm>,
    /// Tensors that random directions leave alone.
    pub ignore: Option<Ignore>,
    /// Shares of the path's variance along both directions of a PCA plane.
    pub explained: Option<Vec<f64>>,
    /// Cosine of the angle between the directions.
    pub cosine: f64,
    /// Mean |cosine| of two random directions.
    pub expected_cosine: f64,
    /// The same for directions that are as long in each entry as these, if they are random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_cosine_normalized: Option<f64>,
}

impl PlaneReport {
    /// Returns the names of the axes.
    pub(super) fn axes(&self) -> [&'static str; 2] {
        if self.kind == "pca" {
            ["PC1", "PC2"]
        } else {
            ["x", "y"]
        }
    }

    /// Returns the shares of the path's variance along both axes.
    pub(super) fn shares(&self) -> Option<[f64; 2]> {
        let shares = self.explained.as_ref()?;
        Some([*shares.first()?, *shares.get(1)?])
    }
}
