//! Prints the screen of a run that never was as ANSI text, to be looked at without a session:
//! `cargo run --release --example headless_render -- 120 40 'l c' > screen.ansi`.
//!
//! Arguments: width, height, keys to press, and how many checkpoints the run has (25).

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::env::args;
use std::error::Error;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use isoloss::tui::app::{App, Look};
use isoloss::tui::still::still;
use isoloss::tui::theme::ThemeName;
use ratatui::layout::Size;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = args().skip(1);
    let width = arguments.next().map_or(Ok(120), |text| text.parse())?;
    let height = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let keys = arguments.next().unwrap_or_default();
    let checkpoints = arguments.next().map(|text| text.parse()).transpose()?;
    let mut app = App::new(Look {
        theme: ThemeName::from_environment(),
        ..Look::default()
    });
    let snapshot = checkpoints.map_or_else(synthetic::snapshot, synthetic::path_only);
    app.receive(Arc::new(snapshot));
    for key in keys.chars() {
        if let Some(action) = app.keymap().action(KeyEvent::from(KeyCode::Char(key))) {
            app.update(action);
        }
    }
    print!("{}", still(&app, Size::new(width, height)).ansi());
    Ok(())
}
