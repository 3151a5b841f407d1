//! Wrong usage and help, told without letting an argument speak to the terminal.

use std::env;
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process;

use clap::Command;
use clap::error::{self, ContextKind, ContextValue};

use crate::report::visible;

use super::warn;

/// Says what clap says of arguments to this command, and ends the process.
pub(super) fn end(error: &clap::Error, command: Command, arguments: &[OsString]) -> ! {
    if !error.use_stderr() {
        process::exit(i32::from(!is_printed(error)));
    }
    let variable = variable_of(error, &command, arguments);
    let run = run_like_a_command(error);
    // Where nobody reads it, the exit code still tells.
    let _ = match shown(error, command, arguments, &variables()) {
        Some(text) => io::stderr().write_all(text.as_bytes()),
        None => error.print(),
    };
    if let Some(name) = variable {
        let _ = writeln!(io::stderr(), "The value is that of the variable {name}.");
    }
    if let Some(run) = run {
        let _ = writeln!(
            io::stderr(),
            "To watch a run of this name: isoloss watch {run}"
        );
    }
    process::exit(error.exit_code());
}

/// Returns the word that is no command, but nearly: it may be the folder of a run that has not begun.
fn run_like_a_command(error: &clap::Error) -> Option<String> {
    match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (error::ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => {
            Some(visible::line(word).into_owned())
        }
        _ => None,
    }
}

/// Returns the variable that holds the value that is wrong, because clap names the option in any case; `None` if an
/// argument holds it.
fn variable_of(error: &clap::Error, command: &Command, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(named)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let long = named.strip_prefix("--")?.split([' ', '=', '[']).next()?;
    let is_argument = |argument: &OsString| {
        let argument = argument.to_string_lossy();
        let rest = argument
            .strip_prefix("--")
            .and_then(|rest| rest.strip_prefix(long));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    if arguments.iter().any(is_argument) {
        return None;
    }
    let variable = |command: &Command| {
        let mut options = command.get_arguments();
        let option = options.find(|option| option.get_long() == Some(long));
        // One that is not set has no value: it may be that of a file, or of the option's short form.
        let name = option?.get_env().filter(|name| env::var_os(name).is_some());
        name.map(|name| name.to_string_lossy().into_owned())
    };
    let all = std::iter::once(command).chain(command.get_subcommands());
    all.into_iter().find_map(variable)
}

/// Prints a help or a version on stdout. A reader who had enough is none that misses it.
fn is_printed(help: &clap::Error) -> bool {
    match help.print().and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            // Where nobody reads it, the exit code still tells.
            let _ = warn::say(format_args!("cannot be written to stdout: {error}"));
            false
        }
        _ => true,
    }
}

/// Returns the values of isoloss's own variables in which something is hidden.
fn variables() -> Vec<String> {
    let own = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ISOLOSS_"));
    own.map(|(_, value)| value.to_string_lossy().into_owned())
        .filter(|value| value.contains(visible::is_hidden))
        .collect()
}

/// Returns the sentence about arguments and variables in which something is hidden, with that written out;
/// `None` if nothing is.
fn shown(
    error: &clap::Error,
    command: Command,
    arguments: &[OsString],
    variables: &[String],
) -> Option<String> {
    let texts = arguments.iter().map(|argument| argument.to_string_lossy());
    let is_plain = !texts.clone().any(|text| text.contains(visible::is_hidden));
    if is_plain && variables.is_empty() {
        return None;
    }
    let written_out = texts.map(|text| visible::line(&text).into_owned());
    let text = match command.try_get_matches_from(written_out) {
        // The same mistake, of what was written out.
        Err(error) => error.render().to_string(),
        // Nothing is wrong with that. In one line at least no part of it looks like another one.
        Ok(_) => visible::line(error.render().to_string().trim_end()).into_owned() + "\n",
    };
    Some(visible::lines(&with_values(text, variables)).into_owned())
}

/// Returns the text with these values written out, and the parts of which only one may be shown.
fn with_values(mut text: String, values: &[String]) -> String {
    for value in values {
        for part in std::iter::once(&**value).chain(value.split(',')) {
            if part.contains(visible::is_hidden) && !part.trim().is_empty() {
                text = text.replace(part, &visible::line(part));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use clap::{Arg, value_parser};
    use rstest::rstest;

    #[test]
    fn a_variable_is_named_only_where_it_holds_the_value() {
        // Every process has the one, nobody sets the other.
        let said = |variable: &'static str, arguments: &[&str]| {
            let count = Arg::new("count").long("count").env(variable);
            let command = Command::new("a").arg(count.value_parser(value_parser!(u8)));
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let error = command.clone().try_get_matches_from(&arguments);
            let error = error.err().or_else(|| {
                let wrong = command.clone().try_get_matches_from(["a", "--count=x"]);
                wrong.err()
            });
            variable_of(&error.unwrap(), &command, &arguments)
        };
        let set = "PATH";
        assert_eq!(said(set, &["a"]).as_deref(), Some(set));
        assert_eq!(said(set, &["a", "--count", "x"]), None);
        assert_eq!(said("ISOLOSS_NOBODY_SETS_THIS", &["a"]), None);
    }

    #[rstest]
    #[case::value("--bn=1\n2\u{1b}[2J")]
    #[case::one_of_several("--bn=1,a\nerror: b")]
    #[case::name("--b\n=1")]
    #[case::tip("--\nbn")]
    #[case::short("-\n")]
    #[case::line_feed("\n")]
    fn an_argument_is_written_out_with_its_line_breaks(#[case] argument: &str) {
        let bn = Arg::new("bn").long("bn").value_delimiter(',');
        let command = Command::new("a").arg(bn.value_parser(value_parser!(u8)));
        let arguments = ["a", argument].map(OsString::from);
        let error = command.clone().try_get_matches_from(&arguments);
        let text = shown(&error.unwrap_err(), command, &arguments, &[]).unwrap();
        for line in text.lines().skip(1) {
            let own = ["  tip:", "Usage:", "For more"];
            let is_own = line.is_empty() || own.iter().any(|own| line.starts_with(own));
            assert!(is_own, "{text}");
        }
    }

    #[test]
    fn what_hides_nothing_is_left_to_clap() {
        let arguments = ["a", "--bn=x"].map(OsString::from);
        let command = Command::new("a");
        let error = command.clone().try_get_matches_from(&arguments);
        assert_eq!(shown(&error.unwrap_err(), command, &arguments, &[]), None);
    }

    #[test]
    fn where_it_became_right_the_error_is_one_line() {
        let bn = Arg::new("bn").long("bn").value_parser([r"1\u{a}"]);
        let command = Command::new("a").arg(bn);
        let arguments = ["a", "--bn", "1\n"].map(OsString::from);
        let error = command.clone().try_get_matches_from(&arguments);
        let text = shown(&error.unwrap_err(), command, &arguments, &[]).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn a_variable_is_written_out_too() {
        let values = ["1,2\nerror: x".to_owned(), "\n".to_owned()];
        let text = with_values("got 2\nerror: x\nall: 1,2\nerror: x\n".into(), &values);
        assert_eq!(text, "got 2\\u{a}error: x\nall: 1,2\\u{a}error: x\n");
    }
}
