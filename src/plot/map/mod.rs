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
pub(super) mod ground;
mod isolines;
mod legend;
pub mod panels;
pub(super) mod path;

use crate::landscape::field::{Field, Origin};
use crate::landscape::surface::Surface;
use crate::landscape::survey::spread;
use crate::loss::Score;

pub use frame::has_axes;
pub(crate) use ground::band_colour;
pub use path::Extras;

use super::chart::{Chart, Course};
use super::colormap::Bands;
use super::levels::{Levels, Scale};
use super::picture::{Cell, Picture, Rgb};
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
    pub bands: Bands,
    /// Contour levels that its colours can tell apart.
    pub levels: usize,
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

impl Backdrop<'_> {
    /// The surface at the crossings of these lines of the scene (ascending).
    pub(super) fn sample(&self, x: Vec<f64>, y: Vec<f64>) -> Field {
        let own = |lines: &[f64], shift: f64| lines.iter().map(|v| v - shift).collect::<Vec<_>>();
        let [across, up] = self.shift;
        let field = self.surface.sample(&own(&x, across), &own(&y, up));
        Field { x, y, ..field }
    }

    /// Loss at a point of the scene, and how it came about; none where nothing is known.
    #[must_use]
    pub fn loss(&self, [alpha, beta]: [f64; 2]) -> Option<(f64, Origin)> {
        let field = self.sample(vec![alpha], vec![beta]);
        let (loss, origin) = field.loss.first().zip(field.origin.first())?;
        (*origin != Origin::Unknown).then_some((*loss, *origin))
    }

    /// Whether the surface was measured at a point of the scene itself.
    #[must_use]
    pub fn is_measured(&self, [alpha, beta]: [f64; 2]) -> bool {
        let [across, up] = self.shift;
        let line = |lines: &[f64], at: f64| lines.iter().position(|line| *line == at);
        let crossing =
            line(self.surface.x(), alpha - across).zip(line(self.surface.y(), beta - up));
        crossing.is_some_and(|(i, j)| self.surface.get(i, j).is_some())
    }

    /// Returns the score at a point of the scene; `None` if that is not known, or NaN.
    #[must_use]
    pub fn score(&self, score: Score, [alpha, beta]: [f64; 2]) -> Option<f64> {
        let [across, up] = self.shift;
        let (x, y) = ([alpha - across], [beta - up]);
        let sampled = self.surface.sample_score(score, &x, &y);
        sampled.first().copied().filter(|score| score.is_finite())
    }

    /// Whether what is shown is not the last word: interpolated only, or of an earlier plane.
    #[must_use]
    pub fn is_preliminary(&self, origin: Origin) -> bool {
        origin != Origin::Measured || self.stale
    }
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
    pub(super) fn percent(&self) -> Option<String> {
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
    /// What not every map has.
    pub extras: Extras<'a>,
}

/// Levels of a map that has ten shades of characters, or lines alone, and of one with five shades.
const LEVELS: [usize; 2] = [9, 4];
/// Below this many cells lines only hide the bands.
const ROOM_FOR_LINES: (usize, usize) = (36, 12);

impl MapScene<'_> {
    /// The levels of these losses, as many as the characters can tell apart.
    pub(super) fn levels(&self, losses: impl IntoIterator<Item = f64>) -> Levels {
        let [many, few] = LEVELS;
        let count = match self.tints {
            _ if self.marker.is_ascii() => many,
            Some(tints) => tints.levels,
            None if self.layers == Layers::Lines => many,
            None => few,
        };
        Levels::of(self.scale, losses, count)
    }

    pub(super) fn text_ink(&self) -> Cell {
        Cell::ink(self.tints.map(|tints| tints.text))
    }

    pub(super) fn title_ink(&self) -> Cell {
        Cell {
            bold: true,
            ..self.text_ink()
        }
    }

    pub(super) fn faint_ink(&self) -> Cell {
        Cell {
            dim: self.tints.is_none(),
            ..Cell::ink(self.tints.map(|tints| tints.faint))
        }
    }
}

/// Draws the map into this many cells. Any size will do; what has no room is left out: first the
/// legend, then the axes.
#[must_use]
pub fn draw(scene: &MapScene<'_>, width: usize, height: usize) -> Picture {
    chart(scene, width, height).looked_at(scene.selected)
}

