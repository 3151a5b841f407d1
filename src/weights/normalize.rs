//! Length of a random direction in each tensor (docs/math.md 4).

use super::layout::{Layout, Role, Slot};

/// Scaling of a direction d by the weights w of its origin, tensor by tensor.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// Each filter (slice of dimension 0) gets the norm of its filter of weights (Li et al. 2018).
    #[default]
    Filter,
    /// Each tensor gets the norm of its tensor of weights.
    Layer,
    /// Each entry is multiplied by its weight.
    Weight,
    /// Each filter gets norm 1.
    Dfilter,
    /// Each tensor gets norm 1.
    Dlayer,
    /// The direction stays as it is.
    None,
}

/// Tensors that a direction leaves alone.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Ignore {
    /// Biases and norm parameters: every tensor of rank 0 or 1.
    #[default]
    Biasbn,
    /// None: tensors of rank 0 and 1 keep the entries that were drawn.
    None,
}

/// Keeps the division by a filter's norm defined; as in the method's original code.
const EPSILON: f64 = 1e-10;

/// Scales `direction` by the weights `origin`; both are flat vectors of `layout`.
pub fn normalize(
    direction: &mut [f32],
    origin: &[f32],
    layout: &Layout,
    norm: Norm,
    ignore: Ignore,
) {
    for slot in layout.slots() {
        let range = slot.offset..slot.offset + slot.len();
        let (Some(d), Some(w)) = (direction.get_mut(range.clone()), origin.get(range)) else {
            continue;
        };
        match (slot.role, slot.rank(), ignore) {
            (Role::RunningStatistic, ..) | (_, 0 | 1, Ignore::Biasbn) => d.fill(0.0),
            (_, 0 | 1, Ignore::None) => {}
            _ => scale(d, w, filter_len(slot), norm),
        }
    }
}

/// Returns the elements of one slice of dimension 0.
fn filter_len(slot: &Slot) -> usize {
    slot.shape.iter().skip(1).product::<usize>().max(1)
}

fn scale(d: &mut [f32], w: &[f32], filter: usize, norm: Norm) {
    let per_filter = |d: &mut [f32], target: &dyn Fn(usize) -> f64| {
        for (i, slice) in d.chunks_mut(filter).enumerate() {
            multiply(slice, target(i) / (length(slice) + EPSILON));
        }
    };
    match norm {
        Norm::Filter => {
            let lengths: Vec<f64> = w.chunks(filter).map(length).collect();
            per_filter(d, &|i| lengths[i]);
        }
        Norm::Dfilter => per_filter(d, &|_| 1.0),
        Norm::Layer => multiply(d, ratio(length(w), length(d))),
        Norm::Dlayer => multiply(d, ratio(1.0, length(d))),
        Norm::Weight => d.iter_mut().zip(w).for_each(|(d, w)| *d *= w),
        Norm::None => {}
    }
}

fn ratio(target: f64, length: f64) -> f64 {
    if length > 0.0 { target / length } else { 0.0 }
}

fn multiply(d: &mut [f32], factor: f64) {
    for value in d {
        *value = (f64::from(*value) * factor) as f32;
    }
}

/// Returns the Frobenius norm, summed in f64.
#[must_use]
pub fn length(values: &[f32]) -> f64 {
    dot(values, values).sqrt()
}

/// Returns the dot product, summed in f64.
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| f64::from(a) * f64::from(b))
        .sum()
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::approx_constant,
        reason = "the golden values are as the definitions print them"
    )]

    use super::*;
    use crate::weights::direction::tests::info;

    /// Returns the two tensors of docs/math.md 4 behind a bias, as weights w and direction d.
    fn golden(norm: Norm, ignore: Ignore) -> Vec<f32> {
        let layout = Layout::of(&[
            info("bias", &[2]),
            info("conv", &[2, 1, 1, 2]),
            info("linear", &[2, 3]),
        ]);
        let w = [5., 6., 3., 4., 0., 2., 1., 2., 2., 0., 0., 0.];
        let mut d = [7., 8., 1., 2., 2., -2., 2., -1., 2., 1., 1., 1.];
        normalize(&mut d, &w, &layout, norm, ignore);
        d.to_vec()
    }

    fn check(norm: Norm, expected: [f64; 10]) {
        let found = golden(norm, Ignore::Biasbn);
        assert_eq!(found[..2], [0.0, 0.0], "biases stay");
        for (found, expected) in found[2..].iter().zip(expected) {
            assert!(
                (f64::from(*found) - expected).abs() < 3e-7,
                "{norm:?}: {found} {expected}"
            );
        }
    }

    #[test]
    fn golden_filter() {
        check(
            Norm::Filter,
            [
                2.236_068,
                4.472_136,
                1.414_213_6,
                -1.414_213_6,
                2.,
                -1.,
                2.,
                0.,
                0.,
                0.,
            ],
        );
    }

    #[test]
    fn golden_layer() {
        let (a, b) = (1.732_050_8, 0.866_025_4);
        check(
            Norm::Layer,
            [
                1.493_576, 2.987_152, 2.987_152, -2.987_152, a, -b, a, b, b, b,
            ],
        );
    }

    #[test]
    fn golden_weight() {
        check(Norm::Weight, [3., 8., 0., -4., 2., -2., 4., 0., 0., 0.]);
    }

    #[test]
    fn golden_dfilter() {
        let (a, b, c) = (0.666_666_7, 0.333_333_3, 0.577_350_3);
        check(
            Norm::Dfilter,
            [
                0.447_213_6,
                0.894_427_2,
                0.707_106_8,
                -0.707_106_8,
                a,
                -b,
                a,
                c,
                c,
                c,
            ],
        );
    }

    #[test]
    fn golden_dlayer() {
        let (a, b) = (0.577_350_3, 0.288_675_1);
        check(
            Norm::Dlayer,
            [
                0.277_350_1,
                0.554_700_2,
                0.554_700_2,
                -0.554_700_2,
                a,
                -b,
                a,
                b,
                b,
                b,
            ],
        );
    }

    #[test]
    fn nothing_ignored_keeps_the_drawn_biases() {
        assert_eq!(golden(Norm::Filter, Ignore::None)[..2], [7.0, 8.0]);
    }

    #[test]
    fn a_filter_normalized_direction_is_as_long_as_the_weights() {
        let layout = Layout::of(&[info("conv", &[4, 3, 3, 3])]);
        let w: Vec<f32> = (0..108)
            .map(|i| ((i * 37) % 19) as f32 / 7.0 - 1.0)
            .collect();
        let mut d: Vec<f32> = (0..108).map(|i| ((i * 11) % 23) as f32 - 11.5).collect();
        normalize(&mut d, &w, &layout, Norm::Filter, Ignore::Biasbn);
        assert!((length(&d) / length(&w) - 1.0).abs() < 1e-6);
    }
}
