//! Weight space: which tensors span it, the path of a run through it, planes across it.

pub mod direction;
pub mod dynamics;
pub mod fitted_plane;
pub mod gram;
pub mod histogram;
pub mod kept_products;
mod krylov;
pub mod layout;
mod lineage;
pub(crate) mod names;
pub mod normalize;
pub mod path;
mod path_change;
pub mod pca;
pub mod plane;
pub mod plane_files;
pub mod plane_recipe;
pub mod plane_spec;
mod products;
pub mod random_projection;
pub mod roles;
pub mod run_checkpoint;
mod run_groups;
pub mod trajectory;

pub use direction::Pair;
pub use dynamics::{Dynamics, LayerNorm};
pub use fitted_plane::{FittedPlane, PathProducts, PlaneMove};
pub use gram::GramRow;
pub use histogram::{Histogram, Overlay};
pub use kept_products::KeptProducts;
pub use layout::{Layout, Role, Slot};
pub use normalize::{Ignore, Norm};
pub use path::{PathMemory, PathUpdate, RunPath};
pub use path_change::{LeftBranch, PathChange};
pub use pca::Components;
pub use plane::Metric;
pub use plane_files::{PlaneFiles, PlanesKept};
pub use plane_recipe::PlaneRecipe;
pub use plane_spec::{BatchNorm, Directions, Plane, PlaneSpec};
pub use random_projection::RandomProjection;
pub use roles::Roles;
pub use run_checkpoint::{RunCheckpoint, RunShape};
pub use trajectory::{Fit, OldBranch, Trajectory};

use std::path::PathBuf;

use crate::run::FormatError;

/// Reasons why checkpoints could not be placed in one weight space.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The checkpoint itself cannot be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// A tensor of the run's newest checkpoint is not in this one, or not with the same shape.
    #[error("{}: expected tensor {tensor} of shape {expected:?} as in {}, the run's newest checkpoint, found {}", path.display(), newest.display(), shape_or_none(found.as_ref()))]
    Mismatch {
        /// The checkpoint that does not fit.
        path: PathBuf,
        /// The run's newest checkpoint, whose names and shapes count.
        newest: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Its shape in the newest checkpoint.
        expected: Vec<usize>,
        /// Its shape in this one; `None` if there is no such tensor.
        found: Option<Vec<usize>>,
    },
    /// A checkpoint has a tensor that the run's newest one lacks.
    #[error("{}: tensor {tensor} is not in {}, the run's newest checkpoint", path.display(), newest.display())]
    Surplus {
        /// The checkpoint that does not fit.
        path: PathBuf,
        /// The run's newest checkpoint.
        newest: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A checkpoint has other names than the exported model.
    #[error("{}: {source}", path.display())]
    OtherNames {
        /// The checkpoint.
        path: PathBuf,
        /// The names.
        source: roles::OtherNames,
    },
    /// A checkpoint without a single floating-point tensor.
    #[error("{}: expected floating-point tensors, found none", .0.display())]
    NoWeights(PathBuf),
    /// A weight is infinite or NaN, so no distance to this checkpoint is defined.
    #[error("{}: tensor {tensor} holds a value that is not finite, so the checkpoint has no place on the path", path.display())]
    NotFinite {
        /// The checkpoint.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
    },
    /// A direction file does not fit the model.
    #[error("{}: expected tensor {expected}, found {found}", path.display())]
    Direction {
        /// The direction file.
        path: PathBuf,
        /// Name and shape of the tensor that is needed.
        expected: String,
        /// Contents of the file instead.
        found: String,
    },
    /// No tensor of the checkpoint belongs to this layer.
    #[error("no layer is named {layer}; there are {examples}")]
    NoLayer {
        /// As the user gave it.
        layer: String,
        /// Names that there are, some where they are many.
        examples: String,
    },
    /// The two directions of a plane are parallel, or one of them is zero.
    #[error("the directions {0} span no plane: one is zero or they are parallel")]
    Degenerate(String),
}

fn shape_or_none(shape: Option<&Vec<usize>>) -> String {
    shape.map_or_else(|| "none".into(), |shape| format!("shape {shape:?}"))
}

impl WeightsError {
    /// Returns true if the checkpoint can be read but is another model than the run's newest.
    #[must_use]
    pub fn is_another_shape(&self) -> bool {
        matches!(self, Self::Mismatch { .. } | Self::Surplus { .. })
    }
}
