//! Samples on a device, in batches: columns of the data as the model takes them, with what it should give.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::data::column::{Column, ColumnValues};
use crate::data::{Argument, Dataset};
use crate::loss::{Criterion, Loss, LossError};
use crate::model::{self, Datum, Input, Kind, Recognized};

use super::LandscapeError;

/// Samples with what the model should give.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// Arguments of the model, the samples in the first dimension.
    pub(super) inputs: Vec<Datum>,
    /// Class ids lie in memory, all else on the device.
    pub(super) target: Tensor,
}

/// Returns the criterion for these samples: a target that is the tokens shifted by one already, as nanoGPT's loader
/// gives it, is not shifted again; a known model of tokens, to be named by `model`, tells the next one where the
/// samples have no target.
#[must_use]
pub fn settled(criterion: &Criterion, data: &Dataset, model: &str) -> Criterion {
    let mut settled = criterion.clone();
    if let Loss::CrossEntropy(classes) = &criterion.loss
        && data.target.is_none()
        && model::is_of_tokens(model)
    {
        settled.loss = Loss::NextToken {
            classes: classes.clone(),
            shift: true,
        };
    }
    if let Loss::NextToken { classes, shift } = &mut settled.loss
        && let Some(target) = &data.target
        && data
            .inputs
            .iter()
            .any(|input| is_shifted(input, target, classes.ignore))
    {
        *shift = false;
    }
    settled
}

/// Returns true if each of a sample's targets but the last is the token behind its own.
fn is_shifted(input: &Column, target: &Column, ignore: i64) -> bool {
    let (ColumnValues::I64(tokens), ColumnValues::I64(targets)) = (&input.values, &target.values)
    else {
        return false;
    };
    let &[steps] = &target.shape[..] else {
        return false;
    };
    let rows = tokens.chunks(steps).zip(targets.chunks(steps));
    let mut pairs = rows.flat_map(|(tokens, targets)| tokens[1..].iter().zip(targets));
    input.shape == target.shape
        && steps > 1
        && tokens != targets
        && pairs.all(|(token, target)| token == target || *target == ignore)
}

/// The samples of a data set as a model takes them.
pub(super) struct Source<'a> {
    data: &'a Dataset,
    loss: &'a Loss,
    /// Each input's column, and the extents of a sample.
    columns: Vec<(&'a Column, Vec<usize>)>,
    /// `None` if the model's output is the loss.
    target: Option<&'a Column>,
}

impl<'a> Source<'a> {
    /// Matches the columns of the data to what a model takes.
    ///
    /// # Errors
    /// There are no samples, a column does not fit, or there is no target.
    pub(super) fn of(
        recognized: &Recognized,
        data: &'a Dataset,
        loss: &'a Loss,
    ) -> Result<Self, LandscapeError> {
        if data.samples() == 0 {
            return Err(LandscapeError::NoSamples(data.name.clone()));
        }
        let inputs = &recognized.program.inputs;
        let wanted: Vec<Argument> = inputs.iter().map(argument).collect();
        let columns = data.arguments(&recognized.name, &wanted)?;
        let columns = columns.into_iter().zip(wanted);
        let columns = columns.map(|(column, (_, extents, _))| (column, sample(column, &extents)));
        let columns: Vec<_> = columns.collect();
        Ok(Self {
            target: target(data, loss, &columns)?,
            data,
            loss,
            columns,
        })
    }

    /// Returns the samples of a range.
    pub(super) fn batch(
        &self,
        range: Range<usize>,
        device: &Device,
    ) -> Result<Batch, LandscapeError> {
        let inputs = self.columns.iter();
        let inputs = inputs.map(|(column, extents)| datum(column, extents, range.clone(), device));
        let target = match self.target {
            Some(column) => self.of_target(column, range.clone(), device)?,
            None => Tensor::zeros(range.len(), DType::F32, device)?,
        };
        Ok(Batch {
            inputs: inputs.collect::<candle_core::Result<_>>()?,
            target,
        })
    }

    /// Returns all samples, at most `most` at once.
    pub(super) fn batches(
        &self,
        most: usize,
        device: &Device,
    ) -> Result<Vec<Batch>, LandscapeError> {
        let (all, most) = (self.data.samples(), most.max(1));
        let starts = (0..all).step_by(most);
        starts
            .map(|start| self.batch(start..all.min(start + most), device))
            .collect()
    }

    fn of_target(
        &self,
        column: &Column,
        range: Range<usize>,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let shape = shape(range.len(), &column.shape);
        let row = column.row();
        let numbers = range.start * row..range.end * row;
        match &column.values {
            ColumnValues::F32(values) => Tensor::from_slice(&values[numbers], shape, device),
            ColumnValues::I64(values) if self.loss.is_of_classes() => {
                Tensor::from_slice(&values[numbers], shape, &Device::Cpu)
            }
            ColumnValues::I64(values) => {
                let floats = values[numbers].iter().map(|value| *value as f32);
                Tensor::from_vec(floats.collect(), shape, device)
            }
        }
    }

