//! The three maps of f32 numbers by the kernels of blocked images, where most lanes of their vectors are used.

use rayon::prelude::*;

use super::extents::Extents;
use super::{BLOCK, Map, in_order};
use crate::model::kernels::planar::{Planar, Scratch};
use crate::model::kernels::simd::Level;

/// Returns the map of two contiguous arrays, as [`Map::of`] does; `None` if a product of matrices is the better way.
pub(super) fn of(
    map: Map,
    extents: &Extents,
    a: &[f32],
    b: &[f32],
    bias: &[f32],
    level: Level,
) -> Option<Vec<f32>> {
    match map {
        Map::Forward => {
            let planar = planar(extents, level, extents.images)?;
            Some(forward(&planar, extents, a, b, bias, level))
        }
        Map::Images => {
            let mirrored = extents.mirrored()?;
            let planar = planar(&mirrored, level, mirrored.images)?;
            let flipped = extents.flipped(b);
            Some(forward(&planar, &mirrored, a, &flipped, bias, level))
        }
        Map::Kernels => {
            let planar = planar(extents, level, extents.images.min(BLOCK))?;
            Some(kernels(&planar, extents, a, b, level))
        }
    }
}

/// Returns the convolution, if it is one that the kernels know and are the faster for with so many images together.
fn planar(extents: &Extents, level: Level, images: usize) -> Option<Planar> {
    let window = &extents.window;
    let is_square = |sides: [usize; 2]| sides[0] == sides[1];
    let is_known = window.groups == 1
        && window.dilation == [1; 2]
        && matches!(window.stride, [1, 1] | [2, 2])
        && is_square(window.padding)
        && is_square(extents.kernel)
        && extents.result.iter().all(|side| *side > 0);
    let planar = Planar {
        inputs: extents.inputs,
        size: extents.size,
        outputs: extents.outputs,
        result: extents.result,
        kernel: extents.kernel[0],
        stride: window.stride[0],
        padding: window.padding[0],
    };
    (is_known && planar.is_worth_it(level, images)).then_some(planar)
}

fn forward(
    planar: &Planar,
    extents: &Extents,
    images: &[f32],
    kernels: &[f32],
    bias: &[f32],
    level: Level,
) -> Vec<f32> {
    let laid = planar.lay(level, kernels, bias);
    let mut results = vec![0.0; extents.shape(Map::Forward).elem_count()];
    let blocks = images.par_chunks(BLOCK * extents.image());
    blocks
        .zip(results.par_chunks_mut(BLOCK * extents.outputs * extents.plane()))
        .for_each_init(Scratch::default, |scratch, (images, results)| {
            planar.forward(level, images, &laid, results, scratch);
        });
    results
}

fn kernels(
    planar: &Planar,
    extents: &Extents,
    images: &[f32],
    gradients: &[f32],
    level: Level,
) -> Vec<f32> {
    let blocks = images.par_chunks(BLOCK * extents.image());
    let blocks = blocks
        .zip(gradients.par_chunks(BLOCK * extents.outputs * extents.plane()))
        .map_init(Scratch::default, |scratch, (images, gradients)| {
            planar.kernels(level, images, gradients, scratch)
        });
    in_order(blocks, extents)
}
