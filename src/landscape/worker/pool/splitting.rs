//! Points whose samples are split over the workers: each query becomes one for each part, and their sums are added up.

use std::collections::HashMap;

use super::super::protocol::{
    PartSums, Plan, Query, QueryAnswer, Subset, WorkerEvent, WorkerRequest,
};

/// The plans that are split, in front of a queue that knows only the parts.
#[derive(Debug)]
pub(super) struct Splitting {
    /// Parts of each query.
    parts: usize,
    /// Queries of a plan by its generation, and what came of each so far.
    plans: HashMap<u64, Vec<JoinedQuery>>,
    /// The plan that was posted last as the one to measure.
    work: Option<u64>,
}

/// The parts of a query that were answered.
#[derive(Clone, Debug, Default)]
struct JoinedQuery {
    /// Index of its first part among the queries that are handed out.
    first: usize,
    /// Number of its parts; 1 if it is measured whole.
    parts: usize,
    sums: Option<PartSums>,
    answered: usize,
    /// True once a part had no value.
    is_failed: bool,
    was_measured: bool,
}

impl Splitting {
    /// Splits each query in so many parts.
    pub(super) fn new(parts: usize) -> Self {
        Self {
            parts,
            plans: HashMap::new(),
            work: None,
        }
    }

    /// Takes a request, and returns the one for the parts.
    pub(super) fn split(&mut self, request: WorkerRequest) -> WorkerRequest {
        match request {
            WorkerRequest::Measure(plan) => {
                // Nothing is reported any more of the one before.
                if let Some(before) = self.work.replace(plan.generation) {
                    self.plans.remove(&before);
                }
                WorkerRequest::Measure(self.split_plan(plan))
            }
            WorkerRequest::First(plans) => {
                let is_wanted = |generation: u64| {
                    let mut wanted = plans.iter().map(|plan| plan.generation);
                    self.work == Some(generation) || wanted.any(|other| other == generation)
                };
                self.plans.retain(|generation, _| is_wanted(*generation));
                let plans = plans.into_iter().map(|plan| self.split_plan(plan));
                WorkerRequest::First(plans.collect())
            }
            WorkerRequest::Assume(function) => {
                self.plans.clear();
                WorkerRequest::Assume(function)
            }
            other => other,
        }
    }

    fn split_plan(&mut self, plan: Plan) -> Plan {
        let mut joined = Vec::with_capacity(plan.queries.len());
        let mut queries = Vec::new();
        for query in plan.queries {
            let parts = if query.adds_up(&plan.spec) {
                self.parts
            } else {
                1
            };
            joined.push(JoinedQuery {
                first: queries.len(),
                parts,
                ..JoinedQuery::default()
            });
            if parts == 1 {
                queries.push(query);
                continue;
            }
            queries.extend((0..parts).map(|part| Query {
                samples: Subset::Part { part, of: parts },
                ..query.clone()
            }));
        }
        // A plan that is posted again is the one that is under way.
        self.plans.entry(plan.generation).or_insert(joined);
        Plan { queries, ..plan }
    }

