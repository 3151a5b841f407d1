//! The characters of blocks, beside the tables of another program that draws with them.

use isoloss::plot::{Marker, Raster};
use ratatui::symbols::pixel::{OCTANTS, QUADRANTS, SEXTANTS};
use rstest::rstest;

/// The character of a cell in which the dots of these bits are set, row by row.
fn character(marker: Marker, bits: usize) -> char {
    let [across, down] = marker.dots();
    let mut raster = Raster::new(1, 1, marker);
    for dot in (0..across * down).filter(|dot| bits >> dot & 1 == 1) {
        raster.dot(dot % across, dot / across);
    }
    marker.stroke(raster.dots(0, 0)).unwrap_or(' ')
}

#[rstest]
#[case(Marker::Octant, &OCTANTS)]
#[case(Marker::Sextant, &SEXTANTS)]
#[case(Marker::Quadrant, &QUADRANTS)]
#[case(Marker::HalfBlock, &[' ', '▀', '▄', '█'])]
#[case(Marker::Block, &[' ', '█'])]
fn each_combination_of_blocks_has_its_character(#[case] marker: Marker, #[case] table: &[char]) {
    let [across, down] = marker.dots();
    assert_eq!(table.len(), 1 << (across * down));
    for (bits, expected) in table.iter().enumerate() {
        assert_eq!(character(marker, bits), *expected, "{marker:?} {bits:b}");
    }
}
