//! Reasons why a file is no point of the path.

use std::fmt;
use std::path::PathBuf;

/// The reason why a file is no point of the path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// State of the optimizer.
    Optimizer,
    /// Other state of the training program: schedules, random numbers, buffers of experience.
    TrainingState,
    /// Text, pictures and other data.
    Metadata,
    /// A model in a format for use and not for training.
    Export,
    /// An average of the model.
    Average {
        /// Glob of its family.
        family: String,
    },
    /// Another network of the run.
    OtherNetwork {
        /// Glob of its family.
        family: String,
    },
    /// A checkpoint of another run.
    OtherRun {
        /// Glob of that run.
        family: String,
    },
    /// A checkpoint that is counted in another unit than the path.
    OtherUnit {
        /// Glob of its family.
        family: String,
    },
    /// A part of a checkpoint whose first part is a point.
    Part {
        /// That part.
        of: PathBuf,
    },
    /// Perhaps a checkpoint that is there already, as `last` and `best` are: the contents decide.
    MaybeCopy {
        /// The checkpoint it is likeliest a copy of.
        of: Option<PathBuf>,
    },
    /// The weights of another file.
    Copy {
        /// That file.
        of: PathBuf,
    },
    /// A second file with the step of a point.
    SameStep {
        /// The point.
        of: PathBuf,
    },
    /// A file whose name tells no step.
    NoStep,
}

impl LeftOut {
    /// Returns the glob of the family that the file belongs to.
    #[must_use]
    pub fn family(&self) -> Option<&str> {
        match self {
            Self::Average { family }
            | Self::OtherNetwork { family }
            | Self::OtherRun { family }
            | Self::OtherUnit { family } => Some(family),
            _ => None,
        }
    }

    /// Returns true where the contents may still make the file a point of the path.
    #[must_use]
    pub fn is_undecided(&self) -> bool {
        matches!(
            self,
            Self::MaybeCopy { .. } | Self::NoStep | Self::SameStep { .. }
        )
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Optimizer => write!(f, "optimizer state"),
            Self::TrainingState => write!(f, "state of the training program"),
            Self::Metadata => write!(f, "no weights"),
            Self::Export => write!(f, "export of the model"),
            Self::Average { family } => write!(f, "average of the model ({family})"),
            Self::OtherNetwork { family } => write!(f, "another network ({family})"),
            Self::OtherRun { family } => write!(f, "another run ({family})"),
            Self::OtherUnit { family } => write!(f, "counted in another unit ({family})"),
            Self::Part { of } => write!(f, "part of the checkpoint of {}", of.display()),
            Self::MaybeCopy { of: Some(of) } => write!(f, "perhaps the same as {}", of.display()),
            Self::MaybeCopy { of: None } => write!(f, "perhaps a copy of a checkpoint"),
            Self::Copy { of } => write!(f, "the same weights as {}", of.display()),
            Self::SameStep { of } => write!(f, "another file of the step of {}", of.display()),
            Self::NoStep => write!(f, "no step in its name or inside"),
        }
    }
}
