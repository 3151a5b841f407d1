//! Contour lines on the map, and the labels that are set into them.

use crate::landscape::Origin;

use super::super::contour::{Polyline, isolines};
use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::{Marker, Raster};
use super::SampledScene;
use super::band_colour;
use super::ground::contrast;
use super::path::PathDots;

/// A line shorter than this many times its label carries none.
const LINE_PER_LABEL: f64 = 5.0;
/// Flatness that a label gives up to stand in the middle of the map rather than at its edge.
const CENTRED: f64 = 0.3;
/// Cells left free beside a label, across and down.
const LABEL_MARGIN: (usize, usize) = (2, 1);

/// Cells of the area that a label may not cover.
struct Occupied {
    width: usize,
    cells: Vec<bool>,
}

impl Occupied {
    fn is_free(&self, column: usize, row: usize, length: usize) -> bool {
        let height = self.cells.len() / self.width;
        let (across, down) = LABEL_MARGIN;
        if column < across
            || column + length + across > self.width
            || row < down
            || row + down >= height
        {
            return false;
        }
        let columns = column - across..column + length + across;
        let mut rows = row - down..=row + down;
        rows.all(|row| {
            let taken = &self.cells[row * self.width..][columns.clone()];
            taken.iter().all(|taken| !taken)
        })
    }

    fn take(&mut self, column: usize, row: usize, length: usize) {
        self.cells[row * self.width + column..][..length].fill(true);
    }
}

impl SampledScene<'_> {
    pub(super) fn draw_isolines(&self, picture: &mut Picture, trail: &PathDots) {
        let Some(field) = &self.lattice else { return };
        let mut raster = Raster::new(self.area.width, self.area.height, self.scene.marker);
        let mut level_of = vec![0; self.area.width * self.area.height];
        let mut lines: Vec<Vec<Polyline>> = Vec::new();
        let traced = isolines(field, self.levels.values());
        for (index, traced) in traced.into_iter().enumerate() {
            let placed: Vec<Polyline> = traced
                .into_iter()
                .map(|line| line.into_iter().map(|point| self.place(point)).collect())
                .collect();
            for segment in placed.iter().flat_map(|line| line.windows(2)) {
                raster.line(segment[0], segment[1], |column, row| {
                    level_of[row * self.area.width + column] = index;
                });
            }
            lines.push(placed);
        }
        // Among 7-bit shades a line would be one more shade: their edges are the lines.
        let ascii = self.scene.marker.is_ascii();
        if !(ascii && self.has_bands()) {
            self.draw_strokes(picture, &raster, &level_of);
        }
        if !ascii || self.has_bands() {
            self.draw_labels(picture, trail, &lines);
        }
    }

    fn draw_strokes(&self, picture: &mut Picture, raster: &Raster, level_of: &[usize]) {
        for row in 0..self.area.height {
            for column in 0..self.area.width {
                let level = level_of[row * self.area.width + column];
                let Some(stroke) = self.scene.marker.stroke(raster.dots(column, row)) else {
                    continue;
                };
                let symbol = if self.scene.marker.is_ascii() {
                    level_digit(level)
                } else {
                    stroke
                };
                let cell = Cell {
                    symbol,
                    ..self.line_ink(picture, column, row, level)
                };
                picture.put(self.area.left + column, self.area.top + row, cell);
            }
        }
    }

    /// Returns the ink of a line of this level in a cell.
    fn line_ink(&self, picture: &mut Picture, column: usize, row: usize, level: usize) -> Cell {
        let origin = self.at(column, row).map_or(Origin::Unknown, |at| at.1);
        let dim = self.is_preliminary(origin);
        let behind = picture.cell_mut(self.area.left + column, self.area.top + row);
        let background = behind.and_then(|cell| cell.background);
        let digits = self.scene.marker.is_ascii();
        match (self.scene.palette, background) {
            // Without colours only faintness tells lines from the path.
            (None, _) => Cell {
                dim: dim || !digits,
                ..Cell::default()
            },
            (Some(_), Some(background)) => {
                Cell::ink(Some(contrast(background, stand_out(self.scene.marker))))
            }
            (Some(palette), None) => {
                let band = band_colour(&palette, level + 1, self.levels.bands(), dim);
                let share = if digits { 0.7 } else { 0.3 };
                Cell::ink(Some(
                    band.towards(palette.text, if dim { share / 3.0 } else { share }),
                ))
            }
        }
    }

    /// Sets each level's value into its longest line, where it runs flattest and nothing is covered.
    fn draw_labels(&self, picture: &mut Picture, trail: &PathDots, lines: &[Vec<Polyline>]) {
        let mut occupied = Occupied {
            width: self.area.width,
            cells: trail.covered(),
        };
        for (index, lines) in lines.iter().enumerate() {
            let text = self.levels.label(index);
            let length = text.chars().count();
            let longest = lines.iter().max_by(|a, b| extent(a).total_cmp(&extent(b)));
            let Some(line) = longest.filter(|l| extent(l) >= LINE_PER_LABEL * length as f64) else {
                continue;
            };
            let Some((column, row)) = flattest(line, length, &occupied) else {
                continue;
            };
            occupied.take(column, row, length);
            for (offset, symbol) in text.chars().enumerate() {
                let ink = self.line_ink(picture, column + offset, row, index);
                let cell = Cell {
                    symbol,
                    dim: false,
                    bold: self.scene.palette.is_none() || self.scene.marker.is_ascii(),
                    foreground: self.label_colour(ink, picture, column + offset, row),
                    ..ink
                };
                picture.put(self.area.left + column + offset, self.area.top + row, cell);
            }
        }
    }

    /// Returns the colour of a number, which stands out a little more than its line.
    fn label_colour(
        &self,
        ink: Cell,
        picture: &mut Picture,
        column: usize,
        row: usize,
    ) -> Option<Rgb> {
        let behind = picture.cell_mut(self.area.left + column, self.area.top + row)?;
        let no_shades = (self.scene.palette).is_some_and(|palette| !palette.bands.has_shades());
        match behind.background {
            Some(background) if no_shades => Some(contrast(background, 1.0)),
            Some(background) => ink.foreground.map(|ink| {
                let end = if background.luma() < ink.luma() {
                    255
                } else {
                    0
                };
                ink.towards(Rgb(end, end, end), 0.5)
            }),
            None => ink.foreground,
        }
    }
}

