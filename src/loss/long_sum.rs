//! A sum that keeps the digits which rounding drops, so that it is the same to the bit however it was cut.

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

/// The sum of some numbers as two, of which the second holds what the first has no digits for: some 106 binary digits
/// together (Dekker, "A Floating-Point Technique for Extending the Available Precision", Numer. Math. 18, 1971).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LongSum {
    high: f64,
    low: f64,
}

impl LongSum {
    /// Returns the product of two numbers, without loss of digits.
    #[must_use]
    pub fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        let low = a.mul_add(b, -high);
        Self::of(high, low)
    }

    /// Returns the sum of two numbers of which the second is at most a rounding error of the first.
    fn of(high: f64, low: f64) -> Self {
        if !high.is_finite() || !low.is_finite() {
            return Self { high, low: 0.0 };
        }
        let sum = high + low;
        Self {
            high: sum,
            low: low - (sum - high),
        }
    }

    /// Returns the number nearest to the sum.
    #[must_use]
    pub fn value(self) -> f64 {
        self.high + self.low
    }

    /// Returns the sum times a number.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        let Self { high, low } = Self::product(self.high, factor);
        Self::of(high, low + self.low * factor)
    }
}

impl From<f64> for LongSum {
    fn from(number: f64) -> Self {
        Self {
            high: number,
            low: 0.0,
        }
    }
}

impl Add for LongSum {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (high, dropped) = two_sum(self.high, other.high);
        let (low, dropped_of_low) = two_sum(self.low, other.low);
        let sum = Self::of(high, dropped + low);
        Self::of(sum.high, sum.low + dropped_of_low)
    }
}

impl Sum for LongSum {
    fn sum<I: Iterator<Item = Self>>(sums: I) -> Self {
        sums.fold(Self::default(), Add::add)
    }
}

impl Sum<f64> for LongSum {
    fn sum<I: Iterator<Item = f64>>(numbers: I) -> Self {
        numbers.map(Self::from).sum()
    }
}

/// Returns a sum, and what rounding drops of it (Knuth, The Art of Computer Programming 2, 4.2.2, Theorem B).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn losses() -> impl Strategy<Value = Vec<f64>> {
        vec((0.0f64..1.0, -20i32..20), 1..600).prop_map(|parts| {
            let numbers = parts.into_iter();
            numbers
                .map(|(part, power)| part * 2f64.powi(power))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn it_is_the_same_however_the_numbers_are_cut(numbers in losses(), size in 1usize..90) {
            let whole: LongSum = numbers.iter().copied().sum();
            let parts = numbers.chunks(size).map(|part| part.iter().copied().sum::<LongSum>());
            prop_assert_eq!(parts.sum::<LongSum>().value().to_bits(), whole.value().to_bits());
            let back: LongSum = numbers.iter().rev().copied().sum();
            prop_assert_eq!(back.value().to_bits(), whole.value().to_bits());
        }
    }

    #[test]
    fn what_cancels_leaves_what_was_small() {
        let sum: LongSum = [1e16, 1.0, -1e16, 3.0].into_iter().sum();
        assert_eq!(sum.value(), 4.0);
        let square = LongSum::product(1e8 + 1.0, 1e8 + 1.0);
        assert_eq!((square + (-1e16).into()).value(), 200_000_001.0);
        assert_eq!(square.times(3.0).value(), 3e16 + 600_000_003.0);
    }

    #[test]
    fn what_is_not_finite_stays_so() {
        let of = |numbers: [f64; 3]| numbers.into_iter().sum::<LongSum>().value();
        assert_eq!(of([1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert_eq!(of([1e308, 1e308, 1.0]), f64::INFINITY);
        assert!(of([1.0, f64::NAN, 2.0]).is_nan());
        assert!(of([f64::INFINITY, 1.0, f64::NEG_INFINITY]).is_nan());
    }
}
