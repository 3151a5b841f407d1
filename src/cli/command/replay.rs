//! `isoloss replay`: a recorded session, shown as it was.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;

use crate::cli::appearance::AppearanceOptions;
use crate::cli::late_settings::LateSettings;
use crate::cli::options::ScreenOptions;
use crate::cli::screen::{has_screen, show};
use crate::cli::warn;
use crate::report::{lines, visible};
use crate::session::record::{self};
use crate::session::{Command, Moment, Recording, Snapshot};
use crate::tui::{Invocation, Keymap};

/// Seconds that a replay waits at most where nothing happened for long.
const LONGEST_WAIT: f64 = 2.0;
const REFUSAL: &str = "this is a recording: only what was measured then can be shown";

#[derive(Debug, Args)]
pub(in crate::cli) struct Replay {
    /// File that `isoloss watch --record` wrote
    file: PathBuf,
    /// Speed: a multiple of that at which it happened; nothing is waited for longer than two seconds
    #[arg(long, value_name = "TIMES", default_value_t = 10.0, value_parser = speed)]
    speed: f64,
    #[command(flatten)]
    screen: ScreenOptions,
    #[command(flatten)]
    look: AppearanceOptions,
}

fn speed(text: &str) -> Result<f64, String> {
    let value = text.parse().ok();
    value
        .filter(|value: &f64| (0.01..=1e6).contains(value))
        .ok_or_else(|| "expected a number from 0.01 to 1000000".to_owned())
}

impl Replay {
    pub(in crate::cli) fn run(&self, keymap: Keymap) -> anyhow::Result<()> {
        let recording = Recording::open(&self.file)?;
        if !has_screen() {
            return print_lines(recording);
        }
        let (to_screen, snapshots) = watch::channel(Arc::new(Snapshot::default()));
        let (asked, commands) = channel();
        let player = Player {
            to_screen,
            commands,
            speed: self.speed,
            shown: Snapshot::default(),
            notices: Vec::new(),
        };
        thread::Builder::new()
            .name("player".into())
            .spawn(move || player.play(recording))?;
        // A player that is gone has nothing to say to a command.
        let begin = self.look.choose().begin(keymap, Invocation::default());
        show(
            begin,
            snapshots,
            Vec::new(),
            self.screen,
            LateSettings::none(),
            |command| {
                let _ = asked.send(command);
            },
        )
        .map(drop)
    }
}

/// Prints all lines at once: a pipe need not wait.
fn print_lines(recording: Recording) -> anyhow::Result<()> {
    let mut before = Arc::new(Snapshot::default());
    let mut stdout = io::stdout().lock();
    for moment in recording {
        match moment {
            Ok(Moment { snapshot, .. }) => {
                for line in lines::changes(&before, &snapshot) {
                    writeln!(stdout, "{}", visible::line(&line))?;
                }
                before = snapshot;
            }
            // What was whole has been printed.
            Err(error) => warn::say(error)?,
        }
    }
    Ok(stdout.flush()?)
}

/// Shows a recording to a screen, in time.
struct Player {
    to_screen: watch::Sender<Arc<Snapshot>>,
    commands: Receiver<Command>,
    speed: f64,
    /// The snapshot that was recorded last.
    shown: Snapshot,
    /// Notices of the replay itself.
    notices: Vec<String>,
}

impl Player {
    /// Shows each moment when its time has come; after the last one, answers until the screen is gone.
    fn play(mut self, recording: Recording) {
        let mut now = Duration::ZERO;
        for moment in recording {
            match moment {
                Ok(Moment { at, snapshot }) => {
                    let wait = at.saturating_sub(now).as_secs_f64() / self.speed;
                    let wait = Duration::from_secs_f64(wait.min(LONGEST_WAIT));
                    if !self.wait(Some(wait)) {
                        return;
                    }
                    now = at;
                    self.shown = Arc::unwrap_or_clone(snapshot);
                    self.shown.watching = record::WATCHING.into();
                }
                Err(error) => self.notices.push(error.to_string()),
            }
            self.publish();
        }
        self.wait(None);
    }

    fn publish(&self) {
        let mut snapshot = self.shown.clone();
        snapshot.notices.extend(self.notices.iter().cloned());
        self.to_screen.send_replace(Arc::new(snapshot));
    }

    /// Answers what the user asks, for a time or without end; false when the screen is gone. While the user
    /// pauses, no time passes.
    fn wait(&mut self, mut left: Option<Duration>) -> bool {
        let mut paused = false;
        loop {
            let begun = Instant::now();
            let command = match left.filter(|_| !paused) {
                Some(left) => self.commands.recv_timeout(left),
                None => (self.commands.recv()).map_err(|_| RecvTimeoutError::Disconnected),
            };
            if !paused {
                left = left.map(|left| left.saturating_sub(begun.elapsed()));
            }
            match command {
                Ok(Command::Pause(asked)) => paused = asked,
                Ok(command) => self.refuse(command),
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }

    /// Says that nothing is measured any more, where that was asked for.
    fn refuse(&mut self, command: Command) {
        let has = match command {
            Command::Analyze(None) | Command::Survey(None) | Command::Pause(_) => true,
            Command::Analyze(Some(analysis)) => {
                let known = self.shown.analysis.as_ref();
                known.is_some_and(|known| known.analysis == analysis)
            }
            Command::Survey(Some(_)) | Command::Rescan => false,
        };
        if !has && self.notices.iter().all(|notice| notice != REFUSAL) {
            self.notices.push(REFUSAL.into());
            self.publish();
        }
    }
}
