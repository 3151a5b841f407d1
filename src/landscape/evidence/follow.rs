//! The cosine between −∇L(θ_t) and the update to the next checkpoint.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::loss::Totals;
use crate::model::Weights;
use crate::weights::{Layout, Role};

use super::super::LandscapeError;
use super::super::curvature::product::STACK;
use super::super::forward::{Forward, PreparedBatch};
use super::super::samples::Batch;

/// An update of the path: where it began, and where it led.
pub(super) struct Update {
    pub(super) from: Vec<f32>,
    pub(super) to: Vec<f32>,
}

/// Starts at most `most` threads, with stacks for the graphs of deep networks.
pub(super) fn pool(device: &Device, most: usize) -> Result<ThreadPool, LandscapeError> {
    // A GPU is used by one thread at a time.
    let threads = if device.is_cpu() {
        rayon::current_num_threads().min(most)
    } else {
        1
    };
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build()
        .map_err(|error| LandscapeError::Curvature(error.to_string()))
}

/// A model with batches of samples.
pub(super) struct Follower<'a> {
    forward: Forward,
    layout: &'a Arc<Layout>,
    batches: Vec<PreparedBatch>,
    device: &'a Device,
    /// Batch norm takes the statistics of each batch.
    training: bool,
}

impl<'a> Follower<'a> {
    /// Prepares the batches for a model.
    pub(super) fn of(
        forward: Forward,
        layout: &'a Arc<Layout>,
        batches: &[Batch],
        device: &'a Device,
        training: bool,
    ) -> Result<Self, LandscapeError> {
        let prepared = batches.iter().map(|batch| forward.prepare(batch));
        Ok(Self {
            batches: prepared.collect::<candle_core::Result<_>>()?,
            forward,
            layout,
            device,
            training,
        })
    }

    /// Returns the cosine between an update and the negative gradient where it began; NaN if one of them is
    /// zero.
    pub(super) fn cosine(&self, update: &Update) -> Result<f64, LandscapeError> {
        let flat = Tensor::from_slice(&update.from, update.from.len(), self.device)?;
        let weights = Weights::new(flat, Arc::clone(self.layout));
        let parts = self.batches.par_iter();
        let gradient = parts
            .map(|batch| self.gradient(&weights, batch))
            .try_reduce_with(|mut sum, part| {
                sum.iter_mut()
                    .zip(part)
                    .for_each(|(sum, part)| *sum += part);
                Ok(sum)
            });
        let Some(gradient) = gradient.transpose()? else {
            return Ok(f64::NAN);
        };
        let [mut product, mut slope, mut length] = [0.0f64; 3];
        let mut gradient = gradient.iter();
        for slot in self.slots() {
            let range = slot.offset..slot.offset + slot.len();
            let ends = update.from[range.clone()].iter().zip(&update.to[range]);
            for ((from, to), gradient) in ends.zip(gradient.by_ref()) {
                let (moved, gradient) = (f64::from(*to) - f64::from(*from), f64::from(*gradient));
                product -= moved * gradient;
                slope += gradient * gradient;
                length += moved * moved;
            }
        }
        Ok(product / (slope * length).sqrt())
    }

    /// Returns the mean loss of these weights in training mode.
    pub(super) fn training_loss(&self, flat: &[f32]) -> Result<f64, LandscapeError> {
        let flat = Tensor::from_slice(flat, flat.len(), self.device)?;
        let weights = Weights::new(flat, Arc::clone(self.layout));
        let mut totals = Totals::default();
        for batch in &self.batches {
            totals = totals + self.forward.training_totals(&weights, batch)?;
        }
        Ok(totals.measure(self.forward.loss.score()).loss)
    }

    /// Returns the statistics that batch norm takes of each batch in training mode, by the slot of the running ones.
    pub(super) fn statistics(
        &self,
        flat: &[f32],
    ) -> Result<Vec<HashMap<usize, Tensor>>, LandscapeError> {
        let flat = Tensor::from_slice(flat, flat.len(), self.device)?;
        let weights = Weights::new(flat, Arc::clone(self.layout));
        let batches = self.batches.iter();
        batches
            .map(|batch| self.forward.statistics(&weights, batch))
            .collect()
    }

    fn slots(&self) -> impl Iterator<Item = &crate::weights::layout::Slot> {
        let slots = self.layout.slots().iter();
        slots.filter(|slot| slot.role == Role::Parameter)
    }

    /// Returns the gradient of one batch's summed loss, parameter by parameter.
    fn gradient(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<Vec<f32>, LandscapeError> {
        let mut variables = Vec::new();
        for (index, slot) in self.layout.slots().iter().enumerate() {
            if slot.role == Role::Parameter {
                let variable = Var::from_tensor(&weights.slot(index)?.contiguous()?)?;
                variables.push((index, variable.into_inner()));
            }
        }
        let weights = weights.with(variables.iter().cloned());
        let summed = self.forward.sum(&weights, batch, self.training)?;
        let gradients = summed.backward()?;
        let mut flat = Vec::with_capacity(self.layout.parameters());
        for (_, variable) in &variables {
            match gradients.get(variable) {
                Some(part) => flat.extend(part.flatten_all()?.to_vec1::<f32>()?),
                None => flat.resize(flat.len() + variable.elem_count(), 0.0),
            }
        }
        Ok(flat)
    }
}
