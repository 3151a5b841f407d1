//! Sentences on stderr beside the result, which nobody need read.

use std::collections::HashMap;
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
    writeln!(io::stderr(), "isoloss: {}", visible::sentence(&sentence))
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
    let line = |sentence: &_| visible::sentence(&format!("{sentence}")).into_owned();
    sentences.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Says the first few reasons why something was left out, and how many more there are.
pub(super) fn left_out(reasons: &[impl Display]) {
    // The result counts even where nobody reads what it lacks.
    for reason in summarized(reasons) {
        let _ = say(format_args!("left out: {reason}"));
    }
}

/// Returns the first few of several sentences that begin with a file each, and how many more there are; those that
/// differ in the file alone are one.
pub(super) fn summarized(sentences: &[impl Display]) -> Vec<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for sentence in sentences {
        let sentence = sentence.to_string();
        let reason = sentence
            .split_once(": ")
            .map_or(&*sentence, |(_, reason)| reason);
        if let Some(at) = known.get(reason) {
            kinds[*at].1 += 1;
        } else {
            known.insert(reason.to_owned(), kinds.len());
            kinds.push((sentence, 0));
        }
    }
    let rest: usize = kinds.iter().skip(TOLD).map(|(_, alike)| 1 + alike).sum();
    let told = kinds
        .into_iter()
        .take(TOLD)
        .map(|(sentence, alike)| match alike {
            0 => sentence,
            1 => format!("{sentence}, and 1 more file like it"),
            _ => format!("{sentence}, and {alike} more files like it"),
        });
    let mut told: Vec<String> = told.collect();
    if rest > 0 {
        told.push(format!("{rest} more"));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_that_differ_in_the_file_alone_are_told_once() {
        let alike = |name: &str| format!("{name}: expected the weights of a model, found: a part");
        let many = [
            alike("a.pt"),
            "b.pt: expected 9 bytes".to_owned(),
            alike("c.pt"),
            alike("d.pt"),
        ];
        let first = format!("{}, and 2 more files like it", alike("a.pt"));
        assert_eq!(
            summarized(&many),
            [first.as_str(), "b.pt: expected 9 bytes"]
        );
        let unlike: Vec<String> = (0..9).map(|at| format!("{at}.pt: expected {at}")).collect();
        assert_eq!(
            summarized(&unlike).last().map(String::as_str),
            Some("6 more")
        );
        assert_eq!(summarized(&unlike).len(), 1 + TOLD);
    }

    #[test]
    fn a_sentence_with_a_line_break_is_one_line() {
        assert_eq!(lines(&["got a\nerror: b", "c"]), "got a\\u{a}error: b\nc");
    }
}
