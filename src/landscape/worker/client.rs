//! A pool of workers for those who wait: batches of queries are answered one after another.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::super::evidence::{Assumed, AssumedFunction};
use super::super::{Fault, LandscapeError};
use super::pool::{Hosting, serve};
use super::protocol::{
    Introduction, Plan, Quantity, Query, QueryAnswer, Setup, WorkerEvent, WorkerRequest,
};
use crate::data::Split;
use crate::evaluator::Tell;
use crate::landscape::grid::surface::Measure;
use crate::loss::Score;
use crate::run::Checkpoint;
use crate::weights::{PlaneSpec, RunShape};

/// A step towards the answers of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A query has its answer, or none.
    Answer,
    /// A query has taken another product with the Hessian.
    Product,
}

/// The function that a run is measured by.
#[derive(Clone, Debug)]
pub struct MeasuredFunction {
    /// Name of the architecture, or the command of an evaluator.
    pub model: String,
    /// A sentence about weights that no checkpoint holds; `None` if all are in checkpoints.
    pub kept: Option<String>,
    /// Assumptions about the function, and the reasons for them.
    pub assumed: Assumed,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
}

/// A pool on a thread of its own, which ends with it.
pub struct Client {
    /// `None` once it ends.
    requests: Option<Sender<WorkerRequest>>,
    reports: Receiver<WorkerEvent>,
    pool: Option<JoinHandle<()>>,
    setup: Setup,
    tell: Tell,
    generation: u64,
    /// The function that is measured, as far as names do not tell it.
    function: AssumedFunction,
    told: Told,
}

/// The facts that workers have told.
#[derive(Default)]
struct Told {
    model: Option<(String, Option<String>, Option<Score>)>,
    assumed: Option<Assumed>,
    evaluator: Option<Introduction>,
    samples: HashMap<Split, usize>,
    /// The reason why there is no loss, which a plan's failure does not repeat.
    why_not: Option<String>,
}