    /// Checks the target against an output whose sample has these extents, the batch in front.
    ///
    /// # Errors
    /// They do not fit, a class is one that the output has no score for, or none counts.
    pub(super) fn check(
        &self,
        model: &str,
        output: &[usize],
        batches: &[Batch],
    ) -> Result<(), LandscapeError> {
        let of = |samples: usize, extents: &[usize]| match extents {
            [] => Vec::new(),
            [_, rest @ ..] => shape(samples, rest),
        };
        let all = self.data.samples();
        let refused = |source| LandscapeError::Target {
            data: self.data.name.clone(),
            source,
        };
        if self.loss.is_of_classes() && matches!(output, [_, 1]) {
            return Err(LandscapeError::OneClass {
                data: self.data.name.clone(),
                model: model.into(),
            });
        }
        let mut counted = 0;
        for batch in batches {
            let target = batch.target.dims();
            self.loss
                .check(&of(all, output), &of(all, target))
                .map_err(refused)?;
            let checked = self
                .loss
                .check_target(&of(batch.samples(), output), &batch.target);
            counted += checked.map_err(|error| match error {
                LossError::Class { id, classes, .. } => LandscapeError::Label {
                    data: self.data.name.clone(),
                    label: id,
                    model: model.into(),
                    classes,
                },
                source => refused(source),
            })?;
        }
        match self.loss.ignored() {
            Some(ignored) if counted == 0 => Err(refused(LossError::Ignored { ignored })),
            _ => Ok(()),
        }
    }
}

fn argument(input: &Input) -> Argument {
    let extents = input.shape.get(1..).unwrap_or_default().to_vec();
    (input.name.clone(), extents, input.kind != Kind::Float)
}

/// Returns the extents of a sample as the model takes it: an image may be wanted as one vector.
fn sample(column: &Column, wanted: &[Option<usize>]) -> Vec<usize> {
    if wanted.len() == column.shape.len() {
        column.shape.clone()
    } else {
        wanted.iter().copied().flatten().collect()
    }
}

/// Returns the column that the model should give: the data's own, or the tokens themselves if the loss is of the next
/// one.
fn target<'a>(
    data: &'a Dataset,
    loss: &Loss,
    columns: &[(&'a Column, Vec<usize>)],
) -> Result<Option<&'a Column>, LandscapeError> {
    if let Some(target) = &data.target {
        return Ok(Some(target));
    }
    let mut tokens = columns.iter().filter(|(column, _)| column.is_integer());
    match loss {
        Loss::Output => Ok(None),
        Loss::NextToken { shift: true, .. } if let Some((column, _)) = tokens.next() => {
            Ok(Some(column))
        }
        _ => Err(LandscapeError::NoTarget {
            data: data.name.clone(),
            loss: loss.name(),
        }),
    }
}

fn datum(
    column: &Column,
    extents: &[usize],
    range: Range<usize>,
    device: &Device,
) -> candle_core::Result<Datum> {
    let shape = shape(range.len(), extents);
    let row = column.row();
    let numbers = range.start * row..range.end * row;
    match &column.values {
        ColumnValues::F32(values) => {
            Tensor::from_slice(&values[numbers], shape, device).map(Datum::float)
        }
        ColumnValues::I64(values) => Datum::ints(&values[numbers], &shape),
    }
}

fn shape(samples: usize, extents: &[usize]) -> Vec<usize> {
    std::iter::once(samples)
        .chain(extents.iter().copied())
        .collect()
}

impl Batch {
    /// Returns the number of samples.
    pub(super) fn samples(&self) -> usize {
        self.target.dims().first().copied().unwrap_or(0)
    }

    fn narrow(&self, start: usize, len: usize) -> candle_core::Result<Self> {
        let inputs = self.inputs.iter().map(|input| input.narrow(start, len));
        Ok(Self {
            inputs: inputs.collect::<candle_core::Result<_>>()?,
            target: self.target.narrow(0, start, len)?.contiguous()?,
        })
    }

    fn pick(&self, samples: &[u32]) -> candle_core::Result<Self> {
        let inputs = self.inputs.iter().map(|input| input.pick(samples));
        let chosen = Tensor::new(samples, self.target.device())?;
        Ok(Self {
            inputs: inputs.collect::<candle_core::Result<_>>()?,
            target: self.target.index_select(&chosen, 0)?,
        })
    }

    /// Returns all samples of some batches as one.
    pub(super) fn cat(batches: &[Self]) -> candle_core::Result<Self> {
        let count = batches.first().map_or(0, |first| first.inputs.len());
        let of = |i: usize| {
            let parts: Vec<Datum> = batches
                .iter()
                .filter_map(|batch| batch.inputs.get(i).cloned())
                .collect();
            Datum::cat(&parts)
        };
        let targets: Vec<&Tensor> = batches.iter().map(|batch| &batch.target).collect();
        Ok(Self {
            inputs: (0..count).map(of).collect::<candle_core::Result<_>>()?,
            target: Tensor::cat(&targets, 0)?,
        })
    }

