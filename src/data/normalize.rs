//! Mean and standard deviation of the pixels: the user's, or those that a known set is trained with.

use super::images::Images;
use super::scale::{PixelScale, popular};
use super::{DataError, DataRequest};

/// A set that people train on: how to tell it, and the figures that its tutorials use.
struct Known {
    name: &'static str,
    shape: [usize; 3],
    mean: &'static [f32],
    std: &'static [f32],
    /// Mean over all channels, which distinguishes it from sets of the same shape.
    brightness: f32,
}

const KNOWN: [Known; 6] = [
    Known {
        name: "mnist",
        shape: [1, 28, 28],
        mean: &[0.1307],
        std: &[0.3081],
        brightness: 0.1307,
    },
    Known {
        name: "fashion-mnist",
        shape: [1, 28, 28],
        mean: &[0.2860],
        std: &[0.3530],
        brightness: 0.2860,
    },
    Known {
        name: "kmnist",
        shape: [1, 28, 28],
        mean: &[0.1918],
        std: &[0.3483],
        brightness: 0.1918,
    },
    Known {
        name: "digits",
        shape: [1, 8, 8],
        mean: &[0.3053],
        std: &[0.3760],
        brightness: 0.3053,
    },
    Known {
        name: "cifar-10",
        shape: [3, 32, 32],
        mean: &[0.4914, 0.4822, 0.4465],
        std: &[0.2470, 0.2435, 0.2616],
        brightness: 0.4734,
    },
    Known {
        name: "cifar-100",
        shape: [3, 32, 32],
        mean: &[0.5071, 0.4865, 0.4409],
        std: &[0.2673, 0.2564, 0.2762],
        brightness: 0.4782,
    },
];
/// Largest distance of the mean of a part of a set from that of the whole.
const SLACK: f32 = 0.02;

/// Normalization of every pixel: (x − mean) / std, per channel.
pub(super) struct Normalizer {
    pub(super) name: String,
    pub(super) words: String,
    /// The figures.
    pub(super) scale: PixelScale,
    /// Other normalizations that are possible; empty if the user gave the figures.
    pub(super) others: Vec<PixelScale>,
}

impl Normalizer {
    /// Takes the user's figures, else those of the set if it is known, else none; a set of no brightness has
    /// values that are no pixels from 0 to 1.
    pub(super) fn choose(
        images: &Images,
        brightness: Option<f32>,
        request: &DataRequest,
    ) -> Result<Self, DataError> {
        let known = brightness.and_then(|brightness| recognize(images, brightness));
        let is_table = images.shape[..2] == [1, 1];
        let channels = images.shape[0];
        let mean = per_channel(
            "--mean",
            request.mean.as_deref(),
            known.map(|k| k.mean),
            0.0,
            channels,
        )?;
        let std = per_channel(
            "--std",
            request.std.as_deref(),
            known.map(|k| k.std),
            1.0,
            channels,
        )?;
        if let Some(&bad) = std.iter().find(|std| !(**std > 0.0 && std.is_finite())) {
            return Err(DataError::Std(bad));
        }
        if let Some(&bad) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(DataError::Mean(bad));
        }
        let given = request.mean.is_some() || request.std.is_some();
        let figures = known.map_or("", |known| known.name);
        let source = match (&request.mean, &request.std, known) {
            (Some(_), Some(_), _) => "as given".into(),
            (Some(_), None, None) => "mean as given, std 1".into(),
            (Some(_), None, Some(_)) => format!("mean as given, std of {figures}"),
            (None, Some(_), None) => "std as given, mean 0".into(),
            (None, Some(_), Some(_)) => format!("std as given, mean of {figures}"),
            (None, None, Some(_)) => figures.to_owned(),
            (None, None, None) if is_table => "unknown set: values stay as the file has them; give --mean and --std if training had others".into(),
            (None, None, None) => "unknown set: pixels stay 0 to 1; give --mean and --std if training had others".into(),
        };
        let name = known.map_or_else(|| images.name.clone(), |known| known.name.to_owned());
        let scale = PixelScale { source, mean, std };
        let others = if given {
            Vec::new()
        } else {
            popular(&name, channels, &scale)
        };
        Ok(Self {
            name,
            words: scale.words(),
            scale,
            others,
        })
    }

    pub(super) fn apply(&self, images: &mut Images) {
        let plane = images.shape[1] * images.shape[2];
        let channels = images.pixels.chunks_mut(plane.max(1));
        let figures = self.scale.mean.iter().zip(&self.scale.std).cycle();
        for (pixels, (mean, std)) in channels.zip(figures) {
            for pixel in pixels {
                *pixel = (*pixel - mean) / std;
            }
        }
    }
}

