//! The shapes of all values of a program, found by running it once, and the work that they stand for.

use std::sync::Arc;

use candle_core::{DType, Device, Result};

use super::datum::{Datum, FloatPlace};
use super::op::Op;
use super::scope::Scope;
use super::{Node, Program, Value};
use crate::model::Weights;
use crate::weights::Layout;

/// Extents of every value of a program for some inputs.
#[derive(Clone, Debug)]
pub struct Trace {
    layout: Arc<Layout>,
    inputs: Vec<Vec<usize>>,
    /// Extents of each operation's results; nothing for an operation that no output needs.
    results: Vec<Vec<Vec<usize>>>,
}

/// Work and room of a sample's forward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiplications of convolutions and matrix products.
    pub products: usize,
    /// Numbers that all operations give together.
    pub numbers: usize,
    /// Numbers of the largest array that a GPU lays out: what an operation gives, or the patches of a
    /// convolution (places × inputs × taps), of which candle makes one matrix.
    pub widest: usize,
}

impl Program {
    /// Runs the program on these inputs with weights of 0 and notes the shapes.
    ///
    /// # Errors
    /// The inputs do not fit; the message names the operation.
    pub fn trace(&self, layout: &Arc<Layout>, inputs: &[Datum]) -> Result<Trace> {
        let weights = Weights::zeros(Arc::clone(layout))?;
        let place = FloatPlace {
            device: Device::Cpu,
            dtype: DType::F32,
        };
        let live = self.live();
        let mut scope = Scope::new(self, Some(&weights), inputs, self.takers(), &place);
        let mut results = vec![Vec::new(); self.nodes.len()];
        for i in (0..self.nodes.len()).filter(|i| live[*i]) {
            let given = scope.step(i)?;
            results[i] = given.iter().map(|datum| datum.dims().to_vec()).collect();
        }
        Ok(Trace {
            layout: Arc::clone(layout),
            inputs: inputs.iter().map(|input| input.dims().to_vec()).collect(),
            results,
        })
    }

    /// Returns the work of a sample; `trace` is that of one sample.
    #[must_use]
    pub fn cost(&self, trace: &Trace) -> Cost {
        let inputs = trace.inputs.iter().map(|dims| product(dims)).max();
        let mut cost = Cost {
            widest: inputs.unwrap_or(0),
            ..Cost::default()
        };
        for (node, results) in self.nodes.iter().zip(&trace.results) {
            let numbers = results.iter().map(|dims| product(dims));
            let numbers = numbers.fold(0, usize::saturating_add);
            cost.numbers = cost.numbers.saturating_add(numbers);
            let [products, patches] = self.work(trace, node, results);
            cost.products = cost.products.saturating_add(products);
            cost.widest = cost.widest.max(numbers).max(patches);
        }
        cost.numbers = cost.numbers.saturating_add(cost.widest);
        cost
    }

    /// Returns the multiplications of an operation, and numbers of its patches.
    fn work(&self, trace: &Trace, node: &Node, results: &[Vec<usize>]) -> [usize; 2] {
        let operand = |i: usize| {
            let value = node.operands.get(i).copied().flatten();
            value.and_then(|value| trace.dims(self, value))
        };
        let (Some(result), Some(first)) = (results.first(), operand(0)) else {
            return [0, 0];
        };
        let second = operand(1).unwrap_or_default();
        let given = product(result);
        match &node.op {
            Op::Linear | Op::AddMatMul { .. } => [given.saturating_mul(last(second)), 0],
            Op::Conv(conv) | Op::ConvNorm { conv, .. } => {
                let outputs = second.first().copied().unwrap_or(1).max(1);
                let taps = product(second) / outputs;
                let places = if conv.output_padding.is_some() {
                    first
                } else {
                    result
                };
                let patches = product(&places[2.min(places.len())..]).saturating_mul(taps);
                [product(places).saturating_mul(taps), patches]
            }
            Op::MatMul | Op::Einsum(_) => [given.saturating_mul(last(first)), 0],
            Op::Attention { .. } => {
                // The products of queries and keys, and those with values.
                let keys = second.len().checked_sub(2).and_then(|at| second.get(at));
                let keys = keys.copied().unwrap_or(1);
                [product(first).saturating_mul(2 * keys), 0]
            }
            Op::Recurrent(_) => {
                let weights = (1..node.operands.len()).filter_map(operand);
                let weights = weights.filter(|dims| dims.len() == 2).map(product).sum();
                let steps = product(first) / last(first).max(1);
                [steps.saturating_mul(weights), 0]
            }
            _ => [0, 0],
        }
    }
}

impl Trace {
    /// Returns the extents of a value; `None` if no output needs it.
    #[must_use]
    pub fn dims<'a>(&'a self, program: &'a Program, value: Value) -> Option<&'a [usize]> {
        match value {
            Value::Input(i) => self.inputs.get(i).map(Vec::as_slice),
            Value::Slot(i) => self.layout.slots().get(i).map(|slot| slot.shape.as_slice()),
            Value::Constant(i) => program.constants.get(i).map(Datum::dims),
            Value::Node { node, output } => {
                let results = self.results.get(node)?;
                results.get(output).map(Vec::as_slice)
            }
        }
    }
}

/// Saturates, because extents are read from files.
fn product(extents: &[usize]) -> usize {
    extents
        .iter()
        .fold(1, |product, extent| product.saturating_mul(*extent))
}

fn last(extents: &[usize]) -> usize {
    extents.last().copied().unwrap_or(1)
}
