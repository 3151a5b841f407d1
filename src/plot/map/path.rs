//! The path of the run on the map, and the marks on it.

use super::super::chart::{Course, Place, Stroke};
use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::{Marker, Raster};
use super::{MapScene, Sheet, Tints};

/// How much of the path's colour its oldest part keeps.
const OLDEST: f64 = 0.6;
/// How much the part keeps that comes after the checkpoint that is looked at.
const AFTER: f64 = 0.3;

/// A checkpoint whose own loss is further from the map's than this share of its range is drawn small.
pub(super) const DOUBTFUL: f64 = 0.05;

/// The printed marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plot) struct Marks {
    start: char,
    pub(in crate::plot) checkpoint: char,
    current: char,
    selected: char,
    lowest: char,
    /// A checkpoint whose own loss is far from the map's.
    pub(super) doubtful: char,
    /// The learning rate fell.
    pub(super) drop: char,
    /// First, other and last checkpoint of a second run.
    pub(super) rival: [char; 3],
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
        Self {
            start,
            checkpoint,
            current,
            selected,
            lowest,
            doubtful,
            drop,
            rival: [first, other, last],
        }
    }
}

/// The path as dots, with the checkpoints' cells.
pub(super) struct Trail {
    width: usize,
    raster: Raster,
    /// For each cell the checkpoint to which the newest segment in it leads.
    leads_to: Vec<Option<usize>>,
    /// Cell of each checkpoint that is in sight.
    stations: Vec<Option<Place>>,
    lowest: Option<Place>,
}

impl Trail {
    pub(super) fn of(sheet: &Sheet<'_>) -> Self {
        let (width, height) = (sheet.area.width, sheet.area.height);
        let mut raster = Raster::new(width, height, sheet.scene.marker);
        let mut leads_to = vec![None; width * height];
        for (i, segment) in sheet.scene.path.windows(2).enumerate() {
            raster.line(
                sheet.place(segment[0]),
                sheet.place(segment[1]),
                |column, row| leads_to[row * width + column] = Some(i + 1),
            );
        }
        let lowest = sheet.scene.backdrop.and_then(|backdrop| {
            let (a, b, _) = backdrop.surface.lowest()?;
            sheet.cell([a + backdrop.shift[0], b + backdrop.shift[1]])
        });
        let points = sheet.scene.path.iter();
        Self {
            width,
            raster,
            leads_to,
            stations: points.map(|point| sheet.cell(*point)).collect(),
            lowest,
        }
    }

    /// The cells of the area that the path and the marks need.
    pub(super) fn covered(&self) -> Vec<bool> {
        let mut covered: Vec<bool> = self.leads_to.iter().map(Option::is_some).collect();
        for (column, row) in self.stations.iter().flatten().chain(&self.lowest) {
            covered[row * self.width + column] = true;
        }
        covered
    }
}

impl Sheet<'_> {
    /// The path over what is drawn below it.
    pub(super) fn course(&self, picture: &Picture, trail: &Trail) -> Course {
        let shifted = |(column, row): Place| (self.area.left + column, self.area.top + row);
        let marks = Marks::of(self.scene.marker);
        let mut strokes = Vec::new();
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
            .rivals(marks.rival)
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

    /// The cells that the path crosses, with the checkpoint to which it leads there.
    fn traces(&self, trail: &Trail) -> impl Iterator<Item = (Place, char, usize)> {
        let leads_to = trail.leads_to.iter().enumerate();
        leads_to.filter_map(|(index, checkpoint)| {
            let (column, row) = (index % trail.width, index / trail.width);
            let stroke = self.scene.marker.stroke(trail.raster.dots(column, row))?;
            Some(((column, row), stroke, (*checkpoint)?))
        })
    }

    /// The checkpoints of a second run, in the colour of marks.
    fn rivals(&self, [first, other, newest]: [char; 3]) -> impl Iterator<Item = (Place, Cell)> {
        let rival = self.scene.extras.rival;
        let last = rival.len().saturating_sub(1);
        rival.iter().enumerate().filter_map(move |(i, point)| {
            let symbol = match i {
                i if i == last => newest,
                0 => first,
                _ => other,
            };
            let colour = self.scene.tints.map(|t| t.mark);
            Some((self.cell(*point)?, Cell::mark(symbol, colour)))
        })
    }
}

/// The checkpoints that have no newer one beside them, newest first, with their cells.
pub(in crate::plot) fn uncrowded(stations: &[Option<Place>]) -> Vec<(usize, Place)> {
    let mut taken: Vec<(usize, Place)> = Vec::new();
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
    /// The marks that are in sight, in the order in which they are put, each with its cell of the picture.
    pub(in crate::plot) fn marks(
        &self,
        stations: &[Option<Place>],
        lowest: Option<Place>,
    ) -> Vec<(Place, Cell)> {
        let marks = Marks::of(self.marker);
        let last = stations.len().saturating_sub(1);
        let station = |i: usize| stations.get(i).copied().flatten();
        let [path, mark] = [|t: Tints| t.path, |t: Tints| t.mark].map(|of| self.tints.map(of));
        let drops = self.extras.drops.iter();
        let drops = drops.map(|drop| (station(*drop), marks.drop, mark));
        let ranked = [
            (station(0), marks.start, path),
            (lowest, marks.lowest, mark),
            (station(last), marks.current, path),
        ];
        let all = drops.chain(ranked);
        all.filter_map(|(place, symbol, colour)| Some((place?, Cell::mark(symbol, colour))))
            .collect()
    }

    /// The mark of the checkpoint that is looked at.
    pub(in crate::plot) fn selected_mark(&self) -> Cell {
        let symbol = Marks::of(self.marker).selected;
        Cell::mark(symbol, self.tints.map(|tints| tints.mark))
    }

    /// The sign of a checkpoint: a small one where the map's loss is far from its own.
    pub(in crate::plot) fn station(&self, marks: Marks, checkpoint: usize) -> char {
        if self.doubt(checkpoint) > DOUBTFUL {
            marks.doubtful
        } else {
            marks.checkpoint
        }
    }

    /// How little the map says about a checkpoint, 0 to 1; 0 where that is not known.
    fn doubt(&self, checkpoint: usize) -> f64 {
        let doubt = self.extras.doubts.get(checkpoint).copied();
        doubt
            .filter(|doubt| doubt.is_finite())
            .map_or(0.0, |doubt| doubt.clamp(0.0, 1.0))
    }

    /// A piece of the path that leads to a checkpoint, the fainter the older it is: as it looks up to the
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
        [(kept, false), (AFTER, true)].map(|(share, after)| {
            let faded = |tints: Tints| {
                if !tints.bands.has_shades() {
                    return match (after, background) {
                        (false, _) => tints.path,
                        (true, Some(_)) => tints.ground,
                        (true, None) => tints.faint,
                    };
                }
                let ground = background.unwrap_or(tints.ground);
                ground.towards(tints.path, share * clear)
            };
            Cell {
                symbol,
                bold: !after,
                dim: after && self.tints.is_none(),
                ..Cell::ink(self.tints.map(faded))
            }
        })
    }
}
