//! The interpreter: a program, weights and inputs to outputs, with candle.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::apply;
use super::datum::{Datum, FloatPlace};
use super::kind::Kind;
use super::scope::Scope;
use super::{Program, Value};
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

/// Statistics by which batch norm normalizes.
#[derive(Clone, Debug, Default)]
pub enum Norms {
    /// The statistics of the weights: evaluation mode.
    #[default]
    Stored,
    /// The statistics of the batch itself, as in training. They are noted by slot, the variance over n − 1 as
    /// PyTorch keeps it.
    Own(HashMap<usize, Tensor>),
}

impl Norms {
    /// Returns those of the batch, of which none is noted yet.
    #[must_use]
    pub fn own() -> Self {
        Self::Own(HashMap::new())
    }
}

impl Program {
    /// Computes what depends on the inputs alone.
    ///
    /// # Errors
    /// The inputs do not fit, or candle's; the message names the operation.
    pub fn prepare(&self, inputs: Vec<Datum>, place: &FloatPlace) -> Result<Prepared> {
        let inputs = inputs.into_iter().zip(&self.inputs);
        let inputs = inputs.map(|(datum, input)| match input.kind {
            // A file may hold truth values as numbers, whose complement is another one.
            Kind::Bool => datum.cast(Kind::Bool, place),
            Kind::Int | Kind::Float => Ok(datum),
        });
        let inputs = inputs.collect::<Result<Vec<_>>>()?;
        let (moving, live) = (self.moving(), self.live());
        // What the others take is kept.
        let takers = vec![usize::MAX; self.nodes.len()];
        let mut scope = Scope::new(self, None, &inputs, takers, place);
        for i in (0..self.nodes.len()).filter(|i| live[*i] && !moving[*i]) {
            scope.step(i)?;
        }
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
        let moving = (0..self.nodes.len()).filter(|i| moving[*i] && live[*i]);
        Ok(Prepared {
            moving: moving.collect(),
            inputs,
            fixed,
            takers: self.takers(),
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
        norms: &mut Norms,
    ) -> Result<Vec<Datum>> {
        let mut scope = Scope {
            program: self,
            weights: Some(weights),
            inputs: &prepared.inputs,
            results: prepared.fixed.clone(),
            takers: prepared.takers.clone(),
            place,
            notes: match norms {
                Norms::Stored => None,
                Norms::Own(notes) => Some(std::mem::take(notes)),
            },
        };
        for &i in &prepared.moving {
            scope.step(i)?;
        }
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|output| scope.get(output.value)).collect();
        if let (Norms::Own(notes), Some(noted)) = (norms, scope.notes) {
            *notes = noted;
        }
        outputs
    }
}

impl Prepared {
    /// Returns the inputs that it was made of.
    #[must_use]
    pub fn inputs(&self) -> &[Datum] {
        &self.inputs
    }
}

impl Scope<'_> {
    /// Applies an operation, keeps what it gives and returns it.
    pub(super) fn step(&mut self, i: usize) -> Result<Arc<[Datum]>> {
        let node = &self.program.nodes[i];
        let operands = node.operands.iter();
        let operands: Vec<Option<Datum>> = operands
            .map(|operand| operand.map(|value| self.get(value)).transpose())
            .collect::<Result<_>>()?;
        let given = apply::apply(&node.op, &operands, self);
        let given: Arc<[Datum]> = given
            .map_err(|error| error.context(node.label.to_string()))?
            .into();
        self.note(i, &given);
        self.release(i);
        self.results[i] = Some(Arc::clone(&given));
        Ok(given)
    }

    /// Notes the statistics that a batch norm took of its batch, which are its second and third result.
    fn note(&mut self, i: usize, given: &[Datum]) {
        let node = &self.program.nodes[i];
        let (Some(first), Some(notes)) = (node.op.statistics(), &mut self.notes) else {
            return;
        };
        let slots = node.operands.get(first..).unwrap_or_default();
        for (operand, statistic) in slots.iter().zip(given.get(1..).unwrap_or_default()) {
            if let Some(Value::Slot(slot)) = operand {
                notes.insert(*slot, statistic.tensor().detach());
            }
        }
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
}
