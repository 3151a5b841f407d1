//! A network as a list of operations in ATen's vocabulary, each of which takes values that stand before it.
//!
//! The known architectures and the reader of files that torch.export saved (`pt2`) write such programs. Two engines
//! compute them: `run` with candle (any device, any derivative), where `apply` holds what each operation does, and
//! the fused passes of `fused` (CPU, values only).

#![allow(
    clippy::cast_possible_wrap,
    reason = "extents of arrays in memory are far below 2^63"
)]

mod apply;
pub mod datum;
mod join;
pub mod kind;
pub mod op;
pub mod output_function;
pub mod pt2;
pub mod run;
mod scope;
pub mod trace;

use std::sync::Arc;

use self::datum::Datum;
use self::kind::Kind;
use self::op::{Function, Op};

/// A value that an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// An argument of the model: what the samples hold.
    Input(usize),
    /// A tensor of the weights, by its slot in the layout.
    Slot(usize),
    /// A constant of the program.
    Constant(usize),
    /// A result of an operation before.
    Node {
        /// The operation.
        node: usize,
        /// The number of the result.
        output: usize,
    },
}

/// An extent or another whole number: known, or computed by the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A number.
    Fixed(i64),
    /// A whole number that the program computes, e.g. of how many samples there are.
    Of(Value),
}

/// An argument of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name in the model's `forward`.
    pub name: String,
    /// Floats, whole numbers or truth values.
    pub kind: Kind,
    /// Extents with the batch in front; `None` is any.
    pub shape: Vec<Option<usize>>,
}

/// An operation and what it takes.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// Its operands; `None` is one that is left out, e.g. a bias.
    pub operands: Vec<Option<Value>>,
    /// Its place in the model for messages, e.g. `conv2d (model.py:12 y = self.conv(x))`.
    pub label: Arc<str>,
}

/// A result of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its name where the model names its results, e.g. `logits`.
    pub name: Option<String>,
    /// The value.
    pub value: Value,
}

/// Operations in the order in which they can be applied.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// The arguments, in the model's order.
    pub inputs: Vec<Input>,
    /// Tensors that no checkpoint holds.
    pub constants: Vec<Datum>,
    /// The operations.
    pub nodes: Vec<Node>,
    /// The results.
    pub outputs: Vec<Output>,
}

impl Node {
    /// Returns all values that have to stand before this operation.
    fn takes(&self) -> impl Iterator<Item = Value> {
        let sizes = self.op.sizes();
        let sizes = sizes.into_iter().filter_map(|size| match size {
            Size::Of(value) => Some(value),
            Size::Fixed(_) => None,
        });
        self.operands.iter().copied().flatten().chain(sizes)
    }
}

impl Program {
    /// Appends a constant.
    fn constant(&mut self, constant: Datum) -> Value {
        self.constants.push(constant);
        Value::Constant(self.constants.len() - 1)
    }

    /// Appends an operation of one result.
    pub(in crate::model) fn push(
        &mut self,
        op: Op,
        operands: Vec<Option<Value>>,
        label: impl Into<Arc<str>>,
    ) -> Value {
        self.nodes.push(Node {
            op,
            operands,
            label: label.into(),
        });
        Value::Node {
            node: self.nodes.len() - 1,
            output: 0,
        }
    }

    /// Returns true for each operation that an output needs.
    pub(in crate::model) fn live(&self) -> Vec<bool> {
        let mut live = vec![false; self.nodes.len()];
        let mut open: Vec<Value> = self.outputs.iter().map(|output| output.value).collect();
        while let Some(value) = open.pop() {
            if let Value::Node { node, .. } = value
                && live.get(node) == Some(&false)
            {
                live[node] = true;
                open.extend(self.nodes[node].takes());
            }
        }
        live
    }

    /// Counts the times that each operation's results are taken; a result of the model counts as taken.
    pub(in crate::model) fn takers(&self) -> Vec<usize> {
        let mut takers = vec![0; self.nodes.len()];
        let live = self.nodes.iter().zip(self.live());
        let live = live.filter(|(_, live)| *live);
        let taken = live.flat_map(|(node, _)| node.takes());
        for value in taken.chain(self.outputs.iter().map(|output| output.value)) {
            if let Value::Node { node, .. } = value
                && let Some(takers) = takers.get_mut(node)
            {
                *takers += 1;
            }
        }
        takers
    }

    /// Returns true if an operation normalizes by statistics of a batch that the weights hold.
    #[must_use]
    pub fn has_batch_norm(&self) -> bool {
        !self.norms().is_empty()
    }

    /// Returns the slots of each batch norm's running mean and variance, in the order in which they are computed.
    #[must_use]
    pub fn norms(&self) -> Vec<[usize; 2]> {
        let slots = self.nodes.iter().filter_map(|node| {
            let at = node.op.statistics()?;
            match node.operands.get(at..at + 2)? {
                [Some(Value::Slot(mean)), Some(Value::Slot(variance))] => Some([*mean, *variance]),
                _ => None,
            }
        });
        slots.collect()
    }

    /// Puts another function in the place of each ReLU.
    #[must_use]
    pub(in crate::model) fn with_activation(mut self, function: Function) -> Self {
        for node in &mut self.nodes {
            if matches!(node.op, Op::Function(Function::Relu)) {
                node.op = Op::Function(function);
            }
        }
        self
    }

    /// Returns true for each operation that depends on the weights; the others give the same at every point.
    fn moving(&self) -> Vec<bool> {
        let mut moving: Vec<bool> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let moves = node.takes().any(|value| match value {
                Value::Slot(_) => true,
                Value::Node { node, .. } => moving.get(node) == Some(&true),
                Value::Input(_) | Value::Constant(_) => false,
            });
            moving.push(moves);
        }
        moving
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests;
