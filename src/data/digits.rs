//! The embedded digits: 1797 real handwritten digits of 8×8 pixels.
//!
//! "Optical Recognition of Handwritten Digits", test set, E. Alpaydin and C. Kaynak, 1998, UCI Machine
//! Learning Repository, licensed under CC BY 4.0. Each row of the CSV has 64 pixels 0–16 and the label.

use std::io::Read;

use flate2::read::GzDecoder;

use super::Split;
use super::images::Images;

const CSV: &[u8] = include_bytes!("digits.csv.gz");
/// Rows of the train split; the others are the test split.
const TRAIN: usize = 1437;
const SIDE: usize = 8;
/// The brightest pixel.
const FULL: f32 = 16.0;

/// Returns the digits of a split, pixels 0 to 1.
pub(super) fn read(split: Split) -> Images {
    let mut text = String::new();
    // The bytes are part of the program: were they damaged, the number of rows would be 0 and the
    // test below would tell.
    let _ = GzDecoder::new(CSV).read_to_string(&mut text);
    let rows = text
        .lines()
        .enumerate()
        .filter(|(row, _)| (*row < TRAIN) == (split == Split::Train));
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (_, line) in rows {
        let mut values = line
            .split(',')
            .filter_map(|value| value.trim().parse::<u8>().ok());
        pixels.extend(
            values
                .by_ref()
                .take(SIDE * SIDE)
                .map(|pixel| f32::from(pixel) / FULL),
        );
        labels.extend(values.next().map(u32::from));
    }
    Images {
        name: "digits".into(),
        shape: [1, SIDE, SIDE],
        pixels,
        labels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_there() {
        let (train, test) = (read(Split::Train), read(Split::Test));
        assert_eq!((train.labels.len(), test.labels.len()), (1437, 360));
        for images in [train, test] {
            assert_eq!(images.pixels.len(), 64 * images.labels.len());
            assert!(images.pixels.iter().all(|p| (0.0..=1.0).contains(p)));
            assert!(
                (0..10).all(|digit| images.labels.iter().filter(|l| **l == digit).count() > 25)
            );
        }
    }

    #[test]
    fn the_first_row_is_a_zero() {
        let train = read(Split::Train);
        assert_eq!(
            (train.labels[0], train.pixels[2], train.pixels[3]),
            (0, 5.0 / 16.0, 13.0 / 16.0)
        );
    }
}
