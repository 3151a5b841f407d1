//! The interpreter: a program, weights and inputs to outputs, with candle.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::apply;
use super::datum::{Datum, FloatPlace};
use super::op::Operand;
use super::{Program, Size, Value};
use crate::model::Weights;

/// Values that a program computes of inputs alone, whatever the weights are: masks, positions, tables of angles.
#[derive(Clone, Debug)]
pub struct Prepared {
    inputs: Vec<Datum>,
    /// Results of the operations that do not depend on the weights.
    fixed: Vec<Option<Arc<[Datum]>>>,
    /// The operations that depend on the weights and whose results are taken.
    moving: Vec<usize>,
    /// The number of times that each operation's results are taken.
    takers: Vec<usize>,
}

/// Values while a program runs.
pub(super) struct Scope<'a> {
    program: &'a Program,
    weights: Option<&'a Weights>,
    inputs: &'a [Datum],
    results: Vec<Option<Arc<[Datum]>>>,
    /// Operations that still have to take each result.
    takers: Vec<usize>,
    /// Where floats are computed.
    pub(super) place: &'a FloatPlace,
}

impl Program {
    /// Computes what depends on the inputs alone.
    ///
    /// # Errors
    /// The inputs do not fit, or candle's; the message names the operation.
    pub fn prepare(&self, inputs: Vec<Datum>, place: &FloatPlace) -> Result<Prepared> {
        let moving = self.moving();
        let mut scope = Scope {
            program: self,
            weights: None,
            inputs: &inputs,
            results: vec![None; self.nodes.len()],
            takers: vec![usize::MAX; self.nodes.len()],
            place,
        };
        for i in (0..self.nodes.len()).filter(|i| !moving[*i]) {
            scope.step(i)?;
        }
        // Only what the others take is kept.
        let mut wanted = vec![false; self.nodes.len()];
        let others = self.nodes.iter().zip(&moving).filter(|(_, moves)| **moves);
        let taken = others.flat_map(|(node, _)| node.takes());
        for value in taken.chain(self.outputs.iter().map(|output| output.value)) {
            if let Value::Node { node, .. } = value {
                wanted[node] = true;
            }
        }
        let fixed = scope.results.into_iter().zip(wanted);
        let fixed = fixed.map(|(result, wanted)| result.filter(|_| wanted));
        let fixed = fixed.collect();
        let takers = self.takers();
        let moving = (0..self.nodes.len()).filter(|i| moving[*i] && takers[*i] > 0);
        Ok(Prepared {
            moving: moving.collect(),
            inputs,
            fixed,
            takers,
        })
    }

    /// Computes the outputs; results that are done with are freed.
    ///
    /// # Errors
    /// candle's: the device failed or has no room; the message names the operation.
    pub fn run(
        &self,
        weights: &Weights,
        prepared: &Prepared,
        place: &FloatPlace,
    ) -> Result<Vec<Datum>> {
        let mut scope = Scope {
            program: self,
            weights: Some(weights),
            inputs: &prepared.inputs,
            results: prepared.fixed.clone(),
            takers: prepared.takers.clone(),
            place,
        };
        for &i in &prepared.moving {
            scope.step(i)?;
        }
        let outputs = self.outputs.iter();
        outputs.map(|output| scope.get(output.value)).collect()
    }
}

impl Scope<'_> {
    /// Applies an operation and keeps what it gives.
    fn step(&mut self, i: usize) -> Result<()> {
        let node = &self.program.nodes[i];
        let operands = node.operands.iter();
        let operands: Vec<Option<Datum>> = operands
            .map(|operand| operand.map(|value| self.get(value)).transpose())
            .collect::<Result<_>>()?;
        let given = apply::apply(&node.op, &operands, self);
        let given: Arc<[Datum]> = given
            .map_err(|error| error.context(node.label.to_string()))?
            .into();
        self.release(i);
        self.results[i] = Some(given);
        Ok(())
    }

    /// Frees what an operation was the last to take.
    fn release(&mut self, i: usize) {
        for value in self.program.nodes[i].takes() {
            if let Value::Node { node, .. } = value {
                self.takers[node] = self.takers[node].saturating_sub(1);
                if self.takers[node] == 0 {
                    self.results[node] = None;
                }
            }
        }
    }

    fn get(&self, value: Value) -> Result<Datum> {
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
