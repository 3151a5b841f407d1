//! Plans the next measurements: the map, the pictures on demand, test samples, and the questions to the path.

use std::sync::Arc;

use crate::data::Split;
use crate::landscape::evidence::Assumed;
use crate::landscape::fidelity;
use crate::landscape::worker::protocol::{Plan, Query, Request};

use super::super::measure_cache::MeasureCache;
use super::super::pictures::Few;
use super::super::schedule::{Schedule, Target, whole_path};
use super::super::snapshot::Finding;
use super::super::study::{Findings, Study};
use super::{Conductor, key, update};

impl Conductor {
    /// Plans anew for the plane and window that count now.
    pub(super) fn plan(&mut self) {
        if let Some(map) = &mut self.snapshot.map {
            map.stale = true;
        }
        let Some(plane) = &self.plane else {
            self.schedule = None;
            self.snapshot.map = None;
            self.snapshot.slices.clear();
            return;
        };
        self.generation += 1;
        let trajectory = Arc::new(plane.fit.trajectory.clone());
        let averages = &self.snapshot.averages;
        let known = |target: Target| match target {
            Target::Truth(i) => self.truths.contains_key(&key(&plane.members[i])),
            Target::Update(i) => self.updates.contains_key(&update(&plane.members, i)),
            Target::Average(last) => averages.iter().any(|average| average.0 == last),
            _ => false,
        };
        let mut schedule = Schedule::new(
            self.generation,
            &trajectory,
            &plane.members,
            self.window,
            self.few,
            known,
        );
        let recalled = schedule.recall(&plane.known);
        self.schedule = Some(schedule);
        for (i, measure) in recalled {
            self.set_projection(i, measure);
        }
        self.send_plan();
        self.plan_study();
        self.ask();
    }

    /// Has the path asked which function it followed, when it is time.
    fn ask(&mut self) {
        if self.awaits_samples() {
            return;
        }
        let split = self.split();
        if let Some(plane) = &self.plane
            && let Some(plan) = self.inquiry.due(&plane.spec, &plane.members, split)
        {
            let _ = self.to_workers.send(Request::Ask(plan));
        }
    }

    /// Takes what is assumed of the function; what was measured of another one is dropped.
    pub(super) fn assume(&mut self, assumed: Assumed) {
        if !self.inquiry.counts(&assumed) {
            return;
        }
        let changed = self.inquiry.fold(&assumed);
        // A new answer takes the place of the one before, with what that warned of.
        if let Some(before) = &self.snapshot.assumed {
            let is_told = |notice: &String| before.warnings().any(|warning| warning == notice);
            self.snapshot.notices.retain(|notice| !is_told(notice));
        }
        for warning in assumed.warnings() {
            self.notice(warning.clone());
        }
        self.snapshot.assumed = Some(assumed);
        let Some(function) = changed else { return };
        let _ = self.to_workers.send(Request::Assume(function));
        self.truths.clear();
        self.updates.clear();
        self.sharpness.clear();
        for line in &mut self.snapshot.checkpoints {
            (line.truth, line.on_plane, line.critical) = (None, None, None);
        }
        if let Some(plane) = &mut self.plane {
            plane.known = MeasureCache::default();
        }
        self.snapshot.averages.clear();
        self.snapshot.test = None;
        self.snapshot.map = None;
        self.show_sharpness();
        self.plan();
    }

    /// The samples are known, or that there are none: what was planned is measured from now on.
    pub(super) fn begin(&mut self) {
        if let Finding::Is(data) = &self.snapshot.data {
            let all = data.samples;
            match fidelity::few(self.options.fidelity, all) {
                Ok(few) => {
                    let score = self.snapshot.score();
                    self.few = few.map(|few| Few { few, all, score });
                }
                Err(error) => self.notice(format!("{error}; all are measured everywhere")),
            }
        }
        if self.few.is_some() {
            self.snapshot.map = None;
            self.plan();
        } else {
            self.send_plan();
            self.plan_study();
            self.ask();
        }
    }

    /// Has the schedule's queries measured, once it is known on what.
    fn send_plan(&self) {
        if self.awaits_samples() {
            return;
        }
        if let (Some(plane), Some(schedule)) = (&self.plane, &self.schedule) {
            let _ = self.to_workers.send(Request::Measure(Plan {
                generation: schedule.generation,
                spec: plane.spec.clone(),
                split: self.split(),
                queries: schedule.queries.clone(),
            }));
        }
    }

    /// A plan is done: what it found tells what comes next.
    pub(super) fn next_batch(&mut self, done: u64) {
        let next = self.generation + 1;
        if let Some(plan) =
            (self.snapshot.study.as_mut()).and_then(|study| study.next_batch(done, next))
        {
            self.generation = next;
            let _ = self.to_workers.send(Request::First(vec![plan]));
        }
        if let Some(schedule) = &mut self.schedule
            && schedule.generation == done
        {
            self.generation += 1;
            if schedule.next_batch(self.generation) {
                self.send_plan();
            }
        }
    }

    /// Plans what is wanted on demand, for the plane that counts now.
    pub(super) fn plan_study(&mut self) {
        if self.awaits_samples() {
            return;
        }
        let planned = self
            .study
            .zip(self.plane.as_ref())
            .and_then(|(study, plane)| {
                let path = &plane.fit.trajectory.coordinates;
                let window = self.window.unwrap_or_else(|| whole_path(path));
                let window = [window.x, window.y];
                let next = self.generation + 1;
                let split = self.split();
                let seed = self.options.setup.seed();
                let mut members = plane.members.clone();
                if study == Study::Stability {
                    members.retain(|member| !self.sharpness.contains_key(&key(member)));
                }
                Findings::plan(study, &plane.spec, &members, window, split, seed, next)
            });
        let mut plans = planned
            .as_ref()
            .map_or(Vec::new(), |planned| planned.1.clone());
        self.generation += plans.len() as u64;
        self.snapshot.study = planned.map(|planned| planned.0);
        if let Some(test) = self.plan_test() {
            plans.insert(0, test);
        }
        let _ = self.to_workers.send(Request::First(plans));
    }

    /// The current checkpoint on test samples, until that is known. Where there are none the plan fails, and
    /// nobody is told.
    fn plan_test(&mut self) -> Option<Plan> {
        let plane = self.plane.as_ref()?;
        if self.split() == Split::Test || self.snapshot.test.is_some() {
            return None;
        }
        self.generation += 1;
        self.test_plan = Some(self.generation);
        Some(Plan {
            generation: self.generation,
            spec: plane.spec.clone(),
            split: Split::Test,
            queries: vec![Query::Checkpoint(plane.spec.origin.clone())],
        })
    }

    pub(super) fn split(&self) -> Split {
        self.options.setup.split()
    }

    /// True as long as nobody knows whether there are samples. An evaluator tells that with its first answer, so that
    /// it is asked at once.
    fn awaits_samples(&self) -> bool {
        self.snapshot.data == Finding::Pending && self.options.setup.evaluator.is_none()
    }
}
