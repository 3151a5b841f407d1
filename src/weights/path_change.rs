//! Turns of a path: branches, other runs and other models in one folder.

use std::fmt;

use crate::run::Checkpoint;

/// A turn of the path: checkpoints that were on it belong to it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathChange {
    /// Training was resumed from a checkpoint of the run: the path branches there.
    Resumed {
        /// The first checkpoint of the new branch.
        first: Checkpoint,
        /// Step of the checkpoint that it follows from; `None` if it is the run's own start.
        from: Option<u64>,
        /// The checkpoints of the old branch.
        left: Vec<Checkpoint>,
    },
    /// The weights are unrelated to those before: another run in the same folder.
    AnotherRun {
        /// The first checkpoint of the run that is followed.
        first: Checkpoint,
        /// The checkpoints of the other run.
        left: Vec<Checkpoint>,
    },
    /// Checkpoints between those of the run that is followed have weights unrelated to these: several runs in one folder.
    SeveralRuns {
        /// The first checkpoint of the run that is followed.
        first: Checkpoint,
        /// The checkpoints of the others.
        left: Vec<Checkpoint>,
    },
    /// A checkpoint is much older than the one before it, but its weights fit there: it stays.
    Doubtful {
        /// The older one.
        first: Checkpoint,
        /// The one before it by its step.
        before: Checkpoint,
    },
    /// The newest checkpoint has other names or shapes: the path begins anew.
    AnotherModel {
        /// The newest checkpoint.
        newest: Checkpoint,
        /// The checkpoints of the model before.
        left: Vec<Checkpoint>,
    },
}

impl fmt::Display for PathChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resumed { first, from, left } => {
                let from = from.map_or("the start".into(), |step| format!("step {step}"));
                write!(
                    f,
                    "{} (step {}) follows from {from}: training was resumed there; {} of the branch before left the path",
                    file_name(first),
                    first.step,
                    span(left)
                )
            }
            Self::AnotherRun { first, left } => write!(
                f,
                "{} (step {}) begins another run: its weights are unrelated to those before; {} of the older run left the path; --steps chooses",
                file_name(first),
                first.step,
                span(left)
            ),
            Self::SeveralRuns { first, left } => write!(
                f,
                "{} (step {}) begins one of several runs in this folder: the weights of {} among its own are unrelated to these, which left the path; --only or --steps chooses",
                file_name(first),
                first.step,
                span(left)
            ),
            Self::Doubtful { first, before } => write!(
                f,
                "{} (step {}) is older than {} (step {}): perhaps an earlier run left it; its weights fit, so that it stays on the path; --steps chooses",
                file_name(first),
                first.step,
                file_name(before),
                before.step
            ),
            Self::AnotherModel { newest, left } => write!(
                f,
                "{} (step {}) has tensors of other names or shapes: the path begins anew with it; {} of the model before left the path; --steps chooses",
                file_name(newest),
                newest.step,
                span(left)
            ),
        }
    }
}

fn file_name(checkpoint: &Checkpoint) -> String {
    let name = checkpoint.path.file_name();
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Says in words, e.g. `2 checkpoints (steps 280 to 300)`.
fn span(left: &[Checkpoint]) -> String {
    match left {
        [] => "nothing".into(),
        [one] => format!("1 checkpoint (step {})", one.step),
        [first, .., last] => format!(
            "{} checkpoints (steps {} to {})",
            left.len(),
            first.step,
            last.step
        ),
    }
}

/// A branch that training has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftBranch {
    /// Number of the branch, from 1.
    pub number: usize,
    /// Step at which the path left it; `None` if the run was started anew.
    pub from: Option<u64>,
}
