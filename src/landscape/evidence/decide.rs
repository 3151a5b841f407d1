//! Decides which reading is measured, by the updates of the path or else by losses, and what is doubtful.

use crate::data::Dataset;
use crate::loss::Loss;
use crate::model::Recognized;

use super::super::LandscapeError;
use super::super::objective::Objective;
use super::super::samples::Source;
use super::effort::Effort;
use super::follow::Follower;
use super::inquiry::Inquiry;
use super::scales::ScaleChoice;
use super::statistics::Fitting;
use super::verdict::{
    self, AGAINST_UPDATES, ENOUGH_UPDATES, FAR_HIGHER, FEWEST_UPDATES, LEVEL, Mean,
};
use super::{Alternative, AssumedFunction, Basis};

/// Number of checkpoints whose losses are compared.
const STATIONS: usize = 4;
/// Number of samples below which updates that follow no gradient say nothing, because so few have a gradient of their own.
const FEWEST_SAMPLES: usize = 32;
/// Ratio of losses from which a reading is hardly the one that was trained, because another that the updates follow too
/// knows the samples so much better.
const FAR_LOWER: f64 = 10.0;
/// Share of the loss of guessing below which a checkpoint has learned something.
const LEARNED: f64 = 0.8;
/// Share of the loss of guessing that no wrong labels, samples or weights reach.
const LEARNED_WELL: f64 = 0.5;
/// Multiple of the loss of guessing above which something is wrong.
const WORSE_THAN_GUESSING: f64 = 1.25;
/// Largest multiple of the loss with a batch's own statistics, and what may be added to it, for running
/// statistics that fit.
const STATISTICS: (f64, f64) = (2.0, 0.2);
/// Scales under which a reading's loss is measured on more than a few samples.
const BEST_SCALES: usize = 2;
/// Number of tied readings up to which the range of losses is that of all of them on all samples.
const MOST_RANGED: usize = 6;

/// A candidate that is taken, and those that the evidence cannot distinguish from it.
pub(super) struct Choice {
    pub(super) taken: usize,
    pub(super) tied: Vec<usize>,
    basis: Basis,
    /// The reading that the updates follow best has a far higher loss than these.
    is_contradicted: bool,
    /// Running statistics tell it from readings that the updates follow as well.
    pub(super) is_by_statistics: bool,
}

