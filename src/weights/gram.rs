//! All distances and angles of a run's path, as one small matrix a tensor.
//!
//! PCA of T checkpoints of n weights needs only the T×T dot products of their differences. They are
//! summed in f64 over pieces of every tensor, so that neither T·n weights nor a whole checkpoint are
//! ever in memory, and kept one matrix a tensor, so that leaving tensors out is a sum of matrices.

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use super::WeightsError;
use super::layout::{Layout, Role};
use super::member::Weighted;

/// Bytes of weights that are held at once, over all checkpoints.
const BUDGET: usize = 128 << 20;
/// Elements of f64 scratch a block of columns may take, so that it stays in cache.
const BLOCK: usize = 1 << 18;

/// Dot products of one tensor's path. δ_i = w_i − w_0, where w_0 is the first row's tensor.
#[derive(Clone, Debug, PartialEq)]
struct Dots {
    /// δ_i·δ_j, T×T.
    path: DMatrix<f64>,
    /// w_0·δ_i, T.
    base: DVector<f64>,
    /// w_0·w_0.
    square: f64,
}

impl Dots {
    fn empty() -> Self {
        Self {
            path: DMatrix::zeros(0, 0),
            base: DVector::zeros(0),
            square: 0.0,
        }
    }

    fn grow(&mut self, count: usize) {
        self.path.resize_mut(count, count, 0.0);
        self.base.resize_vertically_mut(count, 0.0);
    }
}

/// The dot products of every parameter tensor of a run. Rows are checkpoints in order of arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gram {
    tensors: Vec<Dots>,
    rows: usize,
}

impl Gram {
    /// Number of checkpoints.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the checkpoints `open(rows()) .. open(count − 1)`; earlier ones are read again, once, for
    /// their products with the new ones. `open` is called once for each row and group of pieces.
    ///
    /// # Errors
    /// A checkpoint cannot be read or holds a value that is not finite; nothing was added then.
    pub fn extend<W: Weighted>(
        &mut self,
        layout: &Layout,
        count: usize,
        mut open: impl FnMut(usize) -> Result<W, WeightsError>,
        finite: impl Fn(usize, usize) -> WeightsError,
    ) -> Result<(), WeightsError> {
        let mut grown = self.clone();
        let slots = layout.slots().iter();
        let parameters = slots.filter(|slot| slot.role == Role::Parameter).count();
        grown.tensors.resize_with(parameters, Dots::empty);
        for dots in &mut grown.tensors {
            dots.grow(count);
        }
        for group in layout.groups(0..parameters, BUDGET / 4 / count.max(1)) {
            let mut rows: Vec<Vec<Vec<f32>>> = Vec::with_capacity(count);
            for row in 0..count {
                let source = open(row)?;
                let mut pieces = Vec::with_capacity(group.len());
                for (slot, range) in &group {
                    let values = source.read(*slot, range.clone())?;
                    if !values.iter().all(|v| v.is_finite()) {
                        return Err(finite(row, *slot));
                    }
                    pieces.push(values);
                }
                rows.push(pieces);
            }
            for (index, (slot, _)) in group.iter().enumerate() {
                let piece: Vec<&[f32]> = rows.iter().map(|row| row[index].as_slice()).collect();
                accumulate(&mut grown.tensors[*slot], &piece, self.rows);
            }
        }
        grown.rows = count;
        *self = grown;
        Ok(())
    }

    /// Takes one checkpoint out. Differences are then from the first that is left.
    pub fn remove(&mut self, row: usize) {
        if self.rows == 1 {
            *self = Self::default();
            return;
        }
        self.rows -= 1;
        for dots in &mut self.tensors {
            if row == 0 {
                rebase(dots);
            }
            let path = std::mem::replace(&mut dots.path, DMatrix::zeros(0, 0));
            dots.path = path.remove_row(row).remove_column(row);
            dots.base = std::mem::replace(&mut dots.base, DVector::zeros(0)).remove_row(row);
        }
    }

    /// δ_i·δ_j over all parameters, T×T, where δ_i = θ_i − θ_0.
    #[must_use]
    pub fn path(&self) -> DMatrix<f64> {
        let zero = DMatrix::zeros(self.rows, self.rows);
        self.tensors.iter().fold(zero, |sum, dots| sum + &dots.path)
    }

    /// ‖w_i‖² of one tensor at each checkpoint; empty for a tensor that is no parameter.
    #[must_use]
    pub fn squares(&self, tensor: usize) -> Vec<f64> {
        self.tensors.get(tensor).map_or_else(Vec::new, |dots| {
            let square = |i: usize| dots.square + 2.0 * dots.base[i] + dots.path[(i, i)];
            (0..self.rows).map(square).collect()
        })
    }

    /// ‖θ_i‖ over all parameters.
    #[must_use]
    pub fn norms(&self) -> Vec<f64> {
        let square = |i: usize| -> f64 {
            let of = |dots: &Dots| dots.square + 2.0 * dots.base[i] + dots.path[(i, i)];
            self.tensors.iter().map(of).sum()
        };
        (0..self.rows).map(|i| square(i).max(0.0).sqrt()).collect()
    }
}

