//! A matrix of cosines as a picture: half blocks, two rows a character, from −1 through nothing to 1.

use super::map::Palette;
use super::picture::{Cell, Picture, Rgb};
use super::raster::Marker;

/// Signs of a picture without colours, by |cosine|; those of negative ones stand second.
const SHADES: [[char; 2]; 4] = [[' ', ' '], ['·', '-'], ['+', '='], ['█', '▒']];
/// The same in 7-bit characters.
const ASCII_SHADES: [[char; 2]; 4] = [[' ', ' '], ['.', '-'], ['+', '='], ['#', '%']];

/// Columns of the legend; an odd number, so that nothing is in the middle.
const LEGEND: usize = 11;

/// Draws a square matrix of values from −1 to 1, row 0 at the top; NaN is blank. It is shrunk to fit by means
/// over its pieces, and never blown up. 7-bit characters have no colours.
#[must_use]
pub fn draw(
    values: &[Vec<f64>],
    palette: Option<Palette>,
    marker: Marker,
    width: usize,
    height: usize,
) -> Picture {
    let palette = palette.filter(|_| !marker.is_ascii());
    let size = values.len();
    let (columns, rows) = match palette {
        Some(_) => (size.min(width), size.min(2 * height)),
        None => ((2 * size).min(width), size.min(height)),
    };
    let mut picture = Picture::new(width, height);
    let at = |column: usize, row: usize| mean(values, [column, columns], [row, rows]);
    for row in 0..if palette.is_some() {
        rows.div_ceil(2)
    } else {
        rows
    } {
        for column in 0..columns {
            let cell = match palette {
                Some(palette) => half_blocks(
                    palette,
                    at(column, 2 * row),
                    (2 * row + 1 < rows).then(|| at(column, 2 * row + 1)),
                ),
                None => shade(at(column, row), marker),
            };
            picture.put(column, row, cell);
        }
    }
    picture
}

/// Draws one row of cosines from −1 to 1, for a legend.
#[must_use]
pub fn legend(palette: Option<Palette>, marker: Marker) -> Picture {
    let palette = palette.filter(|_| !marker.is_ascii());
    let mut picture = Picture::new(LEGEND, 1);
    for column in 0..LEGEND {
        let value = 2.0 * column as f64 / (LEGEND - 1) as f64 - 1.0;
        let cell = match palette {
            Some(palette) => half_blocks(palette, value, Some(value)),
            None => shade(value, marker),
        };
        picture.put(column, 0, cell);
    }
    picture
}

/// Returns the mean of the matrix over one of `count` columns and one of as many rows.
fn mean(values: &[Vec<f64>], [column, columns]: [usize; 2], [row, rows]: [usize; 2]) -> f64 {
    let piece = |index: usize, count: usize| {
        let start = index * values.len() / count;
        start..((index + 1) * values.len() / count).max(start + 1)
    };
    let inside = values
        .iter()
        .skip(piece(row, rows).start)
        .take(piece(row, rows).len());
    let entries = inside.flat_map(|line| line.get(piece(column, columns)).unwrap_or_default());
    let (sum, count) = entries.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count)
}

fn half_blocks(palette: Palette, upper: f64, lower: Option<f64>) -> Cell {
    let colour = |value: f64| {
        let end = if value < 0.0 {
            palette.mark
        } else {
            palette.path
        };
        palette.ground.towards(end, value.abs().min(1.0))
    };
    let colour = |value: f64| {
        if value.is_nan() {
            palette.ground
        } else {
            colour(value)
        }
    };
    Cell {
        symbol: '▀',
        foreground: Some(colour(upper)),
        background: Some(lower.map_or(palette.ground, colour)) as Option<Rgb>,
        ..Cell::default()
    }
}

fn shade(value: f64, marker: Marker) -> Cell {
    let level = if value.is_nan() {
        0
    } else {
        (value.abs() * 4.0).min(3.0) as usize
    };
    let shades = if marker.is_ascii() {
        ASCII_SHADES
    } else {
        SHADES
    };
    Cell {
        symbol: shades[level][usize::from(value < 0.0)],
        ..Cell::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_and_sizes_of_cosines_can_be_told_apart() {
        let values = vec![
            vec![1.0, -1.0, 0.3],
            vec![-0.3, 0.0, f64::NAN],
            vec![0.6, -0.6, 1.0],
        ];
        let drawn = |marker| draw(&values, None, marker, 6, 3).text();
        assert_eq!(drawn(Marker::Braille), "██▒▒··\n--\n++==██\n");
        assert_eq!(drawn(Marker::Ascii), "##%%..\n--\n++==##\n");
    }

    #[test]
    fn the_legend_goes_from_minus_one_to_one() {
        let text = legend(None, Marker::Braille).text();
        let signs: Vec<char> = text.trim_end().chars().collect();
        assert_eq!((signs[0], signs[5], signs[10]), ('▒', ' ', '█'));
    }

    #[test]
    fn a_large_matrix_is_shrunk_by_means() {
        let values: Vec<Vec<f64>> = (0..4)
            .map(|i| {
                (0..4)
                    .map(|j| if (i < 2) == (j < 2) { 1.0 } else { -1.0 })
                    .collect()
            })
            .collect();
        assert_eq!(draw(&values, None, Marker::Block, 2, 2).text(), "█▒\n▒█\n");
        assert_eq!(draw(&[], None, Marker::Block, 4, 2).width(), 4);
        assert_eq!(draw(&values, None, Marker::Block, 0, 0).height(), 0);
    }
}
