//! The losses of classes over a batch: cross-entropy and its log-probability form, by ids or probabilities.

use candle_core::{D, DType, Device, FloatDType, Tensor};
use rayon::prelude::*;

use super::class_axis::ClassAxis;
use super::cross_entropy::{cross_entropy, predicted, weighted};
use super::error::{LossError, TensorShape};
use super::{Classes, ScoreSums, Totals, host_values};

/// Numbers from which on rows are spread over the cores.
const MANY: usize = 1 << 15;

/// The meaning of an output's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Logits,
    LogProbabilities,
}

/// A loss of classes for outputs and targets of given shapes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClassLoss<'a> {
    pub(super) classes: &'a Classes,
    pub(super) axis: ClassAxis,
    pub(super) scale: Scale,
    /// Each position tells the next one's id.
    pub(super) shift: bool,
}

/// One item's part in the sums.
struct Item {
    loss: f64,
    weight: f64,
    is_right: bool,
}

/// The items of a batch that count, by their rows.
pub(super) struct Ids {
    rows: Vec<i64>,
    ids: Vec<usize>,
}

impl Ids {
    /// Returns the number of items that count.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }
}

impl ClassLoss<'_> {
    pub(super) fn totals(self, output: &Tensor, target: &Tensor) -> Result<Totals, LossError> {
        let (output, target) = self.shifted(output, target)?;
        let rows = self.rows(&output)?;
        if self.axis.has_probabilities {
            let target = self.rows(&floats(&target)?)?;
            return Ok(match rows.dtype() {
                DType::F64 => self.by_probabilities::<f64>(&rows, &target)?,
                _ => self.by_probabilities::<f32>(&rows, &target)?,
            });
        }
        let ids = self.ids(&target, rows.dim(1)?)?;
        Ok(match rows.dtype() {
            _ if !rows.device().is_cpu() => self.by_ids_on_device(&rows, &ids)?,
            DType::F64 => self.by_ids::<f64>(&rows, &ids)?,
            _ => self.by_ids::<f32>(&rows, &ids)?,
        })
    }

    /// Returns the sum of the losses, differentiable twice.
    pub(super) fn sum(self, output: &Tensor, target: &Tensor) -> Result<Tensor, LossError> {
        let (output, target) = self.shifted(output, target)?;
        let rows = self.rows(&output)?;
        if self.axis.has_probabilities {
            let shares = self.shares(&self.rows(&floats(&target)?)?, rows.dtype())?;
            let logs = Logs::of(&rows, self.scale)?;
            let even = (logs.normalizer * shares.sum(D::Minus1)?)?.sum_all()?;
            return Ok((even - (logs.above * shares)?.sum_all()?)?);
        }
        let ids = self.ids(&target, rows.dim(1)?)?;
        if ids.ids.is_empty() {
            return Ok(Tensor::zeros((), rows.dtype(), rows.device())?);
        }
        Ok(self.losses(&ids.of(&rows)?, &ids)?.sum_all()?)
    }

    /// Takes the smoothing, which is of cross-entropy alone.
    fn smoothing(self) -> f64 {
        match self.scale {
            Scale::Logits => self.classes.smoothing,
            Scale::LogProbabilities => 0.0,
        }
    }

    fn weight(self, class: usize) -> f64 {
        let weights = self.classes.weights.as_ref();
        weights.map_or(1.0, |weights| {
            weights.get(class).copied().map_or(f64::NAN, f64::from)
        })
    }

    /// Returns the outputs of all positions but the last and the ids of all but the first, where ids are those of the
    /// input.
    pub(super) fn shifted(
        self,
        output: &Tensor,
        target: &Tensor,
    ) -> Result<(Tensor, Tensor), LossError> {
        if !self.shift {
            return Ok((output.clone(), target.clone()));
        }
        let length = output.dim(1)?.saturating_sub(1);
        let before = output.narrow(1, 0, length)?;
        Ok((before, target.narrow(1, 1, length)?))
    }

    /// Returns a row of scores for each item, in the order of the ids.
    pub(super) fn rows(self, output: &Tensor) -> Result<Tensor, LossError> {
        let (axis, last) = (self.axis.axis, output.rank().saturating_sub(1));
        let classes = output.dim(axis)?;
        let output = if axis == last {
            output.clone()
        } else {
            let others = (0..=last).filter(|at| *at != axis);
            output.permute(others.chain([axis]).collect::<Vec<_>>())?
        };
        let items = output.elem_count() / classes.max(1);
        let rows = output.reshape((items, classes))?.contiguous()?;
        let is_half = matches!(rows.dtype(), DType::F16 | DType::BF16);
        Ok(if is_half {
            rows.to_dtype(DType::F32)?
        } else {
            rows
        })
    }

    /// Returns the ids of the items that count.
    pub(super) fn ids(self, target: &Tensor, classes: usize) -> Result<Ids, LossError> {
        if target.dtype().is_float() {
            return Err(LossError::Kind {
                found: "floats",
                expected: "class ids, which are integers",
            });
        }
        let flat = target.flatten_all()?.to_device(&Device::Cpu)?;
        let (mut rows, mut ids) = (Vec::new(), Vec::new());
        for (row, &id) in flat
            .to_dtype(DType::I64)?
            .to_vec1::<i64>()?
            .iter()
            .enumerate()
        {
            if id == self.classes.ignore {
                continue;
            }
            let known = usize::try_from(id).ok().filter(|id| *id < classes);
            ids.push(known.ok_or_else(|| LossError::Class {
                id,
                place: TensorShape::place(target.dims(), row),
                classes,
            })?);
            rows.push(row.cast_signed() as i64);
        }
        Ok(Ids { rows, ids })
    }

    fn by_ids<T: FloatDType>(self, rows: &Tensor, ids: &Ids) -> candle_core::Result<Totals> {
        let classes = rows.dim(1)?;
        let smoothing = self.smoothing();
        let even = smoothing / classes as f64;
        host_values::with(rows, |numbers: &[T]| {
            totals(ids.ids.len(), ids.ids.len() * classes, |item| {
                let (row, id) = (ids.rows[item] as usize * classes, ids.ids[item]);
                let row = &numbers[row..row + classes];
                let weight = self.weight(id);
                let own = match self.scale {
                    Scale::Logits => cross_entropy(row, id),
                    Scale::LogProbabilities => -row[id].to_f64(),
                };
                let loss = if smoothing == 0.0 {
                    weight * own
                } else {
                    let spread = weighted(row, |class| self.weight(class));
                    (1.0 - smoothing) * weight * own + even * spread
                };
                Item {
                    loss,
                    weight,
                    is_right: predicted(row) == id,
                }
            })
        })
    }

    fn by_probabilities<T: FloatDType>(
        self,
        rows: &Tensor,
        target: &Tensor,
    ) -> candle_core::Result<Totals> {
        let (items, classes) = rows.dims2()?;
        let kept = 1.0 - self.smoothing();
        let even = self.smoothing() / classes as f64;
        let target = target.to_dtype(T::DTYPE)?;
        host_values::with(rows, |numbers: &[T]| {
            host_values::with(&target, |shares: &[T]| {
                totals(items, items * classes, |item| {
                    let range = item * classes..(item + 1) * classes;
                    let (row, shares) = (&numbers[range.clone()], &shares[range]);
                    let share =
                        |class: usize| self.weight(class) * (kept * shares[class].to_f64() + even);
                    Item {
                        loss: weighted(row, share),
                        weight: 1.0,
                        is_right: predicted(row) == predicted(shares),
                    }
                })
            })
        })?
    }

    /// Returns the factor of each class of each item where targets are probabilities.
    fn shares(self, target: &Tensor, dtype: DType) -> Result<Tensor, LossError> {
        let target = target.to_dtype(dtype)?;
        let even = self.smoothing() / target.dim(1)? as f64;
        let shares = target.affine(1.0 - self.smoothing(), even)?;
        Ok(match &self.classes.weights {
            Some(weights) => shares.broadcast_mul(&vector(weights, &shares)?)?,
            None => shares,
        })
    }

    /// Sums as [`Self::by_ids`], with the classes reduced where they lie, in the type of the outputs.
    pub(super) fn by_ids_on_device(self, rows: &Tensor, ids: &Ids) -> Result<Totals, LossError> {
        if ids.ids.is_empty() {
            return Ok(Totals::default());
        }
        let rows = ids.of(rows)?;
        let losses = host_values::numbers(&self.losses(&rows, ids)?)?;
        let mut is_right = first_of_largest(&rows, ids)?.into_iter();
        let items = losses.into_iter().zip(&ids.ids);
        Ok(items
            .map(|(loss, &id)| {
                Item {
                    loss,
                    weight: self.weight(id),
                    is_right: is_right.next().unwrap_or(false),
                }
                .totals()
            })
            .sum())
    }

    /// Returns the loss of each item that counts, differentiable twice.
    fn losses(self, rows: &Tensor, ids: &Ids) -> Result<Tensor, LossError> {
        let logs = Logs::of(rows, self.scale)?;
        let weights: Vec<f32> = ids.ids.iter().map(|&id| self.weight(id) as f32).collect();
        let own = (logs.costs(ids)? * vector(&weights, rows)?)?;
        if self.smoothing() == 0.0 {
            return Ok(own);
        }
        let (above, weight) = match &self.classes.weights {
            Some(weights) => {
                let above = logs.above.broadcast_mul(&vector(weights, rows)?)?;
                (above, weights.iter().copied().map(f64::from).sum())
            }
            None => (logs.above.clone(), rows.dim(1)? as f64),
        };
        let even = ((logs.normalizer * weight)? - above.sum(D::Minus1)?)?;
        let share = self.smoothing() / rows.dim(1)? as f64;
        Ok(((own * (1.0 - self.smoothing()))? + (even * share)?)?)
    }
}

