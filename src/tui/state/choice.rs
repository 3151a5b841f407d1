//! Choices of what to look at: the views, and within them directions, planes and figures.

/// A view of the session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// The map.
    #[default]
    Map,
    /// Slices and lines through the current checkpoint.
    Slices,
    /// The path on its own plane and on a random one.
    Path,
    /// Norms and angles of the weights over training.
    Weights,
    /// Eigenvalues of the Hessian around the current checkpoint.
    Curvature,
    /// The runs beside one another.
    Compare,
    /// The surface as a relief.
    Relief,
}

impl View {
    /// Every view, in the order of their keys.
    pub const ALL: [Self; 7] = [
        Self::Map,
        Self::Slices,
        Self::Path,
        Self::Weights,
        Self::Curvature,
        Self::Compare,
        Self::Relief,
    ];

    /// Returns its name on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Slices => "slices",
            Self::Path => "path",
            Self::Weights => "weights",
            Self::Curvature => "curvature",
            Self::Compare => "compare",
            Self::Relief => "relief",
        }
    }

    pub(super) fn next(self) -> Self {
        self.after(1)
    }

    pub(super) fn previous(self) -> Self {
        self.after(Self::ALL.len() - 1)
    }

    fn after(self, count: usize) -> Self {
        let at = Self::ALL.iter().position(|view| *view == self).unwrap_or(0);
        Self::ALL[(at + count) % Self::ALL.len()]
    }
}

/// Directions of the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SliceKind {
    /// Both principal components.
    #[default]
    Components,
    /// Random directions, overlaid.
    Random,
    /// The last update.
    Update,
    /// The line from the first checkpoint to the current one.
    Line,
}

impl SliceKind {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Components => Self::Random,
            Self::Random => Self::Update,
            Self::Update => Self::Line,
            Self::Line => Self::Components,
        }
    }
}

/// A plane that the map can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShownPlane {
    /// The path's own.
    #[default]
    Principal,
    /// Two random filter-normalized directions.
    Random,
}

impl ShownPlane {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Principal => Self::Random,
            Self::Random => Self::Principal,
        }
    }
}

/// A kind of picture of the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightsTab {
    /// Norms and angles over training.
    #[default]
    Norms,
    /// Histograms of the first and the newest checkpoint.
    Histogram,
    /// Training's own log, and λmax against the edge of stability.
    Stability,
}

impl WeightsTab {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Norms => Self::Histogram,
            Self::Histogram => Self::Stability,
            Self::Stability => Self::Norms,
        }
    }
}

/// A figure of the spectrum that the curvature map can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    /// |λmin/λmax|.
    #[default]
    Ratio,
    /// λmax.
    Largest,
    /// λmin, upside down.
    Smallest,
}

impl Figure {
    pub(super) fn next(self) -> Self {
        match self {
            Self::Ratio => Self::Largest,
            Self::Largest => Self::Smallest,
            Self::Smallest => Self::Ratio,
        }
    }
}
