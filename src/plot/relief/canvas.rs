//! Dots with what they show: of all that meets in a cell, the one of highest rank gives the colour.

use super::super::raster::{Dots, Marker, Raster};

/// Dots over a rectangle of cells, each cell with an ink.
pub(super) struct Canvas<I> {
    width: usize,
    /// Dots of a cell, across and down, as the marker has them.
    grid: [usize; 2],
    raster: Raster,
    inks: Vec<Option<(f64, I)>>,
}

impl<I: Copy> Canvas<I> {
    /// Makes one without a dot; width and height in cells.
    pub(super) fn new(width: usize, height: usize, marker: Marker) -> Self {
        Self {
            width,
            grid: marker.dots(),
            raster: Raster::new(width, height, marker),
            inks: vec![None; width * height],
        }
    }

    /// Sets what the marker has of the dot at a column and a row, two and four of them a cell; outside there
    /// is none.
    pub(super) fn dot(&mut self, column: usize, row: usize, rank: f64, ink: I) {
        let [across, down] = self.grid;
        // The dot of the marker in which the middle of this one lies.
        let right = (2 * (column % 2) + 1) * across / 4;
        let below = (2 * (row % 4) + 1) * down / 8;
        self.raster
            .dot(column / 2 * across + right, row / 4 * down + below);
        if column / 2 < self.width
            && let Some(there) = self.inks.get_mut(row / 4 * self.width + column / 2)
            && there.is_none_or(|(highest, _)| rank >= highest)
        {
            *there = Some((rank, ink));
        }
    }

    /// Returns the cells that have dots: column, row, dots and ink.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, usize, Dots, I)> {
        self.inks.iter().enumerate().filter_map(|(index, ink)| {
            let (column, row) = (index % self.width, index / self.width);
            Some((column, row, self.raster.dots(column, row), (*ink)?.1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_rank_of_a_cell_gives_its_ink_and_all_give_their_dots() {
        let mut canvas = Canvas::new(2, 1, Marker::Braille);
        canvas.dot(2, 0, -1.0, 'a');
        canvas.dot(3, 3, -2.0, 'b');
        canvas.dot(4, 0, 9.0, 'c');
        canvas.dot(0, 4, 9.0, 'd');
        let cells: Vec<_> = canvas.cells().collect();
        assert_eq!(cells.len(), 1);
        let (column, row, dots, ink) = cells[0];
        assert_eq!((column, row, ink), (1, 0, 'a'));
        assert_eq!(Marker::Braille.stroke(dots), Some('⢁'));
    }
}
