//! Specification of a plane, small enough to send to whoever measures on it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::run::Checkpoint;

use super::WeightsError;
use super::direction::{self, Pair};
use super::layout::Layout;
use super::normalize::{Ignore, Norm, normalize};
use super::plane::{self, Metric};
use super::run_checkpoint::{RunCheckpoint, RunShape};

/// Directions of a plane, whose checkpoints are of type `C`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Directions<C = Checkpoint> {
    /// Principal components of a path: Σ a_i θ_i over its checkpoints, for each of the two.
    Principal {
        /// The checkpoints of the path.
        members: Vec<C>,
        /// Coefficients a_i of the two components; those of an absent component are all zero.
        combinations: [Vec<f64>; 2],
    },
    /// Two random directions, normalized by the weights of the origin.
    Random {
        /// Seed of the generator.
        seed: u64,
        /// Their scaling.
        norm: Norm,
        /// Tensors that they leave alone.
        ignore: Ignore,
        /// True if the second is made orthogonal to the first.
        #[serde(default)]
        orthogonal: bool,
    },
    /// θ_to − θ_from, as it is (docs/math.md 5); a line: the second direction is zero.
    Difference {
        /// Checkpoint at α = 0 when this is the plane's origin.
        from: C,
        /// Checkpoint at α = 1 then.
        to: C,
    },
    /// The directions of a safetensors file.
    File {
        /// The file.
        path: PathBuf,
    },
}

impl<C> Directions<C> {
    /// Tells the same directions with their checkpoints told another way, in their order.
    ///
    /// # Errors
    /// The first error of `tell`.
    pub fn told_as<D, E>(
        &self,
        mut tell: impl FnMut(&C) -> Result<D, E>,
    ) -> Result<Directions<D>, E> {
        Ok(match self {
            Self::Principal {
                members,
                combinations,
            } => Directions::Principal {
                members: members.iter().map(tell).collect::<Result<_, _>>()?,
                combinations: combinations.clone(),
            },
            Self::Random {
                seed,
                norm,
                ignore,
                orthogonal,
            } => Directions::Random {
                seed: *seed,
                norm: *norm,
                ignore: *ignore,
                orthogonal: *orthogonal,
            },
            Self::Difference { from, to } => Directions::Difference {
                from: tell(from)?,
                to: tell(to)?,
            },
            Self::File { path } => Directions::File { path: path.clone() },
        })
    }
}

/// Treatment of batch norm's running statistics away from the origin (docs/math.md 12).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// They stay those of the origin.
    #[default]
    Frozen,
    /// They move along with the directions.
    States,
    /// They are taken anew from the samples at each point.
    Recalibrated,
}

impl BatchNorm {
    /// Returns the word that `--bn` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frozen => "frozen",
            Self::States => "states",
            Self::Recalibrated => "recalibrated",
        }
    }
}

/// A plane through weight space, as instructions.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct PlaneSpec {
    /// Names and shapes of the weights, held here because the checkpoint that told them may be gone.
    pub shape: RunShape,
    /// The plane's origin θ*.
    pub origin: Checkpoint,
    /// Its directions.
    pub directions: Directions,
    /// Treatment of running statistics.
    pub batch_norm: BatchNorm,
}

/// A plane made from its spec: flat vectors of the layout, in memory.
#[derive(Clone, Debug)]
pub struct Plane {
    /// Place of each tensor.
    pub layout: Arc<Layout>,
    /// θ* with its running statistics.
    pub origin: Vec<f32>,
    /// dx and dy; their running statistics are zero when they are frozen.
    pub directions: Pair,
    /// Treatment of running statistics on it.
    pub batch_norm: BatchNorm,
}

impl Plane {
    /// Returns the dot products of the directions over the trainable parameters.
    #[must_use]
    pub fn metric(&self) -> Metric {
        let [x, y] = self.parameters();
        Metric::of(x, y)
    }

    /// Returns the trainable parameters of dx and dy.
    #[must_use]
    pub fn parameters(&self) -> [&[f32]; 2] {
        let count = self.layout.parameters();
        [&self.directions[0][..count], &self.directions[1][..count]]
    }

    /// Returns the mean |cosine| of random directions that are as long in each entry as these.
    #[must_use]
    pub fn expected_cosine(&self) -> f64 {
        let [x, y] = self.parameters();
        plane::expected_cosine_of(x, y)
    }

    /// Returns the parameters that the directions move: the n of [`super::plane::expected_cosine`].
    #[must_use]
    pub fn extent(&self) -> usize {
        let [x, y] = self.parameters();
        plane::extent(x, y)
    }
}

impl PlaneSpec {
    /// Returns the plane that is only the point of a checkpoint, for what is measured on none.
    #[must_use]
    pub fn through(shape: &RunShape, checkpoint: &Checkpoint) -> Self {
        Self {
            shape: shape.clone(),
            origin: checkpoint.clone(),
            directions: Directions::Difference {
                from: checkpoint.clone(),
                to: checkpoint.clone(),
            },
            batch_norm: BatchNorm::Frozen,
        }
    }

    /// Reads the checkpoints that the spec names and makes the plane, in one pass over them.
    ///
    /// # Errors
    /// A checkpoint or direction file cannot be read, does not fit, or given directions are parallel.
    pub fn make(&self) -> Result<Plane, WeightsError> {
        let shape = &self.shape;
        let layout = Arc::clone(&shape.layout);
        let origin = direction::flat(&layout, &RunCheckpoint::open(&self.origin, shape)?)?;
        let mut directions = match &self.directions {
            Directions::Principal {
                members,
                combinations,
            } => direction::combine(&layout, combinations, |row| {
                RunCheckpoint::open(&members[row], shape)
            })?,
            Directions::Random {
                seed,
                norm,
                ignore,
                orthogonal,
            } => {
                let mut pair = direction::random(&layout, *seed);
                for direction in &mut pair {
                    normalize(direction, &origin, &layout, *norm, *ignore);
                }
                if *orthogonal {
                    let [x, y] = &mut pair;
                    direction::orthogonalize(y, x);
                }
                pair
            }
            Directions::Difference { from, to } => {
                let ends = [from, to].map(|end| {
                    let member = RunCheckpoint::open(end, shape)?;
                    direction::flat(&layout, &member)
                });
                let [from, to] = ends;
                let mut difference = to?;
                for (value, from) in difference.iter_mut().zip(from?) {
                    *value -= from;
                }
                let second = vec![0.0; difference.len()];
                [difference, second]
            }
            Directions::File { path } => {
                let (x, y) = direction::from_file(path, &layout)?;
                let y = y.unwrap_or_else(|| vec![0.0; x.len()]);
                let count = layout.parameters();
                if !Metric::of(&x[..count], &y[..count]).spans() {
                    return Err(WeightsError::Degenerate(format!("of {}", path.display())));
                }
                [x, y]
            }
        };
        if self.batch_norm != BatchNorm::States {
            for direction in &mut directions {
                direction[layout.parameters()..].fill(0.0);
            }
        }
        Ok(Plane {
            layout,
            origin,
            directions,
            batch_norm: self.batch_norm,
        })
    }
}
