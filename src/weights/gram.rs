//! All distances and angles of a run's path, as one small matrix, and the norms of its tensors.
//!
//! PCA of T checkpoints of n weights needs only the T×T dot products of their differences. They are
//! summed in f64 over pieces of the tensors, so that neither T·n weights nor a whole checkpoint are
//! ever in memory. Of the single tensors the norms alone are kept: nothing asks for more, and a
//! matrix for each of them would be a gigabyte for a thousand checkpoints.

use std::iter;
use std::ops::Range;
use std::sync::Arc;

use nalgebra::DMatrix;
use rayon::prelude::*;

use super::WeightsError;
use super::layout::{Layout, Role, SlotRange};
use super::products;
use super::run_checkpoint::WeightSource;
use crate::spare::Spare;

/// Bytes of weights that a thread holds at once, over all checkpoints: they stay in cache.
const BUDGET: usize = 4 << 20;
/// Bytes of weights in memory while earlier checkpoints pass by: those that stay are in the innermost caches then.
const PASSING_BUDGET: usize = 1 << 20;
/// Groups of pieces whose sums are held at once, at most, and the bytes that these may take.
const BATCH: usize = 64;
const SUMS_BUDGET: usize = 16 << 20;
/// Bytes for all threads together where each visit to a checkpoint is costly.
const LARGE_BUDGET: usize = 128 << 20;
/// New checkpoints whose products with the earlier ones are summed while these are read, one after the other. More of
/// them share the differences of the earlier ones, for which these must be in memory together.
const FEW: usize = 4;
/// Files that stay open while pieces are read, at most.
const OPEN: usize = 512;

/// Returns the files that may stay open: a quarter of what the system gives this process, as others need some too.
fn most_open() -> usize {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let given = limit.current.map_or(OPEN, |given| given as usize / 4);
        given.clamp(1, OPEN)
    }
    #[cfg(not(unix))]
    OPEN
}

/// The dot products of the path of a run. Rows are checkpoints in order of arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Gram {
    /// δ_i·δ_j over all parameters, T×T, where δ_i = θ_i − θ_0.
    path: Arc<DMatrix<f64>>,
    /// ‖w‖² of each parameter tensor, a list for each checkpoint.
    squares: Vec<Vec<f64>>,
}

/// The sums of one checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct GramRow {
    /// ‖w‖² of each parameter tensor.
    squares: Vec<f64>,
    /// δ_i·δ_j for all j ≤ i.
    products: Vec<f64>,
}

impl GramRow {
    /// Takes sums that were kept; `None` if they cannot be those of a checkpoint.
    #[must_use]
    pub fn new(layout: &Layout, squares: Vec<f64>, products: Vec<f64>) -> Option<Self> {
        let fits = squares.len() == parameter_slots(layout);
        let all_finite = squares.iter().chain(&products).all(|sum| sum.is_finite());
        (fits && all_finite).then_some(Self { squares, products })
    }

    /// Returns ‖w‖² of each parameter tensor.
    #[must_use]
    pub fn squares(&self) -> &[f64] {
        &self.squares
    }

    /// Returns δ_i·δ_j for all j ≤ i.
    #[must_use]
    pub fn products(&self) -> &[f64] {
        &self.products
    }
}

fn parameter_slots(layout: &Layout) -> usize {
    let slots = layout.slots().iter();
    slots.filter(|slot| slot.role == Role::Parameter).count()
}

impl Default for Gram {
    fn default() -> Self {
        Self {
            path: Arc::new(DMatrix::zeros(0, 0)),
            squares: Vec::new(),
        }
    }
}

