//! What is said on stderr beside the result: sentences, of which nobody need read any.

use std::fmt::Display;
use std::io::{self, Write};

use crate::report::TOLD;

/// A sentence on stderr.
///
/// # Errors
/// Nobody can read it.
pub(super) fn say(sentence: impl Display) -> io::Result<()> {
    writeln!(io::stderr(), "isoloss: {sentence}")
}

/// The first few reasons why something was left out, and how many more there are.
pub(super) fn left_out(reasons: &[impl Display]) {
    let (told, rest) = reasons.split_at(reasons.len().min(TOLD));
    // The result counts even where nobody reads what it lacks.
    for reason in told {
        let _ = say(format_args!("left out: {reason}"));
    }
    if !rest.is_empty() {
        let _ = say(format_args!("left out: {} more", rest.len()));
    }
}
