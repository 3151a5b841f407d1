//! Forward passes on the CPU with weights that are new at every point.

mod blocked;
mod conv;
mod dense;
mod pack;
mod plan;
mod pool;
pub(crate) mod simd;

use std::sync::{Mutex, PoisonError};

use candle_core::Result;
use rayon::prelude::*;

use self::pack::{Packed, Pair};
use self::plan::{Features, Plan, Step};
use self::simd::Level;
use super::graph::Graph;
use super::{Network, Weights};

/// Samples whose vectors go through the head together.
const GROUP: usize = 24;

/// A network made ready for images of one size.
#[derive(Debug)]
pub struct Kernels {
    level: Level,
    plan: Plan,
    /// Numbers of a sample.
    image: usize,
    classes: usize,
    /// Memory of points and threads that are done, to be used again.
    packed: Mutex<Vec<Packed>>,
    arenas: Mutex<Vec<Arena>>,
}

/// What a thread needs for one image, and for the vectors of a group of them.
#[derive(Debug, Default)]
struct Arena {
    buffers: Vec<Vec<f32>>,
    vectors: [Vec<f32>; 2],
}

impl Kernels {
    /// Makes a network ready for images of these channels, height and width; none where it has a layer
    /// that the kernels do not know.
    #[must_use]
    pub fn of(network: &dyn Network, image: [usize; 3]) -> Option<Self> {
        Self::at_level(&network.graph(image).ok()?, image, Level::best())
    }

    fn at_level(graph: &Graph, image: [usize; 3], level: Level) -> Option<Self> {
        let plan = Plan::of(graph, image, level.lanes())?;
        Some(Self {
            level,
            classes: plan.head.last()?.linear.outputs,
            image: image.iter().product(),
            plan,
            packed: Mutex::default(),
            arenas: Mutex::default(),
        })
    }

    /// Logits (N, classes) of images (N, C, H, W), one after another. The samples are spread over the
    /// threads of rayon's pool; what comes out does not depend on how.
    ///
    /// # Errors
    /// The weights are not f32 numbers in memory.
    pub fn logits(&self, weights: &Weights, images: &[&[f32]]) -> Result<Vec<f32>> {
        let mut packed = taken(&self.packed);
        packed.fill(&self.plan, weights)?;
        let threads = rayon::current_num_threads();
        let samples: usize = images.iter().map(|images| images.len() / self.image).sum();
        let group = samples.div_ceil(4 * threads).clamp(1, GROUP);
        let groups: Vec<&[f32]> = images
            .iter()
            .flat_map(|images| images.chunks(group * self.image))
            .collect();
        let logits = groups.par_iter().map(|images| {
            let mut arena = taken(&self.arenas);
            let logits = self.group(&packed, &mut arena, images);
            give_back(&self.arenas, arena);
            logits
        });
        let logits: Vec<Vec<f32>> = logits.collect();
        give_back(&self.packed, packed);
        Ok(logits.concat())
    }

    /// Logits of a group of samples.
    fn group(&self, packed: &Packed, arena: &mut Arena, images: &[f32]) -> Vec<f32> {
        let plan = &self.plan;
        let Arena { buffers, vectors } = arena;
        buffers.resize_with(plan.buffers.len(), Vec::new);
        for (buffer, extents) in buffers.iter_mut().zip(&plan.buffers) {
            buffer.resize(extents.len(), 0.0);
        }
        let samples = images.len() / self.image;
        let [features, result] = vectors;
        if !matches!(plan.features, Features::Raw) {
            features.resize(samples * plan.length, 0.0);
            let rows = features.chunks_exact_mut(plan.length);
            for (image, vector) in images.chunks_exact(self.image).zip(rows) {
                self.body(packed, buffers, image);
                match plan.features {
                    Features::Average(at) => pool::global_average(self.image(buffers, at), vector),
                    Features::Flatten(at) => pool::flatten(self.image(buffers, at), vector),
                    Features::Raw => {}
                }
            }
        }
        let mut stride = plan.length;
        for (i, (layer, pair)) in plan.head.iter().zip(&packed.head).enumerate() {
            let is_raw = i == 0 && matches!(plan.features, Features::Raw);
            let values: &[f32] = if is_raw { images } else { features };
            result.resize(samples * pair.bias.len(), 0.0);
            dense::Dense {
                x: dense::Rows { values, stride },
                inputs: layer.linear.inputs,
                weights: &pair.weights,
                bias: &pair.bias,
                relu: layer.relu,
            }
            .run(self.level, samples, result);
            stride = pair.bias.len();
            std::mem::swap(features, result);
        }
        let rows = features.chunks_exact(stride).take(samples);
        rows.flat_map(|row| &row[..self.classes]).copied().collect()
    }

    fn image<'a>(&self, buffers: &'a [Vec<f32>], at: usize) -> pool::Image<'a> {
        pool::Image {
            at: self.plan.buffers[at],
            values: &buffers[at],
        }
    }

    /// All steps on one image.
    fn body(&self, packed: &Packed, buffers: &mut [Vec<f32>], image: &[f32]) {
        for (step, pair) in self.plan.steps.iter().zip(&packed.steps) {
            let to = match step {
                Step::Load { to }
                | Step::Conv { to, .. }
                | Step::Pool { to, .. }
                | Step::Norm { to, .. }
                | Step::Place { to, .. } => *to,
            };
            // Lifted out while it is written: the others are read. Taking a vector moves no numbers.
            let mut result = std::mem::take(&mut buffers[to]);
            self.step(step, pair, buffers, image, to, &mut result);
            buffers[to] = result;
        }
    }

    fn step(
        &self,
        step: &Step,
        pair: &Pair,
        buffers: &[Vec<f32>],
        image: &[f32],
        to: usize,
        result: &mut [f32],
    ) {
        let level = self.level;
        let extents = self.plan.buffers[to];
        match step {
            Step::Load { .. } => pool::block(image, extents, result),
            Step::Conv {
                shape,
                from,
                residual,
                ..
            } => conv::Conv {
                shape,
                x: &buffers[*from],
                weights: &pair.weights,
                bias: &pair.bias,
                residual: residual.map(|at| self.image(buffers, at)),
            }
            .run(level, result),
            Step::Pool {
                pool, mean, from, ..
            } => pool::Windows {
                level,
                pool: *pool,
                mean: *mean,
                from: self.image(buffers, *from),
                to: extents,
            }
            .run(result),
            Step::Norm { relu, from, .. } => pool::Norm {
                level,
                from: self.image(buffers, *from),
                to: extents,
                scale: &pair.weights,
                shift: &pair.bias,
                relu: *relu,
            }
            .run(result),
            Step::Place { parts, .. } => {
                for &(from, stride, first) in parts {
                    pool::place(self.image(buffers, from), stride, first, extents, result);
                }
            }
        }
    }
}

/// Something to use again, or a new one.
fn taken<T: Default>(pool: &Mutex<Vec<T>>) -> T {
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    pool.pop().unwrap_or_default()
}

fn give_back<T>(pool: &Mutex<Vec<T>>, item: T) {
    pool.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(item);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