impl Gram {
    /// Returns the number of checkpoints.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.squares.len()
    }

    /// Adds the checkpoints `open(rows()) .. open(count − 1)`; earlier ones are read again, once, for
    /// their products with the new ones. `told` hears now and then how many weights have been read, and of
    /// how many.
    ///
    /// # Errors
    /// A checkpoint cannot be read or holds a value that is not finite; nothing was added then.
    pub fn extend<W: WeightSource>(
        &mut self,
        layout: &Layout,
        count: usize,
        open: impl Fn(usize) -> Result<W, WeightsError> + Sync,
        finite: impl Fn(usize, usize) -> WeightsError + Sync,
        told: impl Fn(usize, usize),
    ) -> Result<(), WeightsError> {
        let known = self.rows();
        if known == count {
            return Ok(());
        }
        let parameters = parameter_slots(layout);
        let keep = if count > 0 {
            most_open() / open(0)?.files().max(1)
        } else {
            0
        };
        let kept: Vec<W> = (0..count.min(keep))
            .into_par_iter()
            .map(&open)
            .collect::<Result<_, _>>()?;
        let read_row = |row: usize, group: &[SlotRange], values: &mut [f32]| {
            match kept.get(row) {
                Some(source) => read(source, group, values)?,
                None => read(&open(row)?, group, values)?,
            }
            // Earlier ones were looked at when they were new.
            if row < known {
                return Ok(Vec::new());
            }
            squares(group, values, |slot| finite(row, slot))
        };
        let costly = count > keep || kept.iter().any(WeightSource::whole);
        let rows = Rows { count, known };
        let (budget, batch) = match (costly, rows.are_few_new()) {
            (true, _) => (LARGE_BUDGET, 1),
            (false, true) => (PASSING_BUDGET, rows.batch()),
            (false, false) => (BUDGET, rows.batch()),
        };
        let mut grown = self.clone();
        Arc::make_mut(&mut grown.path).resize_mut(count, count, 0.0);
        grown.squares.resize(count, vec![0.0; parameters]);
        let groups = layout.groups(0..parameters, budget / 4 / rows.held());
        let all = layout.parameters() * count;
        let mut read = 0;
        // Kept from group to group: memory that is new takes longer than what is read into it.
        let room: Spare<Vec<f32>> = Spare::default();
        for groups in groups.chunks(batch) {
            let sums: Vec<Sums> = groups
                .par_iter()
                .map(|group| Sums::of(group, rows, &room, read_row))
                .collect::<Result<_, _>>()?;
            // In order of position, so that the result does not depend on the threads.
            for (group, sums) in groups.iter().zip(&sums) {
                grown.add(group, sums, known);
                read += group.iter().map(|(_, range)| range.len()).sum::<usize>() * count;
            }
            told(read, all);
        }
        *self = grown;
        Ok(())
    }

    /// Adds what one group of pieces gives to the rows from `known` on.
    fn add(&mut self, group: &[SlotRange], sums: &Sums, known: usize) {
        let rows = self.rows();
        let path = Arc::make_mut(&mut self.path);
        for i in known..rows {
            for ((slot, _), square) in group.iter().zip(&sums.squares[i - known]) {
                self.squares[i][*slot] += square;
            }
            for j in 0..=i {
                path[(i, j)] += sums.products[(i - known, j)];
                path[(j, i)] = path[(i, j)];
            }
        }
    }

    /// Returns the sums of a checkpoint.
    pub(super) fn row(&self, row: usize) -> GramRow {
        GramRow {
            squares: self.squares[row].clone(),
            products: (0..=row).map(|j| self.path[(row, j)]).collect(),
        }
    }

    /// Adds checkpoints whose sums are known.
    pub(super) fn append(&mut self, rows: Vec<GramRow>) {
        if rows.is_empty() {
            return;
        }
        let (known, count) = (self.rows(), self.rows() + rows.len());
        let path = Arc::make_mut(&mut self.path);
        path.resize_mut(count, count, 0.0);
        for (i, row) in (known..).zip(rows) {
            for (j, product) in row.products.into_iter().enumerate() {
                path[(i, j)] = product;
                path[(j, i)] = product;
            }
            self.squares.push(row.squares);
        }
    }

    /// Takes one checkpoint out. Differences are then from the first that is left.
    pub fn remove(&mut self, row: usize) {
        self.squares.remove(row);
        let path = Arc::unwrap_or_clone(std::mem::take(&mut self.path));
        let path = if row == 0 && path.nrows() > 1 {
            rebased(&path)
        } else {
            path
        };
        self.path = Arc::new(path.remove_row(row).remove_column(row));
    }

    /// Returns δ_i·δ_j over all parameters, T×T, where δ_i = θ_i − θ_0.
    #[must_use]
    pub fn path(&self) -> &DMatrix<f64> {
        &self.path
    }

    /// Returns the same, shared: of many checkpoints it is large.
    #[must_use]
    pub fn shared_path(&self) -> Arc<DMatrix<f64>> {
        Arc::clone(&self.path)
    }

    /// Returns ‖w_i‖² of one tensor at each checkpoint; zeros for a tensor that is no parameter.
    #[must_use]
    pub fn squares(&self, tensor: usize) -> Vec<f64> {
        let square = |row: &Vec<f64>| row.get(tensor).copied().unwrap_or(0.0);
        self.squares.iter().map(square).collect()
    }

    /// Returns ‖θ_i‖ over all parameters.
    #[must_use]
    pub fn norms(&self) -> Vec<f64> {
        let norm = |row: &Vec<f64>| row.iter().sum::<f64>().sqrt();
        self.squares.iter().map(norm).collect()
    }
}

