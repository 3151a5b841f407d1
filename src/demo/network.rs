//! The network that the demo trains: the known CIFAR ResNet-8 with channels 8-16-32, in training mode.
//!
//! It is the program that measuring runs, too, so that both can never disagree. Names, first weights and the
//! update of the running statistics are PyTorch's: a checkpoint is what `torch.save` of such a model would hold.

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::model::{Datum, FloatPlace, Norms, Program, Weights, recognize};
use crate::run::{Dtype, TensorInfo};
use crate::weights::Layout;

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [8, 16, 32];
/// Weight of a batch's statistics in the running ones.
const MOMENTUM: f64 = 0.1;
/// Name of the counter that PyTorch keeps beside the running statistics.
const COUNTER: &str = "num_batches_tracked";

/// A tensor of the state dict with its name.
pub(super) type Named = (String, Tensor);

pub(super) struct ResNet {
    program: Arc<Program>,
    layout: Arc<Layout>,
    tensors: Vec<Parameter>,
    /// Batches seen so far.
    batches: i64,
}

/// A tensor of the state dict, in PyTorch's order.
struct Parameter {
    name: String,
    value: Kept,
}

/// The value of a tensor of the state dict.
enum Kept {
    /// A parameter, which is trained.
    Parameter(Var),
    /// A running statistic.
    Statistic(Tensor),
    /// The number of batches.
    Counter,
}

impl ResNet {
    pub(super) fn new(rng: &mut ChaCha8Rng, image: [usize; 3], classes: usize) -> Result<Self> {
        let tensors = first_weights(rng, image[0], classes)?;
        let infos = tensors.iter().filter_map(|member| {
            Some(TensorInfo {
                name: member.name.clone(),
                shape: member.tensor()?.dims().to_vec(),
                dtype: Dtype::F32,
            })
        });
        let layout = Arc::new(Layout::of(&infos.collect::<Vec<_>>()));
        let recognized = recognize(&layout, "auto", Some(image));
        let recognized = recognized.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        Ok(Self {
            program: recognized.program,
            layout,
            tensors,
            batches: 0,
        })
    }

    /// Returns the logits (N, classes) of images (N, C, H, W), normalized by the batch's own statistics, which
    /// also move the running ones.
    pub(super) fn forward(&mut self, images: &Tensor) -> Result<Tensor> {
        self.batches += 1;
        let place = FloatPlace {
            device: Device::Cpu,
            dtype: DType::F32,
        };
        let images = vec![Datum::float(images.clone())];
        let prepared = self.program.prepare(images, &place)?;
        let mut norms = Norms::own();
        let outputs = self
            .program
            .run(&self.weights()?, &prepared, &place, &mut norms)?;
        let Norms::Own(notes) = norms else {
            bail!("no statistics were noted");
        };
        for member in &mut self.tensors {
            if let Kept::Statistic(running) = &mut member.value
                && let Some((slot, _)) = self.layout.find(&member.name)
                && let Some(batch) = notes.get(&slot)
            {
                *running = ((&*running * (1.0 - MOMENTUM))? + (batch * MOMENTUM)?)?;
            }
        }
        match &outputs[..] {
            [logits] => Ok(logits.tensor().clone()),
            _ => bail!("a network with {} outputs", outputs.len()),
        }
    }

    fn weights(&self) -> Result<Weights> {
        let slot = |member: &Parameter| {
            let (slot, _) = self.layout.find(&member.name)?;
            Some((slot, member.tensor()?.clone()))
        };
        let slots = self.tensors.iter().filter_map(slot);
        Ok(Weights::zeros(Arc::clone(&self.layout))?.with(slots))
    }

    /// Returns the variables that are trained.
    pub(super) fn parameters(&self) -> Vec<Var> {
        let members = self.tensors.iter();
        let parameters = members.filter_map(|member| match &member.value {
            Kept::Parameter(variable) => Some(variable.clone()),
            Kept::Statistic(_) | Kept::Counter => None,
        });
        parameters.collect()
    }

    /// Returns every tensor that PyTorch would save, in its order.
    pub(super) fn state_dict(&self) -> Result<Vec<Named>> {
        let batches = Tensor::new(self.batches, &Device::Cpu)?;
        let members = self.tensors.iter();
        let named = members.map(|member| {
            let tensor = member.tensor().unwrap_or(&batches);
            (member.name.clone(), tensor.clone())
        });
        Ok(named.collect())
    }
}

impl Parameter {
    /// Returns its numbers; `None` for the number of batches.
    fn tensor(&self) -> Option<&Tensor> {
        match &self.value {
            Kept::Parameter(variable) => Some(variable.as_tensor()),
            Kept::Statistic(tensor) => Some(tensor),
            Kept::Counter => None,
        }
    }
}

/// Returns the state dict of an untrained network.
fn first_weights(rng: &mut ChaCha8Rng, channels: usize, classes: usize) -> Result<Vec<Parameter>> {
    let mut tensors = Vec::new();
    let stem = [WIDTHS[0], channels, 3];
    tensors.extend(conv_norm(rng, "conv1", "bn1", stem)?);
    let mut inputs = WIDTHS[0];
    for (stage, width) in (1..).zip(WIDTHS) {
        let mut layer = |conv: &str, norm: &str, shape| {
            let name = |layer: &str| format!("layer{stage}.0.{layer}");
            conv_norm(rng, &name(conv), &name(norm), shape)
        };
        tensors.extend(layer("conv1", "bn1", [width, inputs, 3])?);
        tensors.extend(layer("conv2", "bn2", [width, width, 3])?);
        if inputs != width {
            tensors.extend(layer("shortcut.0", "shortcut.1", [width, inputs, 1])?);
        }
        inputs = width;
    }
    for (name, shape) in [
        ("linear.weight", vec![classes, inputs]),
        ("linear.bias", vec![classes]),
    ] {
        tensors.push(Parameter {
            name: name.into(),
            value: Kept::Parameter(uniform(rng, &shape, inputs)?),
        });
    }
    Ok(tensors)
}

/// Returns a convolution without bias, and its batch norm.
fn conv_norm(
    rng: &mut ChaCha8Rng,
    conv: &str,
    norm: &str,
    [outputs, inputs, k]: [usize; 3],
) -> Result<[Parameter; 6]> {
    let kernel = uniform(rng, &[outputs, inputs, k, k], inputs * k * k)?;
    let ones = || Tensor::ones(outputs, DType::F32, &Device::Cpu);
    let zeros = || Tensor::zeros(outputs, DType::F32, &Device::Cpu);
    let parameter = |tensor: &Tensor| Var::from_tensor(tensor).map(Kept::Parameter);
    let of_norm = |name: &str, value| Parameter {
        name: format!("{norm}.{name}"),
        value,
    };
    Ok([
        Parameter {
            name: format!("{conv}.weight"),
            value: Kept::Parameter(kernel),
        },
        of_norm("weight", parameter(&ones()?)?),
        of_norm("bias", parameter(&zeros()?)?),
        of_norm("running_mean", Kept::Statistic(zeros()?)),
        of_norm("running_var", Kept::Statistic(ones()?)),
        of_norm(COUNTER, Kept::Counter),
    ])
}

/// Returns PyTorch's default first weights of Linear and Conv2d: uniform in ±1/√inputs.
fn uniform(rng: &mut ChaCha8Rng, shape: &[usize], inputs: usize) -> Result<Var> {
    let bound = 1.0 / (inputs as f32).sqrt();
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count)
        .map(|_| rng.random_range(-bound..=bound))
        .collect();
    Var::from_vec(values, shape, &Device::Cpu)
}
