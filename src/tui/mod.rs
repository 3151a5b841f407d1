//! The screen: what a session knows, drawn in a terminal, and the keys that steer it.
//!
//! ```text
//! key ─▶ keymap ─▶ Action ─▶ App::update ─▶ Command ─▶ session
//!                              │
//! session ─▶ Snapshot ─▶ App ──┴─▶ layout ─▶ render ─▶ terminal
//! ```

mod ascii;
pub mod export;
pub mod input;
pub mod invocation;
pub mod offscreen;
pub mod render;
pub mod reproduce;
pub mod run;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod view;

pub use export::Format;
pub use input::action::Action;
pub use input::key::Key;
pub use input::keymap::Keymap;
pub use input::prompt::PromptKey;
pub use invocation::Invocation;
pub use run::End;
pub use state::choice::View;
pub use state::{App, Appearance};
pub use terminal::Wishes;
pub use theme::Theme;
pub use theme::color::Quantizer;
pub use theme::themes::Themes;
