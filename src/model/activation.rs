//! Activations: values whose first and second derivatives are PyTorch's too.

use std::f64::consts::{FRAC_1_SQRT_2, PI};
use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::ops;

/// The function between two layers.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(x, 0).
    #[default]
    Relu,
    /// x·Φ(x), with the error function.
    Gelu,
    /// Hyperbolic tangent.
    Tanh,
    /// x·σ(x), also called swish.
    Silu,
    /// x below 0 becomes 0.01·x.
    LeakyRelu,
    /// x below 0 becomes exp(x) − 1.
    Elu,
    /// 1 / (1 + exp(−x)).
    Sigmoid,
    /// x·Φ(x), by the approximation with the hyperbolic tangent.
    GeluTanh,
}

/// PyTorch's slope of the leaky ReLU below 0.
const SLOPE: f64 = 0.01;

impl Activation {
    /// All of them, the usual one first.
    pub const ALL: [Self; 8] = [
        Self::Relu,
        Self::Gelu,
        Self::Tanh,
        Self::Silu,
        Self::LeakyRelu,
        Self::Elu,
        Self::Sigmoid,
        Self::GeluTanh,
    ];

    /// The word that `--activation` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::Tanh => "tanh",
            Self::Silu => "silu",
            Self::LeakyRelu => "leaky-relu",
            Self::Elu => "elu",
            Self::Sigmoid => "sigmoid",
            Self::GeluTanh => "gelu-tanh",
        }
    }

    /// Its value for each element; NaN stays NaN.
    ///
    /// # Errors
    /// candle's.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Relu => ops::relu(x),
            Self::Tanh => x.tanh(),
            Self::Sigmoid => sigmoid(x),
            Self::Silu => x * sigmoid(x)?,
            // candle's own GELUs have six digits in their derivatives.
            Self::Gelu => (x * 0.5)? * ((x * FRAC_1_SQRT_2)?.erf()? + 1.0)?,
            Self::GeluTanh => {
                let cubic = (x + ((x.sqr()? * x)? * 0.044_715)?)?;
                (x * 0.5)? * ((cubic * (2.0 / PI).sqrt())?.tanh()? + 1.0)?
            }
            Self::LeakyRelu => below_zero(x)?.where_cond(&(x * SLOPE)?, x),
            Self::Elu => {
                // What is above 0 must not overflow on the side that is not taken.
                let is_below = below_zero(x)?;
                let low = is_below.where_cond(x, &x.zeros_like()?)?;
                is_below.where_cond(&(low.exp()? - 1.0)?, x)
            }
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// 1 / (1 + exp(−x)) without an exponential that overflows.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    ((x * 0.5)?.tanh()? + 1.0)? * 0.5
}

/// True where x is 0 or less; NaN is neither.
fn below_zero(x: &Tensor) -> Result<Tensor> {
    x.le(&x.zeros_like()?)
}
