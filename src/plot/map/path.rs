//! The path of the run on the map, and the marks on it.

use super::super::chart::{CellPlace, Course, Stroke};
use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::{Marker, Raster};
use super::{Area, MapScene, Palette, SampledScene};

/// Share of the path's colour that its oldest part keeps.
const OLDEST: f64 = 0.6;
/// Share that the part keeps which comes after the checkpoint that is looked at.
const AFTER: f64 = 0.3;

/// Share that a branch keeps which a resumed run has left.
const LEFT: f64 = 0.45;
/// Widths of a cell from one dot of such a branch to the next.
const DOTTED: f64 = 1.0;

/// A checkpoint whose own loss is further from the map's than this share of its range is drawn small.
pub(super) const DOUBTFUL: f64 = 0.05;

/// Parts that not every map has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras<'a> {
    /// For each checkpoint of the path, the error of the map's loss there, as a share of the map's range of
    /// log-loss; NaN if unknown.
    pub doubts: &'a [f64],
    /// Indices of the checkpoints at which the learning rate fell.
    pub drops: &'a [usize],
    /// The path of a second run on the same plane.
    pub second_run: &'a [[f64; 2]],
    /// For each checkpoint of the path, true if its file is gone: it is drawn hollow.
    pub gone: &'a [bool],
    /// Branches that a resumed run has left, each from where it was left.
    pub old_branches: &'a [Vec<[f64; 2]>],
    /// The quantity of the surface, if it is not the loss.
    pub of: Option<&'a str>,
    /// Error of its values, which tells how many digits of them are known.
    pub uncertainty: Uncertainty,
}

/// The error of the losses of a map. By default they are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// Expected error between measured points, in log-loss.
    pub between: f64,
    /// Standard error of the samples, a share of the loss.
    pub sampling: f64,
}

impl Uncertainty {
    /// Returns the error of a loss.
    #[must_use]
    pub fn of(self, loss: f64) -> f64 {
        let between = self.between * (loss + 1e-3);
        between.hypot(self.sampling * loss)
    }
}

/// The printed marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plot) struct Marks {
    start: char,
    checkpoint: char,
    /// A checkpoint whose file is gone.
    pub(super) gone: char,
    current: char,
    /// The newest one, where its file is gone.
    current_gone: char,
    selected: char,
    lowest: char,
    /// A checkpoint whose own loss is far from the map's.
    pub(super) doubtful: char,
    /// The learning rate fell.
    pub(super) drop: char,
    /// A branch that a resumed run has left, in the legend.
    pub(super) left: char,
    /// First, other and last checkpoint of a second run.
    pub(super) second_run: [char; 3],
}

impl Marks {
    pub(in crate::plot) fn of(marker: Marker) -> Self {
        let [start, checkpoint, current, selected, lowest] = match marker {
            Marker::Ascii => ['S', 'o', 'O', '&', 'X'],
            _ => ['○', '•', '●', '◆', '✕'],
        };
        let [doubtful, drop, first, other, last] = match marker {
            Marker::Ascii => [',', 'v', 'r', 'x', 'R'],
            _ => ['·', '▼', '□', '▪', '■'],
        };
        let [gone, current_gone, left] = match marker {
            Marker::Ascii => ['c', 'Q', '~'],
            _ => ['◦', '◎', '┄'],
        };
        Self {
            start,
            checkpoint,
            gone,
            current,
            current_gone,
            left,
            selected,
            lowest,
            doubtful,
            drop,
            second_run: [first, other, last],
        }
    }
}

/// The path as dots, with the checkpoints' cells.
pub(super) struct PathDots {
    width: usize,
    raster: Raster,
    /// For each cell the checkpoint to which the newest segment in it leads.
    leads_to: Vec<Option<usize>>,
    /// Cell of each checkpoint that is in sight.
    stations: Vec<Option<CellPlace>>,
    lowest: Option<CellPlace>,
}

impl PathDots {
    pub(super) fn of(sampled: &SampledScene<'_>) -> Self {
        let (width, height) = (sampled.area.width, sampled.area.height);
        let mut raster = Raster::new(width, height, sampled.scene.marker);
        let mut leads_to = vec![None; width * height];
        let path = sampled.scene.path;
        let is_a_spot = sampled.is_a_spot();
        let segments = path.windows(2).enumerate().filter(|_| !is_a_spot);
        for (i, segment) in segments {
            raster.line(
                sampled.place(segment[0]),
                sampled.place(segment[1]),
                |column, row| leads_to[row * width + column] = Some(i + 1),
            );
        }
        let lowest = sampled.scene.backdrop.and_then(|backdrop| {
            let (a, b, _) = backdrop.surface.lowest()?;
            sampled.known_cell([a, b])
        });
        let newest = path.last().filter(|_| is_a_spot);
        let station = |point: &[f64; 2]| sampled.cell(*newest.unwrap_or(point));
        Self {
            width,
            raster,
            leads_to,
            stations: path.iter().map(station).collect(),
            lowest,
        }
    }

