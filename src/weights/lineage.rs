//! Which checkpoint follows from which: a resumed run and another run in one folder leave the same names,
//! and only the weights tell them apart.

use crate::run::{Checkpoint, older_tail};

use super::WeightsError;
use super::direction;
use super::gram::Gram;
use super::layout::Role;
use super::member::{Member, Shape};
use super::path::{LeftBranch, PathChange};

/// The part that a checkpoint has in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A point of the path that is followed.
    OnPath,
    /// A point of a branch that training has left.
    OldBranch(LeftBranch),
}

/// A checkpoint that was read: one row of the Gram matrix.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) checkpoint: Checkpoint,
    pub(super) place: Place,
}

/// Weights of independent seeds have a cosine around 0, successive checkpoints usually one above 0.5; below
/// this they are unrelated, unless the run's own checkpoints are as far apart.
const RELATED: f64 = 0.3;
/// The cosine of independent weights scatters by 1/√n: this many of these are taken for chance.
const CHANCE: f64 = 4.0;
/// Successive checkpoints of a run whose cosine is above this say that an unrelated one is another run's.
const SMOOTH: f64 = 0.5;

/// The rows of a path, with what it takes to compare them.
pub(super) struct Lineage<'a> {
    pub(super) shape: &'a Shape,
    pub(super) gram: &'a Gram,
    pub(super) rows: &'a mut [Row],
}

