//! Products of the Hessian with a vector, by double backward (docs/math.md, last note).

use candle_core::{DType, Device, Tensor, Var};
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::model::Weights;
use crate::weights::{Layout, Role, Slot};

use super::super::LandscapeError;
use super::super::forward::PreparedBatch;
use super::super::objective::ModelObjective;

/// The variable that keeps candle's gradients differentiable; it must be set when the process starts.
pub const KEEP_GRAPH: &str = "CANDLE_GRAD_DO_NOT_DETACH";
/// candle walks graphs by recursion, and those of deep networks are deep.
pub(in super::super) const STACK: usize = 64 << 20;
/// Bytes that the graphs of all threads may take together, half of them for those that are kept.
const BUDGET: usize = 1 << 30;
/// Numbers that a graph with both derivatives holds for each number of the forward pass (532 nodes become 2099
/// for a ResNet-20, and each node may hold a gradient).
const COPIES: usize = 8;
/// The same of a graph with the first derivative.
const COPIES_OF_GRADIENT: usize = 4;

/// Everything that it takes to differentiate an objective twice.
#[derive(Debug)]
pub struct Curvature {
    /// In memory: second derivatives take candle's graphs, of which a CPU makes short work and a GPU none (a
    /// gather's derivative has one thread for each image and channel there).
    objective: ModelObjective,
    /// Slots of the parameters of rank 2 and more.
    slots: Vec<usize>,
    dimension: usize,
    threads: ThreadPool,
}

/// Returns the number of parameters that the Hessian is over: those of rank 2 and more.
#[must_use]
pub fn dimension(layout: &Layout) -> usize {
    weights(layout).map(|(_, slot)| slot.len()).sum()
}

fn weights(layout: &Layout) -> impl Iterator<Item = (usize, &Slot)> {
    let is_weight = |(_, slot): &(usize, &Slot)| slot.role == Role::Parameter && slot.rank() >= 2;
    layout.slots().iter().enumerate().filter(is_weight)
}

impl Curvature {
    /// Checks that second derivatives are right in this process before any is believed.
    ///
    /// # Errors
    /// The process was started without [`KEEP_GRAPH`], so that second derivatives would be silently
    /// wrong; or threads cannot be had.
    pub fn new(objective: &ModelObjective) -> Result<Self, LandscapeError> {
        let objective = objective.in_memory()?;
        let layout = objective.layout();
        let slots: Vec<usize> = weights(layout).map(|(index, _)| index).collect();
        let dimension = dimension(layout);
        let threads = ThreadPoolBuilder::new()
            .num_threads(rayon::current_num_threads())
            .stack_size(STACK)
            .build()
            .map_err(|error| LandscapeError::Curvature(error.to_string()))?;
        if !threads.install(is_twice_differentiable)? {
            return Err(LandscapeError::Curvature(format!(
                "second derivatives need {KEEP_GRAPH}=1 in the environment"
            )));
        }
        Ok(Self {
            objective,
            slots,
            dimension,
            threads,
        })
    }

    /// Returns the number of parameters that the Hessian is over: those of rank 2 and more.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Returns the Hessian of the mean loss at a point.
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn at(&self, weights: &Weights) -> Result<Hessian<'_>, LandscapeError> {
        let weights = weights.to_device(&Device::Cpu)?;
        let bytes = (self.numbers_per_sample(&weights)? * DType::F32.size_in_bytes()).max(1);
        let threads = self.threads.current_num_threads().max(1);
        let batches = self
            .objective
            .batches(BUDGET / 2 / threads / (COPIES * bytes))?;
        let mut room = BUDGET / 2 / (COPIES_OF_GRADIENT * bytes);
        let is_kept = |batch: &&PreparedBatch| {
            let left = room.checked_sub(batch.samples());
            room = left.unwrap_or(0);
            left.is_some()
        };
        let kept: Vec<&PreparedBatch> = batches.iter().take_while(is_kept).collect();
        let kept = self.threads.install(|| {
            kept.into_par_iter()
                .map(|batch| self.gradient(&weights, batch))
                .collect::<Result<_, _>>()
        })?;
        Ok(Hessian {
            weight: self.objective.totals(&weights)?.weight.value(),
            curvature: self,
            weights,
            batches,
            kept,
        })
    }

    /// Returns the gradient of a batch's summed loss, still with its graph.
    fn gradient(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<Gradient, LandscapeError> {
        let (weights, variables) = self.variables(weights)?;
        let gradients = self.loss(&weights, batch)?.backward()?;
        let parts = variables.iter().map(|variable| gradients.get(variable));
        Ok(Gradient {
            parts: parts.map(Option::<&Tensor>::cloned).collect(),
            variables,
        })
    }

    /// Returns the number of values that a forward pass of one sample leaves in its graph, beside the weights.
    fn numbers_per_sample(&self, weights: &Weights) -> Result<usize, LandscapeError> {
        let batches = self.objective.batches(1)?;
        let Some(batch) = batches.first() else {
            return Ok(0);
        };
        self.threads.install(|| {
            let (weights, _) = self.variables(weights)?;
            let loss = self.loss(&weights, batch)?;
            Ok(loss
                .sorted_nodes()
                .iter()
                .map(|node| node.elem_count())
                .sum())
        })
    }

    /// Returns the weights with a variable in the place of each tensor that is differentiated.
    fn variables(&self, weights: &Weights) -> Result<(Weights, Vec<Tensor>), LandscapeError> {
        let variable = |&slot: &usize| -> Result<(usize, Tensor), LandscapeError> {
            let variable = Var::from_tensor(&weights.slot(slot)?.contiguous()?)?;
            Ok((slot, variable.into_inner()))
        };
        let pairs: Vec<(usize, Tensor)> =
            self.slots.iter().map(variable).collect::<Result<_, _>>()?;
        let variables = pairs.iter().map(|pair| pair.1.clone()).collect();
        Ok((weights.with(pairs), variables))
    }

    fn loss(&self, weights: &Weights, batch: &PreparedBatch) -> Result<Tensor, LandscapeError> {
        self.objective.forward().sum(weights, batch, false)
    }
}