    /// Returns the cells of the area that the path and the marks need.
    pub(super) fn covered(&self) -> Vec<bool> {
        let mut covered: Vec<bool> = self.leads_to.iter().map(Option::is_some).collect();
        for (column, row) in self.stations.iter().flatten().chain(&self.lowest) {
            covered[row * self.width + column] = true;
        }
        covered
    }
}

impl SampledScene<'_> {
    /// Returns true if the whole path takes less room than a cell, as on random directions: that it touches two of them
    /// says nothing.
    pub(super) fn is_a_spot(&self) -> bool {
        let path = self.scene.path.iter();
        let places: Vec<[f64; 2]> = path.map(|point| self.place(*point)).collect();
        [0, 1].into_iter().all(|side| {
            let along = places.iter().map(|place| place[side]);
            let (low, high) = along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), at| {
                (low.min(at), high.max(at))
            });
            high - low < 1.0
        })
    }

    /// Returns the path over what is drawn below it.
    pub(super) fn course(&self, picture: &Picture, trail: &PathDots) -> Course {
        let shifted = |(column, row): CellPlace| (self.area.left + column, self.area.top + row);
        let marks = Marks::of(self.scene.marker);
        let mut strokes = self.left_branches(picture);
        let mut lead = |place, symbol, checkpoint| {
            let (column, row) = shifted(place);
            let background = picture.background(column, row);
            strokes.push(Stroke {
                place: (column, row),
                checkpoint,
                cells: self.scene.trace(symbol, checkpoint, background),
            });
        };
        for (place, symbol, checkpoint) in self.traces(trail) {
            lead(place, symbol, checkpoint);
        }
        // Checkpoints that have a cell of their own.
        for (i, place) in uncrowded(&trail.stations) {
            lead(place, self.scene.station(marks, i), i);
        }
        let marks = self
            .of_second_run(marks.second_run)
            .chain(self.scene.marks(&trail.stations, trail.lowest));
        strokes.extend(marks.map(|(place, cell)| Stroke::mark(shifted(place), cell)));
        Course {
            strokes,
            stations: (trail.stations.iter())
                .map(|place| place.map(shifted))
                .collect(),
            selected: self.scene.selected_mark(),
        }
    }

    /// Returns the cells that the path crosses, with the checkpoint to which it leads there.
    fn traces(&self, trail: &PathDots) -> impl Iterator<Item = (CellPlace, char, usize)> {
        let leads_to = trail.leads_to.iter().enumerate();
        leads_to.filter_map(|(index, checkpoint)| {
            let (column, row) = (index % trail.width, index / trail.width);
            let stroke = self.scene.marker.stroke(trail.raster.dots(column, row))?;
            Some(((column, row), stroke, (*checkpoint)?))
        })
    }

    /// Returns the branches that a resumed run has left, as dotted lines below the path.
    fn left_branches(&self, picture: &Picture) -> Vec<Stroke> {
        let Area { width, height, .. } = self.area;
        let mut raster = Raster::new(width, height, self.scene.marker);
        for branch in self.scene.extras.old_branches {
            let places: Vec<[f64; 2]> = branch.iter().map(|at| self.place(*at)).collect();
            raster.dotted(&places, DOTTED);
        }
        let places = (0..height).flat_map(|row| (0..width).map(move |column| (column, row)));
        let dots = places.filter_map(|(column, row)| {
            let symbol = self.scene.marker.stroke(raster.dots(column, row))?;
            let place = (self.area.left + column, self.area.top + row);
            let background = picture.background(place.0, place.1);
            Some(Stroke::mark(
                place,
                self.scene.dim(symbol, LEFT, background),
            ))
        });
        dots.collect()
    }

    /// Returns the checkpoints of a second run, in the colour of marks.
    fn of_second_run(
        &self,
        [first, other, newest]: [char; 3],
    ) -> impl Iterator<Item = (CellPlace, Cell)> {
        let second_run = self.scene.extras.second_run;
        let last = second_run.len().saturating_sub(1);
        second_run.iter().enumerate().filter_map(move |(i, point)| {
            let symbol = match i {
                i if i == last => newest,
                0 => first,
                _ => other,
            };
            let colour = self.scene.palette.map(|t| t.mark);
            Some((self.cell(*point)?, Cell::mark(symbol, colour)))
        })
    }
}