/// Sets are recognized by their images' shape and brightness: all of the MNIST family have the same file
/// names. CIFAR's two have different ones.
fn recognize(images: &Images, brightness: f32) -> Option<&'static Known> {
    // A table may hold the pixels of images in one row each.
    let fits = |known: &Known| {
        known.shape == images.shape || images.shape == [1, 1, known.shape.iter().product::<usize>()]
    };
    let by_name = KNOWN.iter().find(|known| known.name == images.name);
    by_name.or_else(|| {
        KNOWN
            .iter()
            .filter(|known| known.shape[0] == 1 && fits(known))
            .find(|known| (known.brightness - brightness).abs() < SLACK)
    })
}

fn per_channel(
    option: &'static str,
    given: Option<&[f32]>,
    known: Option<&[f32]>,
    default: f32,
    channels: usize,
) -> Result<Vec<f32>, DataError> {
    match given.or(known).unwrap_or(&[default]) {
        [one] => Ok(vec![*one; channels]),
        values if values.len() == channels => Ok(values.to_vec()),
        values => Err(DataError::Channels {
            option,
            channels,
            found: values.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn images(shape: [usize; 3], value: f32) -> Images {
        Images {
            name: "some".into(),
            shape,
            pixels: vec![value; 2 * shape.iter().product::<usize>()],
            labels: vec![0, 1],
        }
    }

    fn normalized(
        images: &Images,
        mean: Option<Vec<f32>>,
        std: Option<Vec<f32>>,
    ) -> Result<(String, Vec<f32>), String> {
        let mut request = DataRequest::whole("x");
        (request.mean, request.std) = (mean, std);
        let normalizer = Normalizer::choose(images, Some(images.brightness()), &request)
            .map_err(|e| e.to_string())?;
        let mut images = images.clone();
        normalizer.apply(&mut images);
        Ok((normalizer.words, images.pixels))
    }

    #[test]
    fn the_mnist_family_is_told_by_brightness() {
        let (words, pixels) = normalized(&images([1, 28, 28], 0.29), None, None).unwrap();
        assert_eq!(words, "mean 0.286 std 0.353 (fashion-mnist)");
        assert!((pixels[5] - (0.29 - 0.2860) / 0.3530).abs() < 1e-6);
        assert!(
            normalized(&images([1, 28, 28], 0.13), None, None)
                .unwrap()
                .0
                .contains("(mnist)")
        );
        let (words, pixels) = normalized(&images([1, 28, 28], 0.5), None, None).unwrap();
        assert!(words.starts_with("mean 0 std 1 (unknown set") && pixels[0] == 0.5);
    }

    #[test]
    fn the_user_s_figures_win_and_have_a_channel_each() {
        let images = images([3, 1, 2], 0.5);
        let (_, pixels) = normalized(&images, Some(vec![0.0, 0.25, 0.5]), Some(vec![0.5])).unwrap();
        assert_eq!(pixels, [1.0, 1.0, 0.5, 0.5, 0.0, 0.0].repeat(2));
        assert!(
            normalized(&images, Some(vec![0.0, 0.1]), None)
                .unwrap_err()
                .contains("3 channels, found 2")
        );
        assert!(
            normalized(&images, None, Some(vec![0.0]))
                .unwrap_err()
                .contains("above 0")
        );
        for bad in [f32::NAN, f32::INFINITY] {
            let said = normalized(&images, Some(vec![bad]), None).unwrap_err();
            assert!(said.contains("--mean: expected finite values"), "{said}");
        }
    }

    #[test]
    fn what_is_given_alone_is_told_from_the_set_s_own() {
        let images = images([1, 28, 28], 0.29);
        let (words, _) = normalized(&images, Some(vec![0.5]), None).unwrap();
        assert_eq!(
            words,
            "mean 0.5 std 0.353 (mean as given, std of fashion-mnist)"
        );
        let (words, _) = normalized(&images, None, Some(vec![0.5])).unwrap();
        assert_eq!(
            words,
            "mean 0.286 std 0.5 (std as given, mean of fashion-mnist)"
        );
    }

    #[test]
    fn the_digits_figures_are_those_of_the_embedded_digits() {
        let digits = super::super::digits::read(super::super::Split::Train);
        let count = digits.pixels.len() as f64;
        let mean = digits.pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / count;
        let variance = digits
            .pixels
            .iter()
            .map(|&p| (f64::from(p) - mean).powi(2))
            .sum::<f64>()
            / count;
        assert!((mean - 0.3053).abs() < 5e-4, "{mean}");
        assert!(
            (variance.sqrt() - 0.3760).abs() < 5e-4,
            "{}",
            variance.sqrt()
        );
    }
}
