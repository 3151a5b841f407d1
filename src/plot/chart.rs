//! A curve over one axis, drawn into character cells: a slice of the loss.

use super::axis::{short, within};
use super::map::Tints;
use super::picture::{Cell, Picture, Rgb};
use super::raster::{Marker, Raster};

/// A curve and how it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart<'a> {
    /// e.g. `loss along PC1`.
    pub title: &'a str,
    /// Places, ascending.
    pub x: &'a [f64],
    /// Values; one that is not finite is a gap.
    pub y: &'a [f64],
    /// Index of the point to mark, e.g. the checkpoint through which a slice runs.
    pub mark: usize,
    /// Whether the places are printed below.
    pub ticks: bool,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, if any.
    pub tints: Option<Tints>,
}

/// Columns for the numbers at the left.
const GUTTER: usize = 8;
/// A curve without extent is drawn in the middle of a range of this share of its value.
const FLAT: f64 = 0.05;

impl Chart<'_> {
    /// Draws title, curve and numbers. Any size will do; what has no room is left out.
    #[must_use]
    pub fn draw(&self, width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        let below = usize::from(self.ticks && height >= 4);
        let left = if width >= 3 * GUTTER { GUTTER } else { 0 };
        let (plot_width, plot_height) = (width - left, height.saturating_sub(1 + below));
        picture.print(left, 0, self.title, self.ink(|tints| tints.text));
        let Some([min, max]) = self.range() else {
            let middle = 1 + plot_height / 2;
            picture.print(left, middle, "not measured yet", self.faint());
            return picture;
        };
        if plot_width == 0 || plot_height == 0 {
            return picture;
        }
        if left > 0 {
            for (row, value) in labels([min, max], plot_height) {
                let label = within(value, max - min, left - 1);
                picture.print_right(left - 1, 1 + row, &label, self.faint());
            }
        }
        let [min, max] = with_extent([min, max]);
        let frame = Frame {
            x: [self.x[0], self.x[self.x.len() - 1]],
            y: [min, max],
            left,
            width: plot_width,
            height: plot_height,
        };
        self.draw_curve(&mut picture, &frame);
        if below > 0 {
            self.draw_ticks(&mut picture, &frame, height - 1);
        }
        picture
    }

    /// Lowest and highest value; none when nothing is finite.
    fn range(&self) -> Option<[f64; 2]> {
        let finite = || self.y.iter().copied().filter(|value| value.is_finite());
        Some([finite().reduce(f64::min)?, finite().reduce(f64::max)?])
    }

    fn draw_curve(&self, picture: &mut Picture, frame: &Frame) {
        let points: Vec<[f64; 2]> = self
            .x
            .iter()
            .zip(self.y)
            .map(|(x, y)| frame.place(*x, *y))
            .collect();
        let mut raster = Raster::new(frame.width, frame.height);
        for (i, point) in points.iter().enumerate() {
            let next = points.get(i + 1).filter(|next| next[1].is_finite());
            // A value between two gaps is a point.
            raster.line(*point, *next.unwrap_or(point), |_, _| {});
        }
        for row in 0..frame.height {
            for column in 0..frame.width {
                if let Some(symbol) = self.marker.stroke(raster.dots(column, row)) {
                    let ink = self.ink(|tints| tints.path);
                    picture.put(frame.left + column, 1 + row, Cell { symbol, ..ink });
                }
            }
        }
        if let Some([across, down]) = points.get(self.mark).filter(|point| point[1].is_finite()) {
            let symbol = if self.marker == Marker::Ascii {
                'O'
            } else {
                '●'
            };
            let column = (*across as usize).min(frame.width - 1);
            let row = (*down as usize).min(frame.height - 1);
            let cell = Cell {
                symbol,
                bold: true,
                ..self.ink(|tints| tints.mark)
            };
            picture.put(frame.left + column, 1 + row, cell);
        }
    }

    /// Both ends of the axis, and its zero where there is room between.
    fn draw_ticks(&self, picture: &mut Picture, frame: &Frame, row: usize) {
        let end = frame.left + frame.width;
        let (first, last) = (short(frame.x[0]), short(frame.x[1]));
        picture.print(frame.left, row, &first, self.faint());
        picture.print_right(end, row, &last, self.faint());
        let zero = frame.left + frame.place(0.0, frame.y[0])[0].max(0.0) as usize;
        let room =
            frame.left + first.chars().count() + 1..end.saturating_sub(last.chars().count() + 1);
        if room.contains(&zero) {
            picture.print(zero, row, "0", self.faint());
        }
    }

    fn ink(&self, tint: impl Fn(Tints) -> Rgb) -> Cell {
        Cell::ink(self.tints.map(tint))
    }

    fn faint(&self) -> Cell {
        Cell {
            dim: self.tints.is_none(),
            ..self.ink(|tints| tints.faint)
        }
    }
}