/// Returns the checkpoints that have no newer one beside them, newest first, with their cells.
pub(in crate::plot) fn uncrowded(stations: &[Option<CellPlace>]) -> Vec<(usize, CellPlace)> {
    let mut taken: Vec<(usize, CellPlace)> = Vec::new();
    for (i, station) in stations.iter().enumerate().rev() {
        let Some((column, row)) = *station else {
            continue;
        };
        let crowded = taken
            .iter()
            .any(|(_, t)| t.1 == row && t.0.abs_diff(column) <= 1);
        if !crowded {
            taken.push((i, (column, row)));
        }
    }
    taken
}

impl MapScene<'_> {
    /// Returns the marks that are in sight, in the order in which they are put, each with its cell of the picture.
    pub(in crate::plot) fn marks(
        &self,
        stations: &[Option<CellPlace>],
        lowest: Option<CellPlace>,
    ) -> Vec<(CellPlace, Cell)> {
        let marks = Marks::of(self.marker);
        let last = stations.len().saturating_sub(1);
        let station = |i: usize| stations.get(i).copied().flatten();
        let [path, mark] =
            [|t: Palette| t.path, |t: Palette| t.mark].map(|of| self.palette.map(of));
        let current = if self.is_gone(last) {
            marks.current_gone
        } else {
            marks.current
        };
        let ranked = [
            (station(0), marks.start, path),
            (lowest, marks.lowest, mark),
            (station(last), current, path),
        ];
        let is_taken = |place: CellPlace| ranked.iter().any(|other| other.0 == Some(place));
        // A small rate makes small steps: where the newest checkpoint has the cell, the mark points down to it.
        let beside = |(column, row): CellPlace| {
            let above = row.checked_sub(1).map(|row| (column, row));
            if is_taken((column, row)) {
                above.filter(|place| !is_taken(*place))
            } else {
                Some((column, row))
            }
        };
        let drops = self.extras.drops.iter();
        let drops = drops.map(|drop| (station(*drop).and_then(beside), marks.drop, mark));
        let all = drops.chain(ranked);
        all.filter_map(|(place, symbol, colour)| Some((place?, Cell::mark(symbol, colour))))
            .collect()
    }

    /// Returns the mark of the checkpoint that is looked at.
    pub(in crate::plot) fn selected_mark(&self) -> Cell {
        let symbol = Marks::of(self.marker).selected;
        Cell::mark(symbol, self.palette.map(|palette| palette.mark))
    }

    /// Returns the sign of a checkpoint: a hollow one where its file is gone, a small one where the map's loss is far
    /// from its own.
    pub(in crate::plot) fn station(&self, marks: Marks, checkpoint: usize) -> char {
        if !self.is_gone(checkpoint) && self.doubt(checkpoint) > DOUBTFUL {
            marks.doubtful
        } else {
            self.point(marks, checkpoint)
        }
    }

    /// Returns the sign of a checkpoint, whatever the map's loss is: filled, or hollow where its file is gone.
    pub(in crate::plot) fn point(&self, marks: Marks, checkpoint: usize) -> char {
        if self.is_gone(checkpoint) {
            marks.gone
        } else {
            marks.checkpoint
        }
    }

    /// Returns true if the file of a checkpoint of the path is gone.
    pub(super) fn is_gone(&self, checkpoint: usize) -> bool {
        self.extras.gone.get(checkpoint).is_some_and(|gone| *gone)
    }

    /// Returns the doubt about a checkpoint, 0 to 1; 0 if that is not known.
    fn doubt(&self, checkpoint: usize) -> f64 {
        let doubt = self.extras.doubts.get(checkpoint).copied();
        doubt
            .filter(|doubt| doubt.is_finite())
            .map_or(0.0, |doubt| doubt.clamp(0.0, 1.0))
    }

    /// Returns a piece of the path that leads to a checkpoint, the fainter the older it is: as it looks up to the
    /// checkpoint that is looked at, and after it.
    pub(in crate::plot) fn trace(
        &self,
        symbol: char,
        checkpoint: usize,
        background: Option<Rgb>,
    ) -> [Cell; 2] {
        let last = self.path.len().saturating_sub(1).max(1);
        let kept = OLDEST + (1.0 - OLDEST) * checkpoint as f64 / last as f64;
        let clear = 1.0 - 0.5 * self.doubt(checkpoint);
        let before = |palette: Palette| {
            if palette.bands.has_shades() {
                let ground = background.unwrap_or(palette.ground);
                ground.towards(palette.path, kept * clear)
            } else {
                palette.path
            }
        };
        let before = Cell {
            symbol,
            bold: true,
            ..Cell::ink(self.palette.map(before))
        };
        [before, self.dim(symbol, AFTER * clear, background)]
    }

    /// Returns a piece of a path that keeps this share of its colour.
    fn dim(&self, symbol: char, share: f64, background: Option<Rgb>) -> Cell {
        let faded = |palette: Palette| match background {
            _ if palette.bands.has_shades() => {
                (background.unwrap_or(palette.ground)).towards(palette.path, share)
            }
            Some(_) => palette.ground,
            None => palette.faint,
        };
        Cell {
            symbol,
            dim: self.palette.is_none(),
            ..Cell::ink(self.palette.map(faded))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::levels::LevelScale;
    use crate::plot::map::{AxisTitle, Layers, draw};

    fn scene<'a>(path: &'a [[f64; 2]], marker: Marker, extras: Extras<'a>) -> MapScene<'a> {
        let title = |name: &str| AxisTitle {
            name: name.into(),
            share: None,
        };
        MapScene {
            x: [-1.0, 1.0],
            y: [-1.0, 1.0],
            backdrop: None,
            path,
            selected: path.len().saturating_sub(1),
            axes: [title("PC1"), title("PC2")],
            scale: LevelScale::default(),
            layers: Layers::Bands,
            marker,
            palette: None,
            extras,
        }
    }

    const PATH: [[f64; 2]; 4] = [[-0.9, 0.0], [-0.4, 0.0], [0.3, 0.0], [0.9, 0.0]];

    #[test]
    fn a_point_whose_file_is_gone_is_hollow_in_every_marker() {
        for marker in Marker::ALL {
            let extras = Extras {
                gone: &[true, true, false, false],
                ..Extras::default()
            };
            let scene = scene(&PATH, marker, extras);
            let marks = Marks::of(marker);
            let signs = [1, 2].map(|checkpoint| scene.station(marks, checkpoint));
            let expected = if marker.is_ascii() {
                ['c', 'o']
            } else {
                ['◦', '•']
            };
            assert_eq!(signs, expected, "{marker:?}");
            let text = draw(&scene, 20, 10).text();
            assert!(expected.iter().all(|sign| text.contains(*sign)), "{text}");
        }
    }

    #[test]
    fn a_hollow_point_stays_hollow_where_the_map_is_far_from_it() {
        let extras = Extras {
            gone: &[false, true, false, false],
            doubts: &[0.0, 0.9, 0.9, 0.0],
            ..Extras::default()
        };
        let scene = scene(&PATH, Marker::Braille, extras);
        let marks = Marks::of(Marker::Braille);
        assert_eq!([1, 2].map(|i| scene.station(marks, i)), ['◦', '·']);
    }

    #[test]
    fn the_newest_checkpoint_has_a_mark_of_its_own_on_disk_and_gone() {
        for (marker, expected) in [(Marker::Octant, ['●', '◎']), (Marker::Ascii, ['O', 'Q'])] {
            let newest = |gone: &[bool]| {
                let extras = Extras {
                    gone,
                    ..Extras::default()
                };
                let text = draw(&scene(&PATH, marker, extras), 20, 10).text();
                expected.map(|sign| text.contains(sign))
            };
            assert_eq!(newest(&[]), [true, false]);
            assert_eq!(newest(&[true; 4]), [false, true]);
        }
    }

    #[test]
    fn a_path_that_is_smaller_than_a_cell_is_one_mark() {
        // On the edge between two rows, and as wide as one cell of forty.
        let marks = |reach: f64| {
            let path = [[-reach, reach], [0.0, 0.0], [reach, -reach]];
            let picture = draw(&scene(&path, Marker::Braille, Extras::default()), 40, 20);
            let text = picture.text();
            let is_line = text.contains(|sign| ('\u{2801}'..='\u{28ff}').contains(&sign));
            (text.matches(['○', '•', '●']).count(), is_line)
        };
        assert_eq!([0.001, 0.02].map(marks), [(1, false); 2]);
        assert_eq!(marks(0.2), (3, true));
    }

    #[test]
    fn a_branch_that_was_left_is_dotted_and_dim_and_below_the_path() {
        let branch = vec![
            vec![[-0.4, 0.0], [0.5, -0.8]],
            vec![[-0.9, 0.0], [0.9, 0.0]],
        ];
        let without = draw(&scene(&PATH, Marker::Braille, Extras::default()), 20, 10);
        let extras = Extras {
            old_branches: &branch,
            ..Extras::default()
        };
        let with = draw(&scene(&PATH, Marker::Braille, extras), 20, 10);
        let mut added = 0;
        for (before, after) in without.rows().flatten().zip(with.rows().flatten()) {
            if before.symbol == ' ' {
                added += usize::from(after.symbol != ' ');
                assert!(after.symbol == ' ' || after.dim);
            } else {
                assert_eq!(before, after, "the path is not painted over");
            }
        }
        assert!((5..=12).contains(&added), "{added} in {}", with.text());
    }
}
