//! Values of a program while it runs, as its operations see them.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::datum::{Datum, FloatPlace};
use super::op::Operand;
use super::{Program, Size, Value};
use crate::model::Weights;

/// Values while a program runs.
pub(super) struct Scope<'a> {
    /// The program.
    pub(super) program: &'a Program,
    /// `None` while what does not depend on them is computed.
    pub(super) weights: Option<&'a Weights>,
    /// In the order of the program's.
    pub(super) inputs: &'a [Datum],
    /// Those of each operation, until the last has taken them.
    pub(super) results: Vec<Option<Arc<[Datum]>>>,
    /// Operations that still have to take each result.
    pub(super) takers: Vec<usize>,
    /// Device and type in which floats are computed.
    pub(super) place: &'a FloatPlace,
    /// Statistics of the batch, where batch norm takes its own.
    pub(super) notes: Option<HashMap<usize, Tensor>>,
}

impl<'a> Scope<'a> {
    /// Returns the scope of a program of which nothing was computed yet.
    pub(super) fn new(
        program: &'a Program,
        weights: Option<&'a Weights>,
        inputs: &'a [Datum],
        takers: Vec<usize>,
        place: &'a FloatPlace,
    ) -> Self {
        Self {
            program,
            weights,
            inputs,
            results: vec![None; program.nodes.len()],
            takers,
            place,
            notes: None,
        }
    }

    /// Returns true if batch norm takes the statistics of its batch.
    pub(super) fn takes_own_statistics(&self) -> bool {
        self.notes.is_some()
    }

    /// Returns a value that was computed, or is given.
    pub(super) fn get(&self, value: Value) -> Result<Datum> {
        let found = match value {
            Value::Input(i) => self.inputs.get(i).cloned(),
            Value::Constant(i) => self.program.constants.get(i).cloned(),
            Value::Slot(slot) => match self.weights {
                Some(weights) => Some(Datum::float(weights.slot(slot)?)),
                None => None,
            },
            Value::Node { node, output } => {
                let results = self.results.get(node).and_then(Option::as_ref);
                results.and_then(|results| results.get(output)).cloned()
            }
        };
        match found {
            Some(datum) => Ok(datum),
            None => bail!("{value:?} is not there"),
        }
    }

    /// Returns the number of a size.
    pub(super) fn size(&self, size: Size) -> Result<i64> {
        match size {
            Size::Fixed(number) => Ok(number),
            Size::Of(value) => self.get(value)?.to_int(),
        }
    }

    /// Returns the numbers of sizes.
    pub(super) fn sizes(&self, sizes: &[Size]) -> Result<Vec<i64>> {
        sizes.iter().map(|size| self.size(*size)).collect()
    }

    /// Returns the number of an operand.
    pub(super) fn number(&self, operand: Operand) -> Result<f64> {
        match operand {
            Operand::Fixed(number) => Ok(number),
            Operand::Of(size) => Ok(self.size(size)? as f64),
        }
    }

    /// Returns floats of the type in which layers are computed.
    pub(super) fn float(&self, datum: &Datum) -> Result<Tensor> {
        datum.to_float(self.place)
    }
}
