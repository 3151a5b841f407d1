//! Plans the next measurements: the map, the pictures on demand, and the questions to the path.

use crate::data::Split;
use crate::landscape::grid::fidelity;
use crate::landscape::{Assumed, Surface, WorkerRequest};

use super::super::analysis::{Analysis, AnalysisResult, AnalysisSubject};
use super::super::job::Job;
use super::super::measure_cache::MeasureCache;
use super::super::pictures::{Pictures, Samples};
use super::super::schedule::{Schedule, Target};
use super::super::snapshot::Finding;
use super::super::throughput::first_samples;
use super::ahead::{Purpose, purpose};
use super::{Conductor, key, update};

impl Conductor {
    /// Plans anew for the plane and window that count now.
    pub(super) fn plan(&mut self) {
        self.schedule = None;
        self.forget_ahead();
        if self.plane.is_none() {
            self.snapshot.map = None;
            self.snapshot.slices.clear();
            return;
        }
        self.snapshot.progress.share = 0.0;
        self.plan_map();
    }

    fn has_plane(&self) -> bool {
        self.plane.as_ref().is_some_and(|plane| plane.axes() == 2)
    }

    /// Plans the map; what was planned ahead of it goes on.
    fn plan_map(&mut self) {
        let Some(plane) = &self.plane else { return };
        self.generation += 1;
        self.is_shown = false;
        self.first_level.begin(self.clock.now());
        // The first picture comes before; what was answered so far is remembered.
        if self.inquiry.break_off() {
            let _ = self.to_workers.send(WorkerRequest::Ask(None));
        }
        let (averages, truths, updates) = (&self.snapshot.averages, &self.truths, &self.updates);
        let known = |target: Target| match target {
            Target::Truth(i) => truths.contains_key(&key(&plane.members[i])),
            Target::Update(i) => updates.contains_key(&update(&plane.members, i)),
            Target::Average(last) => averages.iter().any(|average| average.0 == last),
            _ => false,
        };
        let surface = if self.has_plane() {
            plane.grid(self.window)
        } else {
            Surface::new(Vec::new(), Vec::new())
        };
        let window = self.window.unwrap_or_else(|| plane.window());
        let pictures = Pictures::new(surface, window, plane.axes(), self.samples());
        let job = Job {
            generation: self.generation,
            spec: plane.spec.clone(),
            split: self.split(),
            tasks: Vec::new(),
        };
        let mut schedule = Schedule::new(job, &plane.trajectory, &plane.members, pictures, known);
        let recalled = schedule.recall(&plane.known);
        self.schedule = Some(schedule);
        for (i, measure) in recalled {
            self.set_projection(i, measure);
        }
        self.send_plan();
        self.plan_analysis();
        self.plan_newest();
        self.ask();
    }

    /// Takes more checkpoints of the same path into the plan that is under way.
    pub(super) fn admit(&mut self) {
        let Some(plane) = &self.plane else { return };
        let (truths, updates) = (&self.truths, &self.updates);
        let known = |target: Target| match target {
            Target::Truth(i) => truths.contains_key(&key(&plane.members[i])),
            Target::Update(i) => updates.contains_key(&update(&plane.members, i)),
            _ => false,
        };
        if let Some(schedule) = &mut self.schedule {
            schedule.admit(&plane.trajectory, &plane.members, known);
            // A plan that is done has nobody who asks what comes next; one under way is not to be dropped.
            if schedule.job.tasks.is_empty() {
                self.next_of_map();
            }
        }
        // A picture on demand is finished before that of another checkpoint is begun.
        if self
            .snapshot
            .analysis
            .as_ref()
            .is_some_and(|analysis| analysis.left == 0)
        {
            self.plan_analysis();
        }
        self.plan_newest();
        self.ask();
    }

    /// Returns the samples of the map; `None` if their number is not known.
    fn samples(&self) -> Option<Samples> {
        let all = Some(self.all_samples()).filter(|all| *all > 0)?;
        let everywhere = self.few.unwrap_or(all);
        Some(Samples {
            all,
            few: self.few,
            first: first_samples(self.first_level.pace(), everywhere),
            score: self.snapshot.score(),
        })
    }

    /// Begins the first level anew on fewer samples where it takes too long.
    pub(super) fn hasten(&mut self) -> bool {
        let schedule = (self.schedule.as_ref()).filter(|_| !self.snapshot.progress.paused);
        let samples = schedule.and_then(|map| map.pictures.samples);
        let Some(now) = samples.filter(|_| self.first_level.is_late(self.clock.now())) else {
            return false;
        };
        let present = now.first.unwrap_or(now.everywhere());
        let wanted = self.samples().and_then(|samples| samples.first);
        let is_slow = wanted.is_some_and(|wanted| wanted < present);
        if is_slow {
            self.plan_map();
        }
        is_slow
    }

