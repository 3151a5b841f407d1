//! Wrong usage, told without letting an argument speak to the terminal.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process;

use crate::report::visible;

/// Says what clap says, and ends the process.
pub(super) fn end(error: &clap::Error, arguments: &[OsString]) -> ! {
    let text = error.render().to_string();
    let shown = shown(&text, arguments);
    if shown == text {
        error.exit();
    }
    // Where nobody reads it, the exit code still tells.
    let _ = io::stderr().write_all(shown.as_bytes());
    process::exit(error.exit_code());
}

/// Writes out what is hidden in the arguments wherever the text has them.
fn shown(text: &str, arguments: &[OsString]) -> String {
    let mut shown = text.to_owned();
    for argument in arguments {
        let argument = argument.to_string_lossy();
        let value = argument.split_once('=').map(|(_, value)| value);
        for part in std::iter::once(&*argument).chain(value) {
            if part.contains(visible::is_hidden) {
                shown = shown.replace(part, &visible::line(part));
            }
        }
    }
    visible::lines(&shown).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_written_out_with_its_line_breaks() {
        let arguments = ["isoloss", "--bn=a\nb\u{1b}[2J"].map(OsString::from);
        let text = "error: invalid value 'a\nb\u{1b}[2J'\n";
        let expected = "error: invalid value 'a\\u{a}b\\u{1b}[2J'\n";
        assert_eq!(shown(text, &arguments), expected);
    }
}
