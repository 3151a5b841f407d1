//! The few largest eigenvalues of a symmetric matrix of thousands of rows, where all would take minutes.
//!
//! Blocks K·X, K²·X, … of random vectors X are made orthonormal, and the eigenvectors of K are sought among what
//! they span (block Lanczos with full orthogonalization). Blocks find equal eigenvalues, as those of a circle.

use nalgebra::{DMatrix, SymmetricEigen};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Columns of a block.
const BLOCK: usize = 8;
/// Columns of all blocks at most: then what was found counts.
const MOST: usize = 256;
/// ‖Kv − λv‖ of an eigenvector in parts of the largest λ; the error of λ itself is of the order of its square.
const ENOUGH: f64 = 1e-12;
/// Share that is left of a column that the earlier ones span.
const NOTHING: f64 = 1e-13;

/// Returns the largest eigenvalues of a symmetric matrix, `wanted` of them or those that are not zero, with their
/// eigenvectors as columns.
pub(super) fn largest(matrix: &DMatrix<f64>, wanted: usize) -> (Vec<f64>, DMatrix<f64>) {
    let count = matrix.nrows();
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut block = DMatrix::from_fn(count, BLOCK, |_, _| StandardNormal.sample(&mut random));
    let (mut basis, mut images) = (Vec::new(), Vec::new());
    loop {
        let fresh = orthonormal(&basis, &block);
        let Some(fresh) = fresh.filter(|_| basis.len() < MOST.min(count)) else {
            return found(&basis, &images, wanted).0;
        };
        block = product(matrix, &fresh);
        basis.extend(fresh.column_iter().map(nalgebra::Matrix::into_owned));
        images.extend(block.column_iter().map(nalgebra::Matrix::into_owned));
        if basis.len() >= 2 * wanted {
            let (pairs, left) = found(&basis, &images, wanted);
            if left <= ENOUGH {
                return pairs;
            }
        }
    }
}

type KrylovVector = nalgebra::DVector<f64>;

/// Returns the matrix times a block. A column of a symmetric matrix is its row, and lies in one piece.
fn product(matrix: &DMatrix<f64>, block: &DMatrix<f64>) -> DMatrix<f64> {
    let count = matrix.nrows();
    let rows: Vec<Vec<f64>> = (0..count)
        .into_par_iter()
        .map(|i| {
            let row = matrix.column(i);
            block.column_iter().map(|column| row.dot(&column)).collect()
        })
        .collect();
    DMatrix::from_fn(count, block.ncols(), |i, k| rows[i][k])
}

/// Returns the directions that a block adds to an orthonormal basis, orthonormal themselves; `None` if it adds none.
fn orthonormal(basis: &[KrylovVector], block: &DMatrix<f64>) -> Option<DMatrix<f64>> {
    let mut fresh: Vec<KrylovVector> = Vec::new();
    for column in block.column_iter() {
        let mut column = column.into_owned();
        let before = column.norm();
        // Once is not enough where most of a column is taken away.
        for _ in 0..2 {
            for known in basis.iter().chain(&fresh) {
                let along = known.dot(&column);
                column.axpy(-along, known, 1.0);
            }
        }
        let norm = column.norm();
        if norm > NOTHING * before.max(f64::MIN_POSITIVE) && norm.is_finite() {
            fresh.push(column / norm);
        }
    }
    (!fresh.is_empty()).then(|| DMatrix::from_columns(&fresh))
}

/// Returns the best that lies in a basis (Rayleigh and Ritz), and the largest ‖Kv − λv‖ of it in parts of the largest
/// λ.
fn found(
    basis: &[KrylovVector],
    images: &[KrylovVector],
    wanted: usize,
) -> ((Vec<f64>, DMatrix<f64>), f64) {
    if basis.is_empty() {
        return ((Vec::new(), DMatrix::zeros(0, 0)), 0.0);
    }
    let (basis, images) = (DMatrix::from_columns(basis), DMatrix::from_columns(images));
    let inner = basis.tr_mul(&images);
    let eigen = SymmetricEigen::new((&inner + inner.transpose()) * 0.5);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
    order.truncate(wanted);
    let values: Vec<f64> = order.iter().map(|&k| eigen.eigenvalues[k]).collect();
    let chosen = eigen.eigenvectors.select_columns(&order);
    let vectors = &basis * &chosen;
    let mut left = images * chosen;
    for (k, value) in values.iter().enumerate() {
        left.column_mut(k).axpy(-value, &vectors.column(k), 1.0);
    }
    let scale = values.first().copied().unwrap_or(0.0).abs();
    let worst = left.column_iter().map(|column| column.norm());
    let worst = worst.fold(0.0, f64::max) / scale.max(f64::MIN_POSITIVE);
    ((values, vectors), worst)
}
