//! How many images go through which steps together.
//!
//! Images of early layers are large and their weights few: they go one by one, so that they stay in cache from step
//! to step. Of late layers it is the other way round: the weights that are read serve many images.

use std::ops::Range;

use super::blocked::Blocked;
use super::plan::{Features, Step};

/// Images that go through a step together, at most.
const MOST: usize = 64;
/// Numbers that the buffers may hold: 32 MB.
const ROOM: usize = 8 << 20;

/// The steps in passes, and the room that buffers need for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Passes {
    /// Images that go through all passes together.
    pub(super) together: usize,
    pub(super) passes: Vec<Pass>,
    /// True for each buffer that keeps all those images between passes.
    pub(super) is_kept: Vec<bool>,
}

/// Steps through which some of the images go together, then the next ones.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    pub(super) steps: Range<usize>,
    pub(super) images: usize,
}

impl Passes {
    pub(super) fn of(steps: &[Step], buffers: &[Blocked], features: Features) -> Self {
        let mut most = MOST;
        loop {
            let passes = Self::of_at_most(steps, buffers, features, most);
            if most == 1 || passes.room(steps, buffers) <= ROOM {
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
        for (n, pass) in passes.iter().enumerate() {
            for step in &steps[pass.steps.clone()] {
                for from in step.from() {
                    is_kept[from] |= written[from] != n;
                }
                written[step.to()] = n;
            }
        }
        Self {
            together: passes.iter().map(|pass| pass.images).max().unwrap_or(1),
            passes,
            is_kept,
        }
    }

    /// Images of which each buffer has to hold the numbers at once.
    pub(super) fn images(&self, steps: &[Step], buffer: usize) -> usize {
        if self.is_kept[buffer] {
            return self.together;
        }
        let writes = |pass: &&Pass| {
            steps[pass.steps.clone()]
                .iter()
                .any(|step| step.to() == buffer)
        };
        let images = self.passes.iter().filter(writes).map(|pass| pass.images);
        images.max().unwrap_or(0)
    }

    /// Numbers of all buffers.
    fn room(&self, steps: &[Step], buffers: &[Blocked]) -> usize {
        let sizes = buffers.iter().enumerate();
        sizes
            .map(|(i, buffer)| self.images(steps, i) * buffer.len())
            .sum()
    }
}

/// Images that are together as large as the weights, as a power of two.
fn images(step: &Step, buffers: &[Blocked]) -> usize {
    let image = |buffer: usize| buffers[buffer].len();
    let own = image(step.to()) + step.from().into_iter().map(image).sum::<usize>();
    let images = (step.weights() / own.max(1)).max(1);
    1 << images.ilog2()
}
