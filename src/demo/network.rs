//! The network that the demo trains: a CIFAR ResNet-8 with channels 8-16-32, in training mode.
//!
//! Names, first weights and the update of the running statistics are PyTorch's, so that a
//! checkpoint is what `torch.save` of such a model would hold.

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::ops;

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [8, 16, 32];
/// Weight of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;

/// A tensor of the state dict with its name.
pub(super) type Named = (String, Tensor);

pub(super) struct ResNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    weight: Var,
    bias: Var,
    /// Batches seen so far.
    batches: i64,
}

struct Block {
    first: ConvNorm,
    second: ConvNorm,
    shortcut: Option<ConvNorm>,
}

/// A convolution without bias, and its batch norm.
struct ConvNorm {
    conv: String,
    norm: String,
    stride: usize,
    /// (O, I, k, k).
    kernel: Var,
    /// γ (O).
    weight: Var,
    /// β (O).
    bias: Var,
    running_mean: Tensor,
    running_var: Tensor,
}

impl ResNet {
    pub(super) fn new(rng: &mut ChaCha8Rng, channels: usize, classes: usize) -> Result<Self> {
        let names = ("conv1".into(), "bn1".into());
        let stem = ConvNorm::new(rng, names, [WIDTHS[0], channels, 3], 1)?;
        let mut blocks = Vec::with_capacity(WIDTHS.len());
        let mut inputs = WIDTHS[0];
        for (stage, width) in WIDTHS.into_iter().enumerate() {
            let prefix = format!("layer{}.0", stage + 1);
            let stride = if stage == 0 { 1 } else { 2 };
            blocks.push(Block::new(rng, &prefix, [width, inputs], stride)?);
            inputs = width;
        }
        Ok(Self {
            stem,
            blocks,
            weight: uniform(rng, &[classes, inputs], inputs)?,
            bias: uniform(rng, &[classes], inputs)?,
            batches: 0,
        })
    }

    /// Logits (N, classes) of images (N, C, H, W), normalized by the batch's own statistics, which
    /// also move the running ones.
    pub(super) fn forward(&mut self, images: &Tensor) -> Result<Tensor> {
        self.batches += 1;
        let mut x = ops::relu(&self.stem.forward(images)?)?;
        for block in &mut self.blocks {
            x = block.forward(&x)?;
        }
        ops::linear(&ops::global_average(&x)?, &self.weight, Some(&self.bias))
    }

    /// What is trained.
    pub(super) fn parameters(&self) -> Vec<Var> {
        let layers = self.layers();
        let mut parameters: Vec<Var> = layers
            .iter()
            .flat_map(|layer| [&layer.kernel, &layer.weight, &layer.bias])
            .cloned()
            .collect();
        parameters.extend([self.weight.clone(), self.bias.clone()]);
        parameters
    }

    /// Every tensor that PyTorch would save, in its order.
    pub(super) fn state_dict(&self) -> Result<Vec<Named>> {
        let batches = Tensor::new(self.batches, &Device::Cpu)?;
        let mut tensors = Vec::new();
        for layer in self.layers() {
            tensors.extend(layer.state_dict(&batches));
        }
        tensors.push(("linear.weight".into(), self.weight.as_tensor().clone()));
        tensors.push(("linear.bias".into(), self.bias.as_tensor().clone()));
        Ok(tensors)
    }

    fn layers(&self) -> Vec<&ConvNorm> {
        let blocks = self.blocks.iter().flat_map(|block| {
            [&block.first, &block.second]
                .into_iter()
                .chain(&block.shortcut)
        });
        std::iter::once(&self.stem).chain(blocks).collect()
    }
}

impl Block {
    fn new(
        rng: &mut ChaCha8Rng,
        prefix: &str,
        [outputs, inputs]: [usize; 2],
        stride: usize,
    ) -> Result<Self> {
        let names = |conv, norm| (format!("{prefix}.{conv}"), format!("{prefix}.{norm}"));
        let first = ConvNorm::new(rng, names("conv1", "bn1"), [outputs, inputs, 3], stride)?;
        let second = ConvNorm::new(rng, names("conv2", "bn2"), [outputs, outputs, 3], 1)?;
        let names = names("shortcut.0", "shortcut.1");
        let shortcut = (inputs != outputs)
            .then(|| ConvNorm::new(rng, names, [outputs, inputs, 1], stride))
            .transpose()?;
        Ok(Self {
            first,
            second,
            shortcut,
        })
    }

    fn forward(&mut self, x: &Tensor) -> Result<Tensor> {
        let y = ops::relu(&self.first.forward(x)?)?;
        let y = self.second.forward(&y)?;
        match &mut self.shortcut {
            Some(shortcut) => ops::relu(&(y + shortcut.forward(x)?)?),
            None => ops::relu(&(y + x)?),
        }
    }
}

