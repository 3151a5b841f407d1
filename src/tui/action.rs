//! Everything that a user can ask of the screen: the one language of keys, tests and signals.

use serde::{Deserialize, Serialize};

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Leave.
    Quit,
    /// Show or hide the keys.
    Help,
    /// Close the help, else dismiss the banner.
    Close,
    /// Show the map.
    ShowMap,
    /// Show slices and lines.
    ShowSlices,
    /// Show the path on its own plane and on a random one.
    ShowPath,
    /// Show norms and angles of the weights.
    ShowWeights,
    /// Show eigenvalues of the Hessian.
    ShowCurvature,
    /// Show the runs beside one another.
    ShowCompare,
    /// Show the relief.
    ShowSurface,
    /// Slices along the next directions; the next figure of the curvature.
    NextDirections,
    /// Show the next view.
    NextView,
    /// Hold the picture still, or follow the run again.
    Freeze,
    /// Look at the checkpoint before.
    ScrubBack,
    /// Look at the checkpoint after; after the last one, follow the run.
    ScrubForward,
    /// Move the window.
    PanLeft,
    /// Move the window.
    PanRight,
    /// Move the window.
    PanUp,
    /// Move the window.
    PanDown,
    /// Look closer.
    ZoomIn,
    /// Look from further away.
    ZoomOut,
    /// The window of the whole path.
    WholePath,
    /// A window around the checkpoint that is looked at, as wide as the last few steps.
    Neighbourhood,
    /// Bands, lines or both.
    NextLayers,
    /// Logarithmic, linear or quantile levels.
    NextScale,
    /// Braille, blocks or 7-bit characters.
    NextMarker,
    /// Dark, light or mono.
    NextTheme,
    /// Stop measuring, or go on.
    Pause,
    /// Look at the run folder now.
    Rescan,
}
