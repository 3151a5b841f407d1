//! Asks the path of a run which of several readings it followed.

use candle_core::Device;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::data::scale::Scale;
use crate::model::reading::Reading;
use crate::model::{self, Recognized};
use crate::run::Checkpoint;
use crate::weights::direction;
use crate::weights::member::{Member, Shape};

use super::super::LandscapeError;
use super::super::device::{Compute, Precision};
use super::super::objective::{Batch, Objective};
use super::follow::{Follower, Update, batches, pool};
use super::verdict::{self, ENOUGH, FEWEST, SILENT, Scores};
use super::{Assumed, Basis, Function};

/// Updates that are looked at, spread over the path; of a big model fewer, where these say something.
const INTERVALS: usize = 16;
const FEW_INTERVALS: usize = 4;
/// Samples likewise.
const SAMPLES: usize = 256;
const FEW_SAMPLES: [usize; 2] = [32, 64];
/// Samples whose statistics batch norm takes together, as is usual in training.
const BATCH: usize = 64;
/// Multiplications that an answer may cost: a few seconds on two cores. A GPU does so many times more.
const BUDGET: usize = 8_000_000_000;
const GPU: usize = 60;
/// Standard errors above 0 at which no more updates are asked: of one reading, and of several.
const CLEAR: [f64; 2] = [2.5, 4.0];
/// A forward and a backward pass cost as much as three forward passes.
const PASSES: usize = 3;
/// Bytes that the graphs of all batches at work may take.
const ROOM: usize = 1 << 30;
/// A gradient's graph holds about so many times the numbers of its forward pass.
const COPIES: usize = 4;
/// Up to so many numbers, the gradients of all readings are held at once.
const SMALL: usize = 8 << 20;
/// Checkpoints whose loss tells how pixels were normalized.
const LOSSES: usize = 4;

/// What is to be found out, of which run.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Names and shapes.
    pub shape: &'a Shape,
    /// The path, by step.
    pub members: &'a [Checkpoint],
    /// The samples.
    pub data: &'a Dataset,
    /// `auto` or the name of an architecture.
    pub model: &'a str,
    /// What the user answers.
    pub asked: Reading,
    /// Where it is computed.
    pub compute: &'a Compute,
}

/// A reading that fits, with its forward pass.
pub(super) struct Candidate {
    pub(super) recognized: Recognized,
    /// Which of the scales.
    pub(super) scale: usize,
}

/// All that is asked, and how much work may go into it.
pub(super) struct Inquiry<'a> {
    question: &'a Question<'a>,
    /// Those of the samples that are looked at.
    few: Dataset,
    pub(super) scales: Vec<Scale>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) scores: Vec<Scores>,
    batch_norm: bool,
    intervals: Vec<usize>,
    /// So many of them are enough where they tell something.
    enough: usize,
    at_once: usize,
    pub(super) assumed: Assumed,
}

impl Question<'_> {
    /// Takes the reading that the path followed, with the evidence.
    ///
    /// # Errors
    /// The model is not recognized, a checkpoint cannot be read, or the device fails.
    pub fn answer(&self) -> Result<Assumed, LandscapeError> {
        let mut inquiry = Inquiry::new(self)?;
        inquiry.follow()?;
        inquiry.decide()?;
        Ok(inquiry.assumed)
    }

    /// The usual reading, where the path was not asked.
    #[must_use]
    pub fn unasked(&self) -> Assumed {
        let reading = self.recognize(self.asked).map(|found| found.reading);
        Assumed {
            function: Function {
                reading: reading.unwrap_or(self.asked),
                pixels: None,
            },
            normalization: self.data.scale.words(),
            ..Assumed::default()
        }
    }

    pub(super) fn recognize(&self, reading: Reading) -> Result<Recognized, LandscapeError> {
        let image = Some(self.data.shape);
        model::recognize_as(&self.shape.layout, self.model, image, reading).map_err(|source| {
            LandscapeError::Model {
                path: self.shape.newest.clone(),
                source,
            }
        })
    }

    fn flat(&self, member: usize) -> Result<Vec<f32>, LandscapeError> {
        let member = Member::open(&self.members[member], self.shape)?;
        Ok(direction::flat(&self.shape.layout, &member)?)
    }
}

