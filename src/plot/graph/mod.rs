//! Curves over one axis, drawn into character cells: loss on the left scale, accuracy on the right.

mod strokes;

use super::axis::{short, within};
use super::canvas::{self, Figure};
use super::map::Palette;
use super::picture::{Cell, Picture, Rgb};
use super::raster::Marker;
use super::title;

/// Scale on which a curve is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisSide {
    /// The scale at the left.
    Left,
    /// The scale at the right.
    Right,
}

/// Stroke of a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// An unbroken line: training samples.
    Solid,
    /// A broken line: test samples.
    Dashed,
    /// A dot at each value: single measurements beside a curve.
    Points,
    /// Bars from zero up to each value: a histogram. The places are the edges of its bins, one more than values.
    Bars,
    /// An unbroken line of steps: each value holds until the next.
    Steps,
    /// The same, broken.
    DashedSteps,
    /// An edge of a shaded band; two curves of the same places one after the other are its edges.
    Band,
    /// An edge of a band that is not shaded, where another scale has one; a curve within it looks flat too.
    Margin,
}

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve<'a> {
    /// Places, ascending.
    pub x: &'a [f64],
    /// Values; one that is not finite is a gap.
    pub y: &'a [f64],
    /// The scale that it is read on.
    pub side: AxisSide,
    /// Its stroke.
    pub stroke: Stroke,
}

impl Curve<'_> {
    /// Returns true for an edge of a band.
    fn is_edge(&self) -> bool {
        matches!(self.stroke, Stroke::Band | Stroke::Margin)
    }

    /// Returns the lowest and highest finite value; `None` if there is none.
    fn range(&self) -> Option<[f64; 2]> {
        let finite = || self.y.iter().copied().filter(|value| value.is_finite());
        Some([finite().reduce(f64::min)?, finite().reduce(f64::max)?])
    }
}

/// A place along the axis that is marked on every solid curve, e.g. the checkpoint of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// The place.
    pub at: f64,
    /// Text that is printed below it, among the ticks.
    pub label: String,
}

/// Curves, and how they are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph<'a> {
    /// e.g. `loss along PC1`, above the left scale; ` · ` stands between its items.
    pub title: &'a str,
    /// Above the right scale, where a curve is read on it.
    pub right: &'a str,
    /// The curves.
    pub curves: Vec<Curve<'a>>,
    /// Largest value that a number of each side can have, e.g. 100 for an accuracy in percent; infinite for a loss.
    pub largest: [f64; 2],
    /// Marked places.
    pub marks: Vec<Mark>,
    /// True if the places are printed below.
    pub ticks: bool,
    /// Characters to draw with.
    pub marker: Marker,
    /// Colours, if any.
    pub palette: Option<Palette>,
}

/// Columns for the numbers of a scale.
const GUTTER: usize = 8;
/// A scale spans so many widths of the widest band on it at least: what lies within a band looks flat.
const BEYOND: f64 = 3.0;
/// A curve without extent is drawn in the middle of a range of this share of its value.
const FLAT: f64 = 0.05;
/// A left scale whose ends differ by this factor is logarithmic: the low part is what matters.
const LOGARITHMIC: f64 = 100.0;
/// Multiple of nine tenths of the values from which one makes an axis logarithmic too: a spike would flatten all that is below it.
const SPIKE: f64 = 5.0;
/// Multiple of a curve's highest value from which another curve makes the axis logarithmic, so that it is not a flat line.
const FLATTENED: f64 = 10.0;
/// Number of values of which one can be a spike.
const FEWEST: usize = 6;

