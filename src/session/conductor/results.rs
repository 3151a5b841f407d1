//! Takes the workers' answers: the samples and the model, and each measured value.

use crate::landscape::{
    CriticalStep, Introduction, Quantity, Query, QueryAnswer, Subset, WorkerEvent,
};
use crate::loss::Measure;
use crate::run::Checkpoint;

use super::super::analysis::AnalysisTarget;
use super::super::data_finding;
use super::super::schedule::Target;
use super::super::snapshot::{Finding, ModelLine};
use super::ahead::Purpose;
use super::{Conductor, Key, key, update};

impl Conductor {
    pub(super) fn fold_worker(&mut self, event: WorkerEvent) {
        if let WorkerEvent::Evaluator(evaluator) = &event {
            self.introduce(evaluator.clone());
        }
        if let Some(finding) = data_finding(&self.options.setup, &event) {
            let is_first = self.snapshot.data == Finding::Pending;
            self.snapshot.data = finding;
            if is_first {
                self.begin();
            }
        }
        match event {
            WorkerEvent::Device(name) => self.snapshot.device = name,
            WorkerEvent::Model { name, evidence, .. } => {
                self.snapshot.model = Finding::Is(ModelLine {
                    name,
                    evidence,
                    parameters: self.plane.as_ref().map_or(0, |plane| plane.parameters),
                });
            }
            WorkerEvent::Assumed(assumed) => self.assume(*assumed),
            WorkerEvent::Lost(reason) => self.notice(reason),
            WorkerEvent::Trouble(reason) => self.notice_passing(reason),
            WorkerEvent::NoModel(reason) => self.snapshot.model = Finding::Not(reason),
            WorkerEvent::Measured {
                generation,
                index,
                value,
                recalled,
            } => {
                if !recalled {
                    self.count(generation, index);
                }
                self.measured(generation, index, &value);
            }
            WorkerEvent::Failed {
                generation,
                index,
                reason,
            } => self.failed(generation, index, reason),
            WorkerEvent::Cost(cost) => self.snapshot.progress.cost = Some(cost),
            WorkerEvent::Done(generation) => {
                if self.inquiry.done(generation) {
                    self.throughput.forget();
                }
                self.next_batch(generation);
            }
            WorkerEvent::Product {
                generation,
                index,
                done,
                of,
            } => {
                if let (Some(Purpose::Analysis(target)), Some(analysis)) = (
                    self.ahead.task(generation, index).map(|task| task.1),
                    &mut self.snapshot.analysis,
                ) {
                    analysis.take_product(target, done, of);
                }
            }
            WorkerEvent::Data { .. } | WorkerEvent::NoData(_) | WorkerEvent::Evaluator(_) => {}
        }
    }

    fn introduce(&mut self, evaluator: Introduction) {
        self.snapshot.device.clone_from(&evaluator.device);
        self.snapshot.model = Finding::Is(ModelLine {
            name: evaluator.command.clone(),
            evidence: "a program of the user's own measures".into(),
            parameters: self.plane.as_ref().map_or(0, |plane| plane.parameters),
        });
        self.snapshot.evaluator = Some(evaluator);
    }

    /// Returns the query of a plan that is under way.
    fn query(&self, generation: u64, index: usize) -> Option<&Query> {
        let map = self.schedule.as_ref();
        let of_map = map.and_then(|map| map.job.task(generation, index));
        let ahead = self.ahead.task(generation, index);
        of_map
            .map(|task| &task.0)
            .or_else(|| ahead.map(|task| &task.0))
    }

    /// Counts the samples of an answer.
    fn count(&mut self, generation: u64, index: usize) {
        let all = self.all_samples().max(1);
        let samples = match self.query(generation, index) {
            Some(Query {
                quantity: Quantity::Loss(_),
                samples: Subset::Few(count),
            }) => *count,
            Some(Query {
                quantity: Quantity::Loss(_),
                ..
            }) => all,
            _ => return,
        };
        self.throughput.count(self.clock.now(), samples);
        self.first_level.count(samples);
        if self.ahead.task(generation, index).is_none() {
            self.ahead.pay(samples);
        }
    }

    /// Says why a query of the current plan has no value, unless the model or the samples say it already. A point of
    /// the map without a value is a hole, so that its level can stand.
    fn failed(&mut self, generation: u64, index: Option<usize>, reason: String) {
        tracing::warn!(generation, ?index, "{reason}");
        let is_question = self.inquiry.done(generation);
        let explained = self.is_refused();
        let schedule = self.schedule.as_ref();
        let current = schedule.is_some_and(|schedule| schedule.job.generation == generation);
        if is_question && !explained {
            self.notice(format!(
                "the path was not asked, the usual reading is assumed: {reason}"
            ));
        } else if current && !explained && !self.has_vanished(generation, index) {
            self.notice(reason);
        }
        if let Some(index) = index {
            self.fill_hole(generation, index);
        }
        if index.is_none() {
            self.ahead.finish(generation);
        }
    }

