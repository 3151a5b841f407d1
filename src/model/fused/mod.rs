//! Forward passes on the CPU with weights that are new at every point.
//!
//! A loss surface is thousands of forward passes of which none has the weights of another, so engines that
//! prepare constant weights once gain nothing here. [`FusedNetwork`] plans a network once (`plan`: batch norm,
//! bias, residual and ReLU go into the convolution before them), packs each point's weights in the order in
//! which they are read (`pack`), and takes every sample through the layers while its activations are in
//! cache, or, where the weights are the larger part, several samples through a layer while its weights
//! are (`passes`). Samples are spread over rayon's threads; memory is kept from point to point.
//!
//! `cargo bench --bench forward` measures whole networks against candle;
//! docs/performance.md has the table. candle's layers stay for gradients, other devices, and layers that are not known
//! here, with convolutions by the same loops (`kernels/planar.rs`); both give the same numbers (`tests`).

mod layers;
mod pack;
mod passes;
mod plan;
mod steps;

use std::ops::Range;

use candle_core::Result;
use rayon::prelude::*;

use self::layers::Layers;
use self::pack::{Packed, Pair};
use self::plan::Plan;
use self::steps::{Features, Step, Way};
use super::Weights;
use super::program::Program;
use super::program::trace::Trace;
use crate::model::kernels::aligned::Aligned;
use crate::model::kernels::simd::{Level, Rectifier};
use crate::model::kernels::{conv, dense, depthwise, pointwise, pooling, winograd};
use crate::spare::Spare;

/// Samples whose vectors go through the head together.
const GROUP: usize = 24;

/// A network made ready for samples of one shape.
#[derive(Debug)]
pub struct FusedNetwork {
    level: Level,
    plan: Plan,
    /// Numbers of a sample.
    image: usize,
    classes: usize,
    /// Memory of points and threads that are done, to be used again.
    packed: Spare<Packed>,
    arenas: Spare<Arena>,
}

/// Memory of a thread for the images that go through a pass together, and for the vectors of a group of them.
#[derive(Debug, Default)]
struct Arena {
    buffers: Vec<Aligned>,
    tiles: winograd::Scratch,
    features: Vec<f32>,
    vectors: [Vec<f32>; 2],
}

impl FusedNetwork {
    /// Makes a program ready for samples of the shape that `trace` is of, for its output number `output`; `None`
    /// where it has an operation that the kernels do not know.
    #[must_use]
    pub fn of(program: &Program, trace: &Trace, output: usize) -> Option<Self> {
        Self::at_level(&Layers::of(program, trace, output)?, Level::best())
    }

    fn at_level(layers: &Layers, level: Level) -> Option<Self> {
        let plan = Plan::of(layers, level.lanes())?;
        Some(Self {
            level,
            classes: plan.head.last()?.linear.outputs,
            image: layers.sample.iter().product(),
            plan,
            packed: Spare::default(),
            arenas: Spare::default(),
        })
    }

    /// Returns the logits (N, classes) of images (N, C, H, W), one after another. The samples are spread over the
    /// threads of rayon's pool; what comes out does not depend on how.
    ///
    /// # Errors
    /// The weights are not f32 numbers in memory.
    pub fn logits(&self, weights: &Weights, images: &[&[f32]]) -> Result<Vec<f32>> {
        self.each_group(weights, 0, images, self.image, |packed, arena, images| {
            self.group(packed, arena, images)
        })
    }

    /// Returns true if the first layer is fully connected and has no norm: its result is linear in the weights.
    #[must_use]
    pub fn begins_linear(&self) -> bool {
        let plain = self
            .plan
            .head
            .first()
            .is_some_and(|first| first.norm.is_none());
        plain && matches!(self.plan.features, Features::Raw)
    }

    /// Computes the first layer before its ReLU, for a network that begins linear: a row of whole
    /// vectors a sample.
    ///
    /// # Errors
    /// As [`FusedNetwork::logits`].
    pub fn first_layer(&self, weights: &Weights, images: &[&[f32]]) -> Result<Vec<f32>> {
        let linear = plan::Dense {
            rectifier: Rectifier::Off,
            ..self.plan.head[0].clone()
        };
        self.each_group(weights, 0, images, self.image, |packed, _, images| {
            let pair = &packed.head[0];
            let mut result = vec![0.0; images.len() / self.image * pair.bias.len()];
            self.dense(&linear, pair, images, self.image, &mut result);
            result
        })
    }

