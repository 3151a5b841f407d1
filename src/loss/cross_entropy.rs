//! The cross-entropy of one item, in f64, and the class that its scores tell.

use candle_core::FloatDType;

/// Returns the largest of some logits, and ln Σ exp of what they are above it; NaN if the largest is not finite.
pub(super) fn normalizer<T: FloatDType>(logits: &[T]) -> (T, f64) {
    let above = |best: T, z: T| if z > best { z } else { best };
    let max = logits
        .iter()
        .copied()
        .fold(T::from_f64(f64::NEG_INFINITY), above);
    if !max.to_f64().is_finite() {
        return (max, f64::NAN);
    }
    let sum: f64 = logits.iter().map(|&z| (z - max).to_f64().exp()).sum();
    (max, sum.ln())
}

/// Returns −ln softmax(logits)\[label\], in f64.
pub(crate) fn cross_entropy<T: FloatDType>(logits: &[T], label: usize) -> f64 {
    let (max, normalizer) = normalizer(logits);
    let own = logits.get(label).map_or(f64::NAN, |&z| (z - max).to_f64());
    normalizer - own
}

/// Returns Σ weight(class) · −ln softmax(logits)\[class\].
pub(super) fn weighted<T: FloatDType>(logits: &[T], weight: impl Fn(usize) -> f64) -> f64 {
    let (max, normalizer) = normalizer(logits);
    let terms = logits.iter().enumerate();
    terms
        .map(|(class, &z)| weight(class) * (normalizer - (z - max).to_f64()))
        .sum()
}

/// Returns the class with the largest logit, the first of equals; NaN counts as the largest, as in PyTorch.
pub(crate) fn predicted<T: FloatDType>(logits: &[T]) -> usize {
    let is_nan = |z: T| z.to_f64().is_nan();
    let above = |z: T, best: T| z > best || (is_nan(z) && !is_nan(best));
    let start = (0, T::from_f64(f64::NEG_INFINITY));
    let best =
        logits.iter().enumerate().fold(
            start,
            |best, (class, &z)| {
                if above(z, best.1) { (class, z) } else { best }
            },
        );
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes() {
        assert!((cross_entropy(&[7.0f32; 10], 3) - 10f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn huge_logits_neither_overflow_nor_vanish() {
        assert!((cross_entropy(&[1000.0f32, 0.0], 1) - 1000.0).abs() < 1e-9);
        assert!(cross_entropy(&[1000.0f32, 0.0], 0) < 1e-12);
    }

    #[test]
    fn a_logit_that_is_not_a_number_makes_the_loss_so() {
        assert!(cross_entropy(&[f32::NAN, 0.0], 1).is_nan());
        assert!(cross_entropy(&[f32::NAN; 2], 1).is_nan());
        assert!(cross_entropy(&[f32::INFINITY, 0.0], 0).is_nan());
    }

    #[test]
    fn predictions_are_pytorch_s() {
        assert_eq!(predicted(&[1.0f32, 3.0, 3.0]), 1);
        assert_eq!(predicted(&[f32::NAN; 3]), 0);
        assert_eq!(predicted(&[5.0, f32::NAN, 6.0]), 1);
    }
}
