//! Everything that a user can ask of the screen: the one language of keys, configuration, tests and signals.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// One request. Its name in a configuration is that of the variant, in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
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
    #[serde(rename = "show-surface")]
    #[value(name = "show-surface")]
    ShowRelief,
    /// Slices along the next directions; the next figure of the curvature.
    NextDirections,
    /// Show the next view.
    NextView,
    /// Show the view before.
    PreviousView,
    /// The view on the whole screen, or among its panes again.
    ZoomView,
    /// Hold the picture still, or follow the run again.
    Freeze,
    /// Look at the checkpoint before.
    ScrubBack,
    /// Look at the checkpoint after; after the last one, follow the run.
    ScrubForward,
    /// Look ten checkpoints further back.
    LeapBack,
    /// Look ten checkpoints further on; after the last one, follow the run.
    LeapForward,
    /// Ask for a step, and look at the checkpoint nearest to it.
    Jump,
    /// Replay the run from its first checkpoint on, or stop.
    Film,
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
    /// Show a cursor on the map with coordinates, loss, score and nearest step, or hide it.
    Cursor,
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
    /// Show the command that reproduces what is on the screen.
    ShowCommand,
    /// Write what is on the screen into a file.
    Export,
    /// Leave the terminal to the shell until the program is taken up again.
    Suspend,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_possible_value() {
            Some(value) => f.write_str(value.get_name()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_has_one_name() {
        for action in Action::value_variants() {
            let name = serde_json::Value::String(action.to_string());
            assert_eq!(serde_json::to_value(action).ok(), Some(name));
        }
        assert_eq!(Action::ScrubBack.to_string(), "scrub-back");
    }
}
