//! Lines as dots: every character cell is a few dots wide and high, as its marker has them.

use super::blocks::{OCTANTS, QUADRANTS, SEXTANTS};

/// The characters that pictures are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Marker {
    /// 2×4 dots a cell.
    #[default]
    Braille,
    /// 2×4 blocks a cell without gaps, for fonts with Unicode 16.
    Octant,
    /// 2×3 blocks a cell, for fonts with Unicode 13.
    Sextant,
    /// 2×2 blocks a cell, which nearly every font has.
    Quadrant,
    /// 1×2 blocks a cell.
    HalfBlock,
    /// The whole cell.
    Block,
    /// 7-bit characters alone.
    Ascii,
}

impl Marker {
    /// All of them, the finest first.
    pub const ALL: [Self; 7] = [
        Self::Braille,
        Self::Octant,
        Self::Sextant,
        Self::Quadrant,
        Self::HalfBlock,
        Self::Block,
        Self::Ascii,
    ];

    /// Returns the next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// Returns its name on the screen.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Braille => "braille",
            Self::Octant => "octant",
            Self::Sextant => "sextant",
            Self::Quadrant => "quadrant",
            Self::HalfBlock => "halfblock",
            Self::Block => "block",
            Self::Ascii => "ascii",
        }
    }

    /// Returns true if it has 7-bit characters alone.
    #[must_use]
    pub fn is_ascii(self) -> bool {
        self == Self::Ascii
    }

    /// Returns the dots of a cell, across and down. Those of 7-bit characters only tell how a line slants.
    #[must_use]
    pub fn dots(self) -> [usize; 2] {
        match self {
            Self::Braille | Self::Octant | Self::Ascii => [2, 4],
            Self::Sextant => [2, 3],
            Self::Quadrant => [2, 2],
            Self::HalfBlock => [1, 2],
            Self::Block => [1, 1],
        }
    }

    /// Returns the character for the dots of a cell; `None` if there is no dot.
    #[must_use]
    pub fn stroke(self, dots: Dots) -> Option<char> {
        if dots == Dots::default() {
            return None;
        }
        let shape = dots.shape(self.dots());
        match self {
            Self::Braille => char::from_u32(0x2800 + u32::from(dots.0)),
            Self::Octant => Some(OCTANTS[shape]),
            Self::Sextant => Some(SEXTANTS[shape]),
            Self::Quadrant => Some(QUADRANTS[shape]),
            Self::HalfBlock => Some([' ', '▀', '▄', '█'][shape]),
            Self::Block => Some('█'),
            Self::Ascii => Some(dots.slant()),
        }
    }
}

