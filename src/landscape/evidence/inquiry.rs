//! Asks the path of a run which of several readings it followed.

use candle_core::Device;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::data::scale::PixelScale;
use crate::model::{Activation, Reading};

use super::super::LandscapeError;
use super::super::samples::{Batch, Source};
use super::answers::AskedUpdate;
use super::effort::{Effort, FEW_INTERVALS, spread};
use super::follow::{Follower, Update, pool};
use super::question::{Candidate, Question};
use super::verdict::{self, FEWEST_UPDATES, Scores};
use super::{Assumed, logits};

/// Samples whose statistics batch norm takes together, as is usual in training.
const BATCH: usize = 64;
/// Standard errors above 0 at which no more updates are asked: of one reading, and of several.
const CLEAR: [f64; 2] = [2.5, 4.0];
/// Bytes that the graphs of all batches at work may take together.
const ROOM: usize = 1 << 30;
/// Numbers that a gradient's graph holds for each number of its forward pass, about.
const COPIES: usize = 4;
/// Number of values up to which the gradients of all readings are held at once.
const SMALL: usize = 8 << 20;
/// Scales under which other activations are asked, those that the updates follow best.
const LATER_SCALES: usize = 3;

/// All that is asked, and how much work may go into it.
pub(super) struct Inquiry<'a> {
    pub(super) question: &'a Question<'a>,
    /// Asked before every update.
    go_on: &'a (dyn Fn() -> bool + Sync),
    /// The samples that are looked at.
    pub(super) few: Dataset,
    pub(super) scales: Vec<PixelScale>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) scores: Vec<Scores>,
    pub(super) batch_norm: bool,
    intervals: Vec<usize>,
    pub(super) effort: Effort,
    pub(super) at_once: usize,
    /// Batches for whose graphs there is room at a time, one on each thread.
    beside: usize,
    /// Multiplications that a sample costs.
    pub(super) products: usize,
    /// Classes of the model's output.
    pub(super) classes: Option<usize>,
    /// One sample, by which it is seen whether a reading fits.
    one: Batch,
    /// Activations that are asked once it is known which of the first candidates are best.
    later: Vec<Activation>,
    pub(super) assumed: Assumed,
}

