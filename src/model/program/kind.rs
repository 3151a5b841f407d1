//! The kinds of numbers in a program.

/// The kind of numbers that a value holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Truth values.
    Bool,
    /// Whole numbers.
    Int,
    /// Floats of the type in which layers are computed.
    Float,
}