impl Client {
    /// Starts a pool; `tell` takes a sentence about whatever goes wrong and is mended.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn start(setup: Setup, hosting: Hosting, tell: Tell) -> Result<Self, LandscapeError> {
        let ((requests, served), (send, reports)) = (channel(), channel());
        let (of_pool, hosting) = (
            setup.clone(),
            Hosting {
                reads_first: true,
                ..hosting
            },
        );
        let pool = thread::Builder::new().name("pool".into()).spawn(move || {
            serve(&of_pool, &hosting, &served, |report| {
                send.send(report).is_ok()
            });
        });
        let pool = pool.map_err(|error| failed(format!("no thread for workers: {error}")))?;
        Ok(Self {
            requests: Some(requests),
            reports,
            pool: Some(pool),
            setup,
            tell,
            generation: 0,
            function: AssumedFunction::default(),
            told: Told::default(),
        })
    }

    /// Asks a path which function it followed, and measures that from now on. An evaluator is asked for its own.
    ///
    /// # Errors
    /// Nothing gives a loss here: no device, no samples, or no model.
    pub fn begin(
        &mut self,
        shape: &RunShape,
        members: &[Checkpoint],
    ) -> Result<MeasuredFunction, LandscapeError> {
        self.assume(&AssumedFunction::default());
        let assumed = self.asked(shape, members)?;
        self.assume(&assumed.function);
        // A path may be asked before the samples are known.
        self.wait_for_samples()?;
        let (model, kept, score) = match &self.told.evaluator {
            Some(evaluator) => (evaluator.command.clone(), None, evaluator.score),
            None => self.told.model.clone().unwrap_or_default(),
        };
        Ok(MeasuredFunction {
            model,
            kept,
            assumed,
            score,
        })
    }

    /// Returns the function that a path followed, as far as it tells.
    ///
    /// # Errors
    /// As [`Client::begin`].
    pub fn asked(
        &mut self,
        shape: &RunShape,
        members: &[Checkpoint],
    ) -> Result<Assumed, LandscapeError> {
        let Some(last) = members.last() else {
            return Ok(Assumed::default());
        };
        let spec = PlaneSpec::through(shape, last);
        self.told.assumed = None;
        let question = vec![Query::of(Quantity::Function(members.to_vec()))];
        let answers = self.values(&spec, self.setup.split(), question, |_| ())?;
        let assumed = self.told.assumed.take();
        if let Some(Err(reason)) = answers.into_iter().next() {
            let Some(unasked) = assumed.filter(|_| self.told.model.is_some()) else {
                return Err(failed(format!(
                    "the path was not asked which function it followed, and nothing is known of it: {reason}"
                )));
            };
            (self.tell)(format!(
                "the path was not asked, the usual reading is assumed: {reason}"
            ));
            return Ok(unasked);
        }
        Ok(assumed.unwrap_or_default())
    }

    fn assume(&mut self, function: &AssumedFunction) {
        if self.function != *function {
            self.function.clone_from(function);
            self.post(WorkerRequest::Assume(function.clone()));
        }
    }

    /// Returns the number of samples of a split; `None` before something was measured on them.
    #[must_use]
    pub fn samples(&self, split: Split) -> Option<usize> {
        self.told.samples.get(&split).copied()
    }

    /// Answers queries, in any order; `each` gets every step. The values are in the queries' order, and in the
    /// place of one that could not be had is the reason, in a sentence.
    ///
    /// # Errors
    /// None of them can be answered.
    pub fn values(
        &mut self,
        spec: &PlaneSpec,
        split: Split,
        queries: Vec<Query>,
        each: impl Fn(Step),
    ) -> Result<Vec<Result<QueryAnswer, String>>, LandscapeError> {
        let mut left = queries.len();
        let mut values: Vec<_> = queries.iter().map(|_| Err(String::new())).collect();
        if left == 0 {
            return Ok(values);
        }
        self.generation += 1;
        let own = self.generation;
        self.post(WorkerRequest::Measure(Plan {
            generation: own,
            spec: spec.clone(),
            split,
            queries,
        }));
        loop {
            let (index, value) = match self.next()? {
                WorkerEvent::Measured {
                    generation,
                    index,
                    value,
                    ..
                } if generation == own => (index, Ok(value)),
                WorkerEvent::Failed {
                    generation,
                    index: Some(index),
                    reason,
                } if generation == own => (index, Err(reason)),
                WorkerEvent::Failed {
                    generation, reason, ..
                } if generation == own => return Err(self.why_not(split, reason)?),
                WorkerEvent::Done(generation) if generation == own && left == 0 => {
                    return Ok(values);
                }
                WorkerEvent::Product { generation, .. } if generation == own => {
                    each(Step::Product);
                    continue;
                }
                _ => continue,
            };
            if let Some(place) = values.get_mut(index) {
                *place = value;
                left = left.saturating_sub(1);
                each(Step::Answer);
            }
        }
    }

    /// Returns why a plan has no values: that of the samples or the model, if there is one.
    fn why_not(&mut self, split: Split, reason: String) -> Result<LandscapeError, LandscapeError> {
        let own = self.setup.split();
        if split == own {
            self.wait_for_samples()?;
        }
        let of_samples = self.told.why_not.take().filter(|_| split == own);
        Ok(failed(of_samples.unwrap_or(reason)))
    }

    /// Waits until the samples are known, or the reason why there are none.
    fn wait_for_samples(&mut self) -> Result<(), LandscapeError> {
        let own = self.setup.split();
        while self.told.why_not.is_none() && !self.told.samples.contains_key(&own) {
            self.next()?;
        }
        Ok(())
    }

    fn post(&self, request: WorkerRequest) {
        if let Some(requests) = &self.requests {
            // A pool that has ended reports nothing, which is seen then.
            let _ = requests.send(request);
        }
    }

    /// Waits for the next report, and notes what it tells of the function and the samples.
    fn next(&mut self) -> Result<WorkerEvent, LandscapeError> {
        let report = self.reports.recv();
        let report = report.map_err(|_| failed("the workers have ended".into()))?;
        match &report {
            WorkerEvent::Lost(sentence) | WorkerEvent::Trouble(sentence) => {
                (self.tell)(sentence.clone());
            }
            WorkerEvent::Data { split, samples, .. } => {
                self.told.samples.insert(*split, *samples);
            }
            WorkerEvent::NoData(reason) | WorkerEvent::NoModel(reason) => {
                self.told.why_not = Some(reason.clone());
            }
            WorkerEvent::Evaluator(evaluator) => {
                self.told
                    .samples
                    .insert(self.setup.split(), evaluator.samples);
                self.told.evaluator = Some(evaluator.clone());
            }
            WorkerEvent::Model {
                name, kept, score, ..
            } => self.told.model = Some((name.clone(), kept.clone(), *score)),
            WorkerEvent::Assumed(assumed) => {
                let known = &mut self.told.assumed;
                // A worker says what it begins with; an answer of the path stands against that.
                if assumed.samples > 0 || known.as_ref().is_none_or(|known| known.samples == 0) {
                    *known = Some((**assumed).clone());
                }
            }
            _ => {}
        }
        Ok(report)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(pool) = self.pool.take() {
            // Its panic was reported when it happened.
            let _ = pool.join();
        }
    }
}

/// Returns the loss and score of values; a place where none could be had is a hole, whose reason `tell` takes.
pub fn measures(values: Vec<Result<QueryAnswer, String>>, tell: &Tell) -> Vec<Measure> {
    let hole = Measure {
        loss: f64::NAN,
        score: f64::NAN,
    };
    let measure = |value| match value {
        Ok(QueryAnswer::Measure(measure)) => measure,
        Ok(_) => hole,
        Err(reason) => {
            tell(reason);
            hole
        }
    };
    values.into_iter().map(measure).collect()
}

fn failed(reason: String) -> LandscapeError {
    LandscapeError::Worker {
        reason,
        fault: Fault::Other,
    }
}