impl Lineage<'_> {
    /// Sorts out checkpoints that were all there at once: those of another run and of an old branch that
    /// lie in the same folder. Times and weights must both say so, since a copy has other times.
    pub(super) fn sort_out(&mut self) -> Vec<PathChange> {
        let path = self.path();
        let change = self.stale_tail(&path);
        change
            .or_else(|| self.unrelated_head(&path))
            .into_iter()
            .collect()
    }

    /// Higher steps that are older than the one before them, where the weights do not follow either.
    fn stale_tail(&mut self, path: &[usize]) -> Option<PathChange> {
        let at = older_tail(path.iter().map(|row| &self.rows[*row].checkpoint))?;
        let (head, tail) = path.split_at(at);
        let (&first, &end) = (tail.first()?, head.last()?);
        if self.nearest(first, head) == Some(end) && self.is_related(first, &[end], path) {
            return None;
        }
        let left = self.checkpoints(tail);
        let start = self.rows[*head.first()?].checkpoint.clone();
        let Some(&from) = head
            .iter()
            .filter(|row| self.is_related(first, &[**row], path))
            .min_by(|a, b| {
                self.distance(first, **a)
                    .total_cmp(&self.distance(first, **b))
            })
        else {
            return Some(PathChange::AnotherRun { first: start, left });
        };
        let next = head.iter().position(|&row| row == from)? + 1;
        let first = self.rows[*head.get(next)?].checkpoint.clone();
        Some(self.branch(first, Some(from), tail))
    }

    /// Lower steps whose weights have nothing in common with the higher ones, where each side is smooth in
    /// itself: one checkpoint alone may be a start that training has forgotten.
    fn unrelated_head(&self, path: &[usize]) -> Option<PathChange> {
        let steps: Vec<f64> = path.windows(2).map(|w| self.cosine(w[0], w[1])).collect();
        let smooth = |steps: &[f64]| !steps.is_empty() && steps.iter().all(|&cos| cos > SMOOTH);
        let at = (1..path.len()).rev().find(|&at| {
            steps[at - 1] < RELATED
                && smooth(&steps[..at - 1])
                && smooth(&steps[at..])
                && !self.is_related(path[at], &path[at - 1..at], path)
        })?;
        Some(PathChange::AnotherRun {
            first: self.rows[path[at]].checkpoint.clone(),
            left: self.checkpoints(&path[..at]),
        })
    }

    /// Finds the place of the rows from `known` on, which came after the others.
    pub(super) fn place(&mut self, known: usize) -> Vec<PathChange> {
        let mut changes = Vec::new();
        let mut new: Vec<usize> = (known..self.rows.len()).collect();
        new.sort_by_key(|&row| self.rows[row].checkpoint.step);
        let mut gone: Vec<usize> = Vec::new();
        for row in new {
            let step = self.rows[row].checkpoint.step;
            let mut before = self.path();
            before.retain(|&other| other < known && !gone.contains(&other));
            let later: Vec<usize> = before
                .iter()
                .copied()
                .filter(|&other| self.rows[other].checkpoint.step >= step)
                .collect();
            if later.is_empty() && self.begins_anew(row, &before) {
                changes.push(PathChange::AnotherRun {
                    first: self.rows[row].checkpoint.clone(),
                    left: self.checkpoints(&before),
                });
                gone.extend(before);
                continue;
            }
            if later.is_empty() || self.was_only_late(row, &later) {
                continue;
            }
            let earlier = &before[..before.len() - later.len()];
            let kin = [earlier.last(), earlier.first(), later.first()];
            let mut kin: Vec<usize> = kin.into_iter().flatten().copied().collect();
            kin.extend(self.nearest(row, &before));
            if !self.is_related(row, &kin, &before) {
                changes.push(PathChange::AnotherRun {
                    first: self.rows[row].checkpoint.clone(),
                    left: self.checkpoints(&before),
                });
                gone.extend(before);
            } else if !self.lies_between(row, earlier.last().copied(), &later) {
                let first = self.rows[row].checkpoint.clone();
                changes.push(self.branch(first, earlier.last().copied(), &later));
            }
        }
        changes
    }

    /// True for weights with a higher step that have nothing in common with a smooth path: a gap in the
    /// steps alone would leave them more alike than independent ones are.
    fn begins_anew(&self, row: usize, before: &[usize]) -> bool {
        let (Some(&last), true) = (before.last(), before.len() > 1) else {
            return false;
        };
        let smooth = |w: &[usize]| self.cosine(w[0], w[1]) > SMOOTH;
        self.cosine(row, last) < RELATED
            && before.windows(2).all(smooth)
            && self
                .matrices(row, last)
                .is_ok_and(|(cosine, count)| cosine < CHANCE / (count as f64).sqrt())
    }

    /// Marks rows as an old branch.
    fn branch(&mut self, first: Checkpoint, from: Option<usize>, rows: &[usize]) -> PathChange {
        let number = 1 + self
            .rows
            .iter()
            .map(|row| match row.place {
                Place::OldBranch(branch) => branch.number,
                Place::OnPath => 0,
            })
            .max()
            .unwrap_or_default();
        let from = from.map(|row| self.rows[row].checkpoint.step);
        for &row in rows {
            self.rows[row].place = Place::OldBranch(LeftBranch { number, from });
        }
        PathChange::Resumed {
            first,
            from,
            left: self.checkpoints(rows),
        }
    }

    /// Rows of the path, by step.
    fn path(&self) -> Vec<usize> {
        let mut path: Vec<usize> = (0..self.rows.len())
            .filter(|&row| self.rows[row].place == Place::OnPath)
            .collect();
        path.sort_by_key(|&row| self.rows[row].checkpoint.step);
        path
    }

    fn checkpoints(&self, rows: &[usize]) -> Vec<Checkpoint> {
        rows.iter()
            .map(|&row| self.rows[row].checkpoint.clone())
            .collect()
    }

    /// True for a checkpoint that was written before the later ones and only came after them, as files do
    /// that are copied from elsewhere.
    fn was_only_late(&self, row: usize, later: &[usize]) -> bool {
        let own = &self.rows[row];
        later.iter().all(|&other| {
            let other = &self.rows[other];
            other.checkpoint.step > own.checkpoint.step
                && other.checkpoint.modified > own.checkpoint.modified
        })
    }

    /// True if going by way of this one is no detour from its neighbours: both legs are shorter than the
    /// whole. A branch that left the path lies further away.
    fn lies_between(&self, row: usize, before: Option<usize>, later: &[usize]) -> bool {
        let (Some(before), Some(&after)) = (before, later.first()) else {
            return false;
        };
        let path = &self.rows[row].checkpoint.path;
        // One file that is written over never brings an earlier step late.
        if later
            .iter()
            .any(|&other| self.rows[other].checkpoint.path == *path)
        {
            return false;
        }
        let whole = self.distance(before, after);
        self.rows[after].checkpoint.step > self.rows[row].checkpoint.step
            && self.distance(before, row) < whole
            && self.distance(row, after) < whole
    }

    fn nearest(&self, row: usize, among: &[usize]) -> Option<usize> {
        let distance = |other: &usize| self.distance(row, *other);
        among
            .iter()
            .copied()
            .filter(|&other| other != row)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// ‖θ_i − θ_j‖.
    fn distance(&self, i: usize, j: usize) -> f64 {
        let path = self.gram.path();
        (path[(i, i)] + path[(j, j)] - 2.0 * path[(i, j)])
            .max(0.0)
            .sqrt()
    }

    /// Cosine of the angle between θ_i and θ_j over all parameters.
    fn cosine(&self, i: usize, j: usize) -> f64 {
        let norms = self.gram.norms();
        let (a, b) = (norms[i], norms[j]);
        if a > 0.0 && b > 0.0 {
            (a * a + b * b - self.distance(i, j).powi(2)) / (2.0 * a * b)
        } else {
            1.0
        }
    }

    /// True if the weights have more in common with one of `kin` than chance would give. A checkpoint that
    /// can no longer be read is taken for related: nothing is thrown away without evidence.
    fn is_related(&self, row: usize, kin: &[usize], path: &[usize]) -> bool {
        let mut steps: Vec<f64> = path
            .windows(2)
            .filter(|w| !w.contains(&row))
            .map(|w| self.cosine(w[0], w[1]))
            .collect();
        steps.sort_by(f64::total_cmp);
        let typical = steps.get(steps.len() / 2).copied().unwrap_or(1.0);
        kin.iter().any(|&other| {
            let Ok((cosine, count)) = self.matrices(row, other) else {
                return true;
            };
            let chance = CHANCE / (count as f64).sqrt();
            cosine > chance.max(RELATED.min(typical / 2.0))
        })
    }

    /// Cosine over the weight matrices alone, and their number of weights: norms and biases begin alike in
    /// every run.
    fn matrices(&self, i: usize, j: usize) -> Result<(f64, usize), WeightsError> {
        let layout = &self.shape.layout;
        let [a, b] = [i, j].map(|row| {
            let member = Member::open(&self.rows[row].checkpoint, self.shape)?;
            direction::flat(layout, &member)
        });
        let (a, b) = (a?, b?);
        let parameters = || layout.slots().iter().filter(|s| s.role == Role::Parameter);
        let has_matrices = parameters().any(|slot| slot.rank() >= 2);
        let (mut dot, mut left, mut right, mut count) = (0.0, 0.0, 0.0, 0);
        for slot in parameters().filter(|slot| !has_matrices || slot.rank() >= 2) {
            let range = slot.offset..slot.offset + slot.len();
            count += range.len();
            for (a, b) in a[range.clone()].iter().zip(&b[range]) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                dot += a * b;
                left += a * a;
                right += b * b;
            }
        }
        let norms = (left * right).sqrt();
        Ok((if norms > 0.0 { dot / norms } else { 1.0 }, count.max(1)))
    }
}
