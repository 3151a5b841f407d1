//! `isoloss completions`: what shells and `man` need to know, out of the definition of the command line.

use std::{io, iter};

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::cli::output;

const NAME: &str = env!("CARGO_PKG_NAME");

#[derive(Debug, Args)]
pub(in crate::cli) struct Completions {
    /// Shell whose completion script is printed, or `man` for the manual page
    #[arg(value_name = "SHELL")]
    reader: Reader,
}

/// The shell, or `man`, that reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Reader {
    Bash,
    Zsh,
    Fish,
    Powershell,
    Elvish,
    Man,
}

impl Completions {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        let shell = match self.reader {
            Reader::Bash => Shell::Bash,
            Reader::Zsh => Shell::Zsh,
            Reader::Fish => Shell::Fish,
            Reader::Powershell => Shell::PowerShell,
            Reader::Elvish => Shell::Elvish,
            Reader::Man => return output::to_stdout(&String::from_utf8_lossy(&man_pages()?)),
        };
        let mut script = Vec::new();
        generate(shell, &mut visible(), NAME, &mut script);
        output::to_stdout(&String::from_utf8_lossy(&script))
    }
}

/// Returns the command line as users know it; generators do not pass over hidden commands.
fn visible() -> Command {
    let cli = Cli::command();
    let commands = cli
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(cli.get_about().cloned().unwrap_or_default())
        .after_help(cli.get_after_help().cloned().unwrap_or_default())
        .subcommands(commands.cloned())
}

/// Returns the page of the program and those of its commands, one after another as `man -l` shows them: options
/// are told by the commands that have them.
fn man_pages() -> io::Result<Vec<u8>> {
    let mut cli = visible().disable_help_subcommand(true);
    cli.build();
    let mut pages = Vec::new();
    for command in iter::once(&cli).chain(cli.get_subcommands()) {
        Man::new(command.clone()).render(&mut pages)?;
    }
    Ok(pages)
}