/// Bit of the dot at [row][column], in Unicode's order of braille dots.
const BITS: [[u8; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// The dots of one cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dots(u8);

impl Dots {
    fn has(self, column: usize, row: usize) -> bool {
        self.0 & BITS[row][column] != 0
    }

    /// Returns a bit for each dot of this number across and down, row by row from the upper left one.
    fn shape(self, [across, down]: [usize; 2]) -> usize {
        let places = (0..down).flat_map(|row| (0..across).map(move |column| (column, row)));
        let bits = places.enumerate();
        bits.map(|(bit, (column, row))| usize::from(self.has(column, row)) << bit)
            .sum()
    }

    /// Returns the 7-bit character that slants as the dots do; it is never one of the shading ramp.
    fn slant(self) -> char {
        let flat = |row: f64| if row > 1.5 { '_' } else { '~' };
        let [left, right] = [0, 1].map(|column| {
            let rows = (0..4).filter(move |row| self.has(column, *row));
            let rows: Vec<f64> = rows.map(|row| row as f64).collect();
            (rows.len(), rows.iter().sum::<f64>() / rows.len() as f64)
        });
        match (left, right) {
            ((0, _), (1, row)) | ((1, row), (0, _)) => flat(row),
            ((0, _), _) | (_, (0, _)) => '|',
            ((_, left), (_, right)) if (left - right).abs() < 0.8 => {
                flat(f64::midpoint(left, right))
            }
            ((_, left), (_, right)) if left > right => '/',
            _ => '\\',
        }
    }
}

/// Dots over a rectangle of cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raster {
    width: usize,
    /// Dots of a cell, across and down.
    grid: [usize; 2],
    cells: Vec<Dots>,
}

impl Raster {
    /// Makes one without a dot; width and height in cells, each with the dots of the marker.
    #[must_use]
    pub fn new(width: usize, height: usize, marker: Marker) -> Self {
        Self {
            width,
            grid: marker.dots(),
            cells: vec![Dots::default(); width * height],
        }
    }

    /// Returns the dots of the cell at a column and a row.
    #[must_use]
    pub fn dots(&self, column: usize, row: usize) -> Dots {
        let index = row * self.width + column;
        self.cells.get(index).copied().unwrap_or_default()
    }

    /// Sets the dot at a column and a row of dots; outside there is none.
    pub fn dot(&mut self, column: usize, row: usize) {
        let [across, down] = self.grid;
        if column / across < self.width
            && let Some(dots) = self
                .cells
                .get_mut(row / down * self.width + column / across)
        {
            dots.0 |= BITS[row % down][column % across];
        }
    }

    /// Draws a straight line between two places in cells (0,0 is the upper left corner), and tells
    /// which cells it touched. What lies outside, or is not finite, is not drawn.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], mut touched: impl FnMut(usize, usize)) {
        let height = self.cells.len().checked_div(self.width).unwrap_or(0);
        let size = [self.width as f64, height as f64];
        let Some([from, to]) = clip(from, to, size) else {
            return;
        };
        let [fine, high] = self.grid.map(|dots| dots as f64);
        let (across, down) = ((to[0] - from[0]) * fine, (to[1] - from[1]) * high);
        // A little denser than the dots, so that rounding leaves none out.
        let steps = across.abs().max(down.abs()) as usize + 2;
        for step in 0..=steps {
            let share = step as f64 / steps as f64;
            let column = (from[0] * fine + across * share) as usize;
            let row = (from[1] * high + down * share) as usize;
            let column = column.min(self.width * self.grid[0] - 1);
            let row = row.min(height * self.grid[1] - 1);
            self.dot(column, row);
            touched(column / self.grid[0], row / self.grid[1]);
        }
    }

    /// Draws a line of single dots through these places, `every` widths of a cell from one to the next.
    pub fn dotted(&mut self, places: &[[f64; 2]], every: f64) {
        let height = self.cells.len().checked_div(self.width).unwrap_or(0);
        let size = [self.width as f64, height as f64];
        let grid = self.grid.map(|dots| dots as f64);
        // What is left of the way to the next dot.
        let mut ahead = every;
        for segment in places.windows(2) {
            let Some([from, to]) = clip(segment[0], segment[1], size) else {
                continue;
            };
            let along = [to[0] - from[0], to[1] - from[1]];
            // A cell is twice as high as it is wide.
            let length = along[0].hypot(2.0 * along[1]);
            let mut done = ahead;
            while done < length {
                let at = |axis: usize| (from[axis] + along[axis] * done / length) * grid[axis];
                self.dot(at(0) as usize, at(1) as usize);
                done += every;
            }
            ahead = done - length;
        }
    }
}

