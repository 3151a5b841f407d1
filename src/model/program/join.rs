//! Convolutions joined with the batch norm that alone takes what they give: one convolution does for both.

use super::op::Op;
use super::{Program, Value};

impl Program {
    /// Returns the same program with each batch norm behind a convolution in that convolution. In evaluation
    /// mode its scale goes into the kernel, before digits are dropped.
    #[must_use]
    pub fn joined(mut self) -> Self {
        let takers = self.takers();
        for i in 0..self.nodes.len() {
            let Op::BatchNorm { epsilon } = self.nodes[i].op else {
                continue;
            };
            let Some(Some(Value::Node { node, output: 0 })) = self.nodes[i].operands.first() else {
                continue;
            };
            let source = &self.nodes[*node];
            let Op::Conv(conv) = &source.op else { continue };
            if takers[*node] != 1 || conv.output_padding.is_some() {
                continue;
            }
            let op = Op::ConvNorm {
                conv: conv.clone(),
                epsilon,
            };
            let mut operands = source.operands.clone();
            operands.resize(3, None);
            operands.extend_from_slice(self.nodes[i].operands.get(1..).unwrap_or_default());
            let label = source.label.clone();
            let joined = &mut self.nodes[i];
            (joined.op, joined.operands, joined.label) = (op, operands, label);
        }
        self
    }
}
