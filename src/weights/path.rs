//! The checkpoints of a run as they come in: which belong on the path, and their Gram rows.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use crate::run::Checkpoint;

use super::WeightsError;
use super::dynamics::Dynamics;
use super::fitted_plane::PathProducts;
use super::gram::Gram;
use super::kept_products::{KeptProducts, KeptRows};
use super::lineage::{Lineage, LineagePlace, Row};
use super::path_change::{LeftBranch, PathChange};
use super::roles::Roles;
use super::run_checkpoint::{RunCheckpoint, RunShape};
use super::trajectory::{Fit, OldBranch, Trajectory, fit, project};

/// A checkpoint that has no place on the path, with the reason.
#[derive(Debug)]
pub struct Rejected {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Reason for leaving it out.
    pub error: WeightsError,
}

/// The outcome of an update.
#[derive(Debug, Default)]
pub struct PathUpdate {
    /// Checkpoints that were tried and have no place on the path.
    pub rejected: Vec<Rejected>,
    /// Turns of the path.
    pub changes: Vec<PathChange>,
    /// Checkpoints that were on the path and can be read nowhere any more.
    pub lost: Vec<Checkpoint>,
}

/// The identity of a content: its path and its number there.
type Key = (PathBuf, u64);

fn key(checkpoint: &Checkpoint) -> Key {
    (checkpoint.path.clone(), checkpoint.arrival)
}

/// A path as it was drawn last, for the next session: nothing in the weights tells the signs of its axes, or
/// where training was resumed.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct PathMemory {
    /// Training step of each checkpoint, ascending.
    pub steps: Vec<u64>,
    /// Coordinates of θ_t − θ_last along PC1 and PC2.
    pub coordinates: Vec<[f64; 2]>,
    /// The checkpoints of branches that training has left, each with its branch.
    pub left: Vec<(Checkpoint, LeftBranch)>,
}

/// A run as far as it was read.
#[derive(Debug, Default)]
pub struct RunPath {
    key: Option<String>,
    /// Roles that the model gives its tensors.
    roles: Option<Arc<Roles>>,
    shape: Option<RunShape>,
    gram: Gram,
    kept: KeptRows,
    /// One for each row of the Gram matrix, in order of arrival.
    rows: Vec<Row>,
    /// Contents that are not tried again while the shape is what it is.
    misfits: HashSet<Key>,
    /// Contents that are never tried again: not finite, or of another run.
    retired: HashSet<Key>,
    previous: Option<Trajectory>,
    /// Branches of checkpoints that a session before found out.
    recalled: HashMap<Key, LeftBranch>,
    /// True if the checkpoints of several runs are laid on one path as they are.
    has_many_runs: bool,
    /// True if other runs were found to save into the folder by turns with this one.
    has_others: bool,
}

impl RunPath {
    /// Returns an empty path; `key` names the state dict inside nested dicts.
    #[must_use]
    pub fn new(key: Option<String>) -> Self {
        Self {
            key,
            ..Self::default()
        }
    }

    /// Returns an empty path for the checkpoints of several runs, which follow from nothing before.
    #[must_use]
    pub fn of_many_runs(key: Option<String>) -> Self {
        Self {
            has_many_runs: true,
            ..Self::new(key)
        }
    }

    /// Returns the same path, of the tensors that a model takes.
    #[must_use]
    pub fn with_roles(self, roles: Option<Arc<Roles>>) -> Self {
        Self { roles, ..self }
    }

    /// Returns the same path, whose dot products are kept and found again.
    #[must_use]
    pub fn with_kept_products(self, products: Option<Arc<dyn KeptProducts>>) -> Self {
        let kept = KeptRows::of(products);
        Self { kept, ..self }
    }

    /// Keeps the dot products of one more checkpoint, which may be read for its content. Returns false if all are that
    /// can be.
    pub fn keep_another(&mut self) -> bool {
        let path: Vec<&Checkpoint> = self.rows.iter().map(|row| &row.checkpoint).collect();
        let shape = self.shape.as_ref();
        shape.is_some_and(|shape| self.kept.keep_another(&self.gram, shape, &path))
    }

    /// Takes over what an earlier session knew.
    pub fn recall(&mut self, memory: PathMemory) {
        self.previous = Some(Trajectory {
            steps: memory.steps,
            coordinates: memory.coordinates,
            ..Trajectory::default()
        });
        let left = memory.left.into_iter();
        self.recalled = left.map(|(one, branch)| (key(&one), branch)).collect();
    }

