//! `isoloss demo`: trains a small real network in a child process and watches it.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use anyhow::Context;
use clap::Args;
use tempfile::TempDir;

use crate::cache::KeepLimit;
use crate::data::{self, Count, DIGITS, DataRequest, SampleOrder};
use crate::demo::{DemoOptions, train};
use crate::landscape::curvature::product::KEEP_GRAPH;
use crate::landscape::{Budget, Place, Setup};
use crate::model::{Activation, Reading};
use crate::report::summary;
use crate::run::RunChoice;
use crate::session::{CheckpointState, Options, Session, Snapshot};
use crate::tui::{Invocation, Keymap};
use crate::weights::BatchNorm;

use super::watch::print_lines;
use crate::cli::appearance::AppearanceOptions;
use crate::cli::exit::{Ended, asked_to_end};
use crate::cli::hosting::HostingOptions;
use crate::cli::late_settings::LateSettings;
use crate::cli::options::ScreenOptions;
use crate::cli::outlet::Outlet;
use crate::cli::screen::{has_screen, show_session};
use crate::cli::{output, startup};

/// Samples that the map is measured on: enough for a smooth surface, few enough that it stands while
/// the next checkpoint is still being trained.
const SAMPLES: usize = 256;
/// Lines a side of the level at which the map of `--headless` is good enough to end with.
const GOOD_LINES: usize = 17;

#[derive(Debug, Args)]
pub(in crate::cli) struct Demo {
    /// Without a screen: plain lines, and at the end of training the map and a summary
    #[arg(long)]
    headless: bool,
    /// Seconds that the network trains
    #[arg(long, default_value_t = 60.0, value_name = "SECONDS", value_parser = seconds)]
    seconds: f64,
    /// Seed of the network and of the samples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    hosting: HostingOptions,
    #[command(flatten)]
    screen: ScreenOptions,
    #[command(flatten)]
    look: AppearanceOptions,
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text
        .parse()
        .ok()
        .filter(|value| (0.0..=86400.0).contains(value));
    value.ok_or_else(|| "expected a number of seconds up to a day".to_owned())
}

impl Demo {
    pub(in crate::cli) fn run(&self, keymap: Keymap) -> anyhow::Result<()> {
        let folder =
            TempDir::with_prefix("isoloss-demo-").context("the demo's folder cannot be made")?;
        let hosting = self.hosting.hosting(Budget::Auto, &[folder.path()])?;
        let training = Training::start(&folder, self)?;
        startup::be_nice();
        let options = Options {
            run: folder.path().to_path_buf(),
            choice: RunChoice::default(),
            // Its folder is gone with it.
            keep: KeepLimit::Nothing,
            disk_only: true,
            setup: Setup {
                // It is known what is trained, and a path of so few large steps would not tell it.
                reading: Reading {
                    activation: Some(Activation::Relu),
                    ..Reading::default()
                },
                devices: vec![Place::Auto],
                ..Setup::of(DataRequest {
                    count: Count::At(SAMPLES),
                    order: SampleOrder::Random,
                    seed: self.seed,
                    ..DataRequest::whole(DIGITS)
                })
            },
            hosting,
            batch_norm: BatchNorm::Frozen,
            fidelity: None,
        };
        let invocation = Invocation::of(&options, &[]);
        let session = Session::start(options)?;
        if !self.headless && has_screen() {
            let begin = self.look.choose().begin(keymap, invocation);
            return show_session(begin, &session, &[], self.screen, LateSettings::none()).map(drop);
        }
        let last = crate::cli::runtime()?.block_on(async {
            let outlet = Outlet::start()?;
            let is_over = |snapshot: &Snapshot| training.is_over(snapshot);
            tokio::select! {
                last = print_lines(&session, &outlet, false, is_over) => last.map_err(anyhow::Error::from),
                // The demo's folder must not outlive the demo.
                number = asked_to_end() => Err(Ended(number).into()),
            }
        })?;
        training.check()?;
        output::to_stdout(&summary::text(&last))
    }
}

/// The child process that trains. It ends with this process, whatever ends it: its input closes.
struct Training {
    child: Mutex<Child>,
    checkpoints: usize,
}

impl Training {
    fn start(folder: &TempDir, demo: &Demo) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the demo cannot find its own program")?;
        let mut command = Command::new(program);
        command.arg("demo-train").arg(folder.path());
        command.args([
            "--seconds",
            &demo.seconds.to_string(),
            "--seed",
            &demo.seed.to_string(),
        ]);
        command.env_remove(KEEP_GRAPH);
        // The other cores are for measuring; candle has a pool of its own beside rayon's.
        command
            .env("RAYON_NUM_THREADS", "1")
            .env("CANDLE_NUM_THREADS", "1");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .context("the demo's training cannot be started")?;
        Ok(Self {
            child: Mutex::new(child),
            checkpoints: DemoOptions::default().checkpoints,
        })
    }

    /// Returns true if training has ended and the map of all its checkpoints is good enough, or if it has
    /// failed.
    fn is_over(&self, snapshot: &Snapshot) -> bool {
        let Ok(mut child) = self.child.lock() else {
            return true;
        };
        match child.try_wait() {
            Ok(None) => return false,
            Ok(Some(status)) if status.success() => {}
            Ok(Some(_)) | Err(_) => return true,
        }
        let states = snapshot.checkpoints.iter().map(|line| &line.state);
        let on_path = states
            .filter(|state| **state == CheckpointState::OnPath)
            .count();
        let stands = snapshot.map.as_ref().is_some_and(|map| !map.stale);
        on_path >= self.checkpoints
            && stands
            && snapshot
                .progress
                .lines
                .is_none_or(|lines| lines > GOOD_LINES)
    }

    /// Returns an error when training failed, with what it said.
    fn check(&self) -> anyhow::Result<()> {
        let Ok(mut child) = self.child.lock() else {
            return Ok(());
        };
        if child.try_wait()?.is_some_and(|status| !status.success()) {
            let mut said = String::new();
            if let Some(stderr) = &mut child.stderr {
                stderr.read_to_string(&mut said)?;
            }
            anyhow::bail!("the demo's training failed: {}", said.trim());
        }
        Ok(())
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DemoTrain {
    /// Folder for the checkpoints
    out: PathBuf,
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl DemoTrain {
    pub(in crate::cli) fn run(&self) -> anyhow::Result<()> {
        std::thread::spawn(|| {
            // The end of input is the end of the watching process.
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
        let samples = data::load(&DataRequest::whole("digits"))?;
        let options = DemoOptions {
            seconds: self.seconds,
            seed: self.seed,
            ..DemoOptions::default()
        };
        Ok(train(&samples, &self.out, &options)?)
    }
}