impl Inquiry<'_> {
    /// Takes the reading that the updates follow best, because a wrong one may have the lower loss; where they follow
    /// none, by losses. Where neither tells, the field's usual reading is taken, and what it rests on is said.
    pub(super) fn decide(&mut self) -> Result<(), LandscapeError> {
        let best = verdict::best(&self.scores);
        let best = best.map(|best| (best, self.scores[best].mean()));
        let best = best.filter(|(_, cosine)| cosine.count >= FEWEST_UPDATES);
        let followed = best.filter(|(_, cosine)| cosine.is_followed(self.candidates.len()));
        let choice = match followed {
            Some((best, _)) => self.by_path(best)?,
            None => self.by_loss(best.map(|(_, cosine)| cosine))?,
        };
        let tells = self.few.samples() >= FEWEST_SAMPLES;
        let is_only = self.candidates.len() == 1 && self.scales.len() == 1;
        let is_against = best.is_some_and(|(_, cosine)| !is_only || cosine.is_against());
        let follows_none = is_against && followed.is_none() && tells;
        let is_uphill = best.is_some_and(|(_, cosine)| cosine.is_negative());
        self.assumed.doubtful = follows_none && (is_uphill || !self.has_learned_well(&choice)?);
        self.assumed.basis = match choice.basis {
            // Samples that the run did not learn give no statistics of it.
            Basis::Statistics if self.assumed.doubtful => Basis::Usual,
            basis => basis,
        };
        let scales = self.scales_of(choice.taken)?;
        let scale = scales.scales.first().copied();
        let scale = scale.unwrap_or(self.candidates[choice.taken].scale);
        self.take(choice.taken, scale);
        let is_open = self.candidates.len() > 1 || self.scales.len() > 1;
        let unasked = !self.assumed.unasked.is_empty();
        self.assumed.evident = followed.is_some() || !(is_open || unasked);
        self.tell(&choice, &scales);
        if choice.is_contradicted {
            self.assumed.is_contradicted();
        }
        if let Some(own) = &scales.own {
            self.assumed.is_of_own_scale(own);
        }
        self.doubt(choice.taken, scale)?;
        // Few updates scatter: they alone are no reason.
        self.assumed.doubtful &= self.assumed.warning.is_some();
        if choice.tied.len() > 1 || scales.scales.len() > 1 {
            self.compare(&choice, &scales)?;
        }
        Ok(())
    }

    /// Returns the reading that the updates follow.
    fn by_path(&self, best: usize) -> Result<Choice, LandscapeError> {
        let is_kin = |i: usize| self.are_kin(best, i);
        let close = verdict::tied(&self.scores, best, is_kin);
        let fitting = self.fitting(&close)?;
        let overruled = fitting.as_ref().is_some_and(|fitting| fitting.are_others);
        // Updates hardly tell one activation from a like one, which running statistics do.
        let (tied, is_by_statistics, is_contradicted) = if let Some(fitting) = fitting {
            let is_fewer = fitting.readings.len() < close.len();
            (fitting.readings, is_fewer, false)
        } else if let Some(others) = self.far_lower(&close)? {
            (others, false, true)
        } else {
            let tied = self.comparable(close)?;
            // Where the updates hardly follow any, that one of them is ahead says little.
            let is_clear = self.scores[best].mean().is_clear();
            let is_contradicted = !tied.contains(&best) && is_clear;
            (tied, false, is_contradicted)
        };
        let count = self.candidates.len();
        // What is taken must be followed itself, if any of those is that the losses leave.
        let followed = tied.iter().copied();
        let followed: Vec<usize> = followed
            .filter(|i| self.scores[*i].mean().is_followed(count))
            .collect();
        let basis = match count {
            _ if overruled => Basis::Statistics,
            1 => Basis::Usual,
            _ => Basis::Path,
        };
        Ok(Choice {
            taken: self
                .usual_of(&followed)
                .or_else(|| self.usual_of(&tied))
                .unwrap_or(best),
            tied,
            basis,
            is_contradicted,
            is_by_statistics,
        })
    }

    /// Returns the most usual of the readings that the running statistics of batch norm fit; without those, of the
    /// readings with the lowest losses, which tell only that those far above are out. The usual one alone where updates
    /// go up the gradient of every reading, or where nothing was learned.
    fn by_loss(&self, cosine: Option<Mean>) -> Result<Choice, LandscapeError> {
        let all: Vec<usize> = (0..self.candidates.len()).collect();
        let usual = |tied| Choice {
            taken: 0,
            tied,
            basis: Basis::Usual,
            is_contradicted: false,
            is_by_statistics: false,
        };
        if all.len() < 2 || cosine.is_some_and(Mean::is_negative) {
            return Ok(usual(vec![0]));
        }
        if let Some(Fitting { readings: fit, .. }) = self.fitting(&all)? {
            return Ok(Choice {
                taken: self.usual_of(&fit).unwrap_or(0),
                basis: if fit.len() < all.len() {
                    Basis::Statistics
                } else {
                    Basis::Usual
                },
                tied: fit,
                is_contradicted: false,
                is_by_statistics: false,
            });
        }
        let stations = self.stations();
        let left = self.that_learned(&all)?;
        let losses = self.losses(&left, &self.few, &stations)?;
        let guessing = self.guessing() * stations.len() as f64;
        if left.len() == all.len() && verdict::lowest(&losses) >= LEARNED * guessing {
            return Ok(self.of_untrained(&losses, guessing, cosine.is_some()));
        }
        let of_all = |near: Vec<usize>| near.into_iter().map(|i| left[i]).collect::<Vec<_>>();
        // Asked once more, because what was too much for all may not be for these.
        let near = self.that_learned(&of_all(verdict::near(&losses, FAR_HIGHER)))?;
        let level = of_all(verdict::near(&losses, LEVEL)).into_iter();
        let level: Vec<usize> = level.filter(|i| near.contains(i)).collect();
        let basis = if near.len() < all.len() {
            Basis::Loss
        } else {
            Basis::Usual
        };
        Ok(Choice {
            taken: self
                .usual_of(&level)
                .or_else(|| self.usual_of(&near))
                .unwrap_or(0),
            tied: near,
            basis,
            is_contradicted: false,
            is_by_statistics: false,
        })
    }

    /// Returns the usual reading of a run that has learned nothing, by these losses of all. Batches have the scale of
    /// their own statistics in batch norm, so that a loss which is far above that of guessing is not the run's.
    fn of_untrained(&self, losses: &[f64], guessing: f64, is_asked: bool) -> Choice {
        let most = AGAINST_UPDATES * verdict::lowest(losses).max(guessing);
        let is_out = |i: &usize| self.batch_norm && losses[*i] > most;
        let left: Vec<usize> = (0..losses.len()).filter(|i| !is_out(i)).collect();
        let (taken, basis) = match self.usual_of(&left) {
            Some(taken) if is_out(&0) => (taken, Basis::Loss),
            _ => (0, Basis::Usual),
        };
        Choice {
            taken,
            tied: if is_asked { vec![taken] } else { left },
            basis,
            is_contradicted: false,
            is_by_statistics: false,
        }
    }

    /// Returns the readings under which the newest checkpoint classifies as well as the running statistics of batch
    /// norm let the best of them: those of batches make a network that knows its samples by heart look alike under
    /// all. All of them where none does well, as early in training, when running statistics lag behind.
    fn that_learned(&self, readings: &[usize]) -> Result<Vec<usize>, LandscapeError> {
        let guessing = self.guessing();
        let newest = self.question.newest().filter(|_| guessing.is_finite());
        let Some(newest) = newest.filter(|_| self.batch_norm && self.can_rank(readings)) else {
            return Ok(readings.to_vec());
        };
        let losses =
            self.best_losses(readings, &self.more(BEST_SCALES * readings.len()), newest)?;
        if verdict::lowest(&losses) >= LEARNED_WELL * guessing {
            return Ok(readings.to_vec());
        }
        let near = verdict::near(&losses, AGAINST_UPDATES).into_iter();
        Ok(near.map(|i| readings[i]).collect())
    }

    /// Returns the loss of one who knows nothing but the number of classes; infinite where the loss is not one of
    /// classes.
    fn guessing(&self) -> f64 {
        if self.question.criterion.loss.is_of_classes() {
            (self.classes.unwrap_or(2).max(2) as f64).ln()
        } else {
            f64::INFINITY
        }
    }

    /// Returns true if the newest checkpoint classifies these samples far better than guessing does: updates late in
    /// training are mostly noise, but what was learned of these labels was learned of this model.
    fn has_learned_well(&self, choice: &Choice) -> Result<bool, LandscapeError> {
        let guessing = self.guessing();
        let Some(newest) = self.question.newest().filter(|_| guessing.is_finite()) else {
            return Ok(false);
        };
        let losses = if self.batch_norm {
            self.best_losses(&[choice.taken], &self.few, newest)?
        } else {
            self.losses(&[choice.taken], &self.few, &[newest])?
        };
        Ok(verdict::lowest(&losses) < LEARNED_WELL * guessing)
    }

    /// Picks the one of tied readings that has most of the field's usual answers, then the best.
    fn usual_of(&self, tied: &[usize]) -> Option<usize> {
        let usual = &self.candidates[0];
        let likeness = |i: &usize| {
            let candidate = &self.candidates[*i];
            let (own, other) = (candidate.recognized.reading, usual.recognized.reading);
            let same = [
                own.activation == other.activation,
                own.shortcuts == other.shortcuts,
                own.stem == other.stem,
                own.norm_position == other.norm_position,
                own.arrangement == other.arrangement,
                own.pooling == other.pooling,
                own.heads == other.heads,
                candidate.scale == usual.scale,
            ];
            let same = same.into_iter().filter(|same| *same).count();
            (same, self.scores[*i].mean().value)
        };
        let pick = |a: &&usize, b: &&usize| {
            let (a, b) = (likeness(a), likeness(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        };
        tied.iter().max_by(pick).copied()
    }

    /// Returns the readings that the updates follow too, if less than these, whose losses at the newest checkpoint are lower by
    /// so much that these are hardly what was learned; `None` if there are none, or it would take long to know.
    fn far_lower(&self, close: &[usize]) -> Result<Option<Vec<usize>>, LandscapeError> {
        let count = self.candidates.len();
        let is_followed = |i: &usize| self.scores[*i].mean().is_followed(count);
        let behind = (0..count).filter(|i| !close.contains(i) && is_followed(i));
        let behind: Vec<usize> = behind.collect();
        let all = [close, &behind].concat();
        let newest = self.question.newest().filter(|_| !behind.is_empty());
        let Some(newest) = newest.filter(|_| self.can_rank(&all)) else {
            return Ok(None);
        };
        let losses = if self.batch_norm {
            self.best_losses(&all, &self.more(BEST_SCALES * all.len()), newest)?
        } else {
            self.losses(&all, &self.more(all.len()), &[newest])?
        };
        let (own, others) = losses.split_at(close.len());
        let lowest = verdict::lowest(others);
        let has_learned = lowest < LEARNED_WELL * self.guessing();
        if !has_learned || verdict::lowest(own) <= FAR_LOWER * lowest {
            return Ok(None);
        }
        let near = verdict::near(others, AGAINST_UPDATES).into_iter();
        Ok(Some(near.map(|i| behind[i]).collect()))
    }

    /// Returns the tied readings whose losses at the newest checkpoint are not far above the others'.
    fn comparable(&self, tied: Vec<usize>) -> Result<Vec<usize>, LandscapeError> {
        let Some(newest) = self.question.newest().filter(|_| tied.len() > 1) else {
            return Ok(tied);
        };
        let data = self.more(BEST_SCALES * tied.len());
        let losses = if self.batch_norm && self.can_rank(&tied) {
            self.best_losses(&tied, &data, newest)?
        } else {
            self.losses(&tied, &data, &[newest])?
        };
        let near = verdict::near(&losses, AGAINST_UPDATES);
        let near: Vec<usize> = near.into_iter().map(|i| tied[i]).collect();
        Ok(if near.is_empty() { tied } else { near })
    }

    /// Returns as many samples as this number of losses can be measured on within reason, up to those of an easy
    /// question: a network that knows its samples by heart has most of them right under a wrong reading too, and the
    /// loss of that one lies in a few.
    pub(super) fn more(&self, losses: usize) -> Dataset {
        let cpu = self.question.is_on_cpu();
        let samples = Effort::samples_of(self.products, losses, cpu);
        if samples > self.few.samples() {
            self.question.data.evenly_chosen(samples)
        } else {
            self.few.clone()
        }
    }

    /// Returns true if the few samples' losses can be measured under each scale within reason.
    fn can_rank(&self, readings: &[usize]) -> bool {
        let count = readings.len() * self.scales.len();
        let cpu = self.question.is_on_cpu();
        self.effort.allows_losses(self.products, count, cpu)
    }

    /// Returns the loss of each of these readings at a checkpoint under the scale that suits it best.
    fn best_losses(
        &self,
        readings: &[usize],
        data: &Dataset,
        member: usize,
    ) -> Result<Vec<f64>, LandscapeError> {
        let best = self.best_scales(readings, data, member)?;
        Ok(best.into_iter().map(|(loss, _)| loss).collect())
    }

    /// Returns the scale that suits each of these readings best at a checkpoint, with the loss under it, because the
    /// wrong scale makes the right reading look bad in evaluation mode. The few samples tell which scales are tried on
    /// all of these.
    fn best_scales(
        &self,
        readings: &[usize],
        data: &Dataset,
        member: usize,
    ) -> Result<Vec<(f64, usize)>, LandscapeError> {
        let flat = self.question.flat(member)?;
        let best = |reading: &usize| -> Result<(f64, usize), LandscapeError> {
            let recognized = &self.candidates[*reading].recognized;
            let ranked = |scales: &[usize], data: &Dataset| {
                let loss = |scale: &usize| self.loss(recognized, *scale, data, &flat);
                let losses = scales.iter().map(|scale| Ok((loss(scale)?, *scale)));
                let mut losses = losses.collect::<Result<Vec<_>, LandscapeError>>()?;
                losses.sort_by(|a, b| a.0.total_cmp(&b.0));
                Ok::<_, LandscapeError>(losses)
            };
            let all: Vec<usize> = (0..self.scales.len()).collect();
            let mut best = ranked(&all, &self.few)?;
            best.truncate(BEST_SCALES);
            if data.samples() > self.few.samples() {
                let scales: Vec<usize> = best.iter().map(|(_, scale)| *scale).collect();
                best = ranked(&scales, data)?;
            }
            Ok(best.first().copied().unwrap_or((f64::INFINITY, 0)))
        };
        readings.iter().map(best).collect()
    }

    /// Returns the sums of the losses of each of these readings at these checkpoints: with batch norm by the statistics
    /// of batches, which undo the pixels' scale while it is not known.
    fn losses(
        &self,
        readings: &[usize],
        data: &Dataset,
        members: &[usize],
    ) -> Result<Vec<f64>, LandscapeError> {
        let mut sums = vec![0.0; readings.len()];
        for &member in members {
            let flat = self.question.flat(member)?;
            for (sum, reading) in sums.iter_mut().zip(readings) {
                let candidate = &self.candidates[*reading];
                *sum += if self.batch_norm {
                    self.training_loss(&candidate.recognized, data, &flat)?
                } else {
                    self.loss(&candidate.recognized, candidate.scale, data, &flat)?
                };
            }
        }
        Ok(sums)
    }

    /// Returns the loss of a reading on these samples at a checkpoint, in evaluation mode.
    pub(super) fn loss(
        &self,
        recognized: &Recognized,
        scale: usize,
        data: &Dataset,
        flat: &[f32],
    ) -> Result<f64, LandscapeError> {
        let data = self.scaled_as(data, scale);
        let (layout, criterion) = (self.question.shape.layout.clone(), self.question.criterion);
        let compute = self.question.exact();
        let objective = Objective::new(recognized, layout, &data, criterion, &compute)?;
        Ok(objective.at_flat(flat)?.loss)
    }

    /// Returns the samples with their pixels under a scale.
    pub(super) fn scaled_as(&self, data: &Dataset, scale: usize) -> Dataset {
        if scale == 0 {
            data.clone()
        } else {
            data.rescaled(&self.scales[scale])
        }
    }

    /// Returns its loss as in training: by the statistics of batches of the samples.
    fn training_loss(
        &self,
        recognized: &Recognized,
        data: &Dataset,
        flat: &[f32],
    ) -> Result<f64, LandscapeError> {
        self.in_training(recognized, data)?.training_loss(flat)
    }

    /// Prepares a reading in training mode, on batches of the samples.
    pub(super) fn in_training(
        &self,
        recognized: &Recognized,
        data: &Dataset,
    ) -> Result<Follower<'_>, LandscapeError> {
        let question = self.question;
        let (device, layout) = (&question.compute.device, &question.shape.layout);
        let source = Source::of(recognized, data, &question.criterion.loss)?;
        let batches = source.batches(self.at_once, device)?;
        Follower::of(
            question.forward(recognized)?,
            layout,
            &batches,
            device,
            true,
        )
    }

    /// Returns the checkpoints whose losses are compared: not the first where there are others, whose statistics are
    /// those of no samples yet.
    pub(super) fn stations(&self) -> Vec<usize> {
        let count = self.question.members.len().saturating_sub(1);
        let wanted = STATIONS.min(count);
        if wanted == 0 {
            return self.question.newest().into_iter().collect();
        }
        (1..=wanted).map(|i| i * count / wanted).collect()
    }

    fn take(&mut self, taken: usize, scale: usize) {
        let candidate = &self.candidates[taken];
        let mean = self.scores[taken].mean();
        let known = mean.count >= FEWEST_UPDATES;
        self.assumed.function = AssumedFunction {
            reading: candidate.recognized.reading,
            pixels: (scale > 0).then(|| self.scales[scale].clone()),
        };
        self.assumed.normalization = if scale == 0 {
            self.question.data.normalization_in_words()
        } else {
            self.scales[scale].words()
        };
        self.assumed.cosine = known.then_some(mean.value);
        self.assumed.cosine_error = known.then_some(mean.error);
        self.assumed.intervals = mean.count;
    }

    /// Looks for signs that the losses are not those of the function that was minimized.
    fn doubt(&mut self, taken: usize, scale: usize) -> Result<(), LandscapeError> {
        let Some(newest) = self.question.newest() else {
            return Ok(());
        };
        let flat = self.question.flat(newest)?;
        let recognized = self.candidates[taken].recognized.clone();
        let loss = self.loss(&recognized, scale, &self.few, &flat)?;
        let guessing = self.guessing();
        if self.assumed.doubtful && self.assumed.warning.is_none() && loss > LEARNED * guessing {
            self.assumed.follows_nothing_yet();
        }
        if loss.is_nan() || loss > WORSE_THAN_GUESSING * guessing {
            self.assumed.is_worse_than_guessing(loss, guessing);
        }
        if matches!(self.question.criterion.loss, Loss::Nll(_)) && loss < 0.0 {
            self.assumed.is_no_likelihood(loss);
        }
        // Running statistics of the first few updates are still in part those that they began with.
        // An exported model leaves nothing open that they could be a sign of.
        let is_open = recognized.reading.activation.is_some() || self.scales.len() > 1;
        if self.batch_norm && is_open && self.assumed.asked_of >= ENOUGH_UPDATES {
            let own = self.training_loss(&recognized, &self.few, &flat)?;
            if loss > STATISTICS.0 * own + STATISTICS.1 {
                self.assumed.has_other_statistics(loss, own);
            } else if self.are_foreign(taken)? {
                self.assumed.has_foreign_statistics();
            }
        }
        Ok(())
    }

    /// Measures the newest checkpoint under tied readings and scales, and keeps the lowest and the highest loss.
    fn compare(&mut self, choice: &Choice, left: &ScaleChoice) -> Result<(), LandscapeError> {
        let Some(newest) = self.question.newest() else {
            return Ok(());
        };
        let flat = self.question.flat(newest)?;
        let scales = &left.scales;
        let scale = |i: usize| scales.first().copied().unwrap_or(self.candidates[i].scale);
        let own = (choice.taken, scale(choice.taken));
        let rivals: Vec<usize> = choice
            .tied
            .iter()
            .copied()
            .filter(|i| *i != own.0)
            .collect();
        // A scale that was chosen by the taken one's losses is not to judge another reading that they leave.
        let is_own = left.basis != Basis::Statistics;
        let rival_scales = if self.batch_norm && is_own && self.can_rank(&rivals) {
            let best = self.best_scales(&rivals, &self.few, newest)?;
            best.into_iter().map(|(_, scale)| scale).collect()
        } else {
            rivals.iter().map(|i| scale(*i)).collect::<Vec<usize>>()
        };
        let tied = rivals.into_iter().zip(rival_scales);
        let scaled = scales.iter().map(|scale| (choice.taken, *scale));
        let mut others: Vec<(usize, usize)> = tied.chain(scaled).collect();
        others.retain(|other| *other != own);
        let measure = |&(i, scale): &(usize, usize), data: &Dataset| {
            self.loss(&self.candidates[i].recognized, scale, data, &flat)
        };
        if others.len() >= MOST_RANGED {
            // Of many the extremes on a few samples stand for all.
            let mut rest = Vec::new();
            for one in std::mem::take(&mut others) {
                rest.push((measure(&one, &self.few)?, one));
            }
            rest.sort_by(|a, b| a.0.total_cmp(&b.0));
            let last = rest.len() - 1;
            let ends = [0, 1, last - 1, last];
            others.extend(ends.iter().filter_map(|i| rest.get(*i)).map(|one| one.1));
        }
        let loss = measure(&own, self.question.data)?;
        let mut all = Vec::new();
        for other in &others {
            all.push(Alternative {
                reading: self.difference(own, *other),
                loss: measure(other, self.question.data)?,
            });
        }
        let losses = || all.iter().map(|other| other.loss).chain([loss]);
        self.assumed.loss_range = Some([
            losses().fold(f64::INFINITY, f64::min),
            losses().fold(f64::NEG_INFINITY, f64::max),
        ]);
        self.assumed.alternatives = verdict::outermost(loss, all);
        Ok(())
    }
}