impl ConvNorm {
    fn new(
        rng: &mut ChaCha8Rng,
        (conv, norm): (String, String),
        [outputs, inputs, k]: [usize; 3],
        stride: usize,
    ) -> Result<Self> {
        Ok(Self {
            conv,
            norm,
            stride,
            kernel: uniform(rng, &[outputs, inputs, k, k], inputs * k * k)?,
            weight: Var::ones(outputs, DType::F32, &Device::Cpu)?,
            bias: Var::zeros(outputs, DType::F32, &Device::Cpu)?,
            running_mean: Tensor::zeros(outputs, DType::F32, &Device::Cpu)?,
            running_var: Tensor::ones(outputs, DType::F32, &Device::Cpu)?,
        })
    }

    fn forward(&mut self, x: &Tensor) -> Result<Tensor> {
        let padding = self.kernel.dim(2)? / 2;
        let window = ops::Window::plain(self.stride, padding);
        let y = ops::conv(x, &self.kernel, None, &window)?;
        let over = (0, 2, 3);
        let mean = y.mean_keepdim(over)?;
        let variance = y.broadcast_sub(&mean)?.sqr()?.mean(over)?;
        let mean = mean.flatten_all()?;
        // The batch is normalized by its biased variance, the running one takes the unbiased.
        let values = (y.elem_count() / y.dim(1)?) as f64;
        let unbiased = (&variance * (values / (values - 1.0)))?;
        self.running_mean = moved(&self.running_mean, &mean)?;
        self.running_var = moved(&self.running_var, &unbiased)?;
        let norm = ops::BatchNorm {
            weight: Some(self.weight.as_tensor().clone()),
            bias: Some(self.bias.as_tensor().clone()),
            mean,
            variance,
            epsilon: ops::BatchNorm::EPSILON,
        };
        norm.apply(&y)
    }

    fn state_dict(&self, batches: &Tensor) -> [Named; 6] {
        let norm = |member| format!("{}.{member}", self.norm);
        [
            (
                format!("{}.weight", self.conv),
                self.kernel.as_tensor().clone(),
            ),
            (norm("weight"), self.weight.as_tensor().clone()),
            (norm("bias"), self.bias.as_tensor().clone()),
            (norm("running_mean"), self.running_mean.clone()),
            (norm("running_var"), self.running_var.clone()),
            (norm("num_batches_tracked"), batches.clone()),
        ]
    }
}

/// A running statistic after one more batch; no gradient flows into it.
fn moved(running: &Tensor, batch: &Tensor) -> Result<Tensor> {
    (running * (1.0 - MOMENTUM))? + (batch.detach() * MOMENTUM)?
}

/// PyTorch's default first weights of Linear and Conv2d: uniform in ±1/√inputs.
fn uniform(rng: &mut ChaCha8Rng, shape: &[usize], inputs: usize) -> Result<Var> {
    let bound = 1.0 / (inputs as f32).sqrt();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| rng.random_range(-bound..=bound))
        .collect();
    Var::from_vec(values, shape, &Device::Cpu)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use candle_core::safetensors;

    use super::*;

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        let worst = (a - b).and_then(|d| d.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>());
        worst.unwrap()
    }

    #[test]
    fn batch_norm_trains_as_in_pytorch() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/models/training.safetensors"
        );
        let values = safetensors::load(path, &Device::Cpu).unwrap();
        let var = |name: &str| Var::from_tensor(&values[name]).unwrap();
        let mut layer = ConvNorm {
            conv: String::new(),
            norm: String::new(),
            stride: 2,
            kernel: var("kernel"),
            weight: var("weight"),
            bias: var("bias"),
            running_mean: Tensor::zeros(4, DType::F64, &Device::Cpu).unwrap(),
            running_var: Tensor::ones(4, DType::F64, &Device::Cpu).unwrap(),
        };
        layer.forward(&values["x"].get(0).unwrap()).unwrap();
        let y = layer.forward(&values["x"].get(1).unwrap()).unwrap();
        assert!(difference(&y, &values["y"]) < 1e-12);
        assert!(difference(&layer.running_mean, &values["running_mean"]) < 1e-14);
        assert!(difference(&layer.running_var, &values["running_var"]) < 1e-14);
        let loss = (y * &values["c"]).and_then(|y| y.sum_all()).unwrap();
        let gradients = loss.backward().unwrap();
        let vars = [
            ("kernel", &layer.kernel),
            ("weight", &layer.weight),
            ("bias", &layer.bias),
        ];
        for (name, var) in vars {
            let expected = &values[&format!("grad.{name}")];
            assert!(
                difference(gradients.get(var).unwrap(), expected) < 1e-12,
                "{name}"
            );
        }
    }
}