impl Graph<'_> {
    /// Draws titles, curves and numbers. Any size will do; what has no room is left out.
    #[must_use]
    pub fn draw(&self, width: usize, height: usize) -> Picture {
        let mut picture = Picture::new(width, height);
        let below = usize::from(self.ticks && height >= 4);
        let scales = [AxisSide::Left, AxisSide::Right].map(|side| self.scale(side));
        let left = if width >= 3 * GUTTER { GUTTER } else { 0 };
        let right = if scales[1].is_some() && width >= 4 * GUTTER {
            GUTTER
        } else {
            0
        };
        let aside = if right > 0 {
            self.right.chars().count() + 1
        } else {
            0
        };
        let room = width.saturating_sub(left + aside);
        let title = title::fit(self.title, " · ", room);
        picture.print(left, 0, &title, self.ink(|palette| palette.text));
        let plot = [width - left - right, height.saturating_sub(1 + below)];
        let Some(x) = self.places().filter(|_| scales.iter().any(Option::is_some)) else {
            picture.print(left, 1 + plot[1] / 2, "not measured yet", self.faint());
            return picture;
        };
        if right > 0 {
            picture.print_right(width, 0, self.right, self.ink(|palette| palette.mark));
        }
        if plot.contains(&0) {
            return picture;
        }
        let both = scales.iter().all(Option::is_some);
        // The left curves are drawn last: they lie over the others.
        let drawn = [AxisSide::Right, AxisSide::Left]
            .into_iter()
            .filter_map(|side| {
                let frame = Frame {
                    x,
                    scale: scales[side as usize]?,
                    left,
                    width: plot[0],
                    height: plot[1],
                };
                Some((side, frame))
            });
        for (side, frame) in drawn.clone() {
            if frame.scale.logarithmic && left > 0 {
                picture.print_right(left - 1, 0, "log", self.faint());
            }
            self.draw_numbers(&mut picture, &frame, side, [left, right]);
            self.draw_curves(&mut picture, &frame, side);
        }
        for (side, frame) in drawn.filter(|_| both) {
            self.draw_name(&mut picture, &frame, side);
        }
        if below > 0 {
            self.draw_ticks(&mut picture, x, left, plot[0], height - 1);
        }
        picture
    }

    fn on(&self, side: AxisSide) -> impl Iterator<Item = &Curve<'_>> {
        self.curves.iter().filter(move |curve| curve.side == side)
    }

    /// Returns the first and last place of all curves.
    fn places(&self) -> Option<[f64; 2]> {
        let all = || self.curves.iter().flat_map(|curve| curve.x.iter().copied());
        Some(with_extent([
            all().reduce(f64::min)?,
            all().reduce(f64::max)?,
        ]))
    }

    /// Returns the scale of one side; `None` if nothing is finite.
    fn scale(&self, side: AxisSide) -> Option<Scale> {
        let whole = self.range(side, |curve| curve.stroke != Stroke::Margin)?;
        // A band's lower edge is close to zero where the error is as large as the value: it may not set a logarithm.
        let lines = self.range(side, |curve| !curve.is_edge());
        let lines = lines.unwrap_or(whole);
        let is_clear = self.beyond_noise(side, lines) == lines;
        let logarithmic =
            side == AxisSide::Left && lines[0] > 0.0 && is_clear && self.is_wide(side, lines);
        let range = if logarithmic {
            lines
        } else {
            self.beyond_noise(side, whole)
        };
        Some(Scale { range, logarithmic })
    }

    /// Returns the lowest and highest finite value of those curves on one side; `None` if they have none.
    fn range(&self, side: AxisSide, counts: impl Fn(&Curve<'_>) -> bool) -> Option<[f64; 2]> {
        let curves = || self.on(side).filter(|curve| counts(curve));
        let [low, high] = curves()
            .filter_map(Curve::range)
            .reduce(|[low, high], [a, b]| [low.min(a), high.max(b)])?;
        if curves().any(|curve| curve.stroke == Stroke::Bars) {
            return Some([low.min(0.0), high.max(0.0)]);
        }
        Some([low, high])
    }

    /// Returns true if a linear scale of that range would hide what is low on it: a spike or another curve is far above.
    fn is_wide(&self, side: AxisSide, [low, high]: [f64; 2]) -> bool {
        let lines = || self.on(side).filter(|curve| !curve.is_edge());
        let values = lines().flat_map(|curve| curve.y.iter().copied());
        let is_below = |[_, highest]: [f64; 2]| high >= FLATTENED * highest;
        high / low >= LOGARITHMIC
            || has_spike(values.filter(|value| value.is_finite()).collect())
            || lines().filter_map(Curve::range).any(is_below)
    }

    /// Widens a range that is not much wider than the bands on it, so that noise is not blown up to a curve.
    fn beyond_noise(&self, side: AxisSide, [min, max]: [f64; 2]) -> [f64; 2] {
        let bands = [Stroke::Band, Stroke::Margin].map(|stroke| self.bands(side, stroke));
        let widths = bands.into_iter().flatten().flat_map(|[low, high]| {
            let both = low.y.iter().zip(high.y);
            both.map(|(low, high)| (high - low).abs())
        });
        let width = widths.filter(|width| width.is_finite()).fold(0.0, f64::max);
        let missing = (BEYOND * width - (max - min)).max(0.0) / 2.0;
        // A loss or a share that cannot be negative has no room below nothing.
        let low = if min >= 0.0 {
            (min - missing).max(0.0)
        } else {
            min - missing
        };
        // Nor has an accuracy above all of the samples.
        [low, max.max(self.largest[side as usize].min(max + missing))]
    }

    /// Returns the edges of the bands of that stroke on one side.
    fn bands(&self, side: AxisSide, stroke: Stroke) -> Vec<[&Curve<'_>; 2]> {
        let edges = self.on(side).filter(|curve| curve.stroke == stroke);
        let edges: Vec<&Curve<'_>> = edges.collect();
        let (pairs, _) = edges.as_chunks::<2>();
        pairs.to_vec()
    }

    /// Shades the cells between the edges of each band.
    fn draw_bands(&self, picture: &mut Picture, frame: &Frame, side: AxisSide) {
        let symbol = if self.marker.is_ascii() { ':' } else { '░' };
        let cell = Cell {
            symbol,
            ..self.faint()
        };
        for [low, high] in self.bands(side, Stroke::Band) {
            let edges = [low, high].map(|edge| frame.edge(edge));
            for column in 0..frame.width {
                let at = column as f64 + 0.5;
                let [Some(low), Some(high)] = edges.each_ref().map(|edge| height(edge, at)) else {
                    continue;
                };
                let row = |place: f64| (place.max(0.0) as usize).min(frame.height - 1);
                for row in row(low.min(high))..=row(low.max(high)) {
                    picture.put(frame.left + column, 1 + row, cell);
                }
            }
        }
    }

    fn draw_numbers(
        &self,
        picture: &mut Picture,
        frame: &Frame,
        side: AxisSide,
        gutters: [usize; 2],
    ) {
        if gutters[side as usize] == 0 {
            return;
        }
        let [min, max] = frame.scale.range;
        for (row, value) in labels([min, max], frame.height) {
            let label = within(value, max - min, GUTTER - 1);
            if side == AxisSide::Left {
                picture.print_right(frame.left - 1, 1 + row, &label, self.faint());
            } else {
                let column = frame.left + frame.width + 1;
                picture.print(column, 1 + row, &label, self.faint());
            }
        }
    }

    fn draw_curves(&self, picture: &mut Picture, frame: &Frame, side: AxisSide) {
        let tint = |palette: Palette| {
            if side == AxisSide::Left {
                palette.path
            } else {
                palette.mark
            }
        };
        self.draw_bands(picture, frame, side);
        let lines = self.on(side);
        let lines = lines.filter(|curve| curve.stroke != Stroke::Points && !curve.is_edge());
        let figures: Vec<Figure> = lines.flat_map(|curve| frame.figures(curve)).collect();
        let size = [frame.width, frame.height];
        for (column, row, symbol) in canvas::draw(&figures, size, self.marker) {
            let ink = self.ink(tint);
            picture.put(frame.left + column, 1 + row, Cell { symbol, ..ink });
        }
        for curve in self.on(side).filter(|curve| curve.stroke == Stroke::Solid) {
            for mark in &self.marks {
                self.draw_dot(picture, frame, frame.nearest(curve, mark.at));
            }
        }
        for curve in self.on(side).filter(|curve| curve.stroke == Stroke::Points) {
            for point in frame.points(curve) {
                self.draw_dot(picture, frame, Some(point));
            }
        }
    }

    /// Draws the first word of the scale's title beside its first curve, where no curve is in the way: colour
    /// alone must not tell loss from accuracy.
    fn draw_name(&self, picture: &mut Picture, frame: &Frame, side: AxisSide) {
        let (title, tint): (_, fn(Palette) -> Rgb) = match side {
            AxisSide::Left => (self.title, |palette| palette.path),
            AxisSide::Right => (self.right, |palette| palette.mark),
        };
        let word = title.split([' ', ':']).next().unwrap_or_default();
        let Some(points) = self.on(side).next().map(|curve| frame.points(curve)) else {
            return;
        };
        let places = points.into_iter().filter(|point| point[1].is_finite());
        let mut places: Vec<[f64; 2]> = places.collect();
        // From the end that is nearer to the scale.
        if side == AxisSide::Right {
            places.reverse();
        }
        let length = word.chars().count();
        let place = |[across, down]: [f64; 2], offset: isize| {
            let row = (down.max(0.0) as usize).min(frame.height - 1);
            let column = (across.max(0.0) as usize).min(frame.width - 1);
            let start = match side {
                AxisSide::Left => column,
                AxisSide::Right => (column + 1).saturating_sub(length),
            };
            Some((start, row.checked_add_signed(offset)?))
        };
        let beside = [[-1, 1], [-2, 2]].into_iter().flat_map(|offsets| {
            let rows = move |at: &[f64; 2]| offsets.map(|offset| place(*at, offset));
            places.iter().flat_map(rows)
        });
        let free = beside.flatten().find(|&(start, row)| {
            let room = start + length <= frame.width && row < frame.height;
            // A blank on both sides, where the graph does not end.
            room && (start.saturating_sub(1)..(start + length + 1).min(frame.width))
                .all(|column| picture.is_blank(frame.left + column, 1 + row))
        });
        if let Some((start, row)) = free {
            let bold = Cell {
                bold: true,
                ..self.ink(tint)
            };
            picture.print(frame.left + start, 1 + row, word, bold);
        }
    }

    /// Draws a dot at a measured place, where that is finite.
    fn draw_dot(&self, picture: &mut Picture, frame: &Frame, place: Option<[f64; 2]>) {
        let Some([across, down]) = place.filter(|place| place[1].is_finite()) else {
            return;
        };
        let symbol = if self.marker.is_ascii() { 'O' } else { '●' };
        let column = (across as usize).min(frame.width - 1);
        let row = (down as usize).min(frame.height - 1);
        let cell = Cell {
            symbol,
            bold: true,
            ..self.ink(|palette| palette.mark)
        };
        picture.put(frame.left + column, 1 + row, cell);
    }

    /// Draws both ends of the axis, and the marks where there is room between.
    fn draw_ticks(
        &self,
        picture: &mut Picture,
        x: [f64; 2],
        left: usize,
        width: usize,
        row: usize,
    ) {
        let end = left + width;
        let (first, last) = (short(x[0]), short(x[1]));
        picture.print(left, row, &first, self.faint());
        picture.print_right(end, row, &last, self.faint());
        let mut free = left + first.chars().count() + 1;
        let close = end.saturating_sub(last.chars().count() + 1);
        for mark in &self.marks {
            let middle = left + (share(mark.at, x).max(0.0) * width as f64) as usize;
            let length = mark.label.chars().count();
            let start = middle.saturating_sub(length / 2);
            if start >= free && start + length <= close {
                picture.print(start, row, &mark.label, self.ink(|palette| palette.text));
                free = start + length + 1;
            }
        }
    }

    fn ink(&self, tint: impl Fn(Palette) -> Rgb) -> Cell {
        Cell::ink(self.palette.map(tint))
    }

    fn faint(&self) -> Cell {
        Cell {
            dim: self.palette.is_none(),
            ..self.ink(|palette| palette.faint)
        }
    }
}

