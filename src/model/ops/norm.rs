//! Batch norm, and the statistics that it takes in training mode.

use candle_core::{D, Result, Tensor};

/// A batch norm's tensors, each of shape (channels).
#[derive(Clone, Debug)]
pub struct BatchNormTensors {
    /// γ; 1 if there is none.
    pub weight: Option<Tensor>,
    /// β; 0 if there is none.
    pub bias: Option<Tensor>,
    /// Mean that is subtracted: the running one in evaluation mode.
    pub mean: Tensor,
    /// Variance that is divided by; where it is below −ε the result is NaN.
    pub variance: Tensor,
    /// Number that is added to the variance, ε.
    pub epsilon: f64,
}

impl BatchNormTensors {
    /// PyTorch's usual ε.
    pub const EPSILON: f64 = 1e-5;

    /// Returns scale and shift of y = scale·x + shift for each channel: scale = γ/√(σ² + ε), shift = β − µ·scale.
    fn affine(&self) -> Result<(Tensor, Tensor)> {
        let deviation = (&self.variance + self.epsilon)?.sqrt()?;
        let scale = match &self.weight {
            Some(weight) => (weight / deviation)?,
            None => deviation.recip()?,
        };
        let shift = match &self.bias {
            Some(bias) => (bias - (&self.mean * &scale)?)?,
            None => (&self.mean * &scale)?.neg()?,
        };
        Ok((scale, shift))
    }

    /// Normalizes the channels (dimension 1) of x (N, C, …), in the type of x.
    ///
    /// # Errors
    /// candle's, for shapes that do not fit.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = vec![1; x.rank()];
        shape[1] = x.dim(1)?;
        let (scale, shift) = self.affine()?;
        let along = |t: Tensor| t.reshape(shape.as_slice())?.to_dtype(x.dtype());
        x.broadcast_mul(&along(scale)?)?
            .broadcast_add(&along(shift)?)
    }

    /// Returns the kernel and bias of the one convolution that equals this norm after a convolution with
    /// `kernel` (O, I, k, k) and `bias` (O).
    ///
    /// # Errors
    /// candle's, for shapes that do not fit.
    pub fn fold(&self, kernel: &Tensor, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let (scale, shift) = self.affine()?;
        let folded = kernel.broadcast_mul(&scale.reshape(((), 1, 1, 1))?)?;
        let bias = match bias {
            Some(bias) => ((bias * scale)? + shift)?,
            None => shift,
        };
        Ok((folded, bias))
    }
}

/// Statistics that batch norm in training mode takes from x (N, C, …): per channel, of shape (C).
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Mean.
    pub mean: Tensor,
    /// Mean squared distance from it.
    pub variance: Tensor,
    /// Values a channel.
    count: usize,
}

impl Statistics {
    /// Takes the statistics of x. Means are taken image by image first: one long sum in f32 would lose digits.
    ///
    /// # Errors
    /// candle's, for a tensor of rank below 2.
    pub fn of(x: &Tensor) -> Result<Self> {
        let channels = x.dim(1)?;
        let images = x.reshape((x.dim(0)?, channels, ()))?;
        let average = |x: &Tensor| x.mean(D::Minus1)?.mean(0);
        let mean = average(&images)?;
        let distance = images.broadcast_sub(&mean.reshape((1, channels, 1))?)?;
        Ok(Self {
            variance: average(&distance.sqr()?)?,
            mean,
            count: x.elem_count() / channels.max(1),
        })
    }

    /// Returns the variance that PyTorch keeps as the running one: over n − 1.
    ///
    /// # Errors
    /// candle's.
    pub fn unbiased_variance(&self) -> Result<Tensor> {
        let n = self.count as f64;
        &self.variance * (n / (n - 1.0))
    }
}