/// Returns the part of a segment that lies in the rectangle from (0,0) to `size` (Liang and Barsky).
pub(super) fn clip(from: [f64; 2], to: [f64; 2], size: [f64; 2]) -> Option<[[f64; 2]; 2]> {
    let finite = from.iter().chain(&to).all(|v| v.is_finite());
    if !finite || size.contains(&0.0) {
        return None;
    }
    let (mut enter, mut leave) = (0.0, 1.0);
    for axis in 0..2 {
        let along = to[axis] - from[axis];
        for (direction, room) in [(-along, from[axis]), (along, size[axis] - from[axis])] {
            if direction == 0.0 && room < 0.0 {
                return None;
            }
            let share: f64 = room / direction;
            if direction < 0.0 {
                enter = share.max(enter);
            } else if direction > 0.0 {
                leave = share.min(leave);
            }
        }
    }
    let at = |share: f64| [0, 1].map(|i| from[i] + (to[i] - from[i]) * share);
    (enter <= leave).then(|| [at(enter), at(leave)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(marker: Marker, from: [f64; 2], to: [f64; 2]) -> String {
        let mut raster = Raster::new(4, 1, marker);
        raster.line(from, to, |_, _| {});
        (0..4)
            .map(|column| marker.stroke(raster.dots(column, 0)).unwrap_or(' '))
            .collect()
    }

    #[test]
    fn a_line_through_the_top_dots_in_every_marker() {
        let line = |marker| drawn(marker, [0.0, 0.1], [2.0, 0.1]);
        assert_eq!(line(Marker::Braille), "⠉⠉⠁ ");
        assert_eq!(line(Marker::Octant), "🮂🮂\u{1CEA8} ");
        assert_eq!(line(Marker::Sextant), "🬂🬂🬀 ");
        assert_eq!(line(Marker::Quadrant), "▀▀▘ ");
        assert_eq!(line(Marker::HalfBlock), "▀▀▀ ");
        assert_eq!(line(Marker::Block), "███ ");
        assert_eq!(drawn(Marker::Ascii, [0.0, 0.1], [1.9, 0.1]), "~~  ");
    }

    #[test]
    fn a_steep_line_is_one_dot_wide_in_every_marker() {
        for marker in Marker::ALL {
            let [across, down] = marker.dots();
            let mut raster = Raster::new(1, 3, marker);
            raster.line([0.1, 0.0], [0.3, 2.999], |_, _| {});
            let dots: u32 = (0..3).map(|row| raster.dots(0, row).0.count_ones()).sum();
            assert_eq!(dots as usize, 3 * down, "{marker:?} of {across} across");
        }
    }

    #[test]
    fn every_marker_is_the_next_of_one_other() {
        let mut marker = Marker::default();
        for expected in Marker::ALL {
            assert_eq!(marker, expected);
            marker = marker.next();
        }
        assert_eq!(marker, Marker::default());
    }

    #[test]
    fn diagonals_slant_in_ascii() {
        assert_eq!(drawn(Marker::Ascii, [1.0, 0.0], [1.99, 0.99]), " \\  ");
        assert_eq!(drawn(Marker::Ascii, [1.99, 0.0], [1.0, 0.99]), " /  ");
        assert_eq!(drawn(Marker::Ascii, [2.2, 0.0], [2.2, 1.0]), "  | ");
    }

    #[test]
    fn a_line_that_comes_from_afar_enters_where_it_should() {
        assert_eq!(drawn(Marker::Braille, [-400.0, 0.9], [400.0, 0.9]), "⣀⣀⣀⣀");
        assert_eq!(drawn(Marker::Braille, [-4.0, 5.0], [4.0, 5.0]), "    ");
    }

    #[test]
    fn dots_are_as_far_apart_around_a_corner() {
        let mut raster = Raster::new(4, 2, Marker::Braille);
        raster.dotted(&[[0.1, 0.1], [2.6, 0.1], [2.6, 1.9], [f64::NAN, 0.0]], 1.0);
        let row = |row: usize| -> String {
            let symbols = (0..4).map(|column| Marker::Braille.stroke(raster.dots(column, row)));
            symbols.map(|symbol| symbol.unwrap_or(' ')).collect()
        };
        assert_eq!([row(0), row(1)], [" ⠁⢑ ", "  ⢐ "]);
    }

    #[test]
    fn what_is_not_finite_is_not_drawn() {
        assert_eq!(drawn(Marker::Braille, [f64::NAN, 0.0], [1.0, 0.0]), "    ");
        assert_eq!(
            drawn(Marker::Braille, [0.0, 0.0], [1.0, f64::INFINITY]),
            "    "
        );
    }

    proptest! {
        #[test]
        fn no_line_leaves_the_raster(
            a in -1e3..1e3f64, b in -1e3..1e3f64, c in -1e3..1e3f64, d in -1e3..1e3f64,
            width in 0..9usize, height in 0..9usize, marker in 0..7usize,
        ) {
            let mut raster = Raster::new(width, height, Marker::ALL[marker]);
            raster.line([a, b], [c, d], |column, row| assert!(column < width && row < height));
        }
    }
}