impl Question<'_> {
    /// Takes the reading that the path followed, with the evidence. Before every update that is looked at, `go_on`
    /// is asked.
    ///
    /// # Errors
    /// The model is not recognized, a checkpoint cannot be read, the device fails, or it was told to stop.
    pub fn answer(&self, go_on: &(dyn Fn() -> bool + Sync)) -> Result<Assumed, LandscapeError> {
        let mut inquiry = Inquiry::new(self, go_on)?;
        inquiry.follow()?;
        inquiry.decide()?;
        Ok(inquiry.assumed)
    }
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(
        question: &'a Question<'a>,
        go_on: &'a (dyn Fn() -> bool + Sync),
    ) -> Result<Self, LandscapeError> {
        let first = question.recognize(question.asked)?;
        let data = question.data;
        let one = Source::of(&first, data, &question.criterion.loss)?.batch(0..1, &Device::Cpu)?;
        let program = &first.program;
        let mut scales = vec![data.scale.clone()];
        scales.extend(data.scales.iter().cloned());
        let trace = program.trace(&question.shape.layout, &one.inputs)?;
        let cost = program.cost(&trace);
        let forward = question.forward(&first)?;
        let output = program.outputs[forward.output].value;
        let dims = trace.dims(program, output);
        let classes = dims.and_then(|dims| forward.loss.classes(dims, one.target.dims()));
        let updates = question.members.len().saturating_sub(1);
        let intervals = spread(updates);
        let graph = cost
            .numbers
            .max(1)
            .saturating_mul(size_of::<f32>() * COPIES);
        let room = (question.compute.room(ROOM) / graph).max(1);
        // Batch norm sees the same batches whatever the machine has; the rest of the room is for more of them.
        let at_once = room.min(BATCH);
        let mut inquiry = Self {
            assumed: Assumed {
                loss: question.criterion.loss.name().into(),
                output: logits::doubt(&forward),
                asked_of: updates,
                asked_at: question.members.last().map(|member| member.step),
                ..Assumed::default()
            },
            few: data.evenly_chosen(0),
            question,
            go_on,
            scales,
            candidates: Vec::new(),
            scores: Vec::new(),
            batch_norm: program.has_batch_norm(),
            one,
            classes,
            intervals,
            effort: Effort::of(cost.products, 1, question.is_on_cpu()),
            at_once,
            beside: room / at_once,
            products: cost.products,
            later: first.activations.clone(),
        };
        for reading in &first.readings {
            inquiry.add(*reading, None);
        }
        let readings = inquiry.candidates.len();
        inquiry.effort = Effort::of(cost.products, readings, question.is_on_cpu());
        inquiry.few = data.evenly_chosen(inquiry.effort.samples);
        inquiry.assumed.samples = inquiry.few.samples();
        Ok(inquiry)
    }

    /// Adds a reading under each of these scales, or under all.
    fn add(&mut self, reading: Reading, scales: Option<&[usize]>) {
        // A stem may leave nothing of small images.
        let Ok(recognized) = self.question.recognize(reading) else {
            return;
        };
        let layout = &self.question.shape.layout;
        if recognized.program.trace(layout, &self.one.inputs).is_err() {
            return;
        }
        let all: Vec<usize> = (0..self.scaled()).collect();
        for &scale in scales.unwrap_or(&all) {
            self.scores
                .push(Scores(vec![f64::NAN; self.intervals.len()]));
            self.candidates.push(Candidate {
                recognized: recognized.clone(),
                scale,
            });
        }
    }

    /// Returns the number of scales that the updates are asked for: batch statistics undo the scale of the pixels.
    fn scaled(&self) -> usize {
        if self.batch_norm {
            1
        } else {
            self.scales.len()
        }
    }

    /// Has all readings follow the updates; those that are far behind after the first few no further.
    pub(super) fn follow(&mut self) -> Result<(), LandscapeError> {
        if self.intervals.len() < FEWEST_UPDATES {
            self.add_later(None);
            return Ok(());
        }
        let device = self.question.compute.device.clone();
        let threads = pool(&device, self.beside)?;
        let mut sets: Vec<Vec<Batch>> = Vec::new();
        if let Some(candidate) = self.candidates.first() {
            let loss = &self.question.criterion.loss;
            for scale in &self.scales[..self.scaled()] {
                let data = self.few.rescaled(scale);
                let source = Source::of(&candidate.recognized, &data, loss)?;
                sets.push(source.batches(self.at_once, &device)?);
            }
        }
        let order = self.order();
        let (first, rest) = order.split_at(FEW_INTERVALS.min(order.len()));
        let all: Vec<usize> = (0..self.candidates.len()).collect();
        self.ask_at(first, &all, &sets, &threads)?;
        for widen in [Self::add_later, Self::add_scales] {
            let known = self.candidates.len();
            widen(self, verdict::best(&self.scores));
            let new: Vec<usize> = (known..self.candidates.len()).collect();
            self.ask_at(first, &new, &sets, &threads)?;
        }
        let hopeful = verdict::hopeful(&self.scores, |a, b| self.are_kin(a, b));
        for (round, at) in rest.iter().enumerate() {
            if first.len() + round >= self.effort.intervals && self.is_clear() {
                break;
            }
            self.ask_at(&[*at], &hopeful, &sets, &threads)?;
        }
        Ok(())
    }

    /// Adds the activations that were put off: under the structure and the scales that lead.
    fn add_later(&mut self, best: Option<usize>) {
        let activations = std::mem::take(&mut self.later);
        let usual = best.unwrap_or(0);
        let Some(candidate) = self.candidates.get(usual) else {
            return;
        };
        let base = candidate.recognized.reading;
        let scales = best.map(|_| self.leading(base));
        let count = scales.as_ref().map_or(self.scaled(), Vec::len);
        let more = count * activations.len();
        let is_open = !activations.is_empty();
        let (effort, cpu) = (self.effort, self.question.is_on_cpu());
        // Where no updates are followed a reading costs a loss, or its statistics.
        let is_allowed = if self.intervals.len() < FEWEST_UPDATES {
            effort.allows_losses(self.products, more, cpu)
        } else {
            effort.allows(self.products, more, cpu)
        };
        if is_open && !is_allowed {
            self.assumed.unasked.push("activation".into());
            return;
        }
        for activation in activations {
            let activation = Some(activation);
            self.add(Reading { activation, ..base }, scales.as_deref());
        }
    }

    /// Adds the scales under which the reading that leads now was not asked.
    fn add_scales(&mut self, best: Option<usize>) {
        let Some(best) = best else { return };
        let reading = self.candidates[best].recognized.reading;
        let own = self.candidates.iter();
        let own = own.filter(|candidate| candidate.recognized.reading == reading);
        let known: Vec<usize> = own.map(|candidate| candidate.scale).collect();
        let others: Vec<usize> = (0..self.scaled()).filter(|i| !known.contains(i)).collect();
        self.add(reading, Some(&others));
    }

    /// Returns the scales under which a reading is followed best.
    fn leading(&self, reading: Reading) -> Vec<usize> {
        let own = (0..self.candidates.len())
            .filter(|i| self.candidates[*i].recognized.reading == reading);
        let mut means: Vec<(usize, f64)> = own
            .map(|i| (self.candidates[i].scale, self.scores[i].mean().value))
            .collect();
        means.sort_by(|a, b| b.1.total_cmp(&a.1));
        means.truncate(LATER_SCALES);
        means.into_iter().map(|(scale, _)| scale).collect()
    }

    /// Returns true for readings that differ in the member of a family alone; batch statistics undo the scale.
    pub(super) fn are_kin(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.candidates[a], &self.candidates[b]);
        (self.batch_norm || a.scale == b.scale)
            && a.recognized.reading.is_kin_of(b.recognized.reading)
    }

    /// Asks some readings at some of the intervals.
    fn ask_at(
        &mut self,
        places: &[usize],
        readings: &[usize],
        sets: &[Vec<Batch>],
        threads: &ThreadPool,
    ) -> Result<(), LandscapeError> {
        if readings.is_empty() {
            return Ok(());
        }
        for &at in places {
            if !(self.go_on)() {
                return Err(LandscapeError::Stopped);
            }
            let from = self.intervals[at];
            let update = Update {
                from: self.question.flat(from)?,
                to: self.question.flat(from + 1)?,
            };
            for (reading, cosine) in self.ask(readings, from, &update, sets, threads)? {
                self.scores[reading].0[at] = cosine;
            }
        }
        Ok(())
    }

    /// Returns true where some reading is followed beyond doubt.
    fn is_clear(&self) -> bool {
        let count = self.candidates.len();
        let errors = CLEAR[usize::from(count > 1)];
        verdict::best(&self.scores).is_some_and(|best| {
            let mean = self.scores[best].mean();
            mean.value > errors * mean.error && mean.is_followed(count)
        })
    }

    /// Returns the intervals in an order whose first ones are spread over the path too.
    fn order(&self) -> Vec<usize> {
        let count = self.intervals.len();
        let first: Vec<usize> = (0..FEW_INTERVALS.min(count))
            .map(|i| (2 * i + 1) * count / (2 * FEW_INTERVALS.min(count)))
            .collect();
        let rest = (0..count).filter(|i| !first.contains(i));
        first.iter().copied().chain(rest).collect()
    }

    fn ask(
        &self,
        readings: &[usize],
        from: usize,
        update: &Update,
        sets: &[Vec<Batch>],
        threads: &ThreadPool,
    ) -> Result<Vec<(usize, f64)>, LandscapeError> {
        let (layout, device) = (&self.question.shape.layout, &self.question.compute.device);
        let answers = self.question.answers;
        let ask = |&reading: &usize| -> Result<(usize, f64), LandscapeError> {
            let candidate = &self.candidates[reading];
            let subject = AskedUpdate {
                reading: candidate.recognized.reading,
                scale: candidate.scale,
                samples: self.few.samples(),
                from: self.question.members[from].clone(),
                to: self.question.members[from + 1].clone(),
            };
            if let Some(cosine) = answers.of(&subject) {
                return Ok((reading, cosine));
            }
            if !(self.go_on)() {
                return Err(LandscapeError::Stopped);
            }
            let follower = Follower::of(
                self.question.forward(&candidate.recognized)?,
                layout,
                &sets[candidate.scale],
                device,
                self.batch_norm,
            )?;
            let cosine = follower.cosine(update)?;
            answers.keep(subject, cosine);
            Ok((reading, cosine))
        };
        let is_small = layout.parameters() * readings.len() < SMALL;
        threads.install(|| {
            if is_small {
                readings.par_iter().map(ask).collect()
            } else {
                readings.iter().map(ask).collect()
            }
        })
    }
}
