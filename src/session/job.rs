//! Queries that are measured together, each with the place of its answer.

use crate::data::Split;
use crate::landscape::{Plan, Query};
use crate::weights::PlaneSpec;

/// Queries of one plane and one split, in the order in which they are measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Job<T> {
    /// Number of the plan; answers carry it.
    pub generation: u64,
    /// The plane.
    pub spec: PlaneSpec,
    /// The samples.
    pub split: Split,
    /// The queries, each with the place of its answer.
    pub tasks: Vec<(Query, T)>,
}

impl<T> Job<T> {
    /// Returns the plan for the workers.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            generation: self.generation,
            spec: self.spec.clone(),
            split: self.split,
            queries: self.tasks.iter().map(|task| task.0.clone()).collect(),
        }
    }

    /// Returns the query that an answer is of; `None` if it is of another job.
    #[must_use]
    pub fn task(&self, generation: u64, index: usize) -> Option<&(Query, T)> {
        let is_own = self.generation == generation;
        self.tasks.get(index).filter(|_| is_own)
    }

    /// Replaces the places of the answers.
    #[must_use]
    pub fn map<U>(self, place: impl Fn(T) -> U) -> Job<U> {
        let tasks = self.tasks.into_iter();
        Job {
            generation: self.generation,
            spec: self.spec,
            split: self.split,
            tasks: tasks.map(|(query, to)| (query, place(to))).collect(),
        }
    }
}