    /// Has the path asked which function it followed, when it is time. That takes as long as a picture, so that the
    /// first one comes before it.
    pub(super) fn ask(&mut self) {
        let schedule = self.schedule.as_ref();
        let has_picture = schedule.is_some_and(Schedule::has_picture);
        if self.awaits_samples() || !has_picture {
            return;
        }
        let split = self.split();
        let is_quiet = self.is_quiet();
        if let Some(plane) = &self.plane
            && let Some(plan) = (self.inquiry).due(&plane.spec, &plane.members, split, is_quiet)
        {
            let _ = self.to_workers.send(WorkerRequest::Ask(Some(plan)));
        }
    }

    /// Takes what is assumed of the function; what was measured of another one is dropped.
    pub(super) fn assume(&mut self, assumed: Assumed) {
        if !self.inquiry.counts(&assumed) {
            return;
        }
        let changed = self.inquiry.fold(&assumed);
        self.snapshot.assumed = Some(assumed);
        let Some(function) = changed else { return };
        let _ = self.to_workers.send(WorkerRequest::Assume(function));
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
        self.tested = None;
        self.snapshot.map = None;
        self.show_sharpness();
        self.plan();
    }

    /// Begins what was planned, now that the samples are known, or that there are none.
    pub(super) fn begin(&mut self) {
        if let Finding::Is(data) = &self.snapshot.data {
            match fidelity::few(self.options.fidelity, data.samples) {
                Ok(few) => self.few = few,
                Err(error) => self.notice(format!("{error}; all are measured everywhere")),
            }
        }
        self.plan();
    }

    /// Has the schedule's queries measured, once it is known on what.
    fn send_plan(&mut self) {
        if self.awaits_samples() {
            return;
        }
        if let (Some(plane), Some(schedule)) = (&self.plane, &mut self.schedule) {
            // Its checkpoints may be read from copies by now.
            schedule.job.spec.clone_from(&plane.spec);
            let plan = schedule.job.plan();
            let _ = self.to_workers.send(WorkerRequest::Measure(plan));
        }
    }

    /// Takes what a plan that is done found, which tells what comes next.
    pub(super) fn next_batch(&mut self, done: u64) {
        let job = self.ahead.finish(done);
        if let Some(job) = job.filter(|job| purpose(job).is_some_and(Purpose::is_analysis))
            && let Some(analysis) = &mut self.snapshot.analysis
            && let Some(tasks) = analysis.next_batch()
        {
            self.generation += 1;
            self.take_analysis_jobs(vec![Job {
                generation: self.generation,
                spec: job.spec,
                split: job.split,
                tasks,
            }]);
        }
        let is_map = self
            .schedule
            .as_ref()
            .is_some_and(|map| map.job.generation == done);
        if is_map && !self.refit_if_due() {
            self.next_of_map();
        }
        self.plan_newest();
    }

    /// Has measured what the map asks for next.
    fn next_of_map(&mut self) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        self.generation += 1;
        if schedule.next_batch(self.generation) {
            self.send_plan();
        }
        if let Some(schedule) = self.schedule.as_ref().filter(|schedule| schedule.rests()) {
            self.expected = schedule.pictures.done();
        }
        self.ask();
    }

    /// Plans what is wanted on demand, for the plane that counts now.
    pub(super) fn plan_analysis(&mut self) {
        if self.awaits_samples() {
            return;
        }
        let planned = self
            .analysis
            .zip(self.plane.as_ref())
            .and_then(|(analysis, plane)| {
                let window = self.window.unwrap_or_else(|| plane.window());
                let mut members = plane.members.clone();
                if analysis == Analysis::Stability {
                    members.retain(|member| !self.sharpness.contains_key(&key(member)));
                }
                let subject = AnalysisSubject {
                    spec: &plane.spec,
                    members: &members,
                    window: [window.x, window.y],
                    split: self.split(),
                    seed: self.options.setup.seed(),
                    next: self.generation + 1,
                };
                AnalysisResult::plan(analysis, subject)
            });
        let (analysis, jobs) = planned.unzip();
        let jobs = jobs.unwrap_or_default();
        self.generation += jobs.len() as u64;
        self.snapshot.analysis = analysis;
        self.take_analysis_jobs(jobs);
    }

    pub(super) fn split(&self) -> Split {
        self.options.setup.split()
    }

    /// Returns true as long as nobody knows whether there are samples. An evaluator tells that with its first answer,
    /// so that it is asked at once.
    pub(super) fn awaits_samples(&self) -> bool {
        self.snapshot.data == Finding::Pending && self.options.setup.evaluator.is_none()
    }
}