/// The map as [`draw`] has it, whichever checkpoint is looked at.
#[must_use]
pub fn chart(scene: &MapScene<'_>, width: usize, height: usize) -> Chart {
    let mut picture = Picture::new(width, height);
    let area = frame::arrange(scene, width, height);
    if area.width == 0 || area.height == 0 {
        return picture.into();
    }
    let sheet = Sheet::new(scene, area);
    let course = draw_in(&sheet, &mut picture);
    sheet.draw_axes(&mut picture);
    sheet.draw_legend(&mut picture);
    Chart { picture, course }
}

/// The cell (column, row) of a picture of this size in which a point of the plane lies; none outside.
#[must_use]
pub fn cell(scene: &MapScene<'_>, [width, height]: [usize; 2], at: [f64; 2]) -> Option<[usize; 2]> {
    let area = frame::arrange(scene, width, height);
    let (column, row) = area.cell(area.place(scene, at))?;
    Some([area.left + column, area.top + row])
}

/// The point of the plane in the middle of a cell of a picture of this size; none beside the map.
#[must_use]
pub fn point(
    scene: &MapScene<'_>,
    [width, height]: [usize; 2],
    cell: [usize; 2],
) -> Option<[f64; 2]> {
    let area = frame::arrange(scene, width, height);
    let along = |cell: usize, first: usize, cells: usize| {
        let cell = cell.checked_sub(first).filter(|cell| *cell < cells)?;
        Some((cell as f64 + 0.5) / cells as f64)
    };
    let right = along(cell[0], area.left, area.width)?;
    let down = along(cell[1], area.top, area.height)?;
    Some([
        scene.x[0] + (scene.x[1] - scene.x[0]) * right,
        scene.y[1] + (scene.y[0] - scene.y[1]) * down,
    ])
}

/// Draws the layers of the plane itself but for the path, which is still to be inked.
fn draw_in(sheet: &Sheet<'_>, picture: &mut Picture) -> Course {
    let trail = path::Trail::of(sheet);
    sheet.draw_ground(picture);
    if sheet.has_lines() {
        sheet.draw_isolines(picture, &trail);
    }
    sheet.course(picture, &trail)
}

/// The rectangle of a picture that shows the plane, in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Area {
    /// Place of a point of the plane in cells from the upper left corner.
    fn place(&self, scene: &MapScene<'_>, [a, b]: [f64; 2]) -> [f64; 2] {
        let [x, y] = [scene.x, scene.y];
        [
            (a - x[0]) / (x[1] - x[0]) * self.width as f64,
            (y[1] - b) / (y[1] - y[0]) * self.height as f64,
        ]
    }

    /// The cell in which a place lies; none outside. The window's own far edges belong to the last
    /// cells.
    fn cell(&self, [across, down]: [f64; 2]) -> Option<(usize, usize)> {
        let within = |place: f64, cells: usize| {
            // Asked this way round, a place that is not a number is outside.
            (cells > 0 && (0.0..=cells as f64).contains(&place))
                .then(|| (place as usize).min(cells - 1))
        };
        Some((within(across, self.width)?, within(down, self.height)?))
    }
}

/// A scene with the loss sampled for the cells of its area.
struct Sheet<'a> {
    scene: &'a MapScene<'a>,
    area: Area,
    /// Nodes at the corners of the cells, the middles of their sides and their centres.
    lattice: Option<Field>,
    levels: Levels,
}

impl<'a> Sheet<'a> {
    fn new(scene: &'a MapScene<'a>, area: Area) -> Self {
        let mut sheet = Self::without_levels(scene, area);
        sheet.levels = scene.levels(sheet.losses());
        sheet
    }

    /// Still to be given the levels that other maps have too.
    fn without_levels(scene: &'a MapScene<'a>, area: Area) -> Self {
        let backdrop = scene.backdrop;
        Self {
            scene,
            area,
            lattice: backdrop.map(|backdrop| sample(scene, &backdrop, area)),
            levels: Levels::default(),
        }
    }