    /// Returns true if a query is of a checkpoint that the run has deleted meanwhile, as trainers do: the next plan has
    /// its copy, or does without it.
    fn has_vanished(&self, generation: u64, index: Option<usize>) -> bool {
        let query = index.and_then(|index| self.query(generation, index));
        let is_there = |one: &Checkpoint| one.kept.is_some() || one.path.exists();
        query.is_some_and(|query| !query.quantity.checkpoints().into_iter().all(is_there))
    }

    fn fill_hole(&mut self, generation: u64, index: usize) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        if let Some(&(_, target)) = schedule.job.task(generation, index)
            && matches!(
                target,
                Target::First { .. } | Target::Grid { .. } | Target::Full { .. }
            )
        {
            let hole = Measure {
                loss: f64::NAN,
                score: f64::NAN,
            };
            schedule.fill(target, hole);
        }
    }

    /// Takes a value for the plan that asked: one ahead of the map, the analysis, or the map.
    fn measured(&mut self, generation: u64, index: usize, value: &QueryAnswer) {
        let purpose = self.ahead.task(generation, index).map(|task| task.1);
        match (purpose, value) {
            (Some(Purpose::Newest(target)), &QueryAnswer::Measure(measure)) => {
                if let Some(schedule) = &mut self.schedule {
                    schedule.fill(target, measure);
                }
                self.show_measure(target, measure);
            }
            (Some(Purpose::Test), &QueryAnswer::Measure(measure)) => {
                self.snapshot.test = Some(measure);
            }
            (Some(Purpose::Analysis(target)), value) => self.take_for_analysis(target, value),
            (Some(_), _) => {}
            (None, _) => self.take_for_map(generation, index, value),
        }
    }

    fn take_for_analysis(&mut self, target: AnalysisTarget, value: &QueryAnswer) {
        let Some(analysis) = &mut self.snapshot.analysis else {
            return;
        };
        analysis.take(target, value);
        if let QueryAnswer::Curvature(found) = value
            && let Some(checkpoint) = analysis.checkpoint(target)
        {
            self.sharpness.insert(key(checkpoint), found.lambda_max);
            self.show_sharpness();
        }
    }

    /// Takes a value for the map and the checkpoints on it; ignores one of an earlier plan.
    fn take_for_map(&mut self, generation: u64, index: usize, value: &QueryAnswer) {
        let Some(schedule) = &mut self.schedule else {
            return;
        };
        let Some((query, target)) = schedule.job.task(generation, index) else {
            return;
        };
        let target = *target;
        match (value, target) {
            // The path may have more checkpoints by now, and other averages.
            (&QueryAnswer::Measure(_), Target::Average(last))
                if !schedule.is_average(query, last) => {}
            (&QueryAnswer::Measure(measure), _) => {
                if let Some(plane) = &mut self.plane {
                    plane.known.insert(query, measure);
                }
                schedule.fill(target, measure);
                if schedule.pictures.stands() {
                    self.first_level.end(self.clock.now());
                }
                self.show_measure(target, measure);
            }
            (&QueryAnswer::Critical(step), Target::Update(i)) => self.set_critical(i, step),
            (_, _) => {}
        }
    }

    /// Shows the loss of a checkpoint, its projection or an average; the pictures show that of other queries.
    fn show_measure(&mut self, target: Target, measure: Measure) {
        match target {
            Target::Truth(i) => self.set_truth(i, measure),
            Target::Projection(i) => self.set_projection(i, measure),
            Target::Average(last) => self.set_average(last, measure),
            Target::Slice { .. }
            | Target::First { .. }
            | Target::Grid { .. }
            | Target::Full { .. }
            | Target::Update(_) => {}
        }
    }

    fn set_truth(&mut self, i: usize, measure: Measure) {
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).truth = Some(measure);
            self.truths.insert((path, arrival), measure);
        }
    }

    pub(super) fn set_projection(&mut self, i: usize, measure: Measure) {
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).on_plane = Some(measure);
        }
    }

    fn set_average(&mut self, last: usize, measure: Measure) {
        let averages = &mut self.snapshot.averages;
        averages.retain(|(known, _)| *known != last);
        averages.push((last, measure));
        averages.sort_by_key(|average| average.0);
    }

    fn set_critical(&mut self, i: usize, step: CriticalStep) {
        let Some(plane) = &self.plane else { return };
        let ends = update(&plane.members, i);
        self.updates.insert(ends, step);
        if let Some((path, arrival)) = self.member_key(i) {
            self.line(&path, arrival).critical = Some(step);
        }
    }

    fn member_key(&self, i: usize) -> Option<Key> {
        Some(key(self.plane.as_ref()?.members.get(i)?))
    }

    pub(super) fn show_sharpness(&mut self) {
        let members = self.plane.iter().flat_map(|plane| &plane.members);
        let known = members.filter_map(|member| {
            let lambda_max = *self.sharpness.get(&key(member))?;
            Some((member.step, lambda_max))
        });
        self.snapshot.lambda_max = known.collect();
    }
}
