//! Figures of a graph as character cells: textplots draws braille, the raster all other markers.

use textplots::{Chart, Plot, Shape};

use super::raster::{Marker, Raster, clip};

/// A figure in cells from the upper left corner of the canvas.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Figure {
    /// A straight line; of one without length a dot is seen.
    Line([[f64; 2]; 2]),
    /// Outlines of bars that stand on the bottom: each point is the upper right corner of one and, but for its
    /// height, the upper left corner of the next. The first point begins the first bar.
    Bars(Vec<[f64; 2]>),
}

/// A character at a column and a row.
pub(super) type Symbol = (usize, usize, char);

/// Dots across that textplots draws at least; it panics at fewer.
const NARROWEST: usize = 32;

/// Draws figures into this many columns and rows, and returns the cells that are not blank. What is not finite is
/// not drawn, and what lies outside is cut off.
pub(super) fn draw(figures: &[Figure], size: [usize; 2], marker: Marker) -> Vec<Symbol> {
    if size.contains(&0) {
        return Vec::new();
    }
    match marker {
        Marker::Braille => braille(figures, size),
        _ => rastered(figures, size, marker),
    }
}

/// Lets textplots draw. It is told dots, not values: it reckons with 32 bits, draws at the edge what lies beyond it
/// or is NaN, and divides by the length of a range.
fn braille(figures: &[Figure], [width, height]: [usize; 2]) -> Vec<Symbol> {
    let grid = Dots::new([width, height]);
    let points = figures.iter().filter_map(|figure| match figure {
        Figure::Line([from, to]) => Some((false, grid.line(*from, *to)?)),
        Figure::Bars(corners) => Some((true, grid.corners(corners)?)),
    });
    let points: Vec<(bool, Vec<(f32, f32)>)> = points.collect();
    let shapes = points.iter().map(|(stands, points)| {
        if *stands {
            Shape::Bars(points)
        } else {
            Shape::Lines(points)
        }
    });
    let shapes: Vec<Shape<'_>> = shapes.collect();
    let across = (2 * width).max(NARROWEST);
    let ends = [across as f32, grid.down() as f32];
    let mut chart = Chart::new_with_y_range(
        across as u32,
        grid.down() as u32,
        0.0,
        ends[0],
        0.0,
        ends[1],
    );
    let chart = shapes
        .iter()
        .fold(&mut chart, |chart, shape| chart.lineplot(shape));
    chart.figures();
    let frame = chart.frame();
    // The canvas grows where a figure touches its end, e.g. the foot of a bar.
    let rows = frame.lines().take(height).enumerate();
    let cells = rows.flat_map(|(row, line)| {
        let symbols = line.chars().take(width).enumerate();
        symbols.map(move |(column, symbol)| (column, row, symbol))
    });
    cells.filter(|(_, _, symbol)| *symbol != ' ').collect()
}

/// Dots of the canvas as textplots counts them: from the left and from below.
struct Dots {
    /// Columns and rows of cells.
    size: [usize; 2],
}

impl Dots {
    fn new(size: [usize; 2]) -> Self {
        Self { size }
    }

    fn down(&self) -> usize {
        4 * self.size[1]
    }

    /// Returns the dot at a place in cells, the nearest one of the canvas.
    fn at(&self, [across, down]: [f64; 2]) -> (f32, f32) {
        let column = ((2.0 * across) as usize).min(2 * self.size[0] - 1);
        let row = ((4.0 * down) as usize).min(self.down() - 1);
        (column as f32, (self.down() - row) as f32)
    }

    /// Returns the ends of what lies within of a line; `None` if nothing does.
    fn line(&self, from: [f64; 2], to: [f64; 2]) -> Option<Vec<(f32, f32)>> {
        let ends = clip(from, to, self.size.map(|side| side as f64))?;
        Some(ends.map(|end| self.at(end)).to_vec())
    }

    /// Returns the corners of bars; `None` if one is not finite.
    fn corners(&self, corners: &[[f64; 2]]) -> Option<Vec<(f32, f32)>> {
        let is_finite = corners.iter().flatten().all(|value| value.is_finite());
        is_finite.then(|| corners.iter().map(|corner| self.at(*corner)).collect())
    }
}

