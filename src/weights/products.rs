//! Dot products of many vectors with one another, summed in f64: the arithmetic behind the Gram matrix.

// What is not inlined is compiled for any machine instead of this one.
#![allow(clippy::inline_always)]

use std::ops::Range;

use nalgebra::DMatrix;
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;

/// Rows whose differences are made at once: a panel of them with another one is in cache while all their products
/// are summed, so that a difference that was made serves so many.
const PANEL: usize = 64;
/// Pieces of work that keep the threads of any machine busy: vectors are cut into parts where their panels are fewer.
const ENOUGH: usize = 8;
/// Elements of a vector in a part: fewer are not worth one.
const SHORTEST: usize = 16 * LONGEST;
/// Elements of a vector in the differences that are made at once: enough to make up for adding up the lanes, few enough
/// that two panels are half a megabyte and the rows of a tile stay in the innermost cache.
const LONGEST: usize = 512;
/// No machine has more numbers in a vector.
const LANES: usize = 8;
/// Numbers that are summed apart from one another, so that no sum waits for the one before.
const LINE: usize = 4 * LANES;
/// Products that are summed at once, in registers: SIDE × SIDE.
const SIDE: usize = 4;

/// Returns δ_i·δ_j for i from `known` on and all j ≤ i, where δ_i = rows[i] − rows[0]: row i − `known`, column
/// j. What lies beyond is of no meaning. The result does not depend on the threads.
pub(super) fn differences(rows: &[&[f32]], known: usize) -> DMatrix<f64> {
    let (count, len) = (rows.len(), rows.first().map_or(0, |row| row.len()));
    // δ_0 is zero, and so are its products.
    let panel = |start: usize| start..count.min(start + PANEL);
    let top = (known.max(1)..count).step_by(PANEL).map(panel);
    let pairs: Vec<[Range<usize>; 2]> = top
        .flat_map(|top| {
            let left = (1..top.end).step_by(PANEL).map(panel);
            left.map(move |left| [top.clone(), left])
        })
        .collect();
    let parts = ENOUGH.div_ceil(pairs.len().max(1));
    let part = len.div_ceil(parts).next_multiple_of(LANES).max(SHORTEST);
    let parts = (0..len).step_by(part);
    let work: Vec<_> = parts
        .flat_map(|start| {
            let part = start..len.min(start + part);
            pairs.iter().map(move |pair| (part.clone(), pair))
        })
        .collect();
    let sums: Vec<DMatrix<f64>> = work
        .par_iter()
        .map_init(Default::default, |deltas, (part, pair)| {
            of_panels(rows, part, pair, deltas)
        })
        .collect();
    let mut all = DMatrix::zeros(count - known, count);
    for ((_, [top, left]), sums) in work.iter().zip(&sums) {
        let mut own = all.view_mut((top.start - known, left.start), sums.shape());
        own += sums;
    }
    all
}

/// Returns the products of the rows of two panels over a part of them; `deltas` is room for their differences.
fn of_panels(
    rows: &[&[f32]],
    part: &Range<usize>,
    panels: &[Range<usize>; 2],
    deltas: &mut [Vec<f64>; 2],
) -> DMatrix<f64> {
    let mut sums = DMatrix::zeros(panels[0].len(), panels[1].len());
    for start in part.clone().step_by(LONGEST) {
        let block = start..part.end.min(start + LONGEST);
        let used = block.len().next_multiple_of(LANES);
        for (deltas, panel) in deltas.iter_mut().zip(panels) {
            // Rows of a tile that are beyond a panel are of no meaning, and their products are not taken.
            deltas.resize(PANEL * LONGEST, 0.0);
            for (delta, row) in deltas.chunks_mut(LONGEST).zip(&rows[panel.clone()]) {
                subtract(&row[block.clone()], &rows[0][block.clone()], delta);
                delta[block.len()..used].fill(0.0);
            }
        }
        let [top, left] = &*deltas;
        for i in (0..panels[0].len()).step_by(SIDE) {
            for j in (0..panels[1].len()).step_by(SIDE) {
                let tile = Tile {
                    left: std::array::from_fn(|k| &top[(i + k) * LONGEST..][..used]),
                    right: std::array::from_fn(|k| &left[(j + k) * LONGEST..][..used]),
                };
                add(&mut sums, &Arch::new().dispatch(tile), (i, j));
            }
        }
    }
    sums
}

/// Computes `delta` = `row` − `base`, in vector code.
fn subtract(row: &[f32], base: &[f32], delta: &mut [f64]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for ((delta, value), base) in delta.iter_mut().zip(row).zip(base) {
                *delta = f64::from(*value) - f64::from(*base);
            }
        },
    );
}

fn add(sums: &mut DMatrix<f64>, tile: &[[f64; SIDE]; SIDE], (top, left): (usize, usize)) {
    for (i, row) in tile.iter().enumerate() {
        for (j, product) in row.iter().enumerate() {
            if let Some(sum) = sums.get_mut((top + i, left + j)) {
                *sum += product;
            }
        }
    }
}

