//! Scale by which pixels were normalized, and others by which a run may have normalized them.

use serde::{Deserialize, Serialize};

/// (x − mean) / std of pixels from 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PixelScale {
    /// Source of the figures, in a few words.
    pub source: String,
    /// One a channel, or of a table one a feature.
    pub mean: Vec<f32>,
    /// Standard deviation, in the same order.
    pub std: Vec<f32>,
}

/// Figures of popular scripts, each of as many channels as they are for; those of one channel are for any
/// number of them.
const POPULAR: [(&str, &[f32], &[f32]); 15] = [
    ("0 to 1", &[0.0], &[1.0]),
    ("-1 to 1", &[0.5], &[0.5]),
    ("0 to 255", &[0.0], &[1.0 / 255.0]),
    ("0 to 1 less 0.5", &[0.5], &[1.0]),
    ("MNIST's", &[0.1307], &[0.3081]),
    ("Fashion-MNIST's", &[0.2860], &[0.3530]),
    (
        "CIFAR-10's",
        &[0.4914, 0.4822, 0.4465],
        &[0.2470, 0.2435, 0.2616],
    ),
    (
        "CIFAR-10's, another std",
        &[0.4914, 0.4822, 0.4465],
        &[0.2023, 0.1994, 0.2010],
    ),
    (
        "CIFAR-10's of ResNet scripts",
        &[0.4914, 0.4822, 0.4465],
        &[0.2290, 0.2240, 0.2250],
    ),
    (
        "CIFAR-100's",
        &[0.5071, 0.4865, 0.4409],
        &[0.2673, 0.2564, 0.2762],
    ),
    (
        "CIFAR-100's, another std",
        &[0.5071, 0.4867, 0.4408],
        &[0.2675, 0.2565, 0.2761],
    ),
    ("ImageNet's in grey", &[0.449], &[0.226]),
    ("ImageNet's", &[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]),
    (
        "CIFAR's of old scripts",
        &[0.4914, 0.4824, 0.4467],
        &[0.2471, 0.2435, 0.2616],
    ),
    ("0 to 16", &[0.0], &[1.0 / 16.0]),
];

/// More figures than this are those of single features.
const MOST_SHOWN: usize = 4;
/// Figures that are nearer to one another than this are the same.
const SAME: f32 = 2e-3;

impl PixelScale {
    /// Returns the same figures, however they are called.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let near = |a: &[f32], b: &[f32]| {
            let pairs = a.iter().zip(b);
            a.len() == b.len() && pairs.clone().all(|(a, b)| (a - b).abs() < SAME)
        };
        near(&self.mean, &other.mean) && near(&self.std, &other.std)
    }

    /// Returns mean and standard deviation of a pixel of an image that has `len`: that of its channel, or its
    /// own.
    fn figures(&self, at: usize, len: usize) -> [f64; 2] {
        let share = (len / self.mean.len().max(1)).max(1);
        let of = |figures: &[f32], default| figures.get(at / share).copied().unwrap_or(default);
        [of(&self.mean, 0.0), of(&self.std, 1.0)].map(f64::from)
    }

    /// Takes the pixels of an image that was normalized by these figures to `other` ones.
    pub(super) fn exchange(&self, other: &Self, image: &mut [f32]) {
        let len = image.len();
        for (at, pixel) in image.iter_mut().enumerate() {
            let ([own_mean, own_std], [mean, std]) =
                (self.figures(at, len), other.figures(at, len));
            let raw = f64::from(*pixel) * own_std + own_mean;
            *pixel = ((raw - mean) / std) as f32;
        }
    }

    /// Returns the figures to two decimals, e.g. `mean 0.29 std 0.35`.
    #[must_use]
    pub fn to_hundredths(&self) -> String {
        let rounded = |figures: &[f32]| -> Vec<f32> {
            let hundredths = figures.iter().map(|figure| (figure * 100.0).round());
            hundredths.map(|hundredths| hundredths / 100.0).collect()
        };
        let [mean, std] = [&self.mean, &self.std].map(|figures| list(&rounded(figures)));
        format!("mean {mean} std {std}")
    }

    /// Returns the figures in words, e.g. `mean 0.286 std 0.353 (fashion-mnist)`.
    #[must_use]
    pub fn words(&self) -> String {
        if self.mean.len() > MOST_SHOWN {
            return format!("mean 0 std 1 ({})", self.source);
        }
        format!(
            "mean {} std {} ({})",
            list(&self.mean),
            list(&self.std),
            self.source
        )
    }
}

/// Returns the scales by which a run on images of `channels` channels may have normalized them, beside `own`.
pub(super) fn popular(name: &str, channels: usize, own: &PixelScale) -> Vec<PixelScale> {
    let mut found = vec![own.clone()];
    for (source, mean, std) in POPULAR {
        let is_of_one = mean.len() == 1 && (source.contains("to") || channels == 1);
        let is_digits = name == super::DIGITS;
        let odd = match source {
            "0 to 16" => !is_digits,
            "0 to 255" | "MNIST's" | "Fashion-MNIST's" => is_digits,
            _ => false,
        };
        if odd || !(is_of_one || mean.len() == channels) {
            continue;
        }
        let spread = |figures: &[f32]| match figures {
            [one] => vec![*one; channels],
            figures => figures.to_vec(),
        };
        let scale = PixelScale {
            source: source.into(),
            mean: spread(mean),
            std: spread(std),
        };
        if found.iter().all(|known| !known.is_like(&scale)) {
            found.push(scale);
        }
    }
    found.remove(0);
    found
}

/// Returns the figures, once where all channels have the same.
pub(super) fn list(values: &[f32]) -> String {
    let same = values.iter().all(|value| *value == values[0]);
    let shown = if same {
        &values[..values.len().min(1)]
    } else {
        values
    };
    shown
        .iter()
        .map(|value| format!("{value}"))
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::data::{DataRequest, load};

    #[test]
    fn samples_that_are_rescaled_are_those_that_are_loaded_so() {
        let own = load(&DataRequest::whole(super::super::DIGITS)).unwrap();
        let half = own.scales.iter().find(|scale| scale.source == "-1 to 1");
        let rescaled = own.rescaled(half.unwrap());
        let mut request = DataRequest::whole(super::super::DIGITS);
        (request.mean, request.std) = (Some(vec![0.5]), Some(vec![0.5]));
        let loaded = load(&request).unwrap();
        assert!(loaded.scales.is_empty(), "what is given is no question");
        let pairs = rescaled.pixels().iter().zip(loaded.pixels());
        assert!(pairs.clone().all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(rescaled.target, loaded.target);
    }

    #[test]
    fn a_set_s_own_figures_are_not_among_the_others() {
        let own = PixelScale {
            source: "cifar-10".into(),
            mean: vec![0.4914, 0.4822, 0.4465],
            std: vec![0.2470, 0.2435, 0.2616],
        };
        let others = popular("cifar-10", 3, &own);
        let names: Vec<&str> = others.iter().map(|scale| &*scale.source).collect();
        assert!(!names.contains(&"CIFAR-10's") && !names.contains(&"MNIST's"));
        for name in ["0 to 1", "-1 to 1", "0 to 255", "ImageNet's", "CIFAR-100's"] {
            assert!(names.contains(&name), "{name}");
        }
        assert!(names.contains(&"CIFAR-10's, another std"));
    }
}
