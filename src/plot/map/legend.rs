//! The legend of the map: which colour or character is which loss.

use crate::landscape::Origin;

use super::super::levels::LABEL_WIDTH;
use super::super::picture::{Cell, Picture};
use super::SampledScene;
use super::band_colour;
use super::ground::Signs;
use super::isolines::level_digit;

/// Columns of the legend: a blank, two of colour, a blank, a number.
pub(super) const WIDTH: usize = 4 + LABEL_WIDTH;
/// Rows that one band may take.
const TALLEST: usize = 2;

/// A row of the legend: its sample, and the least loss that it stands for.
struct Entry {
    sample: Cell,
    label: String,
}

impl SampledScene<'_> {
    pub(super) fn draw_legend(&self, picture: &mut Picture) {
        let left = self.area.left + self.area.width + 1;
        if left + WIDTH > picture.width() + 1 {
            return;
        }
        let of = self.scene.extras.of.unwrap_or("loss");
        // A title of all columns would lose its last sign to the frame.
        let at = left - usize::from(of.chars().count() >= WIDTH);
        picture.print(at, self.area.top, of, self.scene.title_ink());
        let notes = self.notes();
        let room = self.area.height.saturating_sub(1 + notes.len());
        let (entries, tallest) = if self.has_bands() {
            (self.band_entries(), TALLEST)
        } else {
            (self.line_entries(), 1)
        };
        let every = entries.len().div_ceil(room.max(1)).max(1);
        let tall = (room / entries.len().max(1)).clamp(1, tallest);
        let mut row = self.area.top + 1;
        for entry in entries.iter().step_by(every) {
            for line in 0..tall {
                for column in 0..2 {
                    picture.put(left + column, row + line, entry.sample);
                }
            }
            picture.print(
                left + 3,
                row + tall - 1,
                &entry.label,
                self.scene.text_ink(),
            );
            row += tall;
        }
        for (offset, (sign, meaning)) in notes.iter().enumerate() {
            let row = self.area.top + self.area.height - notes.len() + offset;
            picture.print(
                left,
                row,
                &format!("{sign}  {meaning}"),
                self.scene.faint_ink(),
            );
        }
    }

    /// Returns every band, the highest first, with its lower bound; the lowest one with the lowest loss.
    fn band_entries(&self) -> Vec<Entry> {
        let Some(lowest) = self.levels.lowest_label() else {
            return Vec::new();
        };
        let bound = |band: usize| match band.checked_sub(1) {
            Some(level) => self.levels.label(level),
            None => lowest.clone(),
        };
        (0..self.levels.bands())
            .rev()
            .map(|band| {
                let sample = self.shade(band, 0.0);
                Entry {
                    sample: if self.is_clipped(band) {
                        self.clipped(sample)
                    } else {
                        sample
                    },
                    label: bound(band),
                }
            })
            .collect()
    }

    /// Returns every line, the highest first.
    fn line_entries(&self) -> Vec<Entry> {
        (0..self.levels.values().len())
            .rev()
            .map(|level| {
                let symbol = if self.scene.marker.is_ascii() {
                    level_digit(level)
                } else {
                    '─'
                };
                let bands = self.levels.bands();
                let colour = self.scene.palette.map(|palette| {
                    band_colour(&palette, level + 1, bands, false).towards(palette.text, 0.3)
                });
                Entry {
                    sample: Cell {
                        symbol,
                        ..Cell::ink(colour)
                    },
                    label: self.levels.label(level),
                }
            })
            .collect()
    }

    /// Returns the signs that occur on this map, with what they mean, a line each.
    fn notes(&self) -> Vec<(char, &'static str)> {
        let Some(field) = &self.lattice else {
            return Vec::new();
        };
        let signs = Signs::of(self.scene.marker);
        let unknown = field.origin.contains(&Origin::Unknown);
        let known = || field.loss.iter().zip(&field.origin);
        let hole = known().any(|(loss, origin)| *origin != Origin::Unknown && !loss.is_finite());
        let marks = super::path::Marks::of(self.scene.marker);
        let extras = &self.scene.extras;
        let mut doubts = extras.doubts.iter().enumerate();
        let doubtful =
            doubts.any(|(i, doubt)| *doubt > super::path::DOUBTFUL && !self.scene.is_gone(i));
        let has_drops = !extras.drops.is_empty();
        let is_mixed = extras.gone.contains(&true) && extras.gone.contains(&false);
        [
            (hole, signs.hole, &["NaN"][..]),
            (unknown, signs.unknown, &["not yet"]),
            (doubtful, marks.doubtful, &["loss", "differs"]),
            (has_drops, marks.drop, &["lr drop"]),
            (
                !extras.second_run.is_empty(),
                marks.second_run[2],
                &["2nd run"],
            ),
            (is_mixed, marks.gone, &["deleted"]),
            (
                !extras.old_branches.is_empty(),
                marks.left,
                &["old", "path"],
            ),
        ]
        .into_iter()
        .filter(|(occurs, ..)| *occurs)
        .flat_map(|(_, sign, meaning)| {
            let signs = std::iter::once(sign).chain(std::iter::repeat(' '));
            signs.zip(meaning.iter().copied())
        })
        .collect()
    }
}
