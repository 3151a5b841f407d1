//! From weights and samples to the sums of a loss: a model's forward pass and the loss of one of its outputs.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::loss::{Criterion, Loss, Totals};
use crate::model::{Datum, FloatPlace, Norms, Prepared, Program, Recognized, Weights};

use super::LandscapeError;
use super::samples::Batch;
use crate::landscape::device::Compute;

/// A model with the loss of one of its outputs, and where it is computed.
#[derive(Clone, Debug)]
pub struct Forward {
    pub(super) program: Arc<Program>,
    /// Number of the output.
    pub(super) output: usize,
    pub(super) loss: Loss,
    place: FloatPlace,
}

/// A batch with all that the model computes of it whatever the weights are.
#[derive(Debug)]
pub(super) struct PreparedBatch {
    inputs: Prepared,
    pub(super) target: Tensor,
}

impl Forward {
    /// Chooses the output that the loss is of.
    ///
    /// # Errors
    /// The model has no such output.
    pub fn new(
        recognized: &Recognized,
        criterion: &Criterion,
        compute: &Compute,
    ) -> Result<Self, LandscapeError> {
        let program = Arc::clone(&recognized.program);
        let names: Vec<Option<String>> = program
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect();
        let Some(output) = criterion.place(&names) else {
            let known = names.into_iter().zip(0..);
            let known = known.map(|(name, number)| name.unwrap_or_else(|| i32::to_string(&number)));
            return Err(LandscapeError::Output {
                model: recognized.name.clone(),
                asked: criterion.output.clone().unwrap_or_default(),
                known: known.collect::<Vec<_>>().join(", "),
            });
        };
        Ok(Self {
            program,
            output,
            loss: criterion.loss.clone(),
            place: FloatPlace {
                device: compute.device.clone(),
                dtype: compute.precision.dtype(),
            },
        })
    }

    /// Returns the place where floats are computed with all digits: preparations, and derivatives.
    fn exact(&self) -> FloatPlace {
        FloatPlace {
            dtype: DType::F32,
            ..self.place.clone()
        }
    }

    /// Returns the same on the CPU, with all digits.
    pub(super) fn in_memory(&self) -> Self {
        let device = Device::Cpu;
        let place = FloatPlace {
            device,
            ..self.exact()
        };
        Self {
            place,
            ..self.clone()
        }
    }

    /// Computes what does not depend on the weights.
    pub(super) fn prepare(&self, batch: &Batch) -> candle_core::Result<PreparedBatch> {
        let inputs = batch.inputs.clone();
        Ok(PreparedBatch {
            inputs: self.program.prepare(inputs, &self.exact())?,
            target: batch.target.clone(),
        })
    }

    /// Returns the sums of a batch in evaluation mode.
    pub(super) fn totals(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<Totals, LandscapeError> {
        let output = self.outputs(weights, batch, &self.place, &mut Norms::Stored)?;
        self.of_output(&output, batch)
    }

    /// Returns the sums of a batch in training mode: batch norm normalizes by the batch's own statistics.
    pub(super) fn training_totals(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<Totals, LandscapeError> {
        let output = self.outputs(weights, batch, &self.exact(), &mut Norms::own())?;
        self.of_output(&output, batch)
    }

    /// Returns the output for a batch in evaluation mode, with all digits.
    pub(super) fn exact_output(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> candle_core::Result<Tensor> {
        self.outputs(weights, batch, &self.exact(), &mut Norms::Stored)
    }

    fn of_output(&self, output: &Tensor, batch: &PreparedBatch) -> Result<Totals, LandscapeError> {
        let output = match output.dtype() {
            DType::F16 | DType::BF16 => &output.to_dtype(DType::F32)?,
            _ => output,
        };
        Ok(self.loss.totals(output, &batch.target)?)
    }

    /// Returns the sum of the losses of a batch, differentiable twice; in training mode if that is asked for.
    pub(super) fn sum(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
        training: bool,
    ) -> Result<Tensor, LandscapeError> {
        let mut norms = if training {
            Norms::own()
        } else {
            Norms::Stored
        };
        let output = self.outputs(weights, batch, &self.exact(), &mut norms)?;
        Ok(self.loss.sum(&output, &batch.target)?)
    }

    /// Returns the same weights with batch norm's running statistics taken anew from these samples, all as one batch
    /// (docs/math.md 12): PyTorch's after one pass in training mode with momentum 1.
    pub(super) fn recalibrated(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<Weights, LandscapeError> {
        Ok(weights.with(self.statistics(weights, batch)?))
    }

    /// Returns the statistics that batch norm takes of a batch in training mode, by the slot of the running ones.
    pub(super) fn statistics(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
    ) -> Result<HashMap<usize, Tensor>, LandscapeError> {
        let mut norms = Norms::own();
        self.outputs(weights, batch, &self.exact(), &mut norms)?;
        Ok(match norms {
            Norms::Own(notes) => notes,
            Norms::Stored => HashMap::new(),
        })
    }

    fn outputs(
        &self,
        weights: &Weights,
        batch: &PreparedBatch,
        place: &FloatPlace,
        norms: &mut Norms,
    ) -> candle_core::Result<Tensor> {
        let outputs = self.program.run(weights, &batch.inputs, place, norms)?;
        match outputs.get(self.output) {
            Some(output) => output.to_float(place),
            None => candle_core::bail!("output {} is not there", self.output),
        }
    }
}

impl PreparedBatch {
    /// Returns the arguments of the model.
    pub(super) fn inputs(&self) -> &[Datum] {
        self.inputs.inputs()
    }

    /// Returns the number of samples.
    pub(super) fn samples(&self) -> usize {
        self.target.dims().first().copied().unwrap_or(0)
    }

    /// Returns the samples themselves.
    pub(super) fn batch(&self) -> Batch {
        Batch {
            inputs: self.inputs.inputs().to_vec(),
            target: self.target.clone(),
        }
    }
}