    /// Returns the part of the path that the next session cannot find out by itself.
    #[must_use]
    pub fn memory(&self) -> PathMemory {
        let previous = self.previous.clone().unwrap_or_default();
        let branch = |row: &Row| match row.place {
            LineagePlace::OldBranch(branch) => Some((row.checkpoint.clone(), branch)),
            LineagePlace::OnPath => None,
        };
        PathMemory {
            steps: previous.steps,
            coordinates: previous.coordinates,
            left: self.rows.iter().filter_map(branch).collect(),
        }
    }

    fn row(&self, checkpoint: Checkpoint) -> Row {
        let branch = self.recalled.get(&key(&checkpoint));
        Row {
            place: branch.map_or(LineagePlace::OnPath, |branch| {
                LineagePlace::OldBranch(*branch)
            }),
            checkpoint,
        }
    }

    /// Returns the names and shapes of the run, those of the newest checkpoint that was read.
    #[must_use]
    pub fn shape(&self) -> Option<&RunShape> {
        self.shape.as_ref()
    }

    /// Makes the path that of `wanted`: the others leave it, new ones are read, all in one pass.
    /// `told` hears now and then how many weights have been read, and of how many.
    ///
    /// Those of one call came together, so that their steps order them; those of a later call came
    /// after them, so that a step that is not above all before means a resumed run or another one.
    pub fn update(
        &mut self,
        mut wanted: Vec<Checkpoint>,
        told: impl Fn(usize, usize),
    ) -> PathUpdate {
        let mut update = PathUpdate::default();
        self.keep_only(&wanted);
        wanted.sort_by_key(|checkpoint| checkpoint.step);
        self.follow_newest(&wanted, &mut update);
        let mut new = self.new_of(&wanted);
        new.retain(|checkpoint| match self.fits(checkpoint) {
            Ok(()) => true,
            Err(error) => {
                self.reject(checkpoint, error, &mut update);
                false
            }
        });
        new.sort_by_key(|checkpoint| (checkpoint.arrival, checkpoint.step));
        let mut read = self.extend(&new, &told);
        if read.is_err() && self.drop_lost(&mut update) {
            read = self.extend(&new, &told);
        }
        let known = self.rows.len();
        if read.is_ok() {
            let new: Vec<Row> = new.drain(..).map(|one| self.row(one)).collect();
            self.rows.extend(new);
        }
        // One by one where all at once failed, so that one bad file stops no other.
        for checkpoint in new {
            match self.extend(std::slice::from_ref(&checkpoint), &told) {
                Ok(()) => self.rows.push(self.row(checkpoint)),
                Err(error) => self.reject(&checkpoint, error, &mut update),
            }
        }
        self.place(known, &mut update);
        update
    }

    /// Returns the checkpoints on the path by step, and where they lie. Signs of the axes stay as they were
    /// at the last fit. An empty path has an empty fit.
    pub fn fit(&mut self) -> (Vec<Checkpoint>, Arc<Fit>) {
        let order = self.order();
        let steps: Vec<(u64, usize)> = order
            .iter()
            .map(|&row| (self.rows[row].checkpoint.step, row))
            .collect();
        let mut fit = fit(&self.gram, &steps, self.previous.as_ref());
        fit.trajectory.old_branches = self.old_branches(&order, &fit);
        self.previous = Some(fit.trajectory.clone());
        let members = order
            .iter()
            .map(|&row| self.rows[row].checkpoint.clone())
            .collect();
        (members, Arc::new(fit))
    }

    /// Returns the dot products of all checkpoints, those of old branches too.
    #[must_use]
    pub fn products(&self) -> PathProducts {
        let checkpoints = self.rows.iter().map(|row| row.checkpoint.clone());
        PathProducts::new(checkpoints.collect(), self.gram.shared_path())
    }

    /// Returns true if a checkpoint is known to be of a branch that training has left, from now or from a session
    /// before.
    #[must_use]
    pub fn has_left(&self, checkpoint: &Checkpoint) -> bool {
        let is = |row: &&Row| {
            let own = &row.checkpoint;
            (own.arrival, &own.path) == (checkpoint.arrival, &checkpoint.path)
        };
        match self.rows.iter().find(is) {
            Some(row) => row.place != LineagePlace::OnPath,
            None => self.recalled.contains_key(&key(checkpoint)),
        }
    }

    /// Returns the checkpoints of branches that training has left, by step.
    #[must_use]
    pub fn left_behind(&self) -> Vec<Checkpoint> {
        let mut left: Vec<Checkpoint> = self
            .rows
            .iter()
            .filter(|row| row.place != LineagePlace::OnPath)
            .map(|row| row.checkpoint.clone())
            .collect();
        left.sort_by_key(|checkpoint| checkpoint.step);
        left
    }