/// Returns the contrast of a line to its bands: thick lines need less.
fn stand_out(marker: Marker) -> f64 {
    match marker {
        Marker::Braille | Marker::Ascii => 0.32,
        Marker::Octant | Marker::Sextant => 0.2,
        Marker::Quadrant => 0.14,
        Marker::HalfBlock | Marker::Block => 0.11,
    }
}

/// Returns the digit that stands for a level where lines are drawn with 7-bit characters.
pub(super) fn level_digit(level: usize) -> char {
    char::from_digit(level as u32 % 36, 36).unwrap_or('?')
}

/// Returns the length of a line in cells.
fn extent(line: &Polyline) -> f64 {
    let step = |pair: &[[f64; 2]]| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]);
    line.windows(2).map(step).sum()
}

/// Returns the free place of a label of `length` cells on a line, where the line is nearest to level.
fn flattest(line: &Polyline, length: usize, occupied: &Occupied) -> Option<(usize, usize)> {
    /// Neighbours on a line over which its direction is taken.
    const REACH: usize = 4;
    let candidates = line.iter().enumerate().filter_map(|(i, at)| {
        let before = line[i.saturating_sub(REACH)];
        let after = line[(i + REACH).min(line.len() - 1)];
        let (across, down) = ((after[0] - before[0]).abs(), (after[1] - before[1]).abs());
        let flatness = across / (across + 2.0 * down).max(f64::MIN_POSITIVE);
        let column = at[0] - length as f64 / 2.0;
        let place = (column >= 0.0).then_some((column.round() as usize, at[1] as usize))?;
        let aside = (at[0] / occupied.width as f64 - 0.5).abs();
        occupied
            .is_free(place.0, place.1, length)
            .then_some((flatness - CENTRED * aside, place))
    });
    let best = candidates.max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(best.1)
}
