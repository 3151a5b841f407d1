//! The program in real terminals: what it draws, and that it always gives the terminal back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]
#![cfg(unix)]

mod ending;
mod faults;
mod look;
#[path = "../program/mod.rs"]
mod program;
mod screen;
mod suspending;
mod terminal;
mod tmux;
