//! What is said on stderr beside the result: sentences, of which nobody need read any.

use std::fmt::Display;
use std::io::{self, Write};
use std::thread;

use crate::report::{TOLD, visible};

/// Prints a sentence on stderr, in one line.
///
/// # Errors
/// Nobody can read it.
pub(super) fn say(sentence: impl Display) -> io::Result<()> {
    let sentence = sentence.to_string();
    writeln!(io::stderr(), "isoloss: {}", visible::line(&sentence))
}

/// Prints a sentence on stderr from a thread of its own, for those who must not wait for its reader.
pub(super) fn say_aside(sentence: String) {
    // Without a thread it stays unsaid: what it is about goes on.
    let _ = thread::Builder::new()
        .name("notice".into())
        .spawn(move || say(sentence));
}

/// Prints sentences, a line each.
///
/// # Errors
/// Nobody can read them.
pub(super) fn say_lines(sentences: &[impl Display]) -> io::Result<()> {
    writeln!(io::stderr(), "isoloss: {}", lines(sentences))
}

fn lines(sentences: &[impl Display]) -> String {
    let line = |sentence: &_| visible::line(&format!("{sentence}")).into_owned();
    sentences.iter().map(line).collect::<Vec<_>>().join("\n")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_with_a_line_break_is_one_line() {
        assert_eq!(lines(&["got a\nerror: b", "c"]), "got a\\u{a}error: b\nc");
    }
}
