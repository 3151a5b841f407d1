//! isoloss watches a training run's checkpoint folder, places every checkpoint on the principal
//! plane of the run's own trajectory, measures the loss around it and draws contours and path.
//!
//! ```text
//!  run/            weights/                    landscape/                plot/           tui/ | report/
//!  scan ─▶ read ─▶ Gram ─▶ PCA ─▶ Plane ─────▶ Survey ─▶ Objective ────▶ Surface ─▶ levels, contours ─▶ picture
//!                                              (which     (loss at θ)
//!                                               point         ▲
//!                                               next)         │
//!                                     model/ (forward pass) ──┤
//!                                     loss/  (of its output) ─┤
//!                                     data/  (fixed samples) ─┤
//!                      evaluator/ (a program of the user's) ─┘
//! ```
//!
//! Data goes from left to right and never back; control goes the other way, as one
//! [`tui::input::action::Action`] or [`session::snapshot::Command`]. [`session`] holds the threads of a live
//! run together, [`cli`] has a file for each command, [`config`] gives its options other defaults, [`demo`]
//! trains the network that is watched where there is nothing else to watch.
//! [`cache`] keeps copies of the checkpoints that a session has read, [`store`] the values that were measured; `host`
//! names this machine, `spare` reuses buffers, [`terminal`] knows colours and characters of the terminal. `test_device`
//! runs tests on each device, and `test_process` some of them in a process of their own.
//!
//! The path of a run and the variance that its plane holds, without a screen:
//!
//! ```
//! use std::path::Path;
//!
//! use isoloss::run::{self, RunChoice};
//! use isoloss::weights::path::RunPath;
//! use isoloss::weights::trajectory::random_walk_share;
//!
//! let opened = run::open(Path::new("tests/fixtures/digits-run"), &RunChoice::default(), Vec::new())?;
//! let mut path = RunPath::new(None);
//! path.update(opened.checkpoints, |_read, _all| ());
//! let (checkpoints, fit) = path.fit();
//! let held: f64 = fit.trajectory.explained.iter().take(2).sum();
//! let null = random_walk_share(1) + random_walk_share(2);
//! println!("PC1+2 {:.1} % of {} checkpoints (random walk {:.0} %)", 100.0 * held, checkpoints.len(), 100.0 * null);
//! assert!((held - 0.985).abs() < 1e-3 && held > null);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Rules, kept by `tests/architecture.rs`:
//! - `tui` and `report` know the rooms before them; none of these knows `tui`, `report` or `cli`.
//! - `run`, `weights` and `plot` do not know candle; it enters in `model`, `loss`, `landscape` and
//!   `demo`.
//! - tokio lives in `session` (a channel), `tui` (the loop) and `cli`.
//! - A device is always an argument. Randomness is always a seed that the output names.

#[cfg(test)]
#[macro_use]
mod test_device;
#[cfg(test)]
mod test_process;

mod brief;
pub mod cache;
pub mod cli;
pub mod config;
pub mod data;
pub mod demo;
pub mod evaluator;
mod host;
pub mod landscape;
pub mod loss;
pub mod model;
pub mod plot;
pub mod report;
pub mod run;
pub mod session;
mod spare;
pub mod store;
pub mod terminal;
pub mod tui;
pub mod weights;
