//! Counts of elements in bins.

use candle_core::{DType, Result, Tensor, bail};

use super::Operands;
use crate::model::program::datum::Datum;

/// Bins at most: as many numbers as a large layer has.
const MOST: usize = 1 << 24;

/// Counts the elements in bins of the same width, as PyTorch's `histc`: bounds of 0 are those of the
/// elements, the upper bound belongs to the last bin, and what lies beyond is not counted. No derivative goes through
/// it.
pub(super) fn apply(operands: &Operands<'_>, bins: usize, bounds: [f64; 2]) -> Result<Datum> {
    let place = operands.scope.place;
    let x = operands.get(0)?.to_float(place)?.detach();
    let is_double = x.dtype() == DType::F64;
    let values: Vec<f64> = x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?;
    // A quotient near the edge of a bin belongs to that in which PyTorch's digits have it.
    let digits = |value: f64| {
        if is_double {
            value
        } else {
            f64::from(value as f32)
        }
    };
    if !(1..=MOST).contains(&bins) {
        bail!("a histogram of {bins} bins, expected 1 to {MOST}");
    }
    let [low, high] = span(&values, bounds.map(digits));
    let counts = if (high - low).is_finite() {
        let width = digits(high - low);
        let mut counts = vec![0.0; bins];
        for value in values
            .into_iter()
            .filter(|value| (low..=high).contains(value))
        {
            let bin = digits(digits(digits(value - low) * bins as f64) / width);
            counts[(bin as usize).min(bins - 1)] += 1.0;
        }
        counts
    } else {
        vec![f64::NAN; bins]
    };
    let counts = Tensor::from_vec(counts, bins, &candle_core::Device::Cpu)?;
    Ok(Datum::float(
        counts.to_dtype(place.dtype)?.to_device(&place.device)?,
    ))
}

/// Returns the bounds of a histogram: a width of 0 becomes one of 2 around it. NaN among the elements is NaN.
fn span(values: &[f64], [low, high]: [f64; 2]) -> [f64; 2] {
    let [low, high] = if low == 0.0 && high == 0.0 && !values.is_empty() {
        let bound = |of: fn(f64, f64) -> f64| {
            let mut values = values.iter().copied();
            let first = values.next().unwrap_or(0.0);
            values.fold(first, |bound, value| {
                if bound.is_nan() || value.is_nan() {
                    f64::NAN
                } else {
                    of(bound, value)
                }
            })
        };
        [bound(f64::min), bound(f64::max)]
    } else {
        [low, high]
    };
    if low == high {
        [low - 1.0, high + 1.0]
    } else {
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_those_given_or_of_the_elements_and_never_one() {
        assert_eq!(span(&[3.0, -1.0, 2.0], [0.0; 2]), [-1.0, 3.0]);
        assert_eq!(span(&[3.0, -1.0], [0.0, 2.0]), [0.0, 2.0]);
        assert_eq!(span(&[0.5, 0.5], [0.0; 2]), [-0.5, 1.5]);
        assert_eq!(span(&[], [0.0; 2]), [-1.0, 1.0]);
        let [low, high] = span(&[1.0, f64::NAN, 2.0], [0.0; 2]);
        assert!(low.is_nan() && high.is_nan());
    }
}
