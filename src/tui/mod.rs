//! The screen: what a session knows, drawn in a terminal, and the keys that steer it.
//!
//! ```text
//! key ─▶ keymap ─▶ Action ─▶ App::update ─▶ Command ─▶ session
//!                              │
//! session ─▶ Snapshot ─▶ App ──┴─▶ layout ─▶ render ─▶ terminal
//! ```

pub mod action;
mod ascii;
pub mod color;
pub mod detect;
pub mod export;
pub mod ground;
mod guide;
mod input;
pub mod invocation;
pub mod key;
pub mod keymap;
pub mod layout;
mod line;
mod mouse;
mod pictures;
pub mod prompt;
pub mod render;
pub mod reproduce;
pub mod run;
mod signals;
pub mod state;
mod stderr;
mod steps;
pub mod still;
pub mod terminal;
pub mod theme;
pub mod themes;
mod view;
