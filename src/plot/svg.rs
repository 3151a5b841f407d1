//! A picture as SVG: text in cells of a fixed size, and shapes where the fonts of browsers disagree.

use std::fmt::Write;

use super::blocks::{OCTANTS, QUADRANTS, SEXTANTS};
use super::picture::{Cell, Picture, Rgb};

/// Width and height of a cell. Braille has its dots at quarters, so they lie on a square grid.
const CELL: [usize; 2] = [8, 16];
/// Size of the font: its characters are a cell wide, 0.6 of this.
const FONT_SIZE: &str = "13.3";
/// From the top of a cell to the foot of its letters.
const BASELINE: usize = 12;
const FONTS: &str = "'DejaVu Sans Mono',Menlo,Consolas,'Liberation Mono','Courier New',monospace";
/// Ink and paper where the picture leaves both to the terminal.
const NEUTRAL: [Rgb; 2] = [Rgb(0x22, 0x22, 0x22), Rgb(0xff, 0xff, 0xff)];
/// The point of a path whose file is gone: a ring without a fill.
const HOLLOW: char = '◦';
/// Opacity of what is faint.
const FAINT: &str = "0.6";

/// The second line of every file, by which it is known again.
pub const MARK: &str = "<!-- isoloss -->";

/// Light lines from the middle of a cell, as bits: 1 up, 2 down, 4 left, 8 right.
const RULES: [(char, u8); 15] = [
    ('│', 1 | 2),
    ('─', 4 | 8),
    ('┌', 2 | 8),
    ('╭', 2 | 8),
    ('┐', 2 | 4),
    ('╮', 2 | 4),
    ('└', 1 | 8),
    ('╰', 1 | 8),
    ('┘', 1 | 4),
    ('╯', 1 | 4),
    ('├', 1 | 2 | 8),
    ('┤', 1 | 2 | 4),
    ('┬', 2 | 4 | 8),
    ('┴', 1 | 4 | 8),
    ('┼', 1 | 2 | 4 | 8),
];

/// Ink of a run of text.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Ink {
    colour: Rgb,
    bold: bool,
    dim: bool,
}

/// Shapes of one ink.
struct Shapes {
    ink: Ink,
    /// Path of the dots of braille, each a line of no length.
    dots: String,
    /// Path of the light lines of frames, and of rings.
    rules: String,
    /// Path of blocks: most fonts lack many, and leave seams between the others.
    blocks: String,
}

