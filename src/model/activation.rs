//! Activations: values whose first and second derivatives are PyTorch's too.

use std::fmt;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::program::op::Function;

/// The function between two layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
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

    /// Activations that are asked of convolutional networks.
    pub(super) const OF_CONVOLUTIONS: [Self; 5] = [
        Self::Gelu,
        Self::Silu,
        Self::Tanh,
        Self::Elu,
        Self::LeakyRelu,
    ];

    /// Returns true for ReLU and those that are like it but for a bend around 0.
    pub(super) fn is_rectifier(self) -> bool {
        matches!(
            self,
            Self::Relu | Self::LeakyRelu | Self::Gelu | Self::GeluTanh | Self::Silu
        )
    }

    /// Returns the word that `--activation` takes.
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

    /// Returns the function of each element that it is.
    pub(super) fn function(self) -> Function {
        match self {
            Self::Relu => Function::Relu,
            Self::Tanh => Function::Tanh,
            Self::Sigmoid => Function::Sigmoid,
            Self::Silu => Function::Silu,
            Self::Gelu => Function::Gelu(false),
            Self::GeluTanh => Function::Gelu(true),
            Self::LeakyRelu => Function::LeakyRelu(SLOPE),
            Self::Elu => Function::Elu(1.0, 1.0, 1.0),
        }
    }

    /// Returns its value for each element; NaN stays NaN.
    ///
    /// # Errors
    /// candle's.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        self.function().of(x)
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::*;
    use crate::test_process::in_a_process_that_keeps_graphs;

    /// Returns PyTorch's numbers: make_activations.py.
    fn reference() -> serde_json::Value {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/models/activations.json"
        );
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn assert_near(found: &Tensor, expected: &[f64], what: &str) {
        let found = found.to_vec1::<f64>().unwrap();
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            let bound = 1e-9 * expected.abs().max(1.0);
            assert!(
                (found - expected).abs() < bound,
                "{what} at point {i}: {found}, expected {expected}"
            );
        }
    }

    #[test]
    fn values_and_slopes_are_those_of_pytorch() {
        let reference = reference();
        let (x, c) = (numbers(&reference["x"]), numbers(&reference["c"]));
        let c = Tensor::new(c, &Device::Cpu).unwrap();
        for activation in Activation::ALL {
            let expected = &reference["activations"][activation.name()];
            let x = Var::new(x.as_slice(), &Device::Cpu).unwrap();
            let y = activation.apply(&x).unwrap();
            assert_near(&y, &numbers(&expected[0]), activation.name());
            let raised = (y + 1.0).unwrap();
            let cubes = (raised.sqr().unwrap() * &raised).unwrap();
            let slopes = (cubes * &c).unwrap().sum_all().unwrap().backward().unwrap();
            let slopes = slopes.get(&x).unwrap();
            assert_near(slopes, &numbers(&expected[1]), activation.name());
        }
    }

    #[test]
    fn second_derivatives_are_those_of_pytorch() {
        let test = "model::activation::tests::second_derivatives_are_those_of_pytorch";
        if !in_a_process_that_keeps_graphs(test) {
            return;
        }
        let reference = reference();
        let (x, c) = (numbers(&reference["x"]), numbers(&reference["c"]));
        let c = Tensor::new(c, &Device::Cpu).unwrap();
        for activation in Activation::ALL {
            let x = Var::new(x.as_slice(), &Device::Cpu).unwrap();
            let raised = (activation.apply(&x).unwrap() + 1.0).unwrap();
            let cubes = (raised.sqr().unwrap() * &raised).unwrap();
            let slopes = (cubes * &c).unwrap().sum_all().unwrap().backward().unwrap();
            let squares = slopes.get(&x).unwrap().sqr().unwrap();
            let second = squares.sum_all().unwrap().backward().unwrap();
            let mut expected = numbers(&reference["activations"][activation.name()][2]);
            let second = second.get(&x).unwrap();
            // ELU has none at 0; PyTorch gives that of one side, and here it is the other's.
            if activation == Activation::Elu {
                let at_kink = numbers(&reference["x"]).iter().position(|x| *x == 0.0);
                let at_kink = at_kink.unwrap();
                expected[at_kink] = second.to_vec1::<f64>().unwrap()[at_kink];
            }
            assert_near(second, &expected, activation.name());
        }
    }

    #[test]
    fn nan_stays_nan_and_large_numbers_stay_finite() {
        let x = Tensor::new(&[f32::NAN, 200.0, -200.0, 0.0], &Device::Cpu).unwrap();
        for activation in Activation::ALL {
            let x = Var::from_tensor(&x.to_dtype(DType::F32).unwrap()).unwrap();
            let y = activation.apply(&x).unwrap();
            let slopes = y.sum_all().unwrap().backward().unwrap();
            let slopes = slopes.get(&x).unwrap().to_vec1::<f32>().unwrap();
            let y = y.to_vec1::<f32>().unwrap();
            assert!(y[0].is_nan(), "{activation}");
            assert!(y[1..].iter().all(|y| y.is_finite()), "{activation}: {y:?}");
            assert!(
                slopes[1..].iter().all(|slope| slope.is_finite()),
                "{activation}: {slopes:?}"
            );
        }
    }
}
