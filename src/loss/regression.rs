//! Losses of the difference between output and target.

use candle_core::{D, Tensor};
use rayon::prelude::*;

use super::error::LossError;
use super::{DeviationSums, LongSum, Loss, Score, ScoreSums, Totals, host_values};

/// Returns the loss of each number, differentiable twice; 0 for other losses than these three.
pub(super) fn terms(loss: &Loss, output: &Tensor, target: &Tensor) -> candle_core::Result<Tensor> {
    let apart = (output - target.to_dtype(output.dtype())?)?;
    // PyTorch's derivative of |x| at 0 is 0.
    let size = |apart: &Tensor| apart * apart.detach().sign()?;
    match loss {
        Loss::L1 => size(&apart),
        Loss::Huber { delta } => {
            let size = size(&apart)?;
            let is_near = size.detach().lt(*delta)?;
            let near = (apart.sqr()? * 0.5)?;
            is_near.where_cond(&near, &((size - 0.5 * delta)? * *delta)?)
        }
        _ => apart.sqr(),
    }
}

/// Returns the loss of one difference.
fn term(loss: &Loss, apart: f64) -> f64 {
    match *loss {
        Loss::L1 => apart.abs(),
        Loss::Huber { delta } if apart.abs() < delta => 0.5 * apart * apart,
        Loss::Huber { delta } => delta * (apart.abs() - 0.5 * delta),
        _ => apart * apart,
    }
}

pub(super) fn totals(loss: &Loss, output: &Tensor, target: &Tensor) -> Result<Totals, LossError> {
    if !output.device().is_cpu() {
        return on_device(loss, output, target);
    }
    let samples = output.dims().first().copied().unwrap_or(1).max(1);
    let (outputs, targets) = (host_values::numbers(output)?, host_values::numbers(target)?);
    let length = (outputs.len() / samples).max(1);
    let pairs = outputs.par_chunks(length).zip(targets.par_chunks(length));
    let sums: Vec<Totals> = pairs
        .map(|(outputs, targets)| of_sample(loss, outputs, targets))
        .collect();
    Ok(sums.into_iter().sum())
}

fn of_sample(loss: &Loss, outputs: &[f64], targets: &[f64]) -> Totals {
    let mut sums = Totals {
        weight: (outputs.len() as f64).into(),
        ..Totals::default()
    };
    sums.score.items = outputs.len() as u64;
    let is_scored = loss.score() == Some(Score::RSquared);
    for (output, target) in outputs.iter().zip(targets) {
        let apart = output - target;
        sums.loss = sums.loss + term(loss, apart).into();
        if is_scored {
            sums.score.residual = sums.score.residual + (apart * apart).into();
            sums.score.target = sums.score.target + DeviationSums::of(*target);
        }
    }
    sums
}

/// Takes each sample's sums where its numbers lie, in the type of the outputs.
pub(super) fn on_device(
    loss: &Loss,
    output: &Tensor,
    target: &Tensor,
) -> Result<Totals, LossError> {
    let samples = output.dims().first().copied().unwrap_or(1).max(1);
    let length = output.elem_count() / samples;
    let rows = |tensor: &Tensor| tensor.reshape((samples, length));
    let target = rows(&target.to_dtype(output.dtype())?)?;
    let output = rows(output)?;
    let losses = host_values::numbers(&terms(loss, &output, &target)?.sum(D::Minus1)?)?;
    let mut score = ScoreSums {
        items: output.elem_count() as u64,
        ..ScoreSums::default()
    };
    if loss.score() == Some(Score::RSquared) {
        score.residual = losses.iter().copied().sum();
        let mean = target.mean_keepdim(D::Minus1)?;
        let squares = target.broadcast_sub(&mean)?.sqr()?.sum(D::Minus1)?;
        let spreads = host_values::numbers(&mean)?
            .into_iter()
            .zip(host_values::numbers(&squares)?);
        let spreads = spreads.map(|(mean, squares)| DeviationSums {
            count: length as u64,
            sum: LongSum::product(mean, length as f64),
            of_squares: LongSum::product(mean, mean).times(length as f64) + squares.into(),
        });
        score.target = spreads.fold(DeviationSums::default(), |sum, spread| sum + spread);
    }
    Ok(Totals {
        loss: losses.into_iter().sum(),
        weight: (output.elem_count() as f64).into(),
        score,
    })
}
