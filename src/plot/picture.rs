//! A picture made of character cells, and how it is printed as text.

use std::fmt::Write;

/// A colour, 8 bits a channel, sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    /// Returns the colour that lies `share` (0 to 1) of the way to `other`, channel by channel.
    #[must_use]
    pub fn towards(self, other: Self, share: f64) -> Self {
        let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * share) as u8;
        Self(
            mix(self.0, other.0),
            mix(self.1, other.1),
            mix(self.2, other.2),
        )
    }

    /// Returns its lightness, 0 to 1: luma of Rec. 709 on the gamma-coded channels.
    #[must_use]
    pub fn luma(self) -> f64 {
        (0.2126 * f64::from(self.0) + 0.7152 * f64::from(self.1) + 0.0722 * f64::from(self.2))
            / 255.0
    }
}

impl std::fmt::Display for Rgb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(r, g, b) = self;
        write!(f, "#{r:02x}{g:02x}{b:02x}")
    }
}

/// One character cell. A colour that is absent is the terminal's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// One character, one column wide.
    pub symbol: char,
    /// Colour of the character.
    pub foreground: Option<Rgb>,
    /// Colour behind it.
    pub background: Option<Rgb>,
    /// Heavy.
    pub bold: bool,
    /// Faint.
    pub dim: bool,
    /// Foreground and background exchanged.
    pub reverse: bool,
}

impl Default for Cell {
    fn default() -> Self {
        Self {
            symbol: ' ',
            foreground: None,
            background: None,
            bold: false,
            dim: false,
            reverse: false,
        }
    }
}

impl Cell {
    /// Returns a blank cell that prints in this colour.
    #[must_use]
    pub fn ink(foreground: Option<Rgb>) -> Self {
        Self {
            foreground,
            ..Self::default()
        }
    }

    /// Returns a heavy sign.
    #[must_use]
    pub fn mark(symbol: char, foreground: Option<Rgb>) -> Self {
        Self {
            symbol,
            bold: true,
            ..Self::ink(foreground)
        }
    }
}

/// Cells in rows, the first row at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    cells: Vec<Cell>,
}

impl Picture {
    /// Returns a blank picture.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            cells: vec![Cell::default(); width * height],
        }
    }

    /// Returns the number of cells in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    /// Returns the rows, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.width.max(1))
    }

    /// Returns the colour behind a cell; `None` outside, and if it is the terminal's own.
    #[must_use]
    pub fn background(&self, column: usize, row: usize) -> Option<Rgb> {
        self.rows().nth(row)?.get(column)?.background
    }

    /// Returns the cell at a column and a row; `None` outside.
    pub fn cell_mut(&mut self, column: usize, row: usize) -> Option<&mut Cell> {
        if column < self.width {
            self.cells.get_mut(row * self.width + column)
        } else {
            None
        }
    }

    /// Returns true if a cell is there and nothing is printed in it.
    #[must_use]
    pub fn is_blank(&self, column: usize, row: usize) -> bool {
        let cell = self.cells.get(row * self.width + column);
        column < self.width && cell.is_some_and(|cell| cell.symbol == ' ')
    }

    /// Puts a cell; one without a background lets the one that is there show through.
    pub fn put(&mut self, column: usize, row: usize, cell: Cell) {
        if let Some(place) = self.cell_mut(column, row) {
            let background = cell.background.or(place.background);
            *place = Cell { background, ..cell };
        }
    }

    /// Prints text from a column to the right, in the ink of `like`; what does not fit is cut.
    pub fn print(&mut self, column: usize, row: usize, text: &str, like: Cell) {
        for (offset, symbol) in text.chars().enumerate() {
            self.put(column + offset, row, Cell { symbol, ..like });
        }
    }

    /// Prints text that ends before a column.
    pub fn print_right(&mut self, end: usize, row: usize, text: &str, like: Cell) {
        self.print(end.saturating_sub(text.chars().count()), row, text, like);
    }

    /// Returns the pictures one below the other, as wide as the widest.
    #[must_use]
    pub fn stacked(pictures: &[Self]) -> Self {
        let width = pictures.iter().map(Self::width).max().unwrap_or(0);
        let mut all = Self::new(width, pictures.iter().map(Self::height).sum());
        let rows = pictures.iter().flat_map(Self::rows);
        for (row, cells) in rows.enumerate() {
            for (column, cell) in cells.iter().enumerate() {
                all.put(column, row, *cell);
            }
        }
        all
    }

    /// Lays cells that leave their ground to the terminal on this one.
    pub fn lay_on(&mut self, ground: Rgb) {
        for cell in &mut self.cells {
            cell.background = cell.background.or(Some(ground));
        }
    }

    /// Returns the characters alone, without blanks at the ends of lines.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for row in self.rows() {
            let line: String = row.iter().map(|cell| cell.symbol).collect();
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// Returns the characters with ANSI colours (24 bits) and attributes; every line ends with a reset.
    #[must_use]
    pub fn ansi(&self) -> String {
        let mut text = String::new();
        for row in self.rows() {
            let mut current = Cell::default();
            for cell in row {
                let style = Cell {
                    symbol: ' ',
                    ..*cell
                };
                if style != current {
                    text.push_str(&escape(&style));
                    current = style;
                }
                text.push(cell.symbol);
            }
            text.push_str("\x1b[0m\n");
        }
        text
    }
}

/// Writes the Select Graphic Rendition of a cell, from a reset on.
fn escape(cell: &Cell) -> String {
    let mut code = String::from("\x1b[0");
    for (set, parameter) in [(cell.bold, ";1"), (cell.dim, ";2"), (cell.reverse, ";7")] {
        if set {
            code.push_str(parameter);
        }
    }
    for (colour, layer) in [(cell.foreground, 38), (cell.background, 48)] {
        if let Some(Rgb(r, g, b)) = colour {
            // Writing to a String cannot fail.
            let _ = write!(code, ";{layer};2;{r};{g};{b}");
        }
    }
    code.push('m');
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_the_edges_and_trimmed() {
        let mut picture = Picture::new(4, 2);
        picture.print(2, 0, "abc", Cell::default());
        picture.print(0, 5, "gone", Cell::default());
        picture.print_right(2, 1, "x", Cell::default());
        assert_eq!(picture.text(), "  ab\n x\n");
        assert_eq!((picture.width(), picture.height()), (4, 2));
    }

    #[test]
    fn what_has_no_background_lets_the_band_show_through() {
        let mut picture = Picture::new(1, 1);
        let band = Rgb(1, 2, 3);
        picture.put(
            0,
            0,
            Cell {
                background: Some(band),
                ..Cell::default()
            },
        );
        picture.print(0, 0, "x", Cell::ink(Some(Rgb(9, 9, 9))));
        assert_eq!(picture.ansi(), "\x1b[0;38;2;9;9;9;48;2;1;2;3mx\x1b[0m\n");
    }

    #[test]
    fn an_empty_picture_has_no_rows() {
        assert_eq!(Picture::new(0, 3).height(), 0);
        assert_eq!(Picture::new(0, 3).text(), "");
    }
}