/// Checkpoints that are read, of which the first so many have their products already.
#[derive(Clone, Copy)]
struct Rows {
    count: usize,
    known: usize,
}

impl Rows {
    /// Returns true if the earlier ones are read one after the other.
    fn are_few_new(self) -> bool {
        self.known > 0 && self.count - self.known <= FEW
    }

    /// Returns those whose pieces are in memory together.
    fn together(self) -> Vec<usize> {
        if self.are_few_new() {
            // Differences are from the first.
            iter::once(0).chain(self.known..self.count).collect()
        } else {
            (0..self.count).collect()
        }
    }

    /// Returns the number of pieces of one group that are in memory.
    fn held(self) -> usize {
        let passing = usize::from(self.are_few_new()) * rayon::current_num_threads();
        (self.together().len() + passing).max(1)
    }

    /// Returns the number of groups whose sums are held at once.
    fn batch(self) -> usize {
        let sums = (self.count - self.known) * self.count * size_of::<f64>();
        (SUMS_BUDGET / sums.max(1)).clamp(rayon::current_num_threads().min(BATCH), BATCH)
    }
}

/// Part of a sum of products that rounding may leave where nothing is: what is summed in another order, or was kept,
/// differs by some 1e-15.
pub(super) const ROUNDING: f64 = 1e-14;

/// Returns ‖θ_i − θ_j‖² from the dot products of a path; 0 where rounding is all that is left of it.
pub(super) fn square_between(path: &DMatrix<f64>, i: usize, j: usize) -> f64 {
    let all = path[(i, i)] + path[(j, j)];
    let square = all - 2.0 * path[(i, j)];
    if square > ROUNDING * all { square } else { 0.0 }
}

/// Sums over one group of pieces.
struct Sums {
    /// ‖w‖² of each piece, a list for each new checkpoint.
    squares: Vec<Vec<f64>>,
    /// δ_i·δ_j for the new checkpoints.
    products: DMatrix<f64>,
}

impl Sums {
    /// Returns `read` fills one row of values with the pieces of the group.
    fn of(
        group: &[SlotRange],
        rows: Rows,
        room: &Spare<Vec<f32>>,
        read: impl Fn(usize, &[SlotRange], &mut [f32]) -> Result<Vec<f64>, WeightsError> + Sync,
    ) -> Result<Self, WeightsError> {
        let size: usize = group.iter().map(|(_, range)| range.len()).sum();
        let together = rows.together();
        let mut values = room.take();
        values.resize(together.len() * size, 0.0);
        let mut squares: Vec<Vec<f64>> = values
            .par_chunks_mut(size.max(1))
            .zip(&together)
            .map(|(values, row)| read(*row, group, values))
            .collect::<Result<_, _>>()?;
        let new = rows.count - rows.known;
        let squares = squares.split_off(together.len() - new);
        let held: Vec<&[f32]> = values.chunks(size.max(1)).collect();
        let products = if let ([base, new @ ..], true) = (&*held, rows.are_few_new()) {
            let with_new = |row: &[f32]| -> Vec<f64> {
                let product = |new: &&[f32]| products::difference(row, new, base);
                new.iter().map(product).collect()
            };
            let earlier = (1..rows.known).into_par_iter().map(|row| {
                let mut values = room.take();
                values.resize(size, 0.0);
                let products = read(row, group, &mut values).map(|_| with_new(&values));
                room.give_back(values);
                products
            });
            let mut columns = earlier.collect::<Result<Vec<_>, _>>()?;
            columns.extend(new.iter().map(|row| with_new(row)));
            // δ_0 is zero, and so are its products.
            columns.insert(0, vec![0.0; new.len()]);
            DMatrix::from_fn(new.len(), rows.count, |i, j| columns[j][i])
        } else {
            products::differences(&held, rows.known)
        };
        room.give_back(values);
        Ok(Self { squares, products })
    }
}

