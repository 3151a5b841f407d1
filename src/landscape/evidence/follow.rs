//! The cosine between −∇L(θ_t) and the update to the next checkpoint.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::data::Dataset;
use crate::model::{Network, Weights};
use crate::weights::layout::{Layout, Role};

use super::super::LandscapeError;
use super::super::curvature::product::{STACK, summed_loss};
use super::super::objective::Batch;

/// An update of the path: where it began, and where it led.
pub(super) struct Update {
    pub(super) from: Vec<f32>,
    pub(super) to: Vec<f32>,
}

/// Threads with stacks for the graphs of deep networks.
pub(super) fn pool(device: &Device) -> Result<ThreadPool, LandscapeError> {
    // A GPU is used by one thread at a time.
    let threads = if device.is_cpu() {
        rayon::current_num_threads()
    } else {
        1
    };
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .build()
        .map_err(|error| LandscapeError::Curvature(error.to_string()))
}

/// All samples on a device, in batches of so many.
pub(super) fn batches(
    data: &Dataset,
    most: usize,
    device: &Device,
) -> Result<Vec<Batch>, LandscapeError> {
    let images = data.image().zip(data.labels());
    let images = images.ok_or_else(|| LandscapeError::NoImages(data.name.clone()))?;
    let ([channels, height, width], labels) = images;
    let pixels = data.pixels();
    let pixels = pixels.chunks((most * channels * height * width).max(1));
    pixels
        .zip(labels.chunks(most.max(1)))
        .map(|(pixels, labels)| {
            let shape = (labels.len(), channels, height, width);
            Ok((Tensor::from_slice(pixels, shape, device)?, labels.to_vec()))
        })
        .collect()
}

/// A network with batches of samples.
pub(super) struct Follower<'a> {
    pub(super) network: &'a dyn Network,
    pub(super) layout: &'a Arc<Layout>,
    pub(super) batches: &'a [Batch],
    pub(super) device: &'a Device,
    /// Batch norm takes the statistics of each batch.
    pub(super) training: bool,
}

impl Follower<'_> {
    /// How well an update follows the negative gradient where it began; NaN where one of them is nothing.
    pub(super) fn cosine(&self, update: &Update) -> Result<f64, LandscapeError> {
        let flat = Tensor::from_slice(&update.from, update.from.len(), self.device)?;
        let mut weights = Weights::new(flat, Arc::clone(self.layout));
        if self.training {
            weights = weights.in_training();
        }
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

    /// The mean loss of these weights.
    pub(super) fn loss(&self, flat: &[f32]) -> Result<f64, LandscapeError> {
        let flat = Tensor::from_slice(flat, flat.len(), self.device)?;
        let mut weights = Weights::new(flat, Arc::clone(self.layout));
        if self.training {
            weights = weights.in_training();
        }
        let (mut sum, mut count) = (0.0, 0);
        for batch in self.batches {
            let loss = summed_loss(self.network, &weights, batch)?;
            sum += f64::from(loss.to_scalar::<f32>()?);
            count += batch.1.len();
        }
        Ok(sum / count as f64)
    }

    fn slots(&self) -> impl Iterator<Item = &crate::weights::layout::Slot> {
        let slots = self.layout.slots().iter();
        slots.filter(|slot| slot.role == Role::Parameter)
    }

    /// The gradient of one batch's summed loss, parameter by parameter.
    fn gradient(&self, weights: &Weights, batch: &Batch) -> Result<Vec<f32>, LandscapeError> {
        let mut variables = Vec::new();
        for (index, slot) in self.layout.slots().iter().enumerate() {
            if slot.role == Role::Parameter {
                let variable = Var::from_tensor(&weights.slot(index)?.contiguous()?)?;
                variables.push((index, variable.into_inner()));
            }
        }
        let weights = weights.with(variables.iter().cloned());
        let gradients = summed_loss(self.network, &weights, batch)?.backward()?;
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