    fn losses(&self) -> impl Iterator<Item = f64> {
        let fields = self.lattice.iter();
        fields.flat_map(|field| field.loss.iter().copied())
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

    fn is_preliminary(&self, origin: Origin) -> bool {
        let backdrop = self.scene.backdrop;
        backdrop.is_some_and(|backdrop| backdrop.is_preliminary(origin))
    }

    /// Place of a point of the plane in cells from the area's upper left corner.
    fn place(&self, at: [f64; 2]) -> [f64; 2] {
        self.area.place(self.scene, at)
    }

    /// The cell of the area in which a point of the plane lies; none outside.
    fn cell(&self, at: [f64; 2]) -> Option<(usize, usize)> {
        self.area.cell(self.place(at))
    }
}

/// Samples the surface at every half cell of the area.
fn sample(scene: &MapScene<'_>, backdrop: &Backdrop<'_>, area: Area) -> Field {
    let lines = |[min, max]: [f64; 2], cells: usize| spread(min, max, 2 * cells + 1);
    backdrop.sample(lines(scene.x, area.width), lines(scene.y, area.height))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::landscape::surface::Measure;
    use crate::plot::colormap::Colormap;
    use proptest::prelude::*;

    const TINTS: Tints = Tints {
        bands: Bands::Gradient {
            map: Colormap::Viridis,
            recede: 0.28,
        },
        levels: 12,
        ground: Rgb(0, 0, 0),
        text: Rgb(200, 200, 200),
        faint: Rgb(100, 100, 100),
        path: Rgb(255, 255, 255),
        mark: Rgb(255, 128, 0),
    };

    /// A surface over −1…1, every point measured.
    fn surface(loss: impl Fn(f64, f64) -> f64) -> Surface {
        let lines = spread(-1.0, 1.0, 33);
        let mut surface = Surface::new(lines.clone(), lines.clone());
        for (i, x) in lines.iter().enumerate() {
            for (j, y) in lines.iter().enumerate() {
                let measure = Measure {
                    loss: loss(*x, *y),
                    score: 0.5,
                };
                surface.record(i, j, measure);
            }
        }
        surface
    }

    fn scene<'a>(surface: &'a Surface, path: &'a [[f64; 2]]) -> MapScene<'a> {
        let title = |name: &str, share| AxisTitle {
            name: name.into(),
            share: Some(share),
        };
        MapScene {
            x: [-1.0, 1.0],
            y: [-1.0, 1.0],
            backdrop: Some(Backdrop {
                surface,
                shift: [0.0, 0.0],
                stale: false,
            }),
            path,
            selected: path.len().saturating_sub(1),
            axes: [title("PC1", 0.734), title("PC2", 0.183)],
            scale: Scale::Log,
            layers: Layers::Bands,
            marker: Marker::Braille,
            tints: Some(TINTS),
            extras: Extras::default(),
        }
    }

    fn cell(picture: &Picture, column: usize, row: usize) -> Cell {
        picture.rows().nth(row).unwrap()[column]
    }

    #[test]
    fn bands_grow_lighter_with_the_loss_and_beta_points_upward() {
        let surface = surface(|_, y| (3.0 * y).exp());
        let picture = draw(&scene(&surface, &[]), 20, 10);
        let luma = |row: usize| cell(&picture, 5, row).background.unwrap().luma();
        let rows: Vec<f64> = (0..10).map(luma).collect();
        assert!(rows.is_sorted_by(|above, below| above >= below), "{rows:?}");
        assert!(rows[0] > rows[9] + 0.3);
    }

    #[test]
    fn marks_are_where_their_points_are() {
        let surface = surface(|x, y| 0.2 + (x + 0.5).powi(2) + (y - 0.5).powi(2));
        let path = [[0.99, 0.99], [0.0, 0.0], [-0.99, -0.99]];
        let picture = draw(&scene(&surface, &path), 20, 10);
        assert_eq!(cell(&picture, 19, 0).symbol, '○');
        assert_eq!(cell(&picture, 10, 5).symbol, '•');
        assert_eq!(cell(&picture, 0, 9).symbol, '●');
        assert_eq!(cell(&picture, 5, 2).symbol, '✕');
        let scrubbed = MapScene {
            selected: 1,
            ..scene(&surface, &path)
        };
        assert_eq!(cell(&draw(&scrubbed, 20, 10), 10, 5).symbol, '◆');
    }

    #[test]
    fn a_second_run_is_in_the_legend_where_there_is_one() {
        let surface = surface(|x, y| 0.1 + x * x + y * y);
        let alone = scene(&surface, &[[0.5, 0.5], [0.0, 0.0]]);
        let both = MapScene {
            extras: Extras {
                rival: &[[-0.5, 0.5], [0.0, -0.5]],
                ..Extras::default()
            },
            ..alone.clone()
        };
        assert!(draw(&both, 70, 20).text().contains("■  2nd run"));
        assert!(!draw(&alone, 70, 20).text().contains("2nd run"));
    }

    #[test]
    fn a_hole_has_no_band_and_a_sign_of_its_own() {
        let surface = surface(|x, y| if x > 0.0 { f64::NAN } else { 1.0 + y });
        let picture = draw(&scene(&surface, &[]), 20, 10);
        for row in 0..10 {
            for column in 11..20 {
                let cell = cell(&picture, column, row);
                assert!(cell.background.is_none() && "╳ ".contains(cell.symbol));
            }
            assert!(cell(&picture, 5, row).background.is_some());
        }
        assert!(picture.text().contains('╳'));
    }

    #[test]
    fn what_was_not_measured_is_not_painted() {
        let empty = Surface::new(spread(-1.0, 1.0, 33), spread(-1.0, 1.0, 33));
        let picture = draw(&scene(&empty, &[]), 20, 10);
        assert!(
            picture
                .rows()
                .flatten()
                .all(|cell| cell.background.is_none())
        );
        assert!(picture.text().contains('·'));
    }

    #[test]
    fn what_lies_above_the_top_level_is_marked_as_clipped() {
        let surface = surface(|x, _| if x > 0.9 { 1e6 } else { 2.0 + x });
        let picture = draw(&scene(&surface, &[]), 40, 10);
        let signs = |columns: std::ops::Range<usize>| {
            let rows = picture.rows().flat_map(|row| row[columns.clone()].to_vec());
            rows.filter(|cell| cell.symbol == '^').count()
        };
        assert!(signs(38..40) > 0);
        assert_eq!(signs(0..30), 0);
    }

    #[test]
    fn a_label_stands_on_the_line_whose_value_it_is() {
        let surface = surface(|x, y| 0.1 + x * x + y * y);
        let lines = MapScene {
            layers: Layers::Lines,
            ..scene(&surface, &[])
        };
        let (width, height) = (40, 30);
        let text = draw(&lines, width, height).text();
        let mut labels = 0;
        for (row, line) in text.lines().enumerate() {
            let cells: Vec<char> = line.chars().collect();
            let is_digit = |c: &char| c.is_ascii_digit() || *c == '.';
            let Some(start) = cells.iter().position(is_digit) else {
                continue;
            };
            let label: String = cells[start..].iter().take_while(|c| is_digit(c)).collect();
            let middle = start as f64 + label.len() as f64 / 2.0;
            let (x, y) = (middle / 20.0 - 1.0, 1.0 - (row as f64 + 0.5) / 15.0);
            let radius = (label.parse::<f64>().unwrap() - 0.1).sqrt();
            assert!((x.hypot(y) - radius).abs() < 0.08, "{label} at {x}, {y}");
            labels += 1;
        }
        assert!(labels >= 4, "{text}");
    }

    #[test]
    fn the_surface_moves_with_its_shift() {
        let surface = surface(|x, _| if x.abs() < 0.2 { 1.0 } else { 3.0 });
        let shifted = |shift: f64| {
            let mut scene = scene(&surface, &[]);
            scene.backdrop = scene.backdrop.map(|backdrop| Backdrop {
                shift: [shift, 0.0],
                ..backdrop
            });
            let picture = draw(&scene, 20, 10);
            let row = picture.rows().next().unwrap().to_vec();
            let luma = |cell: &Cell| cell.background.map_or(1.0, Rgb::luma);
            let lowest = row.iter().map(luma).fold(1.0, f64::min);
            row.iter().position(|cell| luma(cell) <= lowest).unwrap()
        };
        assert_eq!(shifted(0.5), shifted(0.0) + 5);
    }

    #[test]
    fn axes_say_their_names_and_explained_variance() {
        let surface = surface(|x, y| 1.0 + x * x + y * y);
        let text = draw(&scene(&surface, &[]), 80, 24).text();
        assert!(text.contains("PC1 73.4 %") && text.contains("18.3 %") && text.contains("loss"));
    }

    proptest! {
        #[test]
        fn any_size_any_path_and_any_losses_will_do(
            width in 0..90usize, height in 0..30usize, coloured: bool,
            path in prop::collection::vec(prop_oneof![
                8 => [-2.0..2.0f64, -2.0..2.0f64], 1 => Just([f64::NAN, 0.0]),
                1 => Just([f64::INFINITY, 1e300]),
            ], 0..9),
            loss in prop_oneof![Just(f64::NAN), Just(f64::INFINITY), 0.0..1e300f64],
            layers in prop_oneof![Just(Layers::Both), Just(Layers::Bands), Just(Layers::Lines)],
            marker in prop::sample::select(&Marker::ALL[..]),
        ) {
            let surface = surface(|x, y| if x > y { loss } else { 1.0 + x * x });
            let scene = MapScene {
                layers,
                marker,
                tints: coloured.then_some(TINTS),
                ..scene(&surface, &path)
            };
            let picture = draw(&scene, width, height);
            prop_assert_eq!(picture.width(), width);
            if marker.is_ascii() {
                prop_assert!(picture.text().is_ascii());
            }
        }
    }
}
