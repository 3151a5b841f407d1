//! Lineage of checkpoints: a resumed run and another run in one folder leave the same names, and only the
//! weights tell which checkpoint follows from which.

use std::cell::OnceCell;
use std::ops::Range;
use std::time::Duration;

use crate::run::Checkpoint;

use super::WeightsError;
use super::direction;
use super::gram::{Gram, square_between};
use super::layout::Role;
use super::path_change::{LeftBranch, PathChange};
use super::run_checkpoint::{RunCheckpoint, RunShape};
use super::run_groups::{self, Followed};

/// The part that a checkpoint has in the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineagePlace {
    /// A point of the path that is followed.
    OnPath,
    /// A point of a branch that training has left.
    OldBranch(LeftBranch),
}

/// A checkpoint that was read: one row of the Gram matrix.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) checkpoint: Checkpoint,
    pub(super) place: LineagePlace,
}

/// Weights of independent seeds have a cosine around 0, successive checkpoints usually one above 0.5; below
/// this they are unrelated, unless the run's own checkpoints are as far apart.
const RELATED: f64 = 0.3;
/// From this cosine over all parameters on, weights are related, whatever norms and biases have in common.
const CLOSE: f64 = 0.95;
/// The cosine of independent weights scatters by 1/√n: this many of these are taken for chance.
const CHANCE: f64 = 4.0;
/// Successive checkpoints of a run whose cosine is above this say that an unrelated one is another run's.
const SMOOTH: f64 = 0.5;

/// A leap to an old checkpoint, in moves of the new ones, that no path makes; and one that it does not make
/// after a long pause, which is this many times the usual one.
const LEAP: f64 = 2.5;
const SMALL_LEAP: f64 = 1.3;
const PAUSE: f64 = 3.0;

/// A time at which training began at a lower step again.
struct Restart {
    /// Rows that were written before it, by time.
    before: Vec<usize>,
    /// Checkpoints that a resumed run leaves, by step.
    old: Vec<usize>,
    /// Rows that were written after it, by step.
    new: Vec<usize>,
    /// The last row that both have.
    from: Option<usize>,
    /// Time that went by, in usual times between checkpoints; 0 if that says nothing.
    pause: f64,
}

/// The rows of a path, with what it takes to compare them.
pub(super) struct Lineage<'a> {
    pub(super) shape: &'a RunShape,
    pub(super) gram: &'a Gram,
    pub(super) rows: &'a mut [Row],
    /// True if other runs that save among this one were told already: theirs leave the path, not this one's.
    pub(super) has_others: bool,
}