fn rastered(figures: &[Figure], [width, height]: [usize; 2], marker: Marker) -> Vec<Symbol> {
    let mut raster = Raster::new(width, height, marker);
    for figure in figures {
        match figure {
            Figure::Line([from, to]) => raster.line(*from, *to, |_, _| {}),
            Figure::Bars(corners) => {
                for pair in corners.windows(2) {
                    for [from, to] in outline(pair[0], pair[1], height as f64) {
                        raster.line(from, to, |_, _| {});
                    }
                }
            }
        }
    }
    let places = (0..height).flat_map(|row| (0..width).map(move |column| (column, row)));
    let cells = places.filter_map(|(column, row)| {
        let symbol = marker.stroke(raster.dots(column, row))?;
        Some((column, row, symbol))
    });
    cells.collect()
}

/// Returns the roof of a bar and both its sides, as textplots has them.
fn outline(left: [f64; 2], right: [f64; 2], foot: f64) -> [[[f64; 2]; 2]; 3] {
    let corner = [left[0], right[1]];
    let side = |from: [f64; 2]| [from, [from[0], foot]];
    [[corner, right], side(corner), side(right)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(figures: &[Figure], size: [usize; 2], marker: Marker) -> Vec<String> {
        let mut rows = vec![vec![' '; size[0]]; size[1]];
        for (column, row, symbol) in draw(figures, size, marker) {
            rows[row][column] = symbol;
        }
        rows.into_iter().map(String::from_iter).collect()
    }

    fn line(from: [f64; 2], to: [f64; 2]) -> Figure {
        Figure::Line([from, to])
    }

    #[test]
    fn a_line_runs_from_corner_to_corner_however_narrow_the_canvas_is() {
        let down = [line([0.0, 0.0], [2.0, 1.0])];
        assert_eq!(rows(&down, [2, 1], Marker::Braille), ["⠑⢄"]);
        let up = [line([0.0, 1.0], [40.0, 0.0])];
        let wide = rows(&up, [40, 1], Marker::Braille);
        assert!(
            wide[0].starts_with('⣀') && wide[0].ends_with('⠊'),
            "{wide:?}"
        );
    }

    #[test]
    fn a_line_without_length_is_a_dot() {
        let dot = [line([1.6, 0.3], [1.6, 0.3])];
        assert_eq!(rows(&dot, [3, 1], Marker::Braille), [" ⠐ "]);
    }

    #[test]
    fn what_is_not_finite_or_lies_outside_is_nowhere() {
        let strange = [
            line([f64::NAN, 0.0], [1.0, 0.5]),
            line([0.0, 0.5], [1.0, f64::INFINITY]),
            line([-5.0, -3.0], [50.0, -3.0]),
            Figure::Bars(vec![[0.0, 0.5], [2.0, f64::NAN]]),
        ];
        for marker in Marker::ALL {
            assert!(draw(&strange, [4, 2], marker).is_empty(), "{marker:?}");
        }
    }

    #[test]
    fn bars_stand_on_the_bottom_and_have_nothing_below_it() {
        // Heights of half and all of two rows.
        let bars = [Figure::Bars(vec![[0.0, 1.0], [1.5, 1.0], [3.0, 0.0]])];
        assert_eq!(rows(&bars, [3, 2], Marker::Braille), [" ⢸⢹", "⡏⢹⢸"]);
        assert_eq!(rows(&bars, [3, 2], Marker::Block), [" ██", "███"]);
    }

    proptest! {
        #[test]
        fn textplots_inks_the_cells_of_the_raster_or_those_beside(
            a in 0.0..30.0f64, b in 0.0..6.0f64, c in 0.0..30.0f64, d in 0.0..6.0f64,
        ) {
            let figure = [line([a, b], [c, d])];
            let theirs = braille(&figure, [30, 6]);
            let ours = rastered(&figure, [30, 6], Marker::Braille);
            let is_near = |one: &Symbol, cells: &[Symbol]| {
                let mut cells = cells.iter();
                cells.any(|other| one.0.abs_diff(other.0) <= 1 && one.1.abs_diff(other.1) <= 1)
            };
            prop_assert!(theirs.iter().all(|cell| is_near(cell, &ours)));
            prop_assert!(ours.iter().all(|cell| is_near(cell, &theirs)));
        }

        #[test]
        fn nothing_panics_and_nothing_leaves_the_canvas(
            a in -1e300..1e300f64, b in -10.0..10.0f64, c in -50.0..50.0f64, d in -1e300..1e300f64,
            width in 0..40usize, height in 0..9usize, marker in 0..7usize,
        ) {
            let figures = [line([a, b], [c, d]), Figure::Bars(vec![[a, b], [c, d], [b, c]])];
            for (column, row, _) in draw(&figures, [width, height], Marker::ALL[marker]) {
                prop_assert!(column < width && row < height);
            }
        }
    }
}
