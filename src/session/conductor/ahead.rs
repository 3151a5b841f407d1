//! Plans that come before the map: the newest checkpoint's own loss, its loss on test samples, and the pictures on
//! demand.

use crate::data::Split;
use crate::landscape::worker::protocol::{Plan, Query, WorkerRequest};

use super::super::schedule::{Schedule, Target};
use super::super::snapshot::Finding;
use super::{Conductor, key};

/// A plan's purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The own loss of the newest checkpoint of the path.
    Newest(Target),
    /// The loss of the newest checkpoint on test samples.
    Test,
    /// A picture on demand.
    Study,
}

/// The plans that come before the map and are not done.
#[derive(Debug, Default)]
pub(super) struct PlansAhead {
    plans: Vec<(Purpose, Plan)>,
    /// Samples of the map that were measured since the last checkpoint that went ahead: as much time as that took is
    /// the map's.
    paid: usize,
}

impl PlansAhead {
    /// The purpose of a plan that is under way.
    pub(super) fn purpose(&self, generation: u64) -> Option<Purpose> {
        let mut plans = self.plans.iter();
        let plan = plans.find(|(_, plan)| plan.generation == generation)?;
        Some(plan.0)
    }

    /// A query of a plan that is under way.
    pub(super) fn query(&self, generation: u64, index: usize) -> Option<&Query> {
        let mut plans = self.plans.iter();
        let plan = plans.find(|(_, plan)| plan.generation == generation)?;
        plan.1.queries.get(index)
    }

    pub(super) fn has(&self, wanted: impl Fn(Purpose) -> bool) -> bool {
        self.plans.iter().any(|(purpose, _)| wanted(*purpose))
    }

    /// Takes a plan off that is done.
    pub(super) fn finish(&mut self, generation: u64) {
        self.plans.retain(|(_, plan)| plan.generation != generation);
    }

    /// Counts samples that were measured for the map.
    pub(super) fn pay(&mut self, samples: usize) {
        self.paid = self.paid.saturating_add(samples);
    }

    fn drop_all(&mut self, unwanted: impl Fn(Purpose) -> bool) {
        self.plans.retain(|(purpose, _)| !unwanted(*purpose));
    }
}

impl Conductor {
    /// Has the plans ahead measured; those that are under way go on.
    pub(super) fn send_ahead(&mut self) {
        let order = |purpose: &Purpose| match purpose {
            Purpose::Newest(_) => 0,
            Purpose::Test => 1,
            Purpose::Study => 2,
        };
        self.ahead.plans.sort_by_key(|(purpose, _)| order(purpose));
        let plans = self.ahead.plans.iter().map(|(_, plan)| plan.clone());
        let _ = self.to_workers.send(WorkerRequest::First(plans.collect()));
    }

    /// Drops what was planned ahead for another plane or path.
    pub(super) fn forget_ahead(&mut self) {
        self.ahead.drop_all(|_| true);
    }

    /// Plans what the newest checkpoint is, on training samples and then on test samples, if it is time.
    pub(super) fn plan_newest(&mut self) {
        let is_under_way = |purpose| matches!(purpose, Purpose::Newest(_));
        if self.awaits_samples() || self.ahead.has(is_under_way) {
            return;
        }
        let Some(newest) = self.plane.as_ref().and_then(|plane| plane.members.last()) else {
            return;
        };
        let newest = newest.clone();
        let is_known = self.truths.contains_key(&key(&newest));
        if !is_known {
            let price = self.all_samples();
            let is_paid = self.ahead.paid >= price || self.snapshot.progress.rests;
            let schedule = self.schedule.as_mut().filter(|_| is_paid);
            if let Some((query, target)) = schedule.and_then(Schedule::take_newest) {
                self.ahead.paid = 0;
                self.plan_ahead(Purpose::Newest(target), self.split(), vec![query]);
            }
        } else if self.split() != Split::Test
            && self.has_picture()
            && self.snapshot.test.is_none()
            && !self.ahead.has(|purpose| purpose == Purpose::Test)
            && self.tested.as_ref() != Some(&key(&newest))
        {
            // Where there are no test samples the plan fails without a notice.
            self.tested = Some(key(&newest));
            self.plan_ahead(
                Purpose::Test,
                Split::Test,
                vec![Query::of_checkpoint(newest)],
            );
        }
    }

    /// Returns true if the map has two levels, or there is no map.
    fn has_picture(&self) -> bool {
        let map = self.schedule.as_ref().map(|schedule| &schedule.pictures);
        map.is_some_and(|map| map.surface.x().is_empty() || map.has_level(1))
    }

    fn plan_ahead(&mut self, purpose: Purpose, split: Split, queries: Vec<Query>) {
        let Some(plane) = &self.plane else { return };
        self.generation += 1;
        let plan = Plan {
            generation: self.generation,
            spec: plane.spec.clone(),
            split,
            queries,
        };
        self.ahead.plans.push((purpose, plan));
        self.send_ahead();
    }

    /// Takes the plans of a picture on demand in the place of those before.
    pub(super) fn take_study_plans(&mut self, plans: Vec<Plan>) {
        self.ahead.drop_all(|purpose| purpose == Purpose::Study);
        let plans = plans.into_iter().map(|plan| (Purpose::Study, plan));
        self.ahead.plans.extend(plans);
        self.send_ahead();
    }

    /// Number of all samples; 0 as long as it is not known.
    pub(super) fn all_samples(&self) -> usize {
        match &self.snapshot.data {
            Finding::Is(data) => data.samples,
            _ => 0,
        }
    }
}
