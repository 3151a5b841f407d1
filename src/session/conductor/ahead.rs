//! Plans that come before the map: the newest checkpoint's own loss, its loss on test samples, and the pictures on
//! demand.

use crate::data::Split;
use crate::landscape::{Query, WorkerRequest};

use super::super::analysis::AnalysisTarget;
use super::super::job::Job;
use super::super::schedule::{Schedule, Target};
use super::super::snapshot::Finding;
use super::{Conductor, key};

/// The purpose of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The own loss of the newest checkpoint of the path.
    Newest(Target),
    /// The loss of the newest checkpoint on test samples.
    Test,
    /// A picture on demand.
    Analysis(AnalysisTarget),
}

impl Purpose {
    pub(super) fn is_analysis(self) -> bool {
        matches!(self, Self::Analysis(_))
    }
}

/// The jobs that come before the map and are not done.
#[derive(Debug, Default)]
pub(super) struct JobsAhead {
    jobs: Vec<Job<Purpose>>,
    /// Samples of the map that were measured since the last checkpoint that went ahead: as much time as that took is
    /// the map's.
    paid: usize,
}

impl JobsAhead {
    /// Returns the query that an answer is of, and its purpose.
    pub(super) fn task(&self, generation: u64, index: usize) -> Option<&(Query, Purpose)> {
        self.jobs.iter().find_map(|job| job.task(generation, index))
    }

    pub(super) fn has(&self, wanted: impl Fn(Purpose) -> bool) -> bool {
        self.jobs.iter().filter_map(purpose).any(wanted)
    }

    /// Takes a job off that is done.
    pub(super) fn finish(&mut self, generation: u64) -> Option<Job<Purpose>> {
        let mut done = (self.jobs).extract_if(.., |job| job.generation == generation);
        done.next()
    }

    /// Counts samples that were measured for the map.
    pub(super) fn pay(&mut self, samples: usize) {
        self.paid = self.paid.saturating_add(samples);
    }

    fn drop_all(&mut self, unwanted: impl Fn(Purpose) -> bool) {
        self.jobs
            .retain(|job| purpose(job).is_some_and(|purpose| !unwanted(purpose)));
    }
}

/// Returns the purpose of a job, which is that of each of its tasks.
pub(super) fn purpose(job: &Job<Purpose>) -> Option<Purpose> {
    job.tasks.first().map(|task| task.1)
}

impl Conductor {
    /// Has the plans ahead measured; those that are under way go on.
    pub(super) fn send_ahead(&mut self) {
        let order = |purpose: Purpose| match purpose {
            Purpose::Newest(_) => 0,
            Purpose::Test => 1,
            Purpose::Analysis(_) => 2,
        };
        self.ahead.jobs.sort_by_key(|job| purpose(job).map(order));
        let plans = self.ahead.jobs.iter().map(Job::plan);
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
                self.plan_ahead((query, Purpose::Newest(target)), self.split());
            }
        } else if self.split() != Split::Test
            && self.has_picture()
            && self.snapshot.test.is_none()
            && !self.ahead.has(|purpose| purpose == Purpose::Test)
            && self.tested.as_ref() != Some(&key(&newest))
        {
            // Where there are no test samples the plan fails without a notice.
            self.tested = Some(key(&newest));
            let query = Query::of_checkpoint(newest);
            self.plan_ahead((query, Purpose::Test), Split::Test);
        }
    }

    /// Returns true if the map has two levels, or there is no map.
    fn has_picture(&self) -> bool {
        let map = self.schedule.as_ref().map(|schedule| &schedule.pictures);
        map.is_some_and(|map| map.surface.x().is_empty() || map.has_level(1))
    }

    fn plan_ahead(&mut self, task: (Query, Purpose), split: Split) {
        let Some(plane) = &self.plane else { return };
        self.generation += 1;
        self.ahead.jobs.push(Job {
            generation: self.generation,
            spec: plane.spec.clone(),
            split,
            tasks: vec![task],
        });
        self.send_ahead();
    }

    /// Takes the jobs of a picture on demand in the place of those before.
    pub(super) fn take_analysis_jobs(&mut self, jobs: Vec<Job<AnalysisTarget>>) {
        self.ahead.drop_all(Purpose::is_analysis);
        let jobs = jobs.into_iter().map(|job| job.map(Purpose::Analysis));
        self.ahead.jobs.extend(jobs);
        self.send_ahead();
    }

    /// Returns the number of all samples; 0 as long as it is not known.
    pub(super) fn all_samples(&self) -> usize {
        match &self.snapshot.data {
            Finding::Is(data) => data.samples,
            _ => 0,
        }
    }
}