impl Item {
    fn totals(&self) -> Totals {
        Totals {
            loss: self.loss.into(),
            weight: self.weight.into(),
            score: ScoreSums {
                items: 1,
                right: self.is_right.into(),
                ..ScoreSums::default()
            },
        }
    }
}

impl Ids {
    /// Returns the rows that count.
    fn of(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        if self.rows.len() == rows.dim(0)? {
            return Ok(rows.clone());
        }
        rows.index_select(&Tensor::new(self.rows.as_slice(), rows.device())?, 0)
    }

    /// Returns the number of its own class of each row that counts. By flat places, because candle's `gather`
    /// is wrong in the second derivative.
    fn own(&self, rows: &Tensor) -> candle_core::Result<Tensor> {
        let classes = rows.dim(1)?;
        let places = self.ids.iter().enumerate();
        let places: Vec<i64> = places
            .map(|(row, id)| (row * classes + id).cast_signed() as i64)
            .collect();
        let places = Tensor::from_vec(places, self.ids.len(), rows.device())?;
        rows.flatten_all()?.index_select(&places, 0)
    }
}

/// Logarithms of probabilities as differences: what a row's numbers are above its largest, and the logarithm
/// of the sum of these.
struct Logs {
    above: Tensor,
    normalizer: Tensor,
}

