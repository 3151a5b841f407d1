//! Binary cross-entropy of logits.

use candle_core::{D, DType, Tensor};

use super::error::LossError;
use super::{ScoreSums, Totals, host_values};

/// Checks that there is one weight of a target of 1, or one for each class.
pub(super) fn check_weights(positive: Option<&[f32]>, output: &[usize]) -> Result<(), LossError> {
    let given = positive.map_or(1, <[f32]>::len);
    let classes = output.get(1).copied().unwrap_or(1);
    if given == 1 || given == classes {
        return Ok(());
    }
    Err(LossError::Weights {
        option: "--pos-weight",
        classes,
        given,
    })
}

/// Checks that targets are from 0 to 1.
pub(super) fn check_targets(target: &Tensor) -> Result<(), LossError> {
    let numbers = host_values::numbers(target)?;
    if numbers.iter().all(|number| (0.0..=1.0).contains(number)) {
        return Ok(());
    }
    Err(LossError::Kind {
        found: "numbers outside of 0 to 1",
        expected: "targets from 0 to 1",
    })
}

/// Returns the loss of each number, differentiable twice: (1 − t)x + (1 + (p − 1)t)·ln(1 + e⁻ˣ).
pub(super) fn terms(
    positive: Option<&[f32]>,
    output: &Tensor,
    target: &Tensor,
) -> candle_core::Result<Tensor> {
    let target = target.to_dtype(output.dtype())?;
    // ln(1 + e⁻ˣ) = m + ln(e⁻ᵐ + e⁻ˣ⁻ᵐ) for any m; the larger of 0 and −x keeps both powers below 1, and as
    // a constant it leaves both derivatives right at 0 too.
    let m = output.detach().neg()?.relu()?;
    let powers = (m.neg()?.exp()? + (output + &m)?.neg()?.exp()?)?;
    let softplus = (powers.log()? + &m)?;
    let cost = match positive {
        Some(positive) => {
            let more: Vec<f32> = positive.iter().map(|p| p - 1.0).collect();
            let mut shape = vec![1; output.rank()];
            if let Some(extent) = shape.get_mut(1).filter(|_| more.len() > 1) {
                *extent = more.len();
            }
            let more = Tensor::from_vec(more, shape, output.device())?.to_dtype(output.dtype())?;
            (softplus * (target.broadcast_mul(&more)? + 1.0)?)?
        }
        None => softplus,
    };
    (output * target.affine(-1.0, 1.0)?)? + cost
}

pub(super) fn totals(
    positive: Option<&[f32]>,
    output: &Tensor,
    target: &Tensor,
) -> Result<Totals, LossError> {
    let samples = output.dims().first().copied().unwrap_or(1).max(1);
    let length = output.elem_count() / samples;
    // The host counts in f64.
    let output = if output.device().is_cpu() {
        output.to_dtype(DType::F64)?
    } else {
        output.clone()
    };
    let of_samples = |tensor: Tensor| tensor.reshape((samples, length))?.sum(D::Minus1);
    let losses = host_values::numbers(&of_samples(terms(positive, &output, target)?)?)?;
    let is_one = target.to_dtype(DType::F32)?.gt(0.5)?;
    let is_right = output.gt(0.0)?.eq(&is_one)?.to_dtype(DType::F32)?;
    let right = host_values::numbers(&of_samples(is_right)?)?;
    Ok(Totals {
        loss: losses.into_iter().sum(),
        weight: (output.elem_count() as f64).into(),
        score: ScoreSums {
            items: output.elem_count() as u64,
            right: right.iter().sum::<f64>() as u64,
            ..ScoreSums::default()
        },
    })
}
