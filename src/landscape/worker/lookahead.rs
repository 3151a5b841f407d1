//! The number of queries that a worker process is asked ahead.

use std::mem::{self, Discriminant};
use std::time::Duration;

use super::protocol::{Quantity, Query, Subset};
use super::queue::Task;

/// Work that is asked for ahead, because beside busy neighbours the process waits for a turn whenever it has none.
const AHEAD: Duration = Duration::from_millis(50);
/// Queries that are asked ahead at most.
const MOST_AHEAD: usize = 63;

/// The kind of the queries that were asked last, and the seconds of the quickest of those that were asked together.
#[derive(Default)]
pub(super) struct Quickest(Option<(Kind, f64)>);

/// Queries that cost about the same: one quantity, on all samples or on few, on the plane or elsewhere.
type Kind = (Discriminant<Quantity>, Discriminant<Subset>, bool);

fn kind(Query { quantity, samples }: &Query) -> Kind {
    let is_on_plane = quantity.plane_point().is_some();
    (
        mem::discriminant(quantity),
        mem::discriminant(samples),
        is_on_plane,
    )
}

impl Quickest {
    /// Takes the seconds of a query; the first of those that are asked together begins anew.
    pub(super) fn take(&mut self, task: &Task, seconds: f64, is_first: bool) {
        let kind = kind(task.query());
        let before = self.0.filter(|(known, _)| *known == kind && !is_first);
        let least = before.map_or(seconds, |(_, least)| seconds.min(least));
        self.0 = Some((kind, least));
    }

    /// Returns the number of queries like this one that fit into [`AHEAD`].
    pub(super) fn ahead(&self, task: &Task) -> usize {
        let kind = kind(task.query());
        let known = self.0.filter(|(known, _)| *known == kind);
        known.map_or(0, |(_, seconds)| {
            ((AHEAD.as_secs_f64() / seconds) as usize).min(MOST_AHEAD)
        })
    }
}
