//! Stochastic gradient descent with momentum and weight decay, as `torch.optim.SGD`.

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, Var};

const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f64 = 5e-4;

pub(super) struct Sgd {
    /// Each parameter with its velocity.
    parameters: Vec<(Var, Tensor)>,
}

impl Sgd {
    pub(super) fn new(parameters: Vec<Var>) -> Result<Self> {
        let at_rest = |parameter: Var| {
            let velocity = parameter.zeros_like()?;
            Ok((parameter, velocity))
        };
        Ok(Self {
            parameters: parameters.into_iter().map(at_rest).collect::<Result<_>>()?,
        })
    }

    /// Updates v ← 0.9 v + g + 5e-4 θ; θ ← θ − rate · v.
    pub(super) fn step(&mut self, gradients: &GradStore, rate: f64) -> Result<()> {
        for (parameter, velocity) in &mut self.parameters {
            let Some(gradient) = gradients.get(parameter) else {
                candle_core::bail!(
                    "a parameter of shape {:?} has no gradient",
                    parameter.dims()
                );
            };
            let theta = parameter.as_tensor().detach();
            let push = (gradient.detach() + (&theta * WEIGHT_DECAY)?)?;
            *velocity = ((&*velocity * MOMENTUM)? + push)?;
            parameter.set(&(theta - (&*velocity * rate)?)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn three_steps_end_where_those_of_torch_optim_end() {
        let theta = Var::new(&[1f32, -2., 0.5], &Device::Cpu).unwrap();
        let curvature = Tensor::new(&[1f32, 2., 3.], &Device::Cpu).unwrap();
        let mut sgd = Sgd::new(vec![theta.clone()]).unwrap();
        for rate in [0.1, 0.1, 0.01] {
            let loss = (theta.sqr().unwrap() * &curvature).unwrap();
            let gradients = loss.sum_all().unwrap().backward().unwrap();
            sgd.step(&gradients, rate).unwrap();
        }
        let expected = [0.420_068_47, 0.108_211_55, -0.213_740_6];
        for (found, expected) in theta.to_vec1::<f32>().unwrap().into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
