//! Milliseconds that a frame takes, for every view at three sizes: with new data, with another checkpoint
//! looked at, and with nothing of its pictures changed; against drawing an empty frame, all measured in turn in
//! one run: `cargo bench --bench frame [-- --json]`. `-- --256`: the same brought down to 256
//! colours.

#[path = "shared/mod.rs"]
mod bench;
#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::error::Error;
use std::sync::Arc;

use isoloss::session::Analysis;
use isoloss::terminal::Depth;
use isoloss::tui::render::render;
use isoloss::tui::{Action, App, Appearance, Quantizer, Themes, View};
use ratatui::backend::TestBackend;
use ratatui::{Frame, Terminal};
use serde_json::{Map, Value, json};

use bench::{in_turn, wants_json};

const ROUNDS: usize = 21;
const SIZES: [(u16, u16); 3] = [(120, 40), (200, 60), (300, 100)];
/// The other runs of a comparison: as many as there may be.
const RIVALS: usize = 5;
/// The change that a frame is drawn after.
const CHANGES: [&str; 3] = ["new data", "cursor", "nothing"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut table = Map::new();
    for (width, height) in SIZES {
        let mut row = Map::new();
        for view in View::ALL {
            row.insert(view.name().into(), measure(view, width, height)?);
        }
        table.insert(format!("{width}x{height}"), Value::Object(row));
    }
    if wants_json() {
        println!("{}", Value::Object(table));
        return Ok(());
    }
    println!("milliseconds a frame (times an empty frame), by what has changed since the last one");
    for (size, row) in &table {
        println!(
            "{size:<12}{}",
            CHANGES.map(|change| format!("{change:>13}")).concat()
        );
        for view in View::ALL {
            let cells = CHANGES.map(|change| {
                let figure = |key: &str| row[view.name()][change][key].as_f64().unwrap_or(f64::NAN);
                let cell = format!("{:.2} ({:.0})", figure("milliseconds"), figure("vs_empty"));
                format!("{cell:>13}")
            });
            println!("  {:<10}{}", view.name(), cells.concat());
        }
    }
    Ok(())
}

fn depth() -> Depth {
    if std::env::args().any(|argument| argument == "--256") {
        Depth::TwoFiftySix
    } else {
        Depth::TrueColor
    }
}

/// Draws a frame as the screen does.
fn show(app: &App, quantizer: &mut Quantizer, frame: &mut Frame<'_>) {
    render(app, frame);
    quantizer.quantize(app.appearance().themes.depth(), frame.buffer_mut());
}

/// A view with all measured that it shows.
fn app(view: View) -> App {
    let snapshot = match view {
        View::Curvature => synthetic::studied(Analysis::Curvature),
        _ => synthetic::snapshot(),
    };
    let mut app = App::new(Appearance {
        themes: Themes::built_in(depth()),
        ..Appearance::default()
    });
    app.receive(Arc::new(snapshot));
    if view == View::Compare {
        app.receive_compared(
            (0..RIVALS)
                .map(|_| Arc::new(synthetic::snapshot()))
                .collect(),
        );
    }
    while app.view() != view {
        app.update(Action::NextView);
    }
    app
}

fn measure(view: View, width: u16, height: u16) -> Result<Value, Box<dyn Error>> {
    let terminal = || Terminal::new(TestBackend::new(width, height));
    let [mut a, mut b, mut c, mut d] = [terminal()?, terminal()?, terminal()?, terminal()?];
    // An app that was never drawn has no picture to go back to.
    let (unseen, mut scrubbed, still) = (app(view), app(view), app(view));
    let [mut first, mut second, mut third] = std::array::from_fn(|_| Quantizer::default());
    let mut back = false;
    let seconds = in_turn(
        ROUNDS,
        &mut [
            &mut || {
                let app = unseen.clone();
                let _ = a.draw(|frame| show(&app, &mut first, frame));
            },
            &mut || {
                back = !back;
                let action = if back {
                    Action::ScrubBack
                } else {
                    Action::ScrubForward
                };
                scrubbed.update(action);
                let _ = b.draw(|frame| show(&scrubbed, &mut second, frame));
            },
            &mut || {
                let _ = c.draw(|frame| show(&still, &mut third, frame));
            },
            &mut || {
                let _ = d.draw(|_| {});
            },
        ],
    );
    let figures = CHANGES.iter().zip(seconds).map(|(change, frame)| {
        let figure = json!({ "milliseconds": frame * 1e3, "vs_empty": frame / seconds[3] });
        ((*change).to_owned(), figure)
    });
    Ok(Value::Object(figures.collect()))
}