impl<'a> Inquiry<'a> {
    fn new(question: &'a Question<'a>) -> Result<Self, LandscapeError> {
        let first = question.recognize(question.asked)?;
        let data = question.data;
        let graph = first.network.graph(data.shape)?;
        let batch_norm = graph.has_batch_norm();
        let mut scales = vec![data.scale.clone()];
        scales.extend(data.scales.iter().cloned());
        let mut candidates = Vec::new();
        for reading in &first.readings {
            // A stem may leave nothing of small images.
            let Ok(recognized) = question.recognize(*reading) else {
                continue;
            };
            if recognized.network.graph(data.shape).is_err() {
                continue;
            }
            // Batch statistics undo the scale of the pixels.
            let count = if batch_norm { 1 } else { scales.len() };
            candidates.extend((0..count).map(|scale| Candidate {
                recognized: recognized.clone(),
                scale,
            }));
        }
        let cost = graph.cost(data.shape)?;
        let effort = Effort::of(
            cost.products,
            candidates.len(),
            question.compute.device.is_cpu(),
        );
        let intervals = spread(question.members.len().saturating_sub(1));
        let room = ROOM / (cost.numbers.max(1) * size_of::<f32>() * COPIES);
        let few = data.few(effort.samples);
        Ok(Self {
            assumed: Assumed {
                asked_of: question.members.len().saturating_sub(1),
                samples: few.labels.len(),
                ..Assumed::default()
            },
            scores: vec![Scores(vec![f64::NAN; intervals.len()]); candidates.len()],
            question,
            few,
            scales,
            candidates,
            batch_norm,
            intervals,
            enough: effort.intervals,
            at_once: room.clamp(1, BATCH),
        })
    }

    /// Has all readings follow the updates; those that are far behind after the first few no further.
    fn follow(&mut self) -> Result<(), LandscapeError> {
        if self.intervals.len() < FEWEST {
            return Ok(());
        }
        let device = &self.question.compute.device;
        let threads = pool(device)?;
        let mut sets: Vec<Vec<Batch>> = Vec::new();
        let scaled = if self.batch_norm {
            1
        } else {
            self.scales.len()
        };
        for scale in &self.scales[..scaled] {
            let data = self.few.rescaled(scale);
            sets.push(batches(&data, self.at_once, device)?);
        }
        let mut asked: Vec<usize> = (0..self.candidates.len()).collect();
        for (round, at) in self.order().into_iter().enumerate() {
            let from = self.intervals[at];
            let update = Update {
                from: self.question.flat(from)?,
                to: self.question.flat(from + 1)?,
            };
            for (reading, cosine) in self.ask(&asked, &update, &sets, &threads, device)? {
                self.scores[reading].0[at] = cosine;
            }
            if round + 1 == FEW_INTERVALS {
                asked = verdict::hopeful(&self.scores);
            }
            if round + 1 >= self.enough && self.is_clear() {
                break;
            }
        }
        Ok(())
    }

    /// True where some reading is followed beyond doubt.
    fn is_clear(&self) -> bool {
        let best = verdict::best(&self.scores);
        let errors = CLEAR[usize::from(self.candidates.len() > 1)];
        best.is_some_and(|best| self.scores[best].mean().is_above(errors))
    }