    /// Copies it to a device; a copy to where it is costs nothing.
    pub(super) fn to_device(&self, device: &Device) -> candle_core::Result<Self> {
        let inputs = self.inputs.iter().map(|input| input.to_device(device));
        Ok(Self {
            inputs: inputs.collect::<candle_core::Result<_>>()?,
            target: self.target.to_device(device)?,
        })
    }

    /// Cuts it into pieces of at most `most` samples, at least one each.
    pub(super) fn pieces(&self, most: usize) -> candle_core::Result<Vec<Self>> {
        let (all, most) = (self.samples(), most.max(1));
        if all <= most {
            return Ok(vec![self.clone()]);
        }
        let starts = (0..all).step_by(most);
        starts
            .map(|start| self.narrow(start, most.min(all - start)))
            .collect()
    }
}

/// Takes the samples of a range, as they are cut into batches.
pub(super) fn within(batches: &[Batch], range: Range<usize>) -> candle_core::Result<Vec<Batch>> {
    let (mut chosen, mut from) = (Vec::new(), 0);
    for batch in batches {
        let samples = batch.samples();
        let start = range.start.clamp(from, from + samples);
        let end = range.end.clamp(from, from + samples);
        if start < end {
            chosen.push(batch.narrow(start - from, end - start)?);
        }
        from += samples;
    }
    Ok(chosen)
}

/// Takes `count` of all samples, spread evenly over their order, which may be that of the classes.
pub(super) fn few(batches: &[Batch], count: usize) -> candle_core::Result<Batch> {
    let all = batches.iter().map(Batch::samples).sum();
    let (mut parts, mut from) = (Vec::new(), 0);
    for batch in batches {
        let chosen = spread(from..from + batch.samples(), count, all);
        from += batch.samples();
        // A GPU cannot start a kernel over nothing.
        if !chosen.is_empty() {
            parts.push(batch.pick(&chosen)?);
        }
    }
    Batch::cat(&parts)
}

/// Returns those of the samples `range`, counted from its start, that are among `count` spread evenly over `all`.
fn spread(range: Range<usize>, count: usize, all: usize) -> Vec<u32> {
    let before = |sample: usize| sample * count / all.max(1);
    let chosen = range
        .clone()
        .filter(|&sample| before(sample + 1) > before(sample));
    chosen.map(|sample| (sample - range.start) as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Classes;

    #[test]
    fn targets_that_are_shifted_already_are_not_shifted_again() {
        let column = |values: &[i64]| Column {
            name: "c".into(),
            shape: vec![3],
            values: ColumnValues::I64(values.to_vec()),
        };
        let shifts = |tokens: &[i64], targets: &[i64]| {
            let data = Dataset::of("d", vec![column(tokens)], Some(column(targets)));
            let loss = Loss::NextToken {
                classes: Classes::default(),
                shift: true,
            };
            let criterion = Criterion { loss, output: None };
            let settled = settled(&criterion, &data, "auto");
            matches!(settled.loss, Loss::NextToken { shift: true, .. })
        };
        let tokens = [1, 2, 3, 4, 5, 6];
        assert!(shifts(&tokens, &tokens));
        assert!(!shifts(&tokens, &[2, 3, 9, 5, 6, 9]));
        assert!(!shifts(&tokens, &[2, -100, 9, 5, 6, -100]));
        assert!(shifts(&tokens, &[2, 3, 9, 5, 7, 9]));
        // Tokens that are all alike show neither, and the usual form is taken.
        assert!(shifts(&[7; 6], &[7; 6]));
    }

    #[test]
    fn a_gpt_tells_the_next_token_where_there_is_no_target() {
        let column = Column {
            name: "ids".into(),
            shape: vec![3],
            values: ColumnValues::I64(vec![1, 2, 3]),
        };
        let criterion = Criterion {
            loss: Loss::CrossEntropy(Classes::default()),
            output: None,
        };
        let loss = |target, model| {
            let data = Dataset::of("d", vec![column.clone()], target);
            settled(&criterion, &data, model).loss.name()
        };
        assert_eq!(loss(None, "gpt2"), "next-token");
        assert_eq!(loss(None, "model.pt2"), "cross-entropy");
        assert_eq!(loss(Some(column.clone()), "gpt2"), "cross-entropy");
    }

    #[test]
    fn few_samples_are_spread_evenly_whatever_the_batches() {
        // Ten samples of three, and all there are.
        assert_eq!(spread(0..10, 3, 10), [3, 6, 9]);
        assert_eq!(
            [spread(0..4, 3, 10), spread(4..10, 3, 10)],
            [vec![3], vec![2, 5]]
        );
        assert_eq!(spread(0..10, 10, 10), (0..10).collect::<Vec<_>>());
        // Of 60000 in the order of ten classes each has its share.
        let chosen = spread(0..60_000, 1024, 60_000);
        assert_eq!(chosen.len(), 1024);
        let of_class = |class: u32| chosen.iter().filter(|i| **i / 6000 == class).count();
        assert!((0..10).all(|class| (102..=103).contains(&of_class(class))));
    }
}