/// Returns the height of a curve of cells at a place across; `None` where it is not known.
fn height(points: &[[f64; 2]], at: f64) -> Option<f64> {
    let pair = points
        .windows(2)
        .find(|pair| pair[0][0] <= at && at <= pair[1][0])?;
    let along = share(at, [pair[0][0], pair[1][0]]);
    let height = pair[0][1] + (pair[1][1] - pair[0][1]) * along;
    height.is_finite().then_some(height)
}

/// Returns the position of a place between two ends, 0 to 1. Halves, because the length of a range may be beyond
/// all numbers.
fn share(at: f64, [first, last]: [f64; 2]) -> f64 {
    let [at, first, last] = [at, first, last].map(|value| value / 2.0);
    (at - first) / (last - first)
}

/// Places the numbers of curves: one without extent has one, beside itself; others have those of their lowest and
/// highest values, as far as there are rows.
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
    max / 2.0 - min / 2.0 <= 0.5e-9 * max.abs().max(min.abs())
}

/// Returns true if few of the values lie far above all others.
fn has_spike(mut values: Vec<f64>) -> bool {
    values.sort_by(f64::total_cmp);
    let most = values.len() * 9 / 10;
    let most = values.get(most.min(values.len().saturating_sub(2)));
    let highest = values.last();
    values.len() >= FEWEST
        && highest
            .zip(most)
            .is_some_and(|(high, most)| *high >= SPIKE * most)
}

