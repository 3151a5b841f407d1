//! Everything that a map shows, and the inks of its text.

use super::super::colormap::Bands;
use super::super::levels::{LevelScale, Levels};
use super::super::picture::{Cell, Rgb};
use super::super::raster::Marker;
use super::{Extras, SurfaceLayer};

/// Layers in which the loss is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layers {
    /// Filled bands with contour lines between them.
    #[default]
    Both,
    /// Filled bands.
    Bands,
    /// Contour lines.
    Lines,
}

impl Layers {
    /// Returns the next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Both => Self::Bands,
            Self::Bands => Self::Lines,
            Self::Lines => Self::Both,
        }
    }

    /// Returns its name on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "bands+lines",
            Self::Bands => "bands",
            Self::Lines => "lines",
        }
    }
}

/// The colours of a picture. Without them it is drawn in characters, bold and dim alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Palette {
    /// Colours of the bands.
    pub bands: Bands,
    /// Contour levels that its colours can tell apart.
    pub levels: usize,
    /// Colour behind everything.
    pub ground: Rgb,
    /// Numbers and titles.
    pub text: Rgb,
    /// Parts that should not draw the eye.
    pub faint: Rgb,
    /// The path, and its newest checkpoint.
    pub path: Rgb,
    /// The lowest point, and a checkpoint that is looked at.
    pub mark: Rgb,
}

/// Title of an axis.
#[derive(Clone, Debug, PartialEq)]
pub struct AxisTitle {
    /// e.g. `PC1`.
    pub name: String,
    /// Explained variance, 0 to 1.
    pub share: Option<f64>,
}

impl AxisTitle {
    pub(in crate::plot) fn percent(&self) -> Option<String> {
        self.share.map(|share| format!("{:.1} %", share * 100.0))
    }
}

/// All that a map shows.
#[derive(Clone, Debug)]
pub struct MapScene<'a> {
    /// Range of α.
    pub x: [f64; 2],
    /// Range of β.
    pub y: [f64; 2],
    /// The loss, where there is one.
    pub backdrop: Option<SurfaceLayer<'a>>,
    /// Coordinates of the checkpoints, oldest first.
    pub path: &'a [[f64; 2]],
    /// Index of the checkpoint that is looked at; the last one is the current one.
    pub selected: usize,
    /// Titles of the axes.
    pub axes: [AxisTitle; 2],
    /// Spacing of the levels.
    pub scale: LevelScale,
    /// Layers in which the loss is drawn.
    pub layers: Layers,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, if any.
    pub palette: Option<Palette>,
    /// Parts that not every map has.
    pub extras: Extras<'a>,
}

/// Levels of a map that has ten shades of characters, or lines alone, and of one with five shades.
const LEVELS: [usize; 2] = [9, 4];

impl MapScene<'_> {
    /// Returns the levels of these losses, as many as the characters can tell apart.
    pub(in crate::plot) fn levels(&self, losses: impl IntoIterator<Item = f64>) -> Levels {
        let [many, few] = LEVELS;
        let count = match self.palette {
            _ if self.marker.is_ascii() => many,
            Some(palette) => palette.levels,
            None if self.layers == Layers::Lines => many,
            None => few,
        };
        let uncertainty = self.extras.uncertainty;
        Levels::of(self.scale, losses, count).known_to(|loss| uncertainty.of(loss))
    }

    pub(in crate::plot) fn text_ink(&self) -> Cell {
        Cell::ink(self.palette.map(|palette| palette.text))
    }

    pub(in crate::plot) fn title_ink(&self) -> Cell {
        Cell {
            bold: true,
            ..self.text_ink()
        }
    }

    pub(in crate::plot) fn faint_ink(&self) -> Cell {
        Cell {
            dim: self.palette.is_none(),
            ..Cell::ink(self.palette.map(|palette| palette.faint))
        }
    }
}
