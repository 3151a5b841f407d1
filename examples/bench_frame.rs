//! Milliseconds that a frame takes, for every view at three sizes, against drawing an empty frame, all
//! measured in turn in one run: `cargo run --release --example bench_frame [-- --json]`.

#[path = "bench/mod.rs"]
mod bench;
#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::error::Error;
use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent};
use isoloss::tui::app::{App, Look};
use isoloss::tui::keymap;
use isoloss::tui::render::render;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Map, Value, json};

use bench::{in_turn, wants_json};

const ROUNDS: usize = 21;
const SIZES: [(u16, u16); 3] = [(120, 40), (200, 60), (300, 100)];
const VIEWS: [char; 7] = ['1', '2', '3', '4', '5', '6', '7'];

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Map::new();
    for (width, height) in SIZES {
        let mut row = Map::new();
        for view in VIEWS {
            row.insert(view.into(), measure(view, width, height)?);
        }
        table.insert(format!("{width}x{height}"), Value::Object(row));
    }
    if wants_json() {
        println!("{}", Value::Object(table));
        return Ok(());
    }
    println!("milliseconds a frame (times an empty frame), views by their keys");
    println!(
        "{:<8} {}",
        "",
        VIEWS.map(|view| format!("{view:>13}")).concat()
    );
    for (size, row) in &table {
        let cells = VIEWS.map(|view| {
            let figure = |key: &str| row[view.to_string()][key].as_f64().unwrap_or(f64::NAN);
            let cell = format!("{:.2} ({:.0})", figure("milliseconds"), figure("vs_empty"));
            format!("{cell:>13}")
        });
        println!("{size:<8} {}", cells.concat());
    }
    Ok(())
}

fn measure(view: char, width: u16, height: u16) -> Result<Value, Box<dyn Error>> {
    let mut app = App::new(Look::default());
    app.receive(Arc::new(synthetic::snapshot()));
    if let Some(action) = keymap::action(KeyEvent::from(KeyCode::Char(view))) {
        app.update(action);
    }
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    let mut other = Terminal::new(TestBackend::new(width, height))?;
    let [frame, empty] = in_turn(
        ROUNDS,
        &mut [
            &mut || {
                let _ = terminal.draw(|frame| render(&app, frame));
            },
            &mut || {
                let _ = other.draw(|_| {});
            },
        ],
    );
    Ok(json!({ "milliseconds": frame * 1e3, "vs_empty": frame / empty }))
}