/// A curve without extent has one number, beside itself; others have those of their lowest and highest
/// values, as far as there are rows.
fn labels([min, max]: [f64; 2], rows: usize) -> Vec<(usize, f64)> {
    if is_flat([min, max]) {
        return vec![(rows / 2, max)];
    }
    let mut labels = vec![(0, max)];
    if rows > 1 {
        labels.push((rows - 1, min));
    }
    labels
}

fn is_flat([min, max]: [f64; 2]) -> bool {
    max - min <= 1e-9 * max.abs().max(min.abs())
}

/// The range, made wide enough to have a scale.
fn with_extent([min, max]: [f64; 2]) -> [f64; 2] {
    if !is_flat([min, max]) {
        return [min, max];
    }
    let half = (max.abs() * FLAT).max(f64::MIN_POSITIVE);
    [min - half, max + half]
}

/// Where the curve lies in the picture; its first row is below the title.
struct Frame {
    x: [f64; 2],
    y: [f64; 2],
    left: usize,
    width: usize,
    height: usize,
}

impl Frame {
    /// Place in cells from the upper left corner of the curve.
    fn place(&self, x: f64, y: f64) -> [f64; 2] {
        [
            (x - self.x[0]) / (self.x[1] - self.x[0]) * self.width as f64,
            (self.y[1] - y) / (self.y[1] - self.y[0]) * self.height as f64,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart<'a>(x: &'a [f64], y: &'a [f64]) -> Chart<'a> {
        Chart {
            title: "loss",
            x,
            y,
            mark: x.len() / 2,
            ticks: false,
            marker: Marker::Braille,
            tints: None,
        }
    }

    #[test]
    fn a_curve_runs_from_its_highest_to_its_lowest_value() {
        let picture = chart(&[-1.0, 0.0, 1.0], &[2.0, 1.0, 2.0]).draw(8, 3);
        assert_eq!(picture.text(), "loss\n⠑⢄    ⡠⠊\n  ⠑⢄●⠊⠁\n");
    }

    #[test]
    fn a_value_that_is_not_a_number_is_a_gap() {
        let x = [-2.0, -1.0, 0.0, 1.0, 2.0];
        let picture = chart(&x, &[1.0, 1.0, f64::NAN, 1.0, 1.0]).draw(8, 2);
        let row = picture.text().lines().nth(1).map(str::to_owned);
        assert_eq!(row.as_deref(), Some("⠤⠤⠄   ⠤⠤"));
    }

    #[test]
    fn nothing_measured_is_said() {
        let picture = chart(&[-1.0, 0.0], &[f64::NAN, f64::NAN]).draw(20, 3);
        assert!(picture.text().contains("not measured yet"));
    }

    #[test]
    fn any_size_will_do() {
        for width in 0..30 {
            for height in 0..8 {
                let ticks = Chart {
                    ticks: true,
                    ..chart(&[-1.0, 0.0, 1.0], &[2.0, f64::NAN, 3.0])
                };
                let picture = ticks.draw(width, height);
                assert_eq!(picture.width(), width);
            }
        }
    }
}