/// Returns the range, made wide enough to have a scale.
fn with_extent([min, max]: [f64; 2]) -> [f64; 2] {
    if !is_flat([min, max]) {
        return [min, max];
    }
    let half = (max.abs() * FLAT).max(f64::MIN_POSITIVE);
    [min - half, max + half]
}

/// Values of the rows of one side.
#[derive(Clone, Copy)]
struct Scale {
    /// Lowest and highest value.
    range: [f64; 2],
    logarithmic: bool,
}

impl Scale {
    /// Returns the position of a value between the ends, 0 to 1.
    fn share(self, value: f64) -> f64 {
        if self.logarithmic {
            share(value.ln(), self.range.map(f64::ln))
        } else {
            share(value, with_extent(self.range))
        }
    }
}

/// Area of the curves in the picture; their first row is below the title.
struct Frame {
    x: [f64; 2],
    scale: Scale,
    left: usize,
    width: usize,
    height: usize,
}

impl Frame {
    /// Returns the place in cells from the upper left corner of the curves.
    fn place(&self, x: f64, y: f64) -> [f64; 2] {
        [
            share(x, self.x) * self.width as f64,
            (1.0 - self.scale.share(y)) * self.height as f64,
        ]
    }

    /// Returns the points of a band's edge: one below the scale is at its foot, because zero has no logarithm.
    fn edge(&self, curve: &Curve<'_>) -> Vec<[f64; 2]> {
        let [low, high] = self.scale.range;
        let points = curve.x.iter().zip(curve.y);
        let within = |y: f64| if y.is_nan() { y } else { y.clamp(low, high) };
        points.map(|(x, y)| self.place(*x, within(*y))).collect()
    }