impl Lineage<'_> {
    /// Sorts out checkpoints that were all there at once: those of another run and of an old branch that
    /// lie in the same folder. Times and weights must both say so, since a copy has other times.
    pub(super) fn sort_out(&mut self) -> Vec<PathChange> {
        let mut changes = Vec::new();
        // Each restart takes rows off the path, so that there are not more of them.
        self.split_by_times(&mut changes);
        if matches!(changes.last(), None | Some(PathChange::Resumed { .. })) {
            let mut path = self.path();
            if let Some(followed) = run_groups::followed(&path, self.likeness()) {
                path.retain(|row| !followed.left.contains(row));
                changes.push(self.several_runs(&followed));
            }
            let other = self.unrelated_head(&path);
            changes.extend(other.or_else(|| self.unrelated_end(&path)));
        }
        changes
    }

    /// Takes off what times and weights tell to be of a time before training began at a lower step again.
    fn split_by_times(&mut self, changes: &mut Vec<PathChange>) {
        while let Some(change) = self.last_restart() {
            let is_end = !matches!(change, PathChange::Resumed { .. });
            changes.push(change);
            if is_end {
                return;
            }
        }
    }

    /// Returns true if one of the rows from `known` on was written before one with a lower step that came earlier.
    fn is_left_over(&self, known: usize) -> bool {
        let time = |row: usize| self.rows[row].checkpoint.modified;
        let mut pairs = (known..self.rows.len()).flat_map(|row| (0..known).map(move |b| (row, b)));
        pairs.any(|(row, before)| {
            let on_path = self.rows[before].place == LineagePlace::OnPath;
            on_path && self.step(before) < self.step(row) && time(row) < time(before)
        })
    }

    /// Returns the last time that training began at a lower step again, as times tell it, where the weights or a
    /// long pause say so too.
    fn last_restart(&mut self) -> Option<PathChange> {
        let path = self.path();
        let Restart {
            before,
            old,
            new,
            from,
            pause,
        } = self.restart_by_times(&path)?;
        let (&first, &newest, &oldest) = (new.first()?, new.last()?, old.first()?);
        let kin: Vec<usize> = from
            .into_iter()
            .chain([oldest])
            .chain(self.nearest(first, &before))
            .collect();
        if !self.is_related(first, &kin, &path) {
            return Some(self.another_run(first, before));
        }
        let follows: Vec<usize> = from.into_iter().chain(new).collect();
        let leap = self.leap(&path, &old, &follows, from);
        // Old rows behind the new ones, which go on from another than the last of these.
        let is_tail = self.step(oldest) > self.step(newest);
        let is_apart = leap > LEAP
            || leap > SMALL_LEAP && pause > PAUSE
            || self.lie_aside(&path, &old, &follows)
            || is_tail && self.nearest(oldest, &follows) != Some(newest);
        if is_apart {
            let first = self.rows[first].checkpoint.clone();
            return Some(self.branch(first, from, &old));
        }
        (is_tail && pause > PAUSE).then(|| PathChange::Doubtful {
            first: self.rows[oldest].checkpoint.clone(),
            before: self.rows[newest].checkpoint.clone(),
        })
    }

    /// Returns the turn of the path to another run, which leaves these rows.
    fn another_run(&self, first: usize, left: Vec<usize>) -> PathChange {
        PathChange::AnotherRun {
            first: self.rows[first].checkpoint.clone(),
            left: self.checkpoints(&self.by_step(left)),
        }
    }

    /// Splits a path where, in order of time, its step falls for the last time; `None` if it never does.
    fn restart_by_times(&self, path: &[usize]) -> Option<Restart> {
        let time = |row: usize| self.rows[row].checkpoint.modified;
        let mut by_time = path.to_vec();
        by_time.sort_by_key(|&row| (time(row), self.step(row)));
        time(*by_time.first()?)?;
        let falls = |at: &usize| self.step(by_time[*at]) < self.step(by_time[at - 1]);
        let descents: Vec<usize> = (1..by_time.len()).filter(falls).collect();
        let at = *descents.last()?;
        let (before, new) = by_time.split_at(at);
        let start = self.step(new[0]);
        let (kept, old): (Vec<usize>, Vec<usize>) = path
            .iter()
            .filter(|row| before.contains(row))
            .partition(|row| self.step(**row) < start);
        let apart = |pair: &[usize]| {
            let (a, b) = (time(pair[0])?, time(pair[1])?);
            b.duration_since(a).ok()
        };
        let mut usual: Vec<Duration> = before
            .windows(2)
            .chain(new.windows(2))
            .filter_map(apart)
            .filter(|time| !time.is_zero())
            .collect();
        usual.sort_unstable();
        let median = usual.get(usual.len() / 2);
        let pause = median.zip(apart(&[before[at - 1], new[0]]));
        // Files that were copied in any order have many falls, so that a pause says nothing there.
        let pause = pause.filter(|_| descents.len() == 1);
        Some(Restart {
            from: kept.last().copied(),
            before: before.to_vec(),
            old,
            new: new.to_vec(),
            pause: pause.map_or(0.0, |(median, pause)| {
                pause.as_secs_f64() / median.as_secs_f64()
            }),
        })
    }

    /// Returns true if most of the old rows that lie between two of `follows` are a detour from these.
    fn lie_aside(&self, path: &[usize], old: &[usize], follows: &[usize]) -> bool {
        let (mut between, mut aside) = (0, 0);
        for (at, &row) in path.iter().enumerate().filter(|(_, row)| old.contains(row)) {
            let (head, tail) = path.split_at(at);
            let is_new = |row: &&usize| follows.contains(row);
            let neighbours = head.iter().rev().find(is_new);
            if let Some((&a, &b)) = neighbours.zip(tail.iter().find(is_new)) {
                between += 1;
                aside += usize::from(!self.is_no_detour(a, row, b));
            }
        }
        2 * aside > between
    }

    /// Returns true if going from `a` to `b` by way of a row is no detour: both legs are shorter than the whole.
    fn is_no_detour(&self, a: usize, row: usize, b: usize) -> bool {
        let whole = self.distance(a, b);
        self.distance(a, row) < whole && self.distance(row, b) < whole
    }

    /// Returns the largest leap from a new row to an old one beside it on the path, in usual moves of the new ones with
    /// the one that they go on from.
    fn leap(&self, path: &[usize], old: &[usize], follows: &[usize], from: Option<usize>) -> f64 {
        let moves = |rows: &[usize]| {
            let moves = rows.windows(2).map(|w| self.distance(w[0], w[1]));
            moves.fold(0.0, f64::max)
        };
        let usual = moves(if follows.len() > 1 { follows } else { old });
        let between = path
            .windows(2)
            .filter(|w| old.contains(&w[0]) != old.contains(&w[1]) && Some(w[0]) != from)
            .map(|w| self.distance(w[0], w[1]));
        let largest = between.fold(0.0, f64::max);
        if usual > 0.0 { largest / usual } else { 0.0 }
    }

    /// Returns lower steps whose weights have nothing in common with the higher ones, where each side is smooth in
    /// itself: one checkpoint alone may be a start that training has forgotten.
    fn unrelated_head(&self, path: &[usize]) -> Option<PathChange> {
        let steps: Vec<f64> = path.windows(2).map(|w| self.cosine(w[0], w[1])).collect();
        let smooth = |steps: &[f64]| !steps.is_empty() && steps.iter().all(|&cos| cos > SMOOTH);
        // Norms and biases begin alike in every run, so that the widest move may still have a high cosine.
        let inner = 2..path.len().saturating_sub(1);
        let at = inner.min_by(|a, b| steps[a - 1].total_cmp(&steps[b - 1]))?;
        let is_head = steps[at - 1] < CLOSE
            && smooth(&steps[..at - 1])
            && smooth(&steps[at..])
            && !self.is_related(path[at], &path[at - 1..at], path);
        if !is_head {
            return None;
        }
        Some(PathChange::AnotherRun {
            first: self.rows[path[at]].checkpoint.clone(),
            left: self.checkpoints(&path[..at]),
        })
    }

    /// Returns a last checkpoint whose weights have nothing in common with the others, as if it had come by itself.
    fn unrelated_end(&self, path: &[usize]) -> Option<PathChange> {
        let (&last, before) = path.split_last()?;
        (self.begins_anew(last, before)).then(|| self.another_run(last, before.to_vec()))
    }

    /// Finds other runs among the path's if the newest of the rows from `known` on goes on from an older one than the one
    /// before.
    fn others_among(&self, known: usize) -> Option<PathChange> {
        let path = self.path();
        let &[.., before, newest] = &path[..] else {
            return None;
        };
        let likeness = self.likeness();
        if newest < known || run_groups::goes_on(likeness(newest, before)) {
            return None;
        }
        let followed = run_groups::followed(&path, likeness)?;
        Some(self.several_runs(&followed))
    }

    fn several_runs(&self, followed: &Followed) -> PathChange {
        PathChange::SeveralRuns {
            first: self.rows[followed.first].checkpoint.clone(),
            left: self.checkpoints(&followed.left),
        }
    }

    /// Finds the place of the rows from `known` on, which came after the others.
    pub(super) fn place(&mut self, known: usize) -> Vec<PathChange> {
        let mut changes = Vec::new();
        for row in self.by_step((known..self.rows.len()).collect()) {
            let change = self.change_at(row, known);
            let is_end = matches!(change, Some(PathChange::AnotherRun { .. }));
            changes.extend(change);
            // Of the rows before nothing is left to follow from.
            if is_end {
                break;
            }
        }
        if changes.is_empty() && self.is_left_over(known) {
            self.split_by_times(&mut changes);
        }
        if changes.is_empty() {
            changes.extend(self.others_among(known));
        }
        changes
    }

    /// Returns the turn that the path takes at a row which came after those up to `known`.
    fn change_at(&mut self, row: usize, known: usize) -> Option<PathChange> {
        let mut before = self.path();
        before.retain(|&other| other < known);
        let at = before.partition_point(|&other| self.step(other) < self.step(row));
        let (earlier, later) = before.split_at(at);
        let another_run = || match earlier.first() {
            Some(&first) if self.has_others => self.several_runs(&Followed {
                first,
                left: vec![row],
            }),
            _ => self.another_run(row, (0..known).collect()),
        };
        if later.is_empty() {
            return self.begins_anew(row, earlier).then(another_run);
        }
        if self.was_only_late(row, later) {
            return None;
        }
        let kin = [earlier.last(), earlier.first(), later.first()];
        let mut kin: Vec<usize> = kin.into_iter().flatten().copied().collect();
        kin.extend(self.nearest(row, &before));
        if !self.is_related(row, &kin, &before) {
            return Some(another_run());
        }
        if self.lies_between(row, earlier.last().copied(), later) {
            return None;
        }
        Some(self.turn(row, earlier, later))
    }

    /// Returns the turn of the path at a row that goes on from an earlier one than `later`. Rows that came after those
    /// and seemed to lie between them are the new branch's as well.
    fn turn(&mut self, row: usize, earlier: &[usize], later: &[usize]) -> PathChange {
        let arrival = |row: &usize| self.rows[*row].checkpoint.arrival;
        let newest = later.iter().map(arrival).max();
        let (new, mut old): (Vec<usize>, Vec<usize>) = earlier
            .iter()
            .partition(|other| Some(arrival(other)) > newest);
        old.extend(later);
        let first = new.first().copied().unwrap_or(row);
        let start = self.step(first);
        let (kept, left): (Vec<usize>, Vec<usize>) =
            old.into_iter().partition(|old| self.step(*old) < start);
        let first = self.rows[first].checkpoint.clone();
        self.branch(first, kept.last().copied(), &left)
    }

    /// Returns true for weights with a higher step that have nothing in common with a smooth path: a gap in the
    /// steps alone would leave them more alike than independent ones are.
    fn begins_anew(&self, row: usize, before: &[usize]) -> bool {
        let (Some(&last), true) = (before.last(), before.len() > 1) else {
            return false;
        };
        // Of runs that save by turns no two neighbours are alike, whatever their norms have in common.
        let likeness = self.likeness();
        let smooth = |w: &[usize]| likeness(w[1], w[0]) > SMOOTH;
        self.cosine(row, last) < CLOSE
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
                LineagePlace::OldBranch(branch) => branch.number,
                LineagePlace::OnPath => 0,
            })
            .max()
            .unwrap_or_default();
        let from = from.map(|row| self.rows[row].checkpoint.step);
        for &row in rows {
            self.rows[row].place = LineagePlace::OldBranch(LeftBranch { number, from });
        }
        PathChange::Resumed {
            first,
            from,
            left: self.checkpoints(rows),
        }
    }

    /// Returns the rows of the path, by step.
    fn path(&self) -> Vec<usize> {
        let on_path = |row: &usize| self.rows[*row].place == LineagePlace::OnPath;
        self.by_step((0..self.rows.len()).filter(on_path).collect())
    }

    fn by_step(&self, mut rows: Vec<usize>) -> Vec<usize> {
        rows.sort_by_key(|&row| self.step(row));
        rows
    }

    fn step(&self, row: usize) -> u64 {
        self.rows[row].checkpoint.step
    }

    fn checkpoints(&self, rows: &[usize]) -> Vec<Checkpoint> {
        rows.iter()
            .map(|&row| self.rows[row].checkpoint.clone())
            .collect()
    }

    /// Returns true for a checkpoint that was written before the later ones and only came after them, as files do
    /// that are copied from elsewhere.
    fn was_only_late(&self, row: usize, later: &[usize]) -> bool {
        let own = &self.rows[row];
        later.iter().all(|&other| {
            let other = &self.rows[other];
            other.checkpoint.step > own.checkpoint.step
                && other.checkpoint.modified > own.checkpoint.modified
        })
    }

    /// Returns true if going by way of this one is no detour from its neighbours: both legs are shorter than the
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
        self.step(after) > self.step(row) && self.is_no_detour(before, row, after)
    }

    fn nearest(&self, row: usize, among: &[usize]) -> Option<usize> {
        let distance = |other: &usize| self.distance(row, *other);
        among
            .iter()
            .copied()
            .filter(|&other| other != row)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// Returns ‖θ_i − θ_j‖.
    fn distance(&self, i: usize, j: usize) -> f64 {
        square_between(self.gram.path(), i, j).sqrt()
    }

    /// Returns the cosine of the angle between θ_i and θ_j over all parameters.
    fn cosine(&self, i: usize, j: usize) -> f64 {
        let norms = self.gram.norms();
        let (a, b) = (norms[i], norms[j]);
        if a > 0.0 && b > 0.0 {
            (a * a + b * b - self.distance(i, j).powi(2)) / (2.0 * a * b)
        } else {
            1.0
        }
    }

    /// Returns true if the weights have more in common with one of `kin` than chance would give. A checkpoint that
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

    /// Returns the cosine of the weight matrices of two checkpoints, or a lower one that is high enough to know; 1 where it
    /// cannot be told. Matrices are read only if norms and biases could have all that two checkpoints have in common.
    fn likeness(&self) -> impl Fn(usize, usize) -> f64 {
        let vectors = OnceCell::new();
        move |row, other| {
            let whole = self.cosine(row, other);
            if whole > CLOSE {
                return whole;
            }
            let vectors = *vectors.get_or_init(|| self.share_of_vectors(row));
            let at_least = (whole - vectors) / (1.0 - vectors);
            if at_least > SMOOTH {
                return at_least;
            }
            match self.matrices(row, other) {
                Ok((cosine, count)) if CHANCE / (count as f64).sqrt() < SMOOTH => cosine,
                _ => 1.0,
            }
        }
    }

    /// Returns the share of norms and biases in a checkpoint's squared norm; 0 if it cannot be read.
    fn share_of_vectors(&self, row: usize) -> f64 {
        let all = self.gram.norms()[row].powi(2);
        let matrices = (self.squared_norm_of_matrices(row)).unwrap_or(all);
        (1.0 - matrices / all).clamp(0.0, 1.0)
    }

    /// Returns the cosine over the weight matrices alone, and their number of weights: norms and biases begin alike in
    /// every run.
    fn matrices(&self, i: usize, j: usize) -> Result<(f64, usize), WeightsError> {
        let [a, b] = [self.flat(i)?, self.flat(j)?];
        let (mut dot, mut left, mut right, mut count) = (0.0, 0.0, 0.0, 0);
        for range in self.matrix_ranges() {
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

    fn squared_norm_of_matrices(&self, row: usize) -> Result<f64, WeightsError> {
        let flat = self.flat(row)?;
        let all = self.matrix_ranges().flat_map(|range| &flat[range]);
        Ok(all.map(|weight| f64::from(*weight).powi(2)).sum())
    }

    fn flat(&self, row: usize) -> Result<Vec<f32>, WeightsError> {
        let member = RunCheckpoint::open(&self.rows[row].checkpoint, self.shape)?;
        direction::flat(&self.shape.layout, &member)
    }

    /// Returns the places of the weight matrices; of all parameters where there are none.
    fn matrix_ranges(&self) -> impl Iterator<Item = Range<usize>> {
        let slots = self.shape.layout.slots().iter();
        let parameters = slots.filter(|slot| slot.role == Role::Parameter);
        let has_matrices = parameters.clone().any(|slot| slot.rank() >= 2);
        parameters
            .filter(move |slot| !has_matrices || slot.rank() >= 2)
            .map(|slot| slot.offset..slot.offset + slot.len())
    }
}