    /// Returns the norms by layer and angles between updates of the checkpoints on the path.
    #[must_use]
    pub fn dynamics(&self) -> Dynamics {
        let order = self.order();
        self.shape.as_ref().map_or_else(Dynamics::default, |shape| {
            Dynamics::of(&self.gram, &shape.layout, &order)
        })
    }

    /// Returns the rows of the path, by step.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows.len())
            .filter(|&row| self.rows[row].place == LineagePlace::OnPath)
            .collect();
        order.sort_by_key(|&row| self.rows[row].checkpoint.step);
        order
    }

    fn old_branches(&self, order: &[usize], fit: &Fit) -> Vec<OldBranch> {
        let mut branches: Vec<OldBranch> = Vec::new();
        let mut rows: Vec<usize> = (0..self.rows.len()).collect();
        rows.sort_by_key(|&row| self.rows[row].checkpoint.step);
        for row in rows {
            let LineagePlace::OldBranch(LeftBranch { number, from }) = self.rows[row].place else {
                continue;
            };
            let step = self.rows[row].checkpoint.step;
            let at = project(&self.gram, order, &fit.combinations, row);
            match branches.iter_mut().find(|branch| branch.number == number) {
                Some(branch) => {
                    branch.steps.push(step);
                    branch.coordinates.push(at);
                }
                None => branches.push(OldBranch {
                    number,
                    from,
                    steps: vec![step],
                    coordinates: vec![at],
                }),
            }
        }
        branches
    }

    /// Takes the others off the path, and takes over what has changed of those that stay.
    fn keep_only(&mut self, wanted: &[Checkpoint]) {
        let wanted: HashMap<Key, &Checkpoint> = wanted.iter().map(|one| (key(one), one)).collect();
        for row in (0..self.rows.len()).rev() {
            match wanted.get(&key(&self.rows[row].checkpoint)) {
                Some(checkpoint) => self.rows[row].checkpoint = Checkpoint::clone(checkpoint),
                None => self.remove(row),
            }
        }
        self.misfits.retain(|key| wanted.contains_key(key));
        self.retired.retain(|key| wanted.contains_key(key));
    }

    /// Takes rows off whose weights can be read nowhere any more: their products with new ones cannot be had,
    /// and they must not keep those from the path. True if there were any.
    fn drop_lost(&mut self, update: &mut PathUpdate) -> bool {
        let is_lost = |row: &Row| {
            let shape = self.shape.as_ref();
            shape.is_some_and(|shape| RunCheckpoint::open(&row.checkpoint, shape).is_err())
        };
        let lost: Vec<usize> = (0..self.rows.len())
            .filter(|row| is_lost(&self.rows[*row]))
            .collect();
        for &row in lost.iter().rev() {
            update.lost.push(self.rows[row].checkpoint.clone());
            self.remove(row);
        }
        !lost.is_empty()
    }

    fn remove(&mut self, row: usize) {
        self.gram.remove(row);
        self.kept.remove(row);
        self.rows.remove(row);
    }

    /// Returns those that are neither on the path nor were refused for good.
    fn new_of(&self, wanted: &[Checkpoint]) -> Vec<Checkpoint> {
        let known: HashSet<Key> = self.rows.iter().map(|row| key(&row.checkpoint)).collect();
        let is_new = |checkpoint: &&Checkpoint| {
            let key = key(checkpoint);
            !known.contains(&key) && !self.misfits.contains(&key) && !self.retired.contains(&key)
        };
        wanted.iter().filter(is_new).cloned().collect()
    }

    /// Takes names and shapes from the newest checkpoint, where it has others than the path.
    fn follow_newest(&mut self, wanted: &[Checkpoint], update: &mut PathUpdate) {
        let mut new = self.new_of(wanted);
        new.sort_by_key(|checkpoint| (checkpoint.arrival, checkpoint.step));
        let Some(shape) = &self.shape else {
            let mut newest_first = new.iter().rev();
            self.shape = newest_first.find_map(|newest| self.shape_of(newest).ok());
            return;
        };
        let last = self.rows.iter().map(|row| row.checkpoint.arrival).max();
        let Some(newest) = new.pop().filter(|newest| last <= Some(newest.arrival)) else {
            return;
        };
        let is_another = RunCheckpoint::open(&newest, shape).is_err_and(|e| e.is_another_shape());
        let Some(shape) = is_another.then(|| self.shape_of(&newest).ok()).flatten() else {
            return;
        };
        // A checkpoint that holds NaN as well says nothing of what is trained.
        let begun = Self {
            key: self.key.clone(),
            roles: self.roles.clone(),
            kept: self.kept.anew(),
            shape: Some(shape),
            has_many_runs: self.has_many_runs,
            ..Self::default()
        };
        let mut trial = Gram::default();
        if begun.read_into(&mut trial, &[&newest], |_, _| {}).is_err() {
            return;
        }
        let before = std::mem::replace(self, begun);
        self.retired = before.retired;
        let left: Vec<Checkpoint> = before.rows.into_iter().map(|row| row.checkpoint).collect();
        if !left.is_empty() {
            update
                .changes
                .push(PathChange::AnotherModel { newest, left });
        }
    }

    /// Checks names and shapes.
    fn fits(&self, checkpoint: &Checkpoint) -> Result<(), WeightsError> {
        match &self.shape {
            Some(shape) => RunCheckpoint::open(checkpoint, shape).map(drop),
            // No checkpoint told a shape, so that this one's own error says why.
            None => self.shape_of(checkpoint).map(drop),
        }
    }

    fn shape_of(&self, checkpoint: &Checkpoint) -> Result<RunShape, WeightsError> {
        RunShape::of_model(checkpoint, self.key.as_deref(), self.roles.as_ref())
    }

    fn reject(&mut self, checkpoint: &Checkpoint, error: WeightsError, update: &mut PathUpdate) {
        let key = key(checkpoint);
        match &error {
            WeightsError::NotFinite { .. } => drop(self.retired.insert(key)),
            error if error.is_another_shape() => drop(self.misfits.insert(key)),
            _ => {}
        }
        update.rejected.push(Rejected {
            checkpoint: checkpoint.clone(),
            error,
        });
    }

    fn extend(
        &mut self,
        new: &[Checkpoint],
        told: impl Fn(usize, usize),
    ) -> Result<(), WeightsError> {
        if new.is_empty() {
            return Ok(());
        }
        let rows = self.rows.iter().map(|row| &row.checkpoint);
        let all: Vec<&Checkpoint> = rows.chain(new).collect();
        let (mut gram, mut kept) = (self.gram.clone(), self.kept.clone());
        if let Some(shape) = &self.shape {
            kept.extend(&mut gram, shape, &all);
        }
        self.read_into(&mut gram, &all, told)?;
        (self.gram, self.kept) = (gram, kept);
        Ok(())
    }

    fn read_into(
        &self,
        gram: &mut Gram,
        all: &[&Checkpoint],
        told: impl Fn(usize, usize),
    ) -> Result<(), WeightsError> {
        let Some(shape) = &self.shape else {
            return Ok(());
        };
        let open = |row: usize| RunCheckpoint::open(all[row], shape);
        let not_finite = |row: usize, slot: usize| WeightsError::NotFinite {
            path: all[row].path.clone(),
            tensor: shape.layout.slots()[slot].name.clone(),
        };
        gram.extend(&shape.layout, all.len(), open, not_finite, told)
    }

    /// Finds the place of the rows from `known` on, those of one arrival after the other, and takes off the
    /// path what belongs to it no more.
    fn place(&mut self, mut known: usize, update: &mut PathUpdate) {
        while known < self.rows.len() && !self.has_many_runs {
            let Some(shape) = &self.shape else { return };
            let arrival = self.rows[known].checkpoint.arrival;
            let mut others = self.rows[known..].iter();
            let count = others.position(|row| row.checkpoint.arrival != arrival);
            let end = count.map_or(self.rows.len(), |count| known + count);
            let mut lineage = Lineage {
                shape,
                gram: &self.gram,
                rows: &mut self.rows[..end],
                has_others: self.has_others,
            };
            let changes = if known == 0 {
                lineage.sort_out()
            } else {
                lineage.place(known)
            };
            known = end;
            self.has_others |= changes
                .iter()
                .any(|change| matches!(change, PathChange::SeveralRuns { .. }));
            for change in &changes {
                if let PathChange::AnotherRun { left, .. } | PathChange::SeveralRuns { left, .. } =
                    change
                {
                    known -= self.retire(left);
                }
            }
            update.changes.extend(changes);
        }
    }

    /// Takes the checkpoints of another run off for good. Returns the number of them.
    fn retire(&mut self, left: &[Checkpoint]) -> usize {
        let mut count = 0;
        for checkpoint in left {
            let mut rows = self.rows.iter();
            if let Some(row) = rows.position(|row| row.checkpoint.is(checkpoint)) {
                self.retired.insert(key(checkpoint));
                self.remove(row);
                count += 1;
            }
        }
        count
    }
}
