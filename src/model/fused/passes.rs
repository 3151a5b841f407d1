//! The number of images that go through steps of a plan together.
//!
//! Images of early layers are large and their weights few: they go one by one, so that they stay in cache from step
//! to step. Of late layers it is the other way round: the weights that are read serve many images.

use std::ops::Range;

use super::steps::{Features, Step};
use crate::model::kernels::blocked::Blocked;

/// Images that go through a step together, at most.
const MOST: usize = 64;
/// Numbers that the buffers may hold: 32 MB.
const ROOM: usize = 8 << 20;

/// The steps in passes, and the room that buffers need for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Passes {
    /// Images that go through all passes together.
    pub(super) together: usize,
    pub(super) list: Vec<Pass>,
    /// True for each buffer that keeps all those images between passes.
    pub(super) is_kept: Vec<bool>,
    /// Images of which each buffer has to hold the numbers at once.
    pub(super) held: Vec<usize>,
}

/// Steps through which some of the images go together, then the next ones.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) steps: Range<usize>,
    pub(super) images: usize,
}

impl Passes {
    /// Divides the steps so that the buffers stay within their room, if they do with one image.
    pub(super) fn of(steps: &[Step], buffers: &[Blocked], features: Features) -> Self {
        let mut most = MOST;
        loop {
            let passes = Self::of_at_most(steps, buffers, features, most);
            let sizes = passes.held.iter().zip(buffers);
            let room: usize = sizes.map(|(held, buffer)| held * buffer.len()).sum();
            if most == 1 || room <= ROOM {
                return passes;
            }
            most /= 2;
        }
    }

    fn of_at_most(steps: &[Step], buffers: &[Blocked], features: Features, most: usize) -> Self {
        let mut passes: Vec<Pass> = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let images = images(step, buffers).min(most);
            match passes.last_mut() {
                // What has no weights goes along with what stands before it.
                Some(last) if step.weights() == 0 || last.images == images => {
                    last.steps.end = i + 1;
                }
                _ => passes.push(Pass {
                    steps: i..i + 1,
                    images,
                }),
            }
        }
        let mut is_kept = vec![false; buffers.len()];
        if let Features::Flatten(buffer) | Features::Average(buffer) = features {
            is_kept[buffer] = true;
        }
        let mut written = vec![0; buffers.len()];
        let mut held = vec![0; buffers.len()];
        for (n, pass) in passes.iter().enumerate() {
            for step in &steps[pass.steps.clone()] {
                for from in step.from() {
                    is_kept[from] |= written[from] != n;
                }
                written[step.to()] = n;
                held[step.to()] = pass.images.max(held[step.to()]);
            }
        }
        let together = passes.iter().map(|pass| pass.images).max().unwrap_or(1);
        for (held, is_kept) in held.iter_mut().zip(&is_kept) {
            if *is_kept {
                *held = together;
            }
        }
        Self {
            together,
            list: passes,
            is_kept,
            held,
        }
    }
}

/// Returns the images that are together as large as the weights, as a power of two.
fn images(step: &Step, buffers: &[Blocked]) -> usize {
    let image = |buffer: usize| buffers[buffer].len();
    let own = image(step.to()) + step.from().into_iter().map(image).sum::<usize>();
    let images = (step.weights() / own.max(1)).max(1);
    1 << images.ilog2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::model::fused::layers;
    use crate::model::fused::steps::Way;
    use crate::model::kernels::simd::Rectifier;
    use crate::model::kernels::{conv, winograd};

    const fn image(channels: usize, width: usize) -> Blocked {
        Blocked {
            channels,
            height: width,
            width,
            halo: 1,
            lanes: 16,
        }
    }

    fn conv(buffers: &[Blocked], from: usize, to: usize) -> Step {
        let (input, output) = (buffers[from], buffers[to]);
        Step::Conv {
            conv: layers::Conv {
                weight: 0,
                bias: None,
                norm: None,
                inputs: input.channels,
                outputs: output.channels,
                kernel: 3,
                stride: 1,
                padding: 1,
                is_depthwise: false,
            },
            shape: conv::Shape {
                input,
                output,
                kernel: 3,
                stride: 1,
                padding: 1,
                rectifier: Rectifier::Off,
            },
            way: Way::Winograd(winograd::Tile::Four),
            from,
            residual: None,
            to,
        }
    }

    #[test]
    fn large_images_go_one_by_one_and_large_weights_serve_many() {
        let buffers = [
            image(16, 32),
            image(16, 32),
            image(128, 8),
            image(128, 8),
            image(128, 8),
        ];
        let steps = [
            Step::Load { to: 0 },
            conv(&buffers, 0, 1),
            conv(&buffers, 1, 2),
            conv(&buffers, 2, 3),
            conv(&buffers, 3, 4),
        ];
        let passes = Passes::of(&steps, &buffers, Features::Average(4));
        let images: Vec<usize> = passes.list.iter().map(|pass| pass.images).collect();
        assert!(images.is_sorted() && images[0] == 1, "{images:?}");
        assert!((16..=MOST).contains(images.last().unwrap()), "{images:?}");
        assert_eq!(passes.together, *images.last().unwrap());
        // What one pass leaves to the next, and the end, is kept; the rest is used again by every part.
        for (buffer, is_kept) in passes.is_kept.iter().enumerate() {
            let writer = steps.iter().position(|step| step.to() == buffer).unwrap();
            let reader = steps.iter().position(|step| step.from() == [buffer]);
            let pass = |step: usize| {
                passes
                    .list
                    .iter()
                    .position(|pass| pass.steps.contains(&step))
            };
            let crosses = reader.is_none_or(|reader| pass(reader) != pass(writer));
            assert_eq!(*is_kept, crosses, "{buffer}");
        }
        assert_eq!(passes.held[0], 1);
        assert_eq!(passes.held[4], passes.together);
    }

    #[test]
    fn buffers_stay_within_their_room() {
        let buffers = [image(512, 64), image(512, 64)];
        let steps = [Step::Load { to: 0 }, conv(&buffers, 0, 1)];
        let passes = Passes::of(&steps, &buffers, Features::Average(1));
        assert!(passes.together * buffers[1].len() <= ROOM || passes.together == 1);
    }
}