impl Logs {
    fn of(rows: &Tensor, scale: Scale) -> candle_core::Result<Self> {
        if scale == Scale::LogProbabilities {
            return Ok(Self {
                above: rows.clone(),
                normalizer: Tensor::zeros(rows.dim(0)?, rows.dtype(), rows.device())?,
            });
        }
        let above = rows.broadcast_sub(&rows.detach().max_keepdim(D::Minus1)?)?;
        let normalizer = above.exp()?.sum(D::Minus1)?.log()?;
        Ok(Self { above, normalizer })
    }

    /// Returns the negative logarithm of each item's own class.
    fn costs(&self, ids: &Ids) -> candle_core::Result<Tensor> {
        &self.normalizer - ids.own(&self.above)?
    }
}

/// Returns true for each row of which the own class is the one that it tells.
fn first_of_largest(rows: &Tensor, ids: &Ids) -> candle_core::Result<Vec<bool>> {
    let max = rows.max_keepdim(D::Minus1)?;
    let own = host_values::numbers(&ids.own(rows)?)?;
    let count = rows
        .broadcast_eq(&max)?
        .to_dtype(DType::F32)?
        .sum(D::Minus1)?;
    // NaN is never equal to itself.
    let numbers = rows.eq(rows)?.to_dtype(DType::F32)?.sum(D::Minus1)?;
    let (count, numbers, max) = (
        host_values::numbers(&count)?,
        host_values::numbers(&numbers)?,
        host_values::numbers(&max)?,
    );
    let mut is_right: Vec<bool> = own.iter().zip(&max).map(|(own, max)| own == max).collect();
    let classes = rows.dim(1)? as f64;
    // Which of several comes first is for the host to tell.
    let unclear = |row: &usize| count[*row] != 1.0 || numbers[*row] != classes;
    let unclear: Vec<usize> = (0..own.len()).filter(unclear).collect();
    if unclear.is_empty() {
        return Ok(is_right);
    }
    let chosen: Vec<i64> = unclear.iter().map(|row| row.cast_signed() as i64).collect();
    let chosen = rows.index_select(&Tensor::new(chosen, rows.device())?, 0)?;
    let chosen = host_values::numbers(&chosen)?;
    for (row, scores) in unclear.into_iter().zip(chosen.chunks(rows.dim(1)?)) {
        is_right[row] = predicted(scores) == ids.ids[row];
    }
    Ok(is_right)
}