    /// Takes a report about the parts, and returns the one about the queries; `None` if more parts are awaited.
    pub(super) fn join(&mut self, report: WorkerEvent) -> Option<WorkerEvent> {
        match report {
            WorkerEvent::Measured {
                generation,
                index,
                value,
                recalled,
            } => {
                let Some((whole, query)) = self.query(generation, index) else {
                    return Some(WorkerEvent::Measured {
                        generation,
                        index,
                        value,
                        recalled,
                    });
                };
                query.was_measured |= !recalled;
                let value = query.add(value)?;
                Some(WorkerEvent::Measured {
                    generation,
                    index: whole,
                    value,
                    recalled: !query.was_measured,
                })
            }
            WorkerEvent::Failed {
                generation,
                index: Some(index),
                reason,
            } => {
                let whole = match self.query(generation, index) {
                    Some((_, query)) if query.is_failed => return None,
                    Some((whole, query)) => {
                        query.is_failed = true;
                        whole
                    }
                    None => index,
                };
                Some(WorkerEvent::Failed {
                    generation,
                    index: Some(whole),
                    reason,
                })
            }
            WorkerEvent::Product {
                generation,
                index,
                done,
                of,
            } => Some(WorkerEvent::Product {
                generation,
                index: self
                    .query(generation, index)
                    .map_or(index, |(whole, _)| whole),
                done,
                of,
            }),
            WorkerEvent::Done(generation) => {
                self.plans.remove(&generation);
                Some(WorkerEvent::Done(generation))
            }
            WorkerEvent::Failed {
                generation,
                index: None,
                ..
            } => {
                self.plans.remove(&generation);
                Some(report)
            }
            other => Some(other),
        }
    }

    /// Returns the query that a part belongs to, and its index.
    fn query(&mut self, generation: u64, part: usize) -> Option<(usize, &mut JoinedQuery)> {
        let queries = self.plans.get_mut(&generation)?;
        let after = queries.partition_point(|query| query.first <= part);
        let index = after.checked_sub(1)?;
        Some((index, queries.get_mut(index)?))
    }
}

impl JoinedQuery {
    /// Adds the value of a part; returns that of the query once it was the last one.
    fn add(&mut self, value: QueryAnswer) -> Option<QueryAnswer> {
        let QueryAnswer::Part(sums) = value else {
            return Some(value);
        };
        self.answered += 1;
        let sums = match self.sums.take() {
            Some(others) => PartSums {
                totals: others.totals + sums.totals,
                ..sums
            },
            None => sums,
        };
        if self.answered == self.parts && !self.is_failed {
            return Some(QueryAnswer::Measure(sums.totals.measure(sums.score)));
        }
        self.sums = Some(sums);
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::super::tests::plan;
    use super::*;
    use crate::loss::{Score, Totals};

    fn part(loss: f64, samples: f64) -> QueryAnswer {
        let totals = Totals {
            loss: loss.into(),
            weight: samples.into(),
            ..Totals::default()
        };
        let score = Some(Score::Perplexity);
        QueryAnswer::Part(PartSums { totals, score })
    }

    fn measured(index: usize, value: QueryAnswer) -> WorkerEvent {
        WorkerEvent::Measured {
            generation: 7,
            index,
            value,
            recalled: false,
        }
    }

    #[test]
    fn parts_add_up_in_any_order_and_a_query_fails_once() {
        let mut splitting = Splitting::new(3);
        let WorkerRequest::Measure(parts) = splitting.split(WorkerRequest::Measure(plan(7, 3)))
        else {
            unreachable!()
        };
        assert_eq!(parts.queries.len(), 9);
        for index in [4, 0, 2, 5] {
            assert_eq!(splitting.join(measured(index, part(6.0, 2.0))), None);
        }
        let whole = |index, loss: f64| {
            let score = loss.exp();
            let measure = crate::loss::Measure { loss, score };
            Some(measured(index, QueryAnswer::Measure(measure)))
        };
        assert_eq!(splitting.join(measured(3, part(0.0, 4.0))), whole(1, 1.5));
        assert_eq!(splitting.join(measured(1, part(0.0, 2.0))), whole(0, 2.0));
        let failed = |index| WorkerEvent::Failed {
            generation: 7,
            index: Some(index),
            reason: "why".into(),
        };
        assert_eq!(splitting.join(failed(8)), Some(failed(2)));
        assert_eq!(splitting.join(failed(6)), None);
        assert_eq!(splitting.join(measured(7, part(1.0, 1.0))), None);
        assert_eq!(
            splitting.join(WorkerEvent::Done(7)),
            Some(WorkerEvent::Done(7))
        );
        assert!(splitting.plans.is_empty());
    }
}
