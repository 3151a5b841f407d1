//! The keys and the mouse: what is pressed, and the action that it means.

pub mod action;
pub(super) mod help_text;
pub mod key;
pub(super) mod key_reader;
pub mod keymap;
pub(super) mod mouse;
pub mod prompt;
