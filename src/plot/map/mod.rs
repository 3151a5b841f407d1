//! The map: the loss on the plane as bands and contour lines, with the path of the run on top.
//!
//! ```text
//!   PC2  ┌──────────────────────────────┐ loss
//!  18 %  │ bands, contour lines, labels │ ██ 6
//!     2 ╶│ path: ○ start  ● current     │ ██ 3
//!     0 ╶│ ✕ lowest measured loss       │ ██ 1
//!        └──────────────────────────────┘ ██ 0.3
//!         -2         0        2   PC1 73 %
//! ```
//!
//! Layers, from the ground up: bands, lines, labels of lines, path, marks. A cell is twice as high as
//! it is wide; the axes have a scale each, so that the window fills the whole area.

mod frame;
mod ground;
mod isolines;
mod legend;
mod path;

use crate::landscape::surface::{Field, Origin, Surface};
use crate::landscape::survey::spread;

use super::colormap::Colormap;
use super::levels::{Levels, Scale};
use super::picture::{Picture, Rgb};
use super::raster::Marker;

/// How the loss is drawn.
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
    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Both => Self::Bands,
            Self::Bands => Self::Lines,
            Self::Lines => Self::Both,
        }
    }

    /// Its name on the screen.
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
pub struct Tints {
    /// Of the bands.
    pub colormap: Colormap,
    /// What lies behind everything.
    pub ground: Rgb,
    /// Numbers and titles.
    pub text: Rgb,
    /// What should not draw the eye.
    pub faint: Rgb,
    /// The path, and its newest checkpoint.
    pub path: Rgb,
    /// The lowest point, and a checkpoint that is looked at.
    pub mark: Rgb,
}

/// The measured surface behind the path.
#[derive(Clone, Copy, Debug)]
pub struct Backdrop<'a> {
    /// What was measured.
    pub surface: &'a Surface,
    /// Where the surface's own origin lies in the coordinates of the scene.
    pub shift: [f64; 2],
    /// It belongs to an earlier plane: it is drawn dim.
    pub stale: bool,
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
    fn percent(&self) -> Option<String> {
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
    pub backdrop: Option<Backdrop<'a>>,
    /// Coordinates of the checkpoints, oldest first.
    pub path: &'a [[f64; 2]],
    /// Index of the checkpoint that is looked at; the last one is the current one.
    pub selected: usize,
    /// Titles of the axes.
    pub axes: [AxisTitle; 2],
    /// How levels are spread.
    pub scale: Scale,
    /// How the loss is drawn.
    pub layers: Layers,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, if any.
    pub tints: Option<Tints>,
}

/// Levels of a coloured map, and of one that has ten shades of characters.
const LEVELS: [usize; 2] = [12, 9];
/// Below this many cells lines only hide the bands.
const ROOM_FOR_LINES: (usize, usize) = (36, 10);

/// Draws the map into this many cells. Any size will do; what has no room is left out: first the
/// legend, then the axes.
#[must_use]
pub fn draw(scene: &MapScene<'_>, width: usize, height: usize) -> Picture {
    let mut picture = Picture::new(width, height);
    let area = frame::arrange(scene, width, height);
    if area.width == 0 || area.height == 0 {
        return picture;
    }
    let sheet = Sheet::new(scene, area);
    let trail = path::Trail::of(&sheet);
    sheet.draw_ground(&mut picture);
    if sheet.has_lines() {
        sheet.draw_isolines(&mut picture, &trail);
    }
    sheet.draw_path(&mut picture, &trail);
    sheet.draw_axes(&mut picture);
    sheet.draw_legend(&mut picture);
    picture
}

/// The rectangle of a picture that shows the plane, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

/// A scene with the loss sampled for the cells of its area.
struct Sheet<'a> {
    scene: &'a MapScene<'a>,
    area: Area,
    /// Nodes at the corners of the cells, the middles of their sides and their centres.
    lattice: Option<Field>,
    levels: Levels,
    lowest: Option<f64>,
}

impl<'a> Sheet<'a> {
    fn new(scene: &'a MapScene<'a>, area: Area) -> Self {
        let lattice = scene
            .backdrop
            .map(|backdrop| sample(scene, &backdrop, area));
        let losses = lattice.iter().flat_map(|field| field.loss.iter().copied());
        let [coloured, shaded] = LEVELS;
        let colours = scene.tints.is_some() && scene.marker != Marker::Ascii;
        let count = if colours { coloured } else { shaded };
        let levels = Levels::of(scene.scale, losses.clone(), count);
        let lowest = losses.filter(|loss| loss.is_finite()).reduce(f64::min);
        Self {
            scene,
            area,
            lattice,
            levels,
            lowest,
        }
    }

    fn has_bands(&self) -> bool {
        self.scene.layers != Layers::Lines
    }

    fn has_lines(&self) -> bool {
        let room = self.area.width >= ROOM_FOR_LINES.0 && self.area.height >= ROOM_FOR_LINES.1;
        match self.scene.layers {
            Layers::Both => room,
            Layers::Bands => false,
            Layers::Lines => true,
        }
    }

    /// Loss at the centre of a cell of the area; none when nothing is known there.
    fn at(&self, column: usize, row: usize) -> Option<(f64, Origin)> {
        let field = self.lattice.as_ref()?;
        let (i, j) = (2 * column + 1, 2 * (self.area.height - 1 - row) + 1);
        let index = j * field.x.len() + i;
        let origin = *field.origin.get(index)?;
        (origin != Origin::Unknown).then_some((field.loss[index], origin))
    }

    /// Whether what a cell shows is not the last word: interpolated only, or of an earlier plane.
    fn is_preliminary(&self, origin: Origin) -> bool {
        origin != Origin::Measured || self.scene.backdrop.is_some_and(|b| b.stale)
    }

    /// Place of a point of the plane in cells from the area's upper left corner.
    fn place(&self, [a, b]: [f64; 2]) -> [f64; 2] {
        let [x, y] = [self.scene.x, self.scene.y];
        [
            (a - x[0]) / (x[1] - x[0]) * self.area.width as f64,
            (y[1] - b) / (y[1] - y[0]) * self.area.height as f64,
        ]
    }

    /// The cell of the area in which a point of the plane lies; none outside. The window's own far
    /// edges belong to the last cells.
    fn cell(&self, point: [f64; 2]) -> Option<(usize, usize)> {
        let [across, down] = self.place(point);
        let within = |place: f64, cells: usize| {
            // Asked this way round, a place that is not a number is outside.
            (0.0..=cells as f64)
                .contains(&place)
                .then(|| (place as usize).min(cells - 1))
        };
        Some((
            within(across, self.area.width)?,
            within(down, self.area.height)?,
        ))
    }
}

/// Samples the surface at every half cell of the area.
fn sample(scene: &MapScene<'_>, backdrop: &Backdrop<'_>, area: Area) -> Field {
    let lines = |[min, max]: [f64; 2], cells: usize| spread(min, max, 2 * cells + 1);
    let (x, y) = (lines(scene.x, area.width), lines(scene.y, area.height));
    let own = |lines: &[f64], shift: f64| lines.iter().map(|v| v - shift).collect::<Vec<_>>();
    let [across, up] = backdrop.shift;
    let field = backdrop.surface.sample(&own(&x, across), &own(&y, up));
    Field { x, y, ..field }
}