    /// Returns the logits from what the first layer gave at three points whose combination, with these coefficients,
    /// the weights are.
    ///
    /// # Errors
    /// As [`FusedNetwork::logits`].
    pub fn logits_from(
        &self,
        weights: &Weights,
        first: &[Vec<f32>; 3],
        coefficients: [f32; 3],
    ) -> Result<Vec<f32>> {
        let width = self.plan.head[0]
            .linear
            .outputs
            .next_multiple_of(self.plan.lanes);
        let rectifier = self.plan.head[0].rectifier;
        let [origin, x, y] = first;
        let [one, alpha, beta] = coefficients;
        let mut combined = vec![0.0; origin.len()];
        combined
            .par_iter_mut()
            .zip(origin)
            .zip(x.par_iter().zip(y))
            .with_min_len(4096)
            .for_each(|((out, origin), (x, y))| {
                let sum = one * origin + alpha * x + beta * y;
                *out = rectifier.of(sum);
            });
        self.each_group(weights, 1, &[&combined], width, |packed, arena, vectors| {
            self.head(packed, arena, vectors, width, 1)
        })
    }

    /// Packs the weights, but for those of the first `done` layers of the head, and works on groups of
    /// samples beside one another; `length` is that of a sample.
    fn each_group(
        &self,
        weights: &Weights,
        done: usize,
        samples: &[&[f32]],
        length: usize,
        work: impl Fn(&Packed, &mut Arena, &[f32]) -> Vec<f32> + Sync,
    ) -> Result<Vec<f32>> {
        let mut packed = self.packed.take();
        packed.fill(&self.plan, self.level, weights, done)?;
        let threads = rayon::current_num_threads();
        let count: usize = samples.iter().map(|samples| samples.len() / length).sum();
        let group = count.div_ceil(4 * threads).clamp(1, GROUP);
        // Where weights are large, they are read once for as many samples as each thread has.
        let large = count.div_ceil(threads).min(self.plan.passes.together);
        let group = group.max(large);
        let groups = samples
            .iter()
            .flat_map(|samples| samples.chunks(group * length));
        let groups: Vec<&[f32]> = groups.collect();
        let results = groups.par_iter().map(|samples| {
            let mut arena = self.arenas.take();
            let result = work(&packed, &mut arena, samples);
            self.arenas.give_back(arena);
            result
        });
        let results: Vec<Vec<f32>> = results.collect();
        self.packed.give_back(packed);
        Ok(results.concat())
    }

    /// Returns the logits of a group of samples.
    fn group(&self, packed: &Packed, arena: &mut Arena, images: &[f32]) -> Vec<f32> {
        let plan = &self.plan;
        if matches!(plan.features, Features::Raw) {
            return self.head(packed, arena, images, plan.length, 0);
        }
        let mut features = std::mem::take(&mut arena.features);
        features.resize(images.len() / self.image * plan.length, 0.0);
        let together = plan.passes.together;
        let vectors = features.chunks_mut(together * plan.length);
        for (images, vectors) in images.chunks(together * self.image).zip(vectors) {
            self.body(packed, arena, images);
            for (n, vector) in vectors.chunks_exact_mut(plan.length).enumerate() {
                let image = |at| self.images(&arena.buffers, at, &(n..n + 1));
                match plan.features {
                    Features::Average(at) => pooling::global_average(image(at), vector),
                    Features::Flatten(at) => pooling::flatten(image(at), vector),
                    Features::Raw => {}
                }
            }
        }
        let logits = self.head(packed, arena, &features, plan.length, 0);
        arena.features = features;
        logits
    }

    /// Returns the logits of a group of vectors, which stand where layer `first` of the head takes them.
    fn head(
        &self,
        packed: &Packed,
        arena: &mut Arena,
        vectors: &[f32],
        length: usize,
        first: usize,
    ) -> Vec<f32> {
        let samples = vectors.len() / length;
        let [before, after] = &mut arena.vectors;
        let mut stride = length;
        let layers = self.plan.head.iter().zip(&packed.head).skip(first);
        for (i, (layer, pair)) in layers.enumerate() {
            after.resize(samples * pair.bias.len(), 0.0);
            let values = if i == 0 { vectors } else { &*before };
            self.dense(layer, pair, values, stride, after);
            stride = pair.bias.len();
            std::mem::swap(before, after);
        }
        let last: &[f32] = if self.plan.head.len() == first {
            vectors
        } else {
            before
        };
        let rows = last.chunks_exact(stride).take(samples);
        rows.flat_map(|row| &row[..self.classes]).copied().collect()
    }

    fn dense(
        &self,
        layer: &plan::Dense,
        pair: &Pair,
        values: &[f32],
        stride: usize,
        result: &mut [f32],
    ) {
        dense::Dense {
            x: dense::Rows { values, stride },
            inputs: layer.linear.inputs,
            weights: &pair.weights,
            step: layer.linear.inputs * self.plan.lanes,
            bias: &pair.bias,
            rectifier: layer.rectifier,
        }
        .run(self.level, values.len() / stride, result);
    }

