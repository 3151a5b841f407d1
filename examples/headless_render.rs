//! Prints the screen of a run that never was as ANSI text, to be looked at without a session:
//! `cargo run --release --example headless_render -- 120 40 'l c' > screen.ansi`.
//!
//! Arguments: width, height, keys to press, how many checkpoints the run has where there is no
//! surface (`-`: 25 and a surface), theme, and colours (`truecolor`, `256`, `16`, `never`).

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::env::args;
use std::error::Error;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use isoloss::terminal::Depth;
use isoloss::tui::render::render;
use isoloss::tui::{App, Appearance, Quantizer, Themes};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = args().skip(1);
    let width = arguments.next().map_or(Ok(120), |text| text.parse())?;
    let height = arguments.next().map_or(Ok(40), |text| text.parse())?;
    let keys = arguments.next().unwrap_or_default();
    let checkpoints = arguments.next().filter(|text| text != "-");
    let checkpoints = checkpoints.map(|text| text.parse()).transpose()?;
    let theme = arguments.next().unwrap_or_else(|| "dark".into());
    let depth = arguments.next().unwrap_or_else(|| "truecolor".into());
    let depth: Depth = serde_json::from_value(depth.into())?;
    let mut themes = Themes::built_in(depth);
    if !themes.select(&theme) {
        return Err(format!("there is no theme {theme}").into());
    }
    let mut app = App::new(Appearance {
        themes,
        ..Appearance::default()
    });
    let snapshot = checkpoints.map_or_else(synthetic::snapshot, synthetic::path_only);
    app.receive(Arc::new(snapshot));
    for key in keys.chars() {
        if let Some(action) = app.keymap().action(KeyEvent::from(KeyCode::Char(key))) {
            app.update(action);
        }
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| {
        render(&app, frame);
        Quantizer::default().quantize(depth, frame.buffer_mut());
    })?;
    print!("{}", ansi(terminal.backend().buffer()));
    Ok(())
}

/// The buffer as text with ANSI escapes.
fn ansi(buffer: &Buffer) -> String {
    let colour = |colour: Color, layer: u8| match colour {
        Color::Rgb(r, g, b) => format!(";{layer};2;{r};{g};{b}"),
        Color::Indexed(number) => format!(";{layer};5;{number}"),
        _ => String::new(),
    };
    let mut text = String::new();
    for row in buffer.content.chunks(buffer.area.width.into()) {
        for cell in row {
            let attributes = [
                (Modifier::BOLD, ";1"),
                (Modifier::DIM, ";2"),
                (Modifier::REVERSED, ";7"),
            ];
            let set = attributes
                .iter()
                .filter(|(m, _)| cell.modifier.contains(*m));
            let codes: String = set.map(|(_, code)| *code).collect();
            let (ink, ground) = (colour(cell.fg, 38), colour(cell.bg, 48));
            text.extend(["\x1b[0", &codes, &ink, &ground, "m", cell.symbol()]);
        }
        text += "\x1b[0m\n";
    }
    text
}