impl Picture {
    /// Returns the picture as an SVG file. Where it leaves a colour to the terminal, ink is dark and paper white.
    #[must_use]
    pub fn svg(&self) -> String {
        let [width, height] = [self.width() * CELL[0], self.height() * CELL[1]];
        let paper = self.paper();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"{FONTS}\" font-size=\"{FONT_SIZE}\" xml:space=\"preserve\">\n{MARK}\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>\n",
            hex(paper)
        );
        self.write_grounds(paper, &mut svg);
        write_shapes(&self.shapes(), &mut svg);
        self.write_text(&mut svg);
        svg + "</svg>\n"
    }

    /// Returns the colour that most cells have behind them.
    fn paper(&self) -> Rgb {
        let mut counts: Vec<(Rgb, usize)> = Vec::new();
        for colour in self.rows().flatten().map(ground) {
            match counts.iter_mut().find(|(known, _)| *known == colour) {
                Some((_, count)) => *count += 1,
                None => counts.push((colour, 1)),
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or(NEUTRAL[1], |(colour, _)| colour)
    }

    /// Writes the grounds behind the cells, except for those that are the paper.
    fn write_grounds(&self, paper: Rgb, svg: &mut String) {
        let mut paths: Vec<(Rgb, String)> = Vec::new();
        for (row, cells) in self.rows().enumerate() {
            let mut column = 0;
            for run in cells.chunk_by(|a, b| ground(a) == ground(b)) {
                if let Some(colour) = run.first().map(ground).filter(|colour| *colour != paper) {
                    let [x, y] = [column * CELL[0], row * CELL[1]];
                    let [width, height] = [run.len() * CELL[0], CELL[1]];
                    let path = path_of(&mut paths, colour);
                    // Writing to a String cannot fail, here and below.
                    let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
                }
                column += run.len();
            }
        }
        for (colour, path) in paths {
            let _ = writeln!(
                svg,
                "<path shape-rendering=\"crispEdges\" fill=\"{}\" d=\"{path}\"/>",
                hex(colour)
            );
        }
    }

    fn shapes(&self) -> Vec<Shapes> {
        let mut all: Vec<Shapes> = Vec::new();
        for (row, cells) in self.rows().enumerate() {
            for (column, cell) in cells.iter().enumerate().filter(|(_, cell)| is_shape(cell)) {
                let ink = ink(cell);
                let at = all.iter().position(|shapes| shapes.ink == ink);
                let at = at.unwrap_or_else(|| {
                    let [dots, rules, blocks] = [const { String::new() }; 3];
                    all.push(Shapes {
                        ink,
                        dots,
                        rules,
                        blocks,
                    });
                    all.len() - 1
                });
                let [x, y] = [column * CELL[0], row * CELL[1]];
                all[at].dots += &dots(cell.symbol, x, y);
                all[at].rules += &rules(cell.symbol, x, y);
                all[at].blocks += &blocks(cell.symbol, x, y);
            }
        }
        all
    }

    /// Writes each stretch of one ink as long as its cells, whatever the font's own width is.
    fn write_text(&self, svg: &mut String) {
        for (row, cells) in self.rows().enumerate() {
            let mut column = 0;
            for run in cells.chunk_by(|a, b| is_text(a) && is_text(b) && ink(a) == ink(b)) {
                if let Some(first) = run.first().filter(|cell| is_text(cell)) {
                    let [x, y] = [column * CELL[0], row * CELL[1] + BASELINE];
                    let length = run.len() * CELL[0];
                    let _ = write!(
                        svg,
                        "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{}>",
                        attributes(ink(first))
                    );
                    svg.extend(run.iter().map(|cell| escaped(cell.symbol)));
                    *svg += "</text>\n";
                }
                column += run.len();
            }
        }
    }
}

/// Returns the path of a colour, begun where it is new.
fn path_of(paths: &mut Vec<(Rgb, String)>, colour: Rgb) -> &mut String {
    let known = paths.iter().position(|(known, _)| *known == colour);
    let at = known.unwrap_or_else(|| {
        paths.push((colour, String::new()));
        paths.len() - 1
    });
    &mut paths[at].1
}

fn is_shape(cell: &Cell) -> bool {
    is_braille(cell.symbol)
        || cell.symbol == HOLLOW
        || block(cell.symbol).is_some()
        || RULES.iter().any(|(symbol, _)| *symbol == cell.symbol)
}

fn is_text(cell: &Cell) -> bool {
    cell.symbol != ' ' && !is_shape(cell)
}

fn is_braille(symbol: char) -> bool {
    ('\u{2800}'..='\u{28ff}').contains(&symbol)
}

/// Returns the colours of a cell, exchanged where it is reversed: ink, ground.
fn colours(cell: &Cell) -> [Rgb; 2] {
    let ink = cell.foreground.unwrap_or(NEUTRAL[0]);
    let ground = cell.background.unwrap_or(NEUTRAL[1]);
    if cell.reverse {
        [ground, ink]
    } else {
        [ink, ground]
    }
}

fn ground(cell: &Cell) -> Rgb {
    colours(cell)[1]
}

fn ink(cell: &Cell) -> Ink {
    Ink {
        colour: colours(cell)[0],
        bold: cell.bold,
        dim: cell.dim,
    }
}

/// Returns the dots of a braille character. Bits 0 to 2 and 6 are the left column from the top, the others the
/// right one.
fn dots(symbol: char, x: usize, y: usize) -> String {
    const PLACES: [[usize; 2]; 8] = [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
        [0, 3],
        [1, 3],
    ];
    let mut path = String::new();
    if is_braille(symbol) {
        let bits = u32::from(symbol) & 0xff;
        for (_, [i, j]) in (0..8).zip(PLACES).filter(|(bit, _)| bits >> bit & 1 == 1) {
            let _ = write!(path, "M{} {}h0", x + 2 + 4 * i, y + 2 + 4 * j);
        }
    }
    path
}

/// Returns the lines of a frame's character, from the middle of the cell, or a ring.
fn rules(symbol: char, x: usize, y: usize) -> String {
    if symbol == HOLLOW {
        // Where fonts have their bullet: a little above the middle.
        return format!("M{} {}a2 2 0 1 0 4 0a2 2 0 1 0 -4 0", x + 2, y + 7);
    }
    let known = RULES.iter().find(|(known, _)| *known == symbol);
    let arms = known.map_or(0, |(_, arms)| *arms);
    let [half, tall] = [CELL[0] / 2, CELL[1] / 2];
    let from = format!("M{} {}", x + half, y + tall);
    let ends = [
        format!("v-{tall}"),
        format!("v{tall}"),
        format!("h-{half}"),
        format!("h{half}"),
    ];
    let there = (0..).zip(ends).filter(|(bit, _)| arms >> bit & 1 == 1);
    there.map(|(_, end)| from.clone() + &end).collect()
}

/// Returns the parts of a cell that a block fills, row by row from the upper left one, and how many there are across
/// and down;
/// `None` if it is no block.
fn block(symbol: char) -> Option<([usize; 2], usize)> {
    let tables: [(&[char], [usize; 2]); 3] = [
        (&QUADRANTS, [2, 2]),
        (&SEXTANTS, [2, 3]),
        (&OCTANTS, [2, 4]),
    ];
    // The first one is blank.
    let found = tables.into_iter().find_map(|(table, parts)| {
        let at = table.iter().skip(1).position(|known| *known == symbol)?;
        Some((parts, at + 1))
    });
    found.filter(|_| symbol != ' ')
}

/// Returns the rectangles of a block.
fn blocks(symbol: char, x: usize, y: usize) -> String {
    let Some(([across, down], bits)) = block(symbol) else {
        return String::new();
    };
    let mut path = String::new();
    for bit in (0..across * down).filter(|bit| bits >> bit & 1 == 1) {
        let (column, row) = (bit % across, bit / across);
        // A third of a cell is no whole number of units.
        let [top, end] = [row, row + 1].map(|row| (CELL[1] * row) as f64 / down as f64);
        let width = CELL[0] / across;
        let (left, top, height) = (x + column * width, y as f64 + top, end - top);
        let _ = write!(path, "M{left} {top:.2}h{width}v{height:.2}h-{width}z");
    }
    path
}

fn write_shapes(all: &[Shapes], svg: &mut String) {
    for Shapes {
        ink,
        dots,
        rules,
        blocks,
    } in all
    {
        if !blocks.is_empty() {
            let _ = writeln!(
                svg,
                "<path shape-rendering=\"crispEdges\"{} d=\"{blocks}\"/>",
                attributes(Ink {
                    bold: false,
                    ..*ink
                })
            );
        }
        let opacity = opacity(*ink);
        let stroke = hex(ink.colour);
        for (path, style) in [
            (dots, " stroke-width=\"2.6\" stroke-linecap=\"round\""),
            (rules, ""),
        ] {
            if !path.is_empty() {
                let _ = writeln!(
                    svg,
                    "<path fill=\"none\" stroke=\"{stroke}\"{style}{opacity} d=\"{path}\"/>"
                );
            }
        }
    }
}

fn attributes(ink: Ink) -> String {
    let weight = if ink.bold {
        " font-weight=\"bold\""
    } else {
        ""
    };
    format!(" fill=\"{}\"{weight}{}", hex(ink.colour), opacity(ink))
}

fn opacity(ink: Ink) -> String {
    if ink.dim {
        format!(" opacity=\"{FAINT}\"")
    } else {
        String::new()
    }
}

fn hex(Rgb(r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Returns a character as XML has it; one that XML has not is a replacement character.
fn escaped(symbol: char) -> String {
    match symbol {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        symbol if symbol.is_control() || matches!(symbol, '\u{fffe}' | '\u{ffff}') => {
            '\u{fffd}'.into()
        }
        symbol => symbol.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_one_ink_is_one_text_and_is_escaped() {
        let mut picture = Picture::new(6, 1);
        let red = Cell::ink(Some(Rgb(255, 0, 0)));
        picture.print(1, 0, "a<&\u{7}", red);
        let svg = picture.svg();
        assert!(
            svg.contains("<text x=\"8\" y=\"12\" textLength=\"32\" fill=\"#ff0000\">a&lt;&amp;\u{fffd}</text>"),
            "{svg}"
        );
        assert_eq!(svg.matches("<text").count(), 1);
    }

    #[test]
    fn the_commonest_ground_is_the_paper_and_the_others_lie_on_it() {
        let mut picture = Picture::new(4, 1);
        for (column, shade) in [7, 7, 9, 9].into_iter().enumerate() {
            if let Some(cell) = picture.cell_mut(column, 0) {
                cell.background = Some(Rgb(shade, 0, 0));
                cell.reverse = column == 3;
            }
        }
        let svg = picture.svg();
        assert!(svg.contains("<rect width=\"32\" height=\"16\" fill=\"#070000\"/>"));
        assert!(
            svg.contains("fill=\"#090000\" d=\"M16 0h8v16h-8z\""),
            "{svg}"
        );
        assert!(
            svg.contains("fill=\"#222222\" d=\"M24 0h8v16h-8z\""),
            "{svg}"
        );
        assert_eq!(svg.matches("<path").count(), 2);
    }

    #[test]
    fn a_hollow_point_is_a_ring_without_a_fill() {
        let mut picture = Picture::new(2, 1);
        picture.print(1, 0, "◦", Cell::default());
        let svg = picture.svg();
        assert!(
            svg.contains("<path fill=\"none\" stroke=\"#222222\" d=\"M10 7a2 2"),
            "{svg}"
        );
        assert!(!svg.contains("<text"), "{svg}");
    }

    #[test]
    fn blocks_need_no_font_and_leave_no_seams() {
        let mut picture = Picture::new(4, 1);
        picture.print(0, 0, "▀█🬀 ", Cell::default());
        let svg = picture.svg();
        // Two quarters of a half block, four of a whole one, a sixth.
        assert!(
            svg.contains("d=\"M0 0.00h4v8.00h-4zM4 0.00h4v8.00h-4zM8 0.00"),
            "{svg}"
        );
        assert!(svg.contains("M16 0.00h4v5.33h-4z"), "{svg}");
        assert!(
            !svg.contains("<text") && svg.matches("h-4z").count() == 7,
            "{svg}"
        );
    }

    #[test]
    fn braille_and_frames_need_no_font() {
        let mut picture = Picture::new(2, 1);
        picture.print(0, 0, "\u{2881}╭", Cell::default());
        let svg = picture.svg();
        // Dot 1 is at the top of the left column, dot 8 at the foot of the right one.
        assert!(svg.contains("d=\"M2 2h0M6 14h0\""), "{svg}");
        assert!(svg.contains("d=\"M12 8v8M12 8h4\""), "{svg}");
        assert!(!svg.contains("<text"));
    }
}
