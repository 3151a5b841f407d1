//! The path of a run: every checkpoint's place on the principal plane of the run itself.

/// What PCA of the checkpoints says (math.md 6–8). All vectors but `explained`, `explained_null`,
/// `singular` and `lissajous` have one entry a checkpoint, in the order of `steps`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// Training step of each checkpoint, ascending.
    pub steps: Vec<u64>,
    /// Coordinates of θ_t − θ_last along PC1 and PC2.
    pub coordinates: Vec<[f64; 2]>,
    /// Share of δ = θ_t − θ_last that lies off the plane: ‖δ − αx − βy‖/‖δ‖; 0 for the last.
    pub residual: Vec<f64>,
    /// ‖θ_t‖.
    pub norm: Vec<f64>,
    /// ‖θ_t − θ_(t−1)‖; 0 for the first.
    pub update_norm: Vec<f64>,
    /// σ_k²/Σσ² for each component.
    pub explained: Vec<f64>,
    /// What a random walk of infinite length gives instead: 6/(π²k²).
    pub explained_null: Vec<f64>,
    /// Singular values σ_k of the centred path.
    pub singular: Vec<f64>,
    /// R² of each component's coordinates against the half cosine that a random walk draws.
    pub lissajous: Vec<f64>,
}