    fn points(&self, curve: &Curve<'_>) -> Vec<[f64; 2]> {
        let points = curve.x.iter().zip(curve.y);
        points.map(|(x, y)| self.place(*x, *y)).collect()
    }

    /// Returns the strokes or bars of a curve. Bars next to one that is not finite stand alone.
    fn figures(&self, curve: &Curve<'_>) -> Vec<Figure> {
        if curve.stroke != Stroke::Bars {
            let strokes = strokes::of(&self.points(curve), curve.stroke);
            return strokes.into_iter().map(Figure::Line).collect();
        }
        let bins = curve.x.windows(2).zip(curve.y);
        let bars: Vec<[[f64; 2]; 2]> = bins
            .map(|(edges, y)| [self.place(edges[0], *y), self.place(edges[1], *y)])
            .collect();
        let stretches = bars.split(|bar| !bar[0][1].is_finite());
        let corners = stretches.filter_map(|bars| {
            let first = *bars.first()?.first()?;
            Some(
                std::iter::once(first)
                    .chain(bars.iter().map(|bar| bar[1]))
                    .collect(),
            )
        });
        corners.map(Figure::Bars).collect()
    }

    /// Returns the point of the curve whose place is nearest to `at`.
    fn nearest(&self, curve: &Curve<'_>, at: f64) -> Option<[f64; 2]> {
        let points = curve.x.iter().zip(curve.y);
        let (x, y) = points.min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()))?;
        Some(self.place(*x, *y))
    }
}

#[cfg(test)]
mod tests;