    /// Returns some of the images that go through the passes together, in a buffer.
    fn images<'a>(
        &self,
        buffers: &'a [Aligned],
        at: usize,
        images: &Range<usize>,
    ) -> pooling::Image<'a> {
        pooling::Image {
            at: self.plan.buffers[at],
            values: &buffers[at][self.place(at, images)],
        }
    }

    /// Returns their place in a buffer.
    fn place(&self, at: usize, images: &Range<usize>) -> Range<usize> {
        let first = if self.plan.passes.is_kept[at] {
            images.start
        } else {
            0
        };
        let len = self.plan.buffers[at].len();
        first * len..(first + images.len()) * len
    }

    /// Runs all steps on some images.
    fn body(&self, packed: &Packed, arena: &mut Arena, images: &[f32]) {
        let plan = &self.plan;
        let count = images.len() / self.image;
        arena
            .buffers
            .resize_with(plan.buffers.len(), Aligned::default);
        let extents = plan.buffers.iter().zip(&plan.passes.held);
        for (buffer, (extents, held)) in arena.buffers.iter_mut().zip(extents) {
            buffer.at_least(count.min(*held) * extents.len());
        }
        for pass in &plan.passes.list {
            for first in (0..count).step_by(pass.images) {
                let part = first..count.min(first + pass.images);
                for step in pass.steps.clone() {
                    let pair = &packed.steps[step];
                    self.step(&plan.steps[step], pair, arena, images, &part);
                }
            }
        }
    }

    /// Runs one step on a part of the images.
    fn step(
        &self,
        step: &Step,
        pair: &Pair,
        arena: &mut Arena,
        images: &[f32],
        part: &Range<usize>,
    ) {
        let to = step.to();
        // Lifted out while it is written: the others are read. Taking a vector moves no numbers.
        let mut buffer = std::mem::take(&mut arena.buffers[to]);
        let result = &mut buffer[self.place(to, part)];
        if let Step::Conv { .. } = step {
            self.conv(step, pair, arena, part, result);
        } else {
            let results = result.chunks_exact_mut(self.plan.buffers[to].len());
            for (n, result) in results.enumerate() {
                let image = &images[(part.start + n) * self.image..][..self.image];
                let of = |from: usize| self.images(&arena.buffers, from, part).nth(n);
                self.pixels(step, pair, image, of, result);
            }
        }
        arena.buffers[to] = buffer;
    }

    /// Runs a convolution on a part of the images.
    fn conv(
        &self,
        step: &Step,
        pair: &Pair,
        arena: &mut Arena,
        part: &Range<usize>,
        result: &mut [f32],
    ) {
        let Step::Conv {
            shape,
            way,
            from,
            residual,
            ..
        } = step
        else {
            return;
        };
        let conv = conv::Conv {
            shape,
            x: self.images(&arena.buffers, *from, part).values,
            weights: &pair.weights,
            bias: &pair.bias,
            residual: residual.map(|at| self.images(&arena.buffers, at, part)),
        };
        match way {
            Way::Winograd(tile) => {
                winograd::run(&conv, *tile, self.level, &mut arena.tiles, result);
            }
            Way::Depthwise => depthwise::run(&conv, self.level, result),
            Way::Pointwise => pointwise::run(&conv, self.level, result),
            Way::Direct => conv.run(self.level, result),
        }
    }

    /// Returns any other step on one image, of which `of` gives the numbers in a buffer.
    fn pixels<'a>(
        &self,
        step: &Step,
        pair: &Pair,
        image: &[f32],
        of: impl Fn(usize) -> pooling::Image<'a>,
        result: &mut [f32],
    ) {
        let level = self.level;
        match step {
            Step::Load { to } => pooling::block(image, self.plan.buffers[*to], result),
            Step::Pool {
                pool,
                mean,
                from,
                to,
            } => pooling::Windows {
                level,
                pool: *pool,
                mean: *mean,
                from: of(*from),
                to: self.plan.buffers[*to],
            }
            .run(result),
            Step::Norm {
                rectifier,
                from,
                to,
                ..
            } => pooling::Norm {
                level,
                from: of(*from),
                to: self.plan.buffers[*to],
                scale: &pair.weights,
                shift: &pair.bias,
                rectifier: *rectifier,
            }
            .run(result),
            Step::Place { parts, to } => {
                let extents = self.plan.buffers[*to];
                let placed: usize = parts
                    .iter()
                    .map(|(from, ..)| self.plan.buffers[*from].channels)
                    .sum();
                if placed < extents.channels {
                    // Channels that nothing is placed in are zero, and another step may have used them.
                    result.fill(0.0);
                }
                for &(from, stride, first) in parts {
                    pooling::place(of(from), stride, first, extents, result);
                }
            }
            Step::Conv { .. } => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
