//! The cells of recurrent networks.

/// A cell of a recurrent network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "PyTorch's cells, by its names")]
pub enum RecurrentCell {
    Lstm,
    Gru,
    Tanh,
    Relu,
}

impl RecurrentCell {
    /// Returns the number of products of the hidden state's width that it takes.
    pub(in crate::model) fn gates(self) -> usize {
        match self {
            Self::Lstm => 4,
            Self::Gru => 3,
            Self::Tanh | Self::Relu => 1,
        }
    }
}