/// Adds the products of one piece for the rows from `known` on; `rows[i]` is checkpoint i's piece.
fn accumulate(dots: &mut Dots, rows: &[&[f32]], known: usize) {
    let Some(base) = rows.first() else { return };
    let width = (BLOCK / rows.len()).max(64);
    let starts: Vec<usize> = (0..base.len()).step_by(width).collect();
    // Blocks are summed in order of position, so that the result does not depend on the threads.
    let sums: Vec<(DMatrix<f64>, DVector<f64>)> = starts
        .par_iter()
        .map(|&start| {
            let block = start..base.len().min(start + width);
            let origin = DVector::from_iterator(
                block.len(),
                base[block.clone()].iter().map(|&v| f64::from(v)),
            );
            let delta = DMatrix::from_fn(block.len(), rows.len(), |k, i| {
                f64::from(rows[i][start + k]) - origin[k]
            });
            let fresh = delta.columns_range(known..);
            (delta.tr_mul(&fresh), fresh.tr_mul(&origin))
        })
        .collect();
    for (products, base_products) in sums {
        for (column, i) in (known..rows.len()).enumerate() {
            for j in 0..rows.len() {
                dots.path[(j, i)] += products[(j, column)];
                if j < known {
                    dots.path[(i, j)] += products[(j, column)];
                }
            }
            dots.base[i] += base_products[column];
        }
    }
    if known == 0 {
        dots.square += base.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>();
    }
}

/// Takes row 1 as the new base, in place; row 0 is about to go.
fn rebase(dots: &mut Dots) {
    let old = dots.clone();
    let own = old.path[(1, 1)];
    let count = old.base.len();
    dots.square = old.square + 2.0 * old.base[1] + own;
    dots.path = DMatrix::from_fn(count, count, |i, j| {
        old.path[(i, j)] - old.path[(i, 1)] - old.path[(1, j)] + own
    });
    dots.base = DVector::from_fn(count, |i, _| {
        old.base[i] - old.base[1] + old.path[(1, i)] - own
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::weights::direction::tests::{Point, layout};

    fn gram(points: &[Point]) -> Gram {
        let mut gram = Gram::default();
        extend(&mut gram, points).unwrap();
        gram
    }

    fn extend(gram: &mut Gram, points: &[Point]) -> Result<(), WeightsError> {
        let open = |row: usize| Ok(points[row].clone());
        gram.extend(&layout(), points.len(), open, |row, _| {
            WeightsError::NoWeights(format!("row {row}").into())
        })
    }

    fn points(count: usize) -> Vec<Point> {
        (0..count)
            .map(|i| {
                Point(
                    (0..12)
                        .map(|k| ((i * 7 + k * 3) % 11) as f32 - 4.5)
                        .collect(),
                )
            })
            .collect()
    }

    fn close(a: &Gram, b: &Gram) {
        assert!((a.path() - b.path()).amax() < 1e-9);
        for (a, b) in a.norms().iter().zip(b.norms()) {
            assert!((a - b).abs() < 1e-9);
        }
    }

    #[test]
    fn products_are_those_of_the_parameters_and_not_of_running_statistics() {
        let points = points(4);
        let gram = gram(&points);
        for i in 0..4 {
            // The last two of the twelve values are running statistics.
            let norm: f64 = points[i].0[..10].iter().map(|v| f64::from(v * v)).sum();
            assert!((gram.norms()[i] - norm.sqrt()).abs() < 1e-12);
            let dot: f64 = (0..10)
                .map(|k| {
                    let d = |row: usize| f64::from(points[row].0[k] - points[0].0[k]);
                    d(i) * d(3)
                })
                .sum();
            assert!((gram.path()[(i, 3)] - dot).abs() < 1e-12);
            assert!((gram.path()[(3, i)] - dot).abs() < 1e-12);
        }
    }

    #[test]
    fn adding_one_by_one_is_adding_all_at_once() {
        let points = points(6);
        let mut grown = gram(&points[..2]);
        extend(&mut grown, &points[..3]).unwrap();
        extend(&mut grown, &points).unwrap();
        close(&grown, &gram(&points));
    }

    #[test]
    fn removing_any_row_is_never_having_read_it() {
        let points = points(5);
        for row in 0..5 {
            let mut less = gram(&points);
            less.remove(row);
            let mut kept = points.clone();
            kept.remove(row);
            close(&less, &gram(&kept));
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_refused_and_nothing_is_added() {
        let mut points = points(3);
        let mut gram = gram(&points[..2]);
        let before = gram.clone();
        points[2].0[4] = f32::NAN;
        let error = extend(&mut gram, &points).unwrap_err();
        assert!(error.to_string().contains("row 2"));
        assert_eq!(gram, before);
    }
}