/// All products of a few rows with a few others.
struct Tile<'a> {
    left: [&'a [f64]; SIDE],
    right: [&'a [f64]; SIDE],
}

impl<'a> WithSimd for Tile<'a> {
    type Output = [[f64; SIDE]; SIDE];

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { left, right } = self;
        let count = left[0].len() / S::F64_LANES;
        let vectors = |row: &'a [f64]| &S::as_simd_f64s(row).0[..count];
        let left: [&[S::f64s]; SIDE] = std::array::from_fn(|i| vectors(left[i]));
        let right: [&[S::f64s]; SIDE] = std::array::from_fn(|j| vectors(right[j]));
        let mut sums = [[simd.splat_f64s(0.0); SIDE]; SIDE];
        for k in 0..count {
            let right: [S::f64s; SIDE] = std::array::from_fn(|j| right[j][k]);
            for i in 0..SIDE {
                for j in 0..SIDE {
                    sums[i][j] = simd.mul_add_e_f64s(left[i][k], right[j], sums[i][j]);
                }
            }
        }
        // Not `map`: it would be a call, outside of what is compiled for this machine.
        let mut products = [[0.0; SIDE]; SIDE];
        for i in 0..SIDE {
            for j in 0..SIDE {
                products[i][j] = simd.reduce_sum_f64s(sums[i][j]);
            }
        }
        products
    }
}

/// Returns Σ(a − base)(b − base), in vector code: for two rows that meet once, so that no difference is kept.
pub(super) fn difference(a: &[f32], b: &[f32], base: &[f32]) -> f64 {
    Arch::new().dispatch(Difference { a, b, base })
}

struct Difference<'a> {
    a: &'a [f32],
    b: &'a [f32],
    base: &'a [f32],
}

// A closure would be a call, outside of what is compiled for this machine.
impl NullaryFnOnce for Difference<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let (a, a_rest) = self.a.as_chunks::<LINE>();
        let (b, b_rest) = self.b.as_chunks::<LINE>();
        let (base, base_rest) = self.base.as_chunks::<LINE>();
        let mut sums = [0.0; LINE];
        for ((a, b), base) in a.iter().zip(b).zip(base) {
            for (k, sum) in sums.iter_mut().enumerate() {
                let base = f64::from(base[k]);
                *sum += (f64::from(a[k]) - base) * (f64::from(b[k]) - base);
            }
        }
        let mut product = 0.0;
        for sum in sums {
            product += sum;
        }
        for ((a, b), base) in a_rest.iter().zip(b_rest).zip(base_rest) {
            let base = f64::from(*base);
            product += (f64::from(*a) - base) * (f64::from(*b) - base);
        }
        product
    }
}

/// Returns Σv², in vector code. Not finite where a value is not.
pub(super) fn square(values: &[f32]) -> f64 {
    Arch::new().dispatch(Square(values))
}

struct Square<'a>(&'a [f32]);

impl NullaryFnOnce for Square<'_> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let mut sums = [0.0; LINE];
        let (lines, rest) = self.0.as_chunks::<LINE>();
        for line in lines {
            for (sum, value) in sums.iter_mut().zip(line) {
                let value = f64::from(*value);
                *sum += value * value;
            }
        }
        let mut square = 0.0;
        for sum in sums {
            square += sum;
        }
        for value in rest {
            square += f64::from(*value) * f64::from(*value);
        }
        square
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, len: usize) -> Vec<Vec<f32>> {
        let value = |i: usize, k: usize| ((i * 7 + k * 3 + i * k) % 101) as f32 / 64.0 - 0.7;
        (0..count)
            .map(|i| (0..len).map(|k| value(i, k)).collect())
            .collect()
    }

    #[test]
    fn products_are_those_of_the_definition_at_every_size() {
        for (count, len) in [
            (1, 5),
            (2, 1),
            (5, 64),
            (6, 1025),
            (13, 8193),
            (41, 2050),
            (150, 600),
        ] {
            let rows = rows(count, len);
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            for known in [0, 1, count / 2, count - 1] {
                let found = differences(&rows, known);
                for i in known..count {
                    for j in 0..=i {
                        // Sixty-fourths of small numbers: every product and every sum is exact.
                        let exact: f64 = (0..len)
                            .map(|k| {
                                let delta =
                                    |i: usize| f64::from(rows[i][k]) - f64::from(rows[0][k]);
                                delta(i) * delta(j)
                            })
                            .sum();
                        let alone = difference(rows[i], rows[j], rows[0]);
                        for found in [found[(i - known, j)], alone] {
                            assert!(
                                (found - exact).abs() <= 1e-13 * exact.abs(),
                                "{count} rows of {len}, {known} known, ({i}, {j}): {found} {exact}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_square_is_that_of_the_definition_and_tells_what_is_not_finite() {
        for len in [0, 1, 31, 32, 1000] {
            let values = &rows(1, len)[0];
            let exact: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
            assert!((square(values) - exact).abs() <= 1e-13 * exact);
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![f32::MAX; 100];
            assert!(square(&values).is_finite());
            for at in [0, 50, 99] {
                let kept = std::mem::replace(&mut values[at], bad);
                assert!(!square(&values).is_finite(), "{bad} at {at}");
                values[at] = kept;
            }
        }
    }
}