/// The Hessian of the mean loss at one point, as a map.
#[derive(Debug)]
pub struct Hessian<'a> {
    curvature: &'a Curvature,
    /// The number that the summed loss is divided by for the mean.
    weight: f64,
    weights: Weights,
    batches: Vec<PreparedBatch>,
    /// Gradients of the first of them, as many as there is memory for: no product changes them.
    kept: Vec<Gradient>,
}

/// The gradient of one batch's summed loss, and the variables that it can be differentiated by once more.
#[derive(Debug)]
struct Gradient {
    variables: Vec<Tensor>,
    /// For each variable; `None` if the loss does not depend on it.
    parts: Vec<Option<Tensor>>,
}

impl Gradient {
    /// Returns the gradient of its product with `v`: the Hessian's with `v`.
    fn along(&self, v: &[Tensor]) -> Result<Vec<f32>, LandscapeError> {
        let mut along: Option<Tensor> = None;
        for (part, v) in self.parts.iter().zip(v) {
            let Some(part) = part else { continue };
            let term = (part * v)?.sum_all()?;
            along = Some(match along {
                Some(sum) => (sum + term)?,
                None => term,
            });
        }
        let mut product = Vec::new();
        let second = along.map(|along| along.backward()).transpose()?;
        for variable in &self.variables {
            match second.as_ref().and_then(|second| second.get(variable)) {
                Some(part) => product.extend(part.flatten_all()?.to_vec1::<f32>()?),
                None => product.resize(product.len() + variable.elem_count(), 0.0),
            }
        }
        Ok(product)
    }
}

impl Drop for Hessian<'_> {
    fn drop(&mut self) {
        // candle frees graphs by recursion too.
        let kept = std::mem::take(&mut self.kept);
        self.curvature.threads.install(|| drop(kept));
    }
}

impl Hessian<'_> {
    /// Returns the length of the vectors it takes.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.curvature.dimension
    }

    /// Returns H·v: micro-batches are summed in f64 in the order of the samples.
    ///
    /// # Errors
    /// candle's: the device failed or has no room.
    pub fn product(&self, v: &[f64]) -> Result<Vec<f64>, LandscapeError> {
        let curvature = self.curvature;
        let v = self.pieces(v)?;
        let mut sum = vec![0.0; curvature.dimension];
        let part = |index: usize| match self.kept.get(index) {
            Some(kept) => kept.along(&v),
            None => curvature
                .gradient(&self.weights, &self.batches[index])?
                .along(&v),
        };
        // A wave of batches at a time, so that only their results are held.
        let threads = curvature.threads.current_num_threads().max(1);
        for first in (0..self.batches.len()).step_by(threads) {
            let wave = first..self.batches.len().min(first + threads);
            let parts: Vec<Vec<f32>> = curvature
                .threads
                .install(|| wave.into_par_iter().map(part).collect::<Result<_, _>>())?;
            for part in parts {
                sum.iter_mut()
                    .zip(part)
                    .for_each(|(sum, part)| *sum += f64::from(part));
            }
        }
        for value in &mut sum {
            *value /= self.weight;
        }
        Ok(sum)
    }

    /// Returns a flat vector cut into tensors of the slots' shapes.
    fn pieces(&self, v: &[f64]) -> Result<Vec<Tensor>, LandscapeError> {
        let objective = &self.curvature.objective;
        let mut rest = v;
        let mut pieces = Vec::with_capacity(self.curvature.slots.len());
        for &index in &self.curvature.slots {
            let slot = &objective.layout().slots()[index];
            let (piece, tail) = rest.split_at(slot.len());
            rest = tail;
            let values: Vec<f32> = piece.iter().map(|value| *value as f32).collect();
            let shape = slot.shape.as_slice();
            pieces.push(Tensor::from_vec(values, shape, &Device::Cpu)?);
        }
        Ok(pieces)
    }
}

/// Returns true if second derivatives are right on this thread: those of Σx³ along v are 6·x·v. candle gives
/// other numbers and no error if gradients are cut from their graph.
fn is_twice_differentiable() -> Result<bool, LandscapeError> {
    let x = Var::new(&[1f32, -2.0, 3.0], &Device::Cpu)?;
    let v = Tensor::new(&[1f32, 10.0, -1.0], &Device::Cpu)?;
    let cube = (x.sqr()? * x.as_tensor())?.sum_all()?;
    let gradients = cube.backward()?;
    let Some(gradient) = gradients.get(&x) else {
        return Ok(false);
    };
    let second = (gradient * v)?.sum_all()?.backward()?;
    let found = second.get(&x).map(Tensor::to_vec1::<f32>).transpose()?;
    Ok(found == Some(vec![6.0, -120.0, -18.0]))
}