    /// The intervals in an order whose first ones are spread over the path too.
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
        update: &Update,
        sets: &[Vec<Batch>],
        threads: &ThreadPool,
        device: &Device,
    ) -> Result<Vec<(usize, f64)>, LandscapeError> {
        let layout = &self.question.shape.layout;
        let ask = |&reading: &usize| -> Result<(usize, f64), LandscapeError> {
            let candidate = &self.candidates[reading];
            let follower = Follower {
                network: candidate.recognized.network.as_ref(),
                layout,
                batches: &sets[candidate.scale],
                device,
                training: self.batch_norm,
            };
            Ok((reading, follower.cosine(update)?))
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

    /// The loss of a reading on these samples at a checkpoint, in evaluation mode.
    fn loss(
        &self,
        recognized: &Recognized,
        scale: usize,
        data: &Dataset,
        flat: &[f32],
    ) -> Result<f64, LandscapeError> {
        let data = if scale == 0 {
            data.clone()
        } else {
            data.rescaled(&self.scales[scale])
        };
        let compute = Compute {
            device: self.question.compute.device.clone(),
            precision: Precision::F32,
            batch: self.question.compute.batch,
        };
        let layout = self.question.shape.layout.clone();
        Ok(Objective::new(recognized, layout, &data, &compute)?
            .at_flat(flat)?
            .loss)
    }

    fn decide(&mut self) -> Result<(), LandscapeError> {
        let best = verdict::best(&self.scores);
        let mean = best.map(|best| self.scores[best].mean());
        let says = mean.filter(|mean| mean.count >= FEWEST);
        let (mut taken, mut tied) = (0, vec![0]);
        if let (Some(best), Some(mean)) = (best, says) {
            self.assumed.doubtful = !mean.is_positive();
            if mean.value > SILENT && mean.is_positive() {
                tied = self.comparable(verdict::tied(&self.scores, best))?;
                taken = self.usual_of(&tied);
                self.assumed.basis = if self.candidates.len() > 1 {
                    Basis::Path
                } else {
                    Basis::Usual
                };
            }
        }
        // Where updates go up the gradient of every reading, no loss of theirs says anything.
        let is_against = says.is_some_and(|mean| mean.value < 0.0);
        if self.assumed.basis == Basis::Usual
            && !is_against
            && self.candidates.len() > 1
            && self.question.members.len() > 1
            && let Some(lowest) = self.lowest()?
        {
            (taken, tied) = (lowest, vec![lowest]);
            self.assumed.basis = Basis::Loss;
        }
        let scale = if self.batch_norm && self.scales.len() > 1 && !self.assumed.doubtful {
            self.scale_by_loss(taken)?
        } else {
            Vec::new()
        };
        let chosen = scale.first().copied();
        self.take(taken, chosen.unwrap_or(self.candidates[taken].scale));
        self.tell(taken, &tied, &scale);
        // Few updates scatter so much that the right model would be suspected as well.
        if says.is_some_and(|mean| mean.count < ENOUGH && !mean.is_negative()) {
            self.assumed.warning = None;
        }
        if tied.len() > 1 {
            self.assumed.loss_range = Some(self.range(&tied)?);
        }
        Ok(())
    }

    /// Of tied readings the one that has most of the field's usual answers, then the best.
    fn usual_of(&self, tied: &[usize]) -> usize {
        let usual = &self.candidates[0];
        let likeness = |i: &usize| {
            let candidate = &self.candidates[*i];
            let (own, other) = (candidate.recognized.reading, usual.recognized.reading);
            let same = [
                own.activation == other.activation,
                own.shortcuts == other.shortcuts,
                own.stem == other.stem,
                candidate.scale == usual.scale,
            ];
            let same = same.into_iter().filter(|same| *same).count();
            (same, self.scores[*i].mean().value)
        };
        let pick = |a: &&usize, b: &&usize| {
            let (a, b) = (likeness(a), likeness(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        tied.iter().max_by(pick).copied().unwrap_or(0)
    }

    /// The reading whose mean loss along the path is lower by far.
    fn lowest(&self) -> Result<Option<usize>, LandscapeError> {
        let all: Vec<usize> = (0..self.candidates.len()).collect();
        Ok(verdict::lowest_by_far(
            &self.losses(&all, &self.stations())?,
        ))
    }

    /// Those of the tied readings whose losses at the newest checkpoint are not far above the others'.
    fn comparable(&self, tied: Vec<usize>) -> Result<Vec<usize>, LandscapeError> {
        let Some(newest) = (self.question.members.len().checked_sub(1)).filter(|_| tied.len() > 1)
        else {
            return Ok(tied);
        };
        let near = verdict::comparable(&self.losses(&tied, &[newest])?);
        let near: Vec<usize> = near.into_iter().map(|i| tied[i]).collect();
        Ok(if near.is_empty() { tied } else { near })
    }

    /// Sums of the losses of each of these readings at these checkpoints.
    fn losses(&self, readings: &[usize], members: &[usize]) -> Result<Vec<f64>, LandscapeError> {
        let mut sums = vec![0.0; readings.len()];
        for &member in members {
            let flat = self.question.flat(member)?;
            for (sum, reading) in sums.iter_mut().zip(readings) {
                let candidate = &self.candidates[*reading];
                *sum += self.loss(&candidate.recognized, candidate.scale, &self.few, &flat)?;
            }
        }
        Ok(sums)
    }

    /// Checkpoints whose losses are compared: not the first, whose statistics are those of no samples yet.
    fn stations(&self) -> Vec<usize> {
        let count = self.question.members.len().saturating_sub(1);
        let wanted = LOSSES.min(count);
        (1..=wanted).map(|i| i * count / wanted).collect()
    }

    /// Which scales the losses along the path leave: the one that is taken first.
    fn scale_by_loss(&self, taken: usize) -> Result<Vec<usize>, LandscapeError> {
        let stations = self.stations();
        if stations.len() < FEWEST {
            return Ok(Vec::new());
        }
        let recognized = &self.candidates[taken].recognized;
        let mut scores = vec![Scores(Vec::new()); self.scales.len()];
        for member in stations {
            let flat = self.question.flat(member)?;
            for (scale, scores) in scores.iter_mut().enumerate() {
                let loss = self.loss(recognized, scale, &self.few, &flat)?;
                scores.0.push(-loss.ln());
            }
        }
        let Some(best) = verdict::best(&scores) else {
            return Ok(Vec::new());
        };
        let mut tied = verdict::tied(&scores, best);
        // The set's own where it is among them, else the best.
        let first = if tied.contains(&0) { 0 } else { best };
        tied.retain(|scale| *scale != first);
        tied.insert(0, first);
        Ok(tied)
    }

    fn take(&mut self, taken: usize, scale: usize) {
        let candidate = &self.candidates[taken];
        let mean = self.scores[taken].mean();
        let known = mean.count >= FEWEST;
        self.assumed.function = Function {
            reading: candidate.recognized.reading,
            pixels: (scale > 0).then(|| self.scales[scale].clone()),
        };
        self.assumed.normalization = self.scales[scale].words();
        self.assumed.cosine = known.then_some(mean.value);
        self.assumed.cosine_error = known.then_some(mean.error);
        self.assumed.intervals = mean.count;
    }

    /// Lowest and highest loss of the newest checkpoint over tied readings.
    fn range(&self, tied: &[usize]) -> Result<[f64; 2], LandscapeError> {
        let flat = self
            .question
            .flat(self.question.members.len().saturating_sub(1))?;
        let mut range = [f64::INFINITY, f64::NEG_INFINITY];
        for &i in tied {
            let candidate = &self.candidates[i];
            let data = self.question.data;
            let loss = self.loss(&candidate.recognized, candidate.scale, data, &flat)?;
            range = [range[0].min(loss), range[1].max(loss)];
        }
        Ok(range)
    }
}

/// How many updates and samples are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effort {
    intervals: usize,
    samples: usize,
}

impl Effort {
    /// As many as the budget allows, for so many multiplications a sample and so many readings.
    fn of(products: usize, readings: usize, cpu: bool) -> Self {
        let budget = if cpu {
            BUDGET
        } else {
            BUDGET.saturating_mul(GPU)
        };
        let each = products
            .max(1)
            .saturating_mul(PASSES)
            .saturating_mul(readings.max(1));
        // Readings that are far behind are soon asked no more: of several half goes on.
        let rest = if readings > 2 {
            INTERVALS / 2
        } else {
            INTERVALS
        };
        let samples = budget / each.saturating_mul(rest);
        if readings > 1 && samples >= FEW_SAMPLES[1] {
            return Self {
                intervals: INTERVALS,
                samples: samples.min(SAMPLES),
            };
        }
        let samples = budget / each.saturating_mul(FEW_INTERVALS);
        Self {
            intervals: FEW_INTERVALS,
            samples: samples.clamp(FEW_SAMPLES[0], FEW_SAMPLES[usize::from(readings > 1)]),
        }
    }
}

/// Which of so many intervals are asked, spread over the path.
fn spread(count: usize) -> Vec<usize> {
    let wanted = INTERVALS.min(count);
    let place = |i: usize| (2 * i + 1) * count / (2 * wanted);
    (0..wanted).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_big_model_is_asked_on_few_updates_and_samples() {
        // MLP 784-64-10 under 40 readings, ResNet-20 under two, ResNet-50 under four.
        assert_eq!(Effort::of(51_000, 32, true).intervals, INTERVALS);
        assert_eq!(Effort::of(1000, 1, true).intervals, FEW_INTERVALS);
        assert_eq!(Effort::of(40_000_000, 2, true).samples, FEW_SAMPLES[0]);
        let big = Effort::of(4_000_000_000, 4, true);
        assert_eq!((big.intervals, big.samples), (FEW_INTERVALS, 32));
        assert_eq!(Effort::of(40_000_000, 2, false).intervals, INTERVALS);
        assert_eq!(spread(32)[..3], [1, 3, 5]);
        assert_eq!(spread(3), [0, 1, 2]);
        assert!(spread(0).is_empty());
    }
}
