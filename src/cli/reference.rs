//! The reference of commands, options, settings and keys, as Markdown, out of the definitions that the program itself has.

use std::fmt::Write;

use clap::builder::StyledStr;
use clap::{Arg, Command};

use crate::tui::Keymap;

/// Number of commands from which an option is described once for all of them.
const SHARED: usize = 3;

/// Number of own options of another command from which a command is described by that one.
const ALIKE: usize = 6;

/// Headings of options that several commands have, in the order in which `--help` shows them.
const HEADINGS: [&str; 8] = [
    "Run",
    "Data",
    "Model",
    "Device",
    "Plane",
    "Measuring",
    "Appearance",
    "Output",
];

/// Returns the page of a command line. Writing to a String cannot fail.
pub(super) fn of(cli: &Command) -> String {
    let mut cli = cli.clone().disable_help_subcommand(true);
    cli.build();
    let commands: Vec<&Command> = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .collect();
    let mut page = String::from(
        "# Reference\n\nThe program writes this page (`just docs`), and a test compares both.\n\n\
         - [Commands](#commands)\n- [Options of several commands](#options-of-several-commands)\n\
         - [Settings](#settings)\n- [Keys](#keys)\n\n## Commands\n\n| | |\n|---|---|\n",
    );
    for command in &commands {
        let name = command.get_name();
        let about = text(command.get_about());
        let _ = writeln!(page, "| [`{name}`](#{name}) | {about} |");
    }
    for command in &commands {
        describe(&mut page, command, &commands);
    }
    page.push_str("\n## Options of several commands\n");
    for heading in HEADINGS {
        shared(&mut page, heading, &commands);
    }
    page.push_str(
        "\n## Settings\n\nAn option with a variable is a setting: `isoloss.toml` and `config.toml` take it by its name, without the \
         dashes. A flag overrides a variable, which overrides a file. `isoloss config print RUN` shows what is in \
         force and where it comes from.\n\n## Keys\n\nAny of them can be bound otherwise, in `[keys]` of a file.\n\n",
    );
    page.push_str(&Keymap::default().markdown());
    page
}

/// Adds a command with the options that are its own.
fn describe(page: &mut String, command: &Command, commands: &[&Command]) {
    let name = command.get_name();
    let about = text(command.get_about());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(page, "\n### {name}\n\n{about}.\n\n```text\n{usage}\n```\n");
    let (common, mut own): (Vec<&Arg>, Vec<&Arg>) = arguments(command)
        .into_iter()
        .partition(|argument| is_shared(argument, commands));
    let model = model_of(command, &own, commands);
    if let Some(model) = model {
        own.retain(|argument| argument.get_long().is_none() || !has(model, argument));
    }
    if !own.is_empty() {
        table(page, &own);
    }
    if let Some(model) = model {
        let name = model.get_name();
        let _ = write!(page, "\nAll options of [`{name}`](#{name}).\n");
        return;
    }
    let groups = HEADINGS
        .iter()
        .filter_map(|heading| group(heading, &common, commands));
    let groups: Vec<String> = groups.collect();
    if !groups.is_empty() {
        let _ = write!(
            page,
            "\nOptions of several commands: {}.\n",
            groups.join("; ")
        );
    }
    for nested in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
    {
        let usage = nested.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").to_owned();
        let _ = write!(page, "\n`{usage}`: {}.\n", text(nested.get_about()));
    }
}

/// Returns a link to the shared options under a heading that are `common` to a command, by name if these are not all of
/// them; `None` if there are none.
fn group(heading: &str, common: &[&Arg], commands: &[&Command]) -> Option<String> {
    let is_under = |argument: &&&Arg| argument.get_help_heading() == Some(heading);
    let own: Vec<String> = common
        .iter()
        .filter(is_under)
        .filter_map(|argument| Some(format!("`--{}`", argument.get_long()?)))
        .collect();
    let link = format!("[{heading}](#{})", heading.to_lowercase());
    match own.len() {
        0 => None,
        all if all == under(heading, commands).len() => Some(format!("all of {link}")),
        _ => Some(format!("{} of {link}", own.join(", "))),
    }
}

/// Returns the command before this one that has nearly all of its own options.
fn model_of<'a>(command: &Command, own: &[&Arg], commands: &[&'a Command]) -> Option<&'a Command> {
    let before = commands
        .iter()
        .take_while(|other| other.get_name() != command.get_name());
    let shares = |other: &&&Command| {
        let same = own
            .iter()
            .filter(|argument| argument.get_long().is_some() && has(other, argument));
        same.count() >= ALIKE
    };
    before.copied().find(|other| shares(&other))
}

/// Adds the shared options under a heading.
fn shared(page: &mut String, heading: &str, commands: &[&Command]) {
    let options = under(heading, commands);
    if !options.is_empty() {
        let _ = write!(page, "\n### {heading}\n");
        table(page, &options);
    }
}

/// Returns the shared options under a heading, each once.
fn under<'a>(heading: &str, commands: &[&'a Command]) -> Vec<&'a Arg> {
    let mut seen: Vec<&Arg> = Vec::new();
    for argument in commands.iter().flat_map(|command| arguments(command)) {
        let is_new = !seen
            .iter()
            .any(|known| known.get_long() == argument.get_long());
        if argument.get_help_heading() == Some(heading) && is_new && is_shared(argument, commands) {
            seen.push(argument);
        }
    }
    seen
}

/// Returns the arguments and options that users see, but for `--help`.
fn arguments(command: &Command) -> Vec<&Arg> {
    let all = command.get_arguments();
    all.filter(|argument| !argument.is_hide_set() && argument.get_id() != "help")
        .collect()
}

/// Returns true if several commands have this option in the same words.
fn is_shared(argument: &Arg, commands: &[&Command]) -> bool {
    let have = commands.iter().filter(|command| has(command, argument));
    argument.get_long().is_some() && have.count() >= SHARED
}

/// Returns true if a command has this option in the same words.
fn has(command: &Command, argument: &Arg) -> bool {
    let is_same = |other: &Arg| {
        other.get_long() == argument.get_long()
            && text(other.get_help()) == text(argument.get_help())
    };
    command.get_arguments().any(is_same)
}

/// Adds a table of arguments.
fn table(page: &mut String, arguments: &[&Arg]) {
    page.push_str("\n| | | default | variable |\n|---|---|---|---|\n");
    for argument in arguments {
        let name = escaped(&argument.to_string());
        let mut help = text(argument.get_help());
        let values = argument.get_possible_values().into_iter();
        for value in
            values.filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
        {
            let about = value
                .get_help()
                .map(|about| format!(": {}", escaped(&about.to_string())));
            let _ = write!(
                help,
                "<br>`{}`{}",
                value.get_name(),
                about.unwrap_or_default()
            );
        }
        let defaults = argument.get_default_values().iter();
        let defaults: Vec<String> = defaults
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.to_string_lossy()))
            .collect();
        let variable = argument
            .get_env()
            .map(|name| format!("`{}`", name.to_string_lossy()));
        let _ = writeln!(
            page,
            "| `{name}` | {help} | {} | {} |",
            defaults.join(" "),
            variable.unwrap_or_default()
        );
    }
}

fn text(words: Option<&StyledStr>) -> String {
    words.map_or_else(String::new, |words| escaped(&words.to_string()))
}

/// Returns a cell of a table.
fn escaped(words: &str) -> String {
    words.replace('|', "\\|").replace('\n', " ")
}