/// Returns the targets as floats.
fn floats(target: &Tensor) -> Result<Tensor, LossError> {
    if target.dtype().is_float() {
        return Ok(target.clone());
    }
    Err(LossError::Kind {
        found: "integers",
        expected: "probabilities, which are floats, or one class id an item",
    })
}

/// Returns the numbers in the type and on the device of a tensor.
fn vector(numbers: &[f32], like: &Tensor) -> candle_core::Result<Tensor> {
    Tensor::new(numbers, like.device())?.to_dtype(like.dtype())
}

/// Returns the sums over some items, in their order whatever the threads.
fn totals(items: usize, numbers: usize, item: impl Fn(usize) -> Item + Send + Sync) -> Totals {
    let found: Vec<Item> = if numbers < MANY {
        (0..items).map(item).collect()
    } else {
        (0..items).into_par_iter().map(item).collect()
    };
    found.iter().map(Item::totals).sum()
}

/// Largest distance of the sum of an item's probabilities from 1.
const SUM: f64 = 1e-3;

/// Checks that a target's numbers along an axis are probabilities.
pub(super) fn check_probabilities(target: &Tensor, axis: usize) -> Result<(), LossError> {
    let refused = |found| LossError::Kind {
        found,
        expected: "probabilities or class ids; of other numbers --loss mse, l1, huber or bce",
    };
    let target = floats(target)?.to_dtype(DType::F64)?;
    if target.dim(axis)? < 2 {
        return Err(refused("one float an item"));
    }
    let least = target.flatten_all()?.min(0)?.to_scalar::<f64>()?;
    let sums = host_values::numbers(&target.sum(axis)?)?;
    if least < 0.0 || sums.iter().any(|sum| (sum - 1.0).abs() > SUM) {
        return Err(refused("floats that are no probabilities"));
    }
    Ok(())
}
