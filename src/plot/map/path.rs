//! The path of the run on the map, and the marks on it.

use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::{Marker, Raster};
use super::{MapScene, Sheet, Tints};

/// How much of the path's colour its oldest part keeps.
const OLDEST: f64 = 0.45;
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
            Marker::Braille | Marker::Block => ['○', '•', '●', '◆', '✕'],
            Marker::Ascii => ['S', 'o', 'O', '&', 'X'],
        };
        let [doubtful, drop, first, other, last] = match marker {
            Marker::Braille | Marker::Block => ['·', '▼', '□', '▪', '■'],
            Marker::Ascii => [',', 'v', 'r', 'x', 'R'],
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
    stations: Vec<Option<(usize, usize)>>,
    lowest: Option<(usize, usize)>,
}

impl Trail {
    pub(super) fn of(sheet: &Sheet<'_>) -> Self {
        let (width, height) = (sheet.area.width, sheet.area.height);
        let mut raster = Raster::new(width, height);
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
    pub(super) fn draw_path(&self, picture: &mut Picture, trail: &Trail) {
        for row in 0..self.area.height {
            for column in 0..self.area.width {
                let Some(checkpoint) = trail.leads_to[row * self.area.width + column] else {
                    continue;
                };
                if let Some(stroke) = self.scene.marker.stroke(trail.raster.dots(column, row)) {
                    self.put_trace(picture, (column, row), stroke, checkpoint);
                }
            }
        }
        self.draw_stations(picture, trail);
    }

    /// Checkpoints that have a cell of their own; then the marks.
    fn draw_stations(&self, picture: &mut Picture, trail: &Trail) {
        let marks = Marks::of(self.scene.marker);
        for (i, place) in uncrowded(&trail.stations) {
            self.put_trace(picture, place, self.scene.station(marks, i), i);
        }
        self.draw_rival(picture, marks.rival);
        for (place, cell) in self.scene.marks(&trail.stations, trail.lowest) {
            let Some((column, row)) = place else { continue };
            picture.put(self.area.left + column, self.area.top + row, cell);
        }
    }

    /// The checkpoints of a second run, in the colour of marks.
    fn draw_rival(&self, picture: &mut Picture, [first, other, newest]: [char; 3]) {
        let rival = self.scene.extras.rival;
        let last = rival.len().saturating_sub(1);
        for (i, point) in rival.iter().enumerate() {
            let Some((column, row)) = self.cell(*point) else {
                continue;
            };
            let symbol = match i {
                i if i == last => newest,
                0 => first,
                _ => other,
            };
            let cell = Cell {
                symbol,
                bold: true,
                ..Cell::ink(self.scene.tints.map(|t| t.mark))
            };
            picture.put(self.area.left + column, self.area.top + row, cell);
        }
    }

    fn put_trace(
        &self,
        picture: &mut Picture,
        (column, row): (usize, usize),
        symbol: char,
        checkpoint: usize,
    ) {
        let (column, row) = (self.area.left + column, self.area.top + row);
        let background = picture.cell_mut(column, row).and_then(|c| c.background);
        let cell = self.scene.trace(symbol, checkpoint, background);
        picture.put(column, row, cell);
    }
}

/// The checkpoints that have no newer one beside them, newest first, with their cells.
pub(in crate::plot) fn uncrowded(
    stations: &[Option<(usize, usize)>],
) -> Vec<(usize, (usize, usize))> {
    let mut taken: Vec<(usize, (usize, usize))> = Vec::new();
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
    /// The marks in the order in which they are put, each with its cell of the picture.
    pub(in crate::plot) fn marks(
        &self,
        stations: &[Option<(usize, usize)>],
        lowest: Option<(usize, usize)>,
    ) -> Vec<(Option<(usize, usize)>, Cell)> {
        let marks = Marks::of(self.marker);
        let last = stations.len().saturating_sub(1);
        let station = |i: usize| stations.get(i).copied().flatten();
        let selected = Some(self.selected).filter(|selected| *selected != last);
        let [path, mark] = [|t: Tints| t.path, |t: Tints| t.mark].map(|of| self.tints.map(of));
        let drops = self.extras.drops.iter();
        let drops = drops.map(|drop| (station(*drop), marks.drop, mark));
        let ranked = [
            (station(0), marks.start, path),
            (lowest, marks.lowest, mark),
            (station(last), marks.current, path),
            (selected.and_then(station), marks.selected, mark),
        ];
        let all = drops.chain(ranked).map(|(place, symbol, colour)| {
            let cell = Cell {
                symbol,
                bold: true,
                ..Cell::ink(colour)
            };
            (place, cell)
        });
        all.collect()
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

    /// A piece of the path that leads to a checkpoint, the fainter the older it is.
    pub(in crate::plot) fn trace(
        &self,
        symbol: char,
        checkpoint: usize,
        background: Option<Rgb>,
    ) -> Cell {
        let last = self.path.len().saturating_sub(1).max(1);
        let after = checkpoint > self.selected;
        let share = if after {
            AFTER
        } else {
            OLDEST + (1.0 - OLDEST) * checkpoint as f64 / last as f64
        };
        let share = share * (1.0 - 0.5 * self.doubt(checkpoint));
        let faded = |tints: Tints| {
            let ground = background.unwrap_or(tints.ground);
            ground.towards(tints.path, share)
        };
        Cell {
            symbol,
            bold: !after,
            dim: after && self.tints.is_none(),
            ..Cell::ink(self.tints.map(faded))
        }
    }
}
