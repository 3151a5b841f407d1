//! Dot products of checkpoints that were summed before: what is known of a path need not be read again.

use std::fmt::Debug;
use std::sync::Arc;

use crate::run::Checkpoint;

use super::gram::{Gram, GramRow};
use super::run_checkpoint::RunShape;

/// A place where dot products are kept from session to session. One that fails has none and keeps none.
pub trait KeptProducts: Debug + Send + Sync {
    /// Returns the row of the last of these checkpoints, which has products with all of them; `None` if it is not known.
    fn row(&self, shape: &RunShape, path: &[&Checkpoint]) -> Option<GramRow>;

    /// Keeps the row of the last of these checkpoints.
    fn keep(&self, shape: &RunShape, path: &[&Checkpoint], row: &GramRow);
}

/// The part of a path's dot products that is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptRows {
    products: Option<Arc<dyn KeptProducts>>,
    /// Number of the first rows that are kept.
    kept: usize,
    /// True if differences are no longer from the checkpoint of which they were summed: what was computed from them has
    /// fewer digits.
    is_rebased: bool,
}

impl KeptRows {
    pub(super) fn of(products: Option<Arc<dyn KeptProducts>>) -> Self {
        Self {
            products,
            ..Self::default()
        }
    }

    /// Returns the same place, for a path that begins anew.
    pub(super) fn anew(&self) -> Self {
        Self::of(self.products.clone())
    }

    /// Adds to a path's products those of the checkpoints that come next, as far as they are known.
    pub(super) fn extend(&mut self, gram: &mut Gram, shape: &RunShape, path: &[&Checkpoint]) {
        let Some(products) = &self.products else {
            return;
        };
        if gram.rows() == 0 {
            (self.kept, self.is_rebased) = (0, false);
        }
        if self.is_rebased {
            return;
        }
        let known = (gram.rows()..path.len()).map_while(|row| products.row(shape, &path[..=row]));
        let known: Vec<GramRow> = known.collect();
        if self.kept == gram.rows() {
            self.kept += known.len();
        }
        gram.append(known);
    }

    /// Notes that a row is gone.
    pub(super) fn remove(&mut self, row: usize) {
        self.is_rebased |= row == 0;
        self.kept -= usize::from(row < self.kept);
    }

    /// Keeps one more row of a path. Returns false if all are that can be.
    pub(super) fn keep_another(
        &mut self,
        gram: &Gram,
        shape: &RunShape,
        path: &[&Checkpoint],
    ) -> bool {
        let next = path.get(..=self.kept).filter(|_| !self.is_rebased);
        let (Some(products), Some(path)) = (&self.products, next) else {
            return false;
        };
        products.keep(shape, path, &gram.row(self.kept));
        self.kept += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;
    use crate::weights::WeightsError;
    use crate::weights::direction::tests::{Point, layout};

    /// Rows by the steps of the first and the last of a path.
    #[derive(Debug, Default)]
    struct Kept(Mutex<HashMap<(u64, u64), GramRow>>);

    fn key(path: &[&Checkpoint]) -> (u64, u64) {
        (path[0].step, path[path.len() - 1].step)
    }

    impl KeptProducts for Kept {
        fn row(&self, _shape: &RunShape, path: &[&Checkpoint]) -> Option<GramRow> {
            self.0.lock().unwrap().get(&key(path)).cloned()
        }

        fn keep(&self, _shape: &RunShape, path: &[&Checkpoint], row: &GramRow) {
            let before = self.0.lock().unwrap().insert(key(path), row.clone());
            assert!(before.is_none(), "{:?} is kept twice", key(path));
        }
    }

    /// A path that is read into a Gram matrix, a number of checkpoints at a time.
    struct Path {
        kept: KeptRows,
        gram: Gram,
        steps: Vec<u64>,
    }

    impl Path {
        fn of(kept: &Arc<Kept>) -> Self {
            Self {
                kept: KeptRows::of(Some(kept.clone())),
                gram: Gram::default(),
                steps: Vec::new(),
            }
        }

        /// Returns the number of rows that had to be read.
        fn extend(&mut self, steps: &[u64]) -> usize {
            self.steps.extend(steps);
            let checkpoints = checkpoints(&self.steps);
            let path: Vec<&Checkpoint> = checkpoints.iter().collect();
            self.kept
                .extend(&mut self.gram, &RunShape::default(), &path);
            let known = self.gram.rows();
            let open = |row: usize| {
                assert!(known < path.len(), "all is known, and {row} is read");
                Ok(point(self.steps[row]))
            };
            let finite = |_, _| -> WeightsError { unreachable!("all are finite") };
            self.gram
                .extend(&layout(), path.len(), open, finite, |_, _| {})
                .unwrap();
            path.len() - known
        }

        fn remove(&mut self, row: usize) {
            self.gram.remove(row);
            self.kept.remove(row);
            self.steps.remove(row);
        }

        /// Returns the number of rows that were kept.
        fn keep(&mut self) -> usize {
            let checkpoints = checkpoints(&self.steps);
            let path: Vec<&Checkpoint> = checkpoints.iter().collect();
            let mut kept = 0;
            while self
                .kept
                .keep_another(&self.gram, &RunShape::default(), &path)
            {
                kept += 1;
            }
            kept
        }
    }

    fn checkpoints(steps: &[u64]) -> Vec<Checkpoint> {
        let checkpoint = |step: &u64| Checkpoint::new(*step, format!("{step}.pt"));
        steps.iter().map(checkpoint).collect()
    }

    fn point(step: u64) -> Point {
        Point((0..12).map(|k| ((step * 7 + k * 3) % 11) as f32).collect())
    }

    #[test]
    fn each_row_is_kept_once_and_found_by_the_next_session() {
        let kept = Arc::default();
        let mut first = Path::of(&kept);
        assert_eq!((first.extend(&[1, 2, 3]), first.keep()), (3, 3));
        assert_eq!((first.extend(&[4]), first.keep()), (1, 1));
        let mut second = Path::of(&kept);
        assert_eq!((second.extend(&[1, 2, 3, 4, 5]), second.keep()), (1, 1));
        assert_eq!(second.gram.rows(), 5);
        first.extend(&[5]);
        assert_eq!(first.gram, second.gram);
    }

    #[test]
    fn a_row_that_goes_costs_no_other() {
        let kept = Arc::default();
        let mut path = Path::of(&kept);
        path.extend(&[1, 2, 3]);
        path.keep();
        path.remove(1);
        assert_eq!((path.extend(&[4, 5]), path.keep()), (2, 2));
    }

    #[test]
    fn differences_from_another_checkpoint_are_not_kept_until_the_path_begins_anew() {
        let kept = Arc::default();
        let mut path = Path::of(&kept);
        path.extend(&[1, 2, 3]);
        path.remove(0);
        assert_eq!((path.extend(&[4]), path.keep()), (1, 0));
        for _ in 0..3 {
            path.remove(0);
        }
        assert_eq!((path.extend(&[5, 6]), path.keep()), (2, 2));
        assert_eq!(Path::of(&kept).extend(&[5, 6]), 0);
    }
}
