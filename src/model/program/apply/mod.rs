//! The work of each operation of a program on its operands, with candle.
//!
//! Values and both derivatives are PyTorch's; NaN goes through. Where candle's own operation is wrong, cut from
//! the graph or slow, it is built of others here or in `ops`.

mod attention;
mod create;
mod function;
mod histogram;
mod index;
mod layer;
mod loss;
mod norm;
mod pair;
mod recurrent;
mod reduce;
mod scatter;
mod sliding_window;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
mod view;

use candle_core::{Result, Tensor, bail};

use super::datum::Datum;
use super::op::Op;
use super::scope::Scope;

/// The operands of one operation.
pub(super) struct Operands<'a> {
    data: &'a [Option<Datum>],
    pub(super) scope: &'a Scope<'a>,
}

impl<'a> Operands<'a> {
    /// Returns an operand.
    ///
    /// # Errors
    /// It is left out.
    fn get(&self, i: usize) -> Result<&'a Datum> {
        match self.data.get(i) {
            Some(Some(datum)) => Ok(datum),
            _ => bail!("operand {i} is missing"),
        }
    }

    /// Returns an operand, or `None` if it is left out.
    fn maybe(&self, i: usize) -> Option<&'a Datum> {
        self.data.get(i).and_then(Option::as_ref)
    }

    /// Returns an operand as floats.
    fn float(&self, i: usize) -> Result<Tensor> {
        self.scope.float(self.get(i)?)
    }

    /// Returns an operand as floats, or `None` if it is left out.
    fn maybe_float(&self, i: usize) -> Result<Option<Tensor>> {
        let operand = self.maybe(i);
        operand.map(|datum| self.scope.float(datum)).transpose()
    }

    /// Returns all operands from one on.
    fn from(&self, i: usize) -> &'a [Option<Datum>] {
        self.data.get(i..).unwrap_or_default()
    }

    /// Returns all operands, of which none may be left out.
    fn all(&self) -> Result<Vec<&'a Datum>> {
        (0..self.data.len()).map(|i| self.get(i)).collect()
    }
}

/// Applies an operation in evaluation mode.
pub(super) fn apply(op: &Op, operands: &[Option<Datum>], scope: &Scope<'_>) -> Result<Vec<Datum>> {
    let operands = Operands {
        data: operands,
        scope,
    };
    if gives_several(op) {
        several(op, &operands)
    } else {
        Ok(vec![one(op, &operands)?])
    }
}

/// Applies an operation of several results.
fn several(op: &Op, operands: &Operands<'_>) -> Result<Vec<Datum>> {
    match op {
        Op::Split(..) | Op::SplitEvery(..) | Op::Chunk(..) | Op::Unbind(_) => {
            view::pieces(op, operands)
        }
        Op::BatchNorm { .. } | Op::ConvNorm { .. } => norm::apply(op, operands),
        Op::BroadcastTogether => view::broadcast_together(operands),
        Op::Recurrent(recurrent) => recurrent::apply(*recurrent, operands),
        Op::Extreme { axis, keep, min } => reduce::extreme(operands, *axis, *keep, *min),
        Op::Sort { .. } => reduce::sort(op, operands),
        _ => bail!("{op:?} has one result"),
    }
}

/// Returns true if an operation may give more than one result.
pub(super) fn gives_several(op: &Op) -> bool {
    matches!(
        op,
        Op::Split(..)
            | Op::SplitEvery(..)
            | Op::Chunk(..)
            | Op::Unbind(_)
            | Op::BatchNorm { .. }
            | Op::ConvNorm { .. }
            | Op::BroadcastTogether
            | Op::Recurrent(_)
            | Op::Extreme { .. }
            | Op::Sort { .. }
    )
}

/// Applies an operation of one result.
fn one(op: &Op, operands: &Operands<'_>) -> Result<Datum> {
    match op {
        Op::Linear
        | Op::Conv(_)
        | Op::Norm(_)
        | Op::WeightNorm { .. }
        | Op::MaxPool(_)
        | Op::AveragePool(..)
        | Op::AdaptivePool { .. }
        | Op::Resize { .. }
        | Op::Patches(_)
        | Op::PixelShuffle(_) => layer::apply(op, operands).map(Datum::float),
        Op::MatMul
        | Op::AddMatMul { .. }
        | Op::Einsum(_)
        | Op::Softmax { .. }
        | Op::Attention { .. } => attention::apply(op, operands).map(Datum::float),
        Op::Function(function) => function::apply(*function, operands),
        Op::Prelu => function::prelu(operands).map(Datum::float),
        Op::Binary(binary) => pair::apply(*binary, operands),
        Op::Where | Op::MaskedFill | Op::Clamp => pair::choose(op, operands),
        Op::Reduce { by, axes, keep } => reduce::apply(*by, axes, *keep, operands),
        Op::ArgMax { axis, keep, min } => reduce::arg_max(operands, *axis, *keep, *min),
        Op::Difference { axis, times } => view::difference(operands, *axis, *times),
        Op::Histogram { bins, bounds } => histogram::apply(operands, *bins, *bounds),
        Op::CumulativeSum(axis) => reduce::cumulative_sum(operands, *axis),
        Op::Embedding
        | Op::Index
        | Op::Gather(_)
        | Op::IndexSelect(_)
        | Op::OneHot(_)
        | Op::RepeatInterleave(..)
        | Op::Flip(_)
        | Op::Roll(..)
        | Op::Pad { .. } => index::apply(op, operands),
        Op::IndexPut { .. }
        | Op::Scatter { .. }
        | Op::IndexAdd(_)
        | Op::SliceScatter(_)
        | Op::SelectScatter(..) => scatter::apply(op, operands),
        Op::Range { .. } | Op::Linspace(..) | Op::Full { .. } | Op::Triangle { .. } => {
            create::apply(op, operands)
        }
        Op::Extent(axis) => view::extent(operands, *axis),
        Op::Cast(kind) => operands.get(0)?.cast(*kind, operands.scope.place),
        Op::CastAs => {
            let kind = operands.get(1)?.kind();
            operands.get(0)?.cast(kind, operands.scope.place)
        }
        Op::Detach => operands.get(0)?.map(|x| Ok(x.detach())),
        Op::Same => Ok(operands.get(0)?.clone()),
        Op::Loss(loss) => loss::apply(*loss, operands).map(Datum::float),
        Op::Cosine(axis, epsilon) => loss::cosine(operands, *axis, *epsilon).map(Datum::float),
        _ => view::apply(op, operands),
    }
}
