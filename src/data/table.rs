//! Candidate scalings of a table's features, other than the file's own.

use super::array::Rows;
use super::scale::{PixelScale, popular};

/// Numbers of pixels of images that people keep one a row: MNIST's, and those of the digits.
const IMAGES: [usize; 2] = [784, 64];
/// The largest value of a byte.
const BYTE: f32 = 255.0;
/// Values that are bytes have some above this.
const BRIGHT: f32 = 128.0;
/// Figures that are nearer to 0 and 1 than this are those of columns that were standardized before.
const STANDARD: f32 = 0.02;

/// Returns the scales that training may have brought these values to; `None` if they are pixels from 0 to 1,
/// which have those of images.
pub(super) fn scales(rows: &Rows) -> Option<Vec<PixelScale>> {
    let columns: Vec<[f64; 2]> = rows.columns().collect();
    let is_image = IMAGES.contains(&columns.len()) && rows.min >= 0.0;
    if is_image && rows.max <= 1.0 {
        return None;
    }
    let mut found = Vec::new();
    if is_image && rows.max > BRIGHT && rows.max <= BYTE {
        found.extend(of_bytes());
    } else if rows.min >= 0.0 && rows.max > 1.0 && rows.max.is_finite() {
        let name = |scaled: &str| format!("{scaled}, of 0 to {}", rows.max);
        found.push(uniform(name("0 to 1"), 0.0, rows.max));
        found.push(uniform(name("-1 to 1"), rows.max / 2.0, rows.max / 2.0));
    }
    found.extend(standardized(&columns));
    Some(found)
}

/// Returns the scales of images, of bytes that were not divided.
fn of_bytes() -> Vec<PixelScale> {
    let own = uniform("0 to 255".into(), 0.0, 1.0 / BYTE);
    let images = popular("", 1, &own).into_iter();
    images
        .filter(|scale| !scale.source.ends_with("16"))
        .map(|scale| PixelScale {
            mean: scale.mean.iter().map(|mean| mean * BYTE).collect(),
            std: scale.std.iter().map(|std| std * BYTE).collect(),
            ..scale
        })
        .collect()
}

fn uniform(source: String, mean: f32, std: f32) -> PixelScale {
    PixelScale {
        source,
        mean: vec![mean],
        std: vec![std],
    }
}

/// Returns each feature with mean 0 and standard deviation 1; a constant one is not divided.
fn standardized(columns: &[[f64; 2]]) -> Option<PixelScale> {
    let mean: Vec<f32> = columns.iter().map(|[mean, _]| *mean as f32).collect();
    let std = columns.iter().map(|[_, std]| *std as f32);
    let std: Vec<f32> = std.map(|std| if std > 0.0 { std } else { 1.0 }).collect();
    let is_done = mean.iter().all(|mean| mean.abs() < STANDARD)
        && std.iter().all(|std| (std - 1.0).abs() < STANDARD);
    let is_usable = mean.iter().chain(&std).all(|figure| figure.is_finite());
    (!is_done && is_usable && !columns.is_empty()).then(|| PixelScale {
        source: "each feature standardized".into(),
        mean,
        std,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::array::{Head, Kind};
    use super::*;

    fn names(columns: usize, values: &[f32]) -> Option<Vec<String>> {
        let head = Head {
            shape: vec![values.len() / columns, columns],
            kind: Kind::F32,
            big_endian: false,
            fortran: false,
        };
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        let rows = head.read(&bytes[..], &[0]).unwrap();
        let scales = scales(&rows)?.into_iter();
        Some(scales.map(|scale| scale.source).collect())
    }

    #[test]
    fn features_are_divided_by_their_largest_or_standardized() {
        let found = names(2, &[0.0, 16.0, 4.0, 8.0]).unwrap();
        let expected = [
            "0 to 1, of 0 to 16",
            "-1 to 1, of 0 to 16",
            "each feature standardized",
        ];
        assert_eq!(found, expected);
        assert_eq!(
            names(2, &[-1.0, 5.0, 3.0, 9.0]).unwrap(),
            ["each feature standardized"]
        );
        assert!(names(2, &[-1.0, 1.0, 1.0, -1.0]).unwrap().is_empty());
    }

    #[test]
    fn rows_of_undivided_pixels_have_the_scales_of_images() {
        let pixels: Vec<f32> = (0..784 * 2u16).map(|i| f32::from(i % 256)).collect();
        let found = names(784, &pixels).unwrap();
        for name in [
            "0 to 1",
            "-1 to 1",
            "MNIST's",
            "Fashion-MNIST's",
            "each feature standardized",
        ] {
            assert!(found.iter().any(|found| found == name), "{name}: {found:?}");
        }
        assert!(
            !found.iter().any(|name| name == "0 to 255"),
            "it is as the file has it"
        );
        let shares: Vec<f32> = pixels.iter().map(|pixel| pixel / 255.0).collect();
        assert_eq!(names(784, &shares), None);
    }
}