/// Reads a group of pieces, one after the other.
fn read(
    source: &impl WeightSource,
    group: &[SlotRange],
    values: &mut [f32],
) -> Result<(), WeightsError> {
    let mut rest = values;
    for (slot, Range { start, end }) in group {
        let piece;
        (piece, rest) = rest.split_at_mut(end - start);
        source.read(*slot, *start, piece)?;
    }
    Ok(())
}

/// Returns ‖w‖² of each piece of a group that was read.
fn squares(
    group: &[SlotRange],
    values: &[f32],
    not_finite: impl Fn(usize) -> WeightsError,
) -> Result<Vec<f64>, WeightsError> {
    let mut rest = values;
    let mut squares = Vec::with_capacity(group.len());
    for (slot, range) in group {
        let piece;
        (piece, rest) = rest.split_at(range.len());
        let square = products::square(piece);
        if !square.is_finite() {
            return Err(not_finite(*slot));
        }
        squares.push(square);
    }
    Ok(squares)
}

/// Returns the products of differences from row 1 instead of row 0.
fn rebased(path: &DMatrix<f64>) -> DMatrix<f64> {
    DMatrix::from_fn(path.nrows(), path.ncols(), |i, j| {
        path[(i, j)] - path[(i, 1)] - path[(1, j)] + path[(1, 1)]
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::weights::direction::tests::{Point, layout};
    use std::cell::RefCell;

    fn gram(points: &[Point]) -> Gram {
        let mut gram = Gram::default();
        extend(&mut gram, points).unwrap();
        gram
    }

    fn extend(gram: &mut Gram, points: &[Point]) -> Result<(), WeightsError> {
        let open = |row: usize| Ok(points[row].clone());
        let finite = |row, _| WeightsError::NoWeights(format!("row {row}").into());
        gram.extend(&layout(), points.len(), open, finite, |_, _| {})
    }

    #[test]
    fn how_far_reading_has_come_is_told_up_to_all_of_it() {
        let (points, told) = (points(OPEN + 1), RefCell::new(Vec::new()));
        let open = |row: usize| Ok(points[row].clone());
        let finite = |_, _| unreachable!("all are finite");
        Gram::default()
            .extend(&layout(), points.len(), open, finite, |read, all| {
                told.borrow_mut().push((read, all));
            })
            .unwrap();
        let (told, all) = (told.into_inner(), 10 * points.len());
        assert_eq!(told.last(), Some(&(all, all)));
        assert!(told.is_sorted());
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
    fn adding_few_or_many_is_adding_all_at_once() {
        let points = points(3 + FEW + 2 * (FEW + 1));
        let mut grown = gram(&points[..2]);
        let mut count = 2;
        for new in [1, FEW, FEW + 1, FEW + 1] {
            count += new;
            extend(&mut grown, &points[..count]).unwrap();
            close(&grown, &gram(&points[..count]));
        }
        assert_eq!(count, points.len());
    }

    #[test]
    fn more_checkpoints_than_can_be_open_give_the_same_products() {
        let points = points(OPEN + 3);
        let all = gram(&points);
        for (i, j) in [(1, OPEN - 1), (OPEN, OPEN + 2), (OPEN + 1, 2)] {
            close(
                &gram(&[points[0].clone(), points[i].clone(), points[j].clone()]),
                &Gram {
                    path: Arc::new(DMatrix::from_fn(3, 3, |a, b| {
                        all.path()[([0, i, j][a], [0, i, j][b])]
                    })),
                    squares: [0, i, j].map(|row| all.squares[row].clone()).to_vec(),
                },
            );
        }
    }

    #[test]
    fn what_rounding_leaves_between_equal_checkpoints_is_nothing() {
        let third = 1.0 / 3.0_f64;
        let path = DMatrix::from_row_slice(
            3,
            3,
            &[
                0.0,
                0.0,
                0.0,
                0.0,
                third,
                third - 1e-16,
                0.0,
                third - 1e-16,
                third,
            ],
        );
        assert!(2.0 * (third - (third - 1e-16)) > 0.0);
        assert_eq!(square_between(&path, 1, 2), 0.0);
        assert_eq!(square_between(&path, 0, 1), third);
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
