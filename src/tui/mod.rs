//! The screen: what a session knows, drawn in a terminal, and the keys that steer it.
//!
//! ```text
//! key ─▶ keymap ─▶ Action ─▶ App::update ─▶ Command ─▶ session
//!                              │
//! session ─▶ Snapshot ─▶ App ──┴─▶ layout ─▶ render ─▶ terminal
//! ```

pub mod action;
pub mod app;
mod ascii;
pub mod choice;
pub mod cursor;
pub mod export;
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
mod stderr;
pub mod still;
pub mod terminal;
pub mod theme;
mod view;
mod window;
