//! Reasons why an exported program is not measured.

use std::fmt;
use std::path::PathBuf;

/// Reasons why an exported program is not measured.
#[derive(Debug, thiserror::Error)]
pub enum Pt2Error {
    /// The file is no such archive.
    #[error("{}: expected a program that torch.export.save wrote, found {found}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// The content that was found.
        found: String,
    },
    /// A tensor of the archive cannot be read.
    #[error("{}: expected the tensor {name}, found {found}", path.display())]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The content that was found.
        found: String,
    },
    /// Operators that are not known, or not in this form.
    #[error("{} uses {count} {} that isoloss does not know: {operators}; program = program.run_decompositions() before torch.export.save may make known ones of {}", path.display(), if *count == 1 { "operator" } else { "operators" }, if *count == 1 { "it" } else { "them" })]
    Operators {
        /// The file.
        path: PathBuf,
        /// Number of different operators.
        count: usize,
        /// Their names, how often they are used, and the first place in the user's source.
        operators: String,
    },
    /// A layer behaves as in training.
    #[error("{} was exported in training mode ({operator}): call model.eval() before torch.export.export; a norm that takes the statistics of its batch even then is not measured", path.display())]
    Training {
        /// The file.
        path: PathBuf,
        /// The operator, with the user's line.
        operator: String,
    },
    /// The model draws random numbers.
    #[error("{} draws random numbers in forward ({operator}): make it deterministic in evaluation mode", path.display())]
    Random {
        /// The file.
        path: PathBuf,
        /// The operator, with the user's line.
        operator: String,
    },
    /// A size depends on the numbers of the data.
    #[error("{} has a value whose size depends on the data ({operator})", path.display())]
    DataDependent {
        /// The file.
        path: PathBuf,
        /// The operator, with the user's line.
        operator: String,
    },
    /// A value is no plain array of real numbers.
    #[error("{} has {kind} ({place}): {}", path.display(), kind.remedy())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The kind of the value.
        kind: Foreign,
        /// The operator, with the user's line.
        place: String,
    },
    /// A part of a tensor is written to, and the tensor is read later.
    #[error("{} writes into part of a tensor ({operator}): export with program = program.run_decompositions({{}})", path.display())]
    WritesThrough {
        /// The file.
        path: PathBuf,
        /// The operator, with the user's line.
        operator: String,
    },
    /// The number of samples is written into the program.
    #[error("{} takes exactly {samples} samples ({input}): export a batch of two or more with dynamic_shapes={{\"{input}\": {{0: torch.export.Dim.AUTO}}}}; if it stays fixed, forward has the batch size written in, e.g. in reshape({samples}, …)", path.display())]
    FixedBatch {
        /// The file.
        path: PathBuf,
        /// The argument.
        input: String,
        /// Number of samples.
        samples: usize,
    },
    /// An argument has no dimension for the samples.
    #[error("{} takes {input} without a dimension for the samples: give forward tensors whose first dimension is the batch", path.display())]
    NoBatch {
        /// The file.
        path: PathBuf,
        /// The argument.
        input: String,
    },
    /// The checkpoint is another model's.
    #[error("{missing} of {count} tensors of {} are not in the checkpoint, e.g. {example}; the checkpoint has {other}: expected the program of the model that this run trains", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// Number of tensors that are missing.
        missing: usize,
        /// Number of tensors that the program takes.
        count: usize,
        /// One of them.
        example: String,
        /// A tensor of the checkpoint.
        other: String,
    },
    /// A tensor has another shape than the program takes.
    #[error("{} takes {name} of shape {expected:?}, the checkpoint has {found:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The program's extents.
        expected: Vec<usize>,
        /// The checkpoint's extents.
        found: Vec<usize>,
    },
}

/// A kind of value that is no plain array of real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// A tensor that names the places of its numbers.
    Sparse,
    /// A tensor of whole numbers that stand for others.
    Quantized,
    /// A tensor of complex numbers.
    Complex,
    /// An object that is no tensor.
    Object,
}

impl Foreign {
    /// Returns the advice.
    fn remedy(self) -> &'static str {
        match self {
            Self::Sparse => "build the model of dense tensors before torch.export.export",
            Self::Quantized => "export the model as it was before it was quantized",
            Self::Complex => "compute with real and imaginary parts as two real tensors",
            Self::Object => "give the model tensors alone before torch.export.export",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sparse => "a sparse tensor",
            Self::Quantized => "a quantized tensor",
            Self::Complex => "a tensor of complex numbers",
            Self::Object => "a custom object",
        })
    }
}
