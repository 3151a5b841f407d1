//! The screen: what a session knows, drawn in a terminal, and the keys that steer it.
//!
//! ```text
//! key ─▶ keymap ─▶ Action ─▶ App::update ─▶ Command ─▶ session
//!                              │
//! session ─▶ Snapshot ─▶ App ──┴─▶ layout ─▶ render ─▶ terminal
//! ```

pub mod action;
mod age;
mod ascii;
pub mod background;
pub mod color;
mod color_levels;
pub mod export;
mod help_text;
mod input;
pub mod invocation;
pub mod key;
pub mod keymap;
pub mod layout;
mod line;
mod mouse;
pub mod offscreen;
mod pictures;
pub mod prompt;
pub mod render;
pub mod reproduce;
pub mod run;
mod signals;
pub mod state;
mod stderr;
pub mod terminal;
pub mod theme;
pub mod themes;
mod view;
