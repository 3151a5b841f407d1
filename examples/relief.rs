//! Prints the surface of a run that never was as a relief in ANSI text, and on stderr how long a
//! picture takes: `cargo run --release --example relief -- 120 40 30 35 braille bands+lines dark`.
//!
//! Arguments: width, height, turn, tilt, characters, layers, theme (dark, light or mono).

#[path = "../tests/synthetic/mod.rs"]
mod synthetic;

use std::env::args;
use std::error::Error;
use std::time::{Duration, Instant};

use isoloss::plot::relief::draw;
use isoloss::plot::{AxisTitle, Layers, LevelScale, MapScene, Marker, SurfaceLayer, ViewAngle};
use isoloss::session::schedule::whole_path;
use isoloss::tui::Themes;

/// Pictures that are timed, each turned a little further.
const ROUNDS: u32 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().skip(1).collect();
    let argument = |index: usize, default: &str| {
        let given = arguments.get(index).map(String::as_str);
        given.unwrap_or(default).to_owned()
    };
    let (width, height) = (argument(0, "120").parse()?, argument(1, "40").parse()?);
    let view = ViewAngle {
        turn: argument(2, "30").parse()?,
        tilt: argument(3, "35").parse()?,
    };
    let path = synthetic::trajectory(25);
    let window = whole_path(&path.coordinates);
    let surface = synthetic::surface(&path, 5, 0);
    let title = |k: usize| AxisTitle {
        name: format!("PC{}", k + 1),
        share: path.explained.get(k).copied(),
    };
    let mut themes = Themes::default();
    themes.select(&argument(6, "dark"));
    let scene = MapScene {
        x: window.x,
        y: window.y,
        backdrop: Some(SurfaceLayer {
            surface: &surface,
            stale: false,
        }),
        path: &path.coordinates,
        selected: path.coordinates.len() - 1,
        axes: [title(0), title(1)],
        scale: LevelScale::Log,
        layers: layers(&argument(5, "bands+lines")),
        marker: marker(&argument(4, "braille")),
        palette: themes.current().palette(),
        extras: isoloss::plot::map::Extras::default(),
    };
    print!("{}", draw(&scene, view, width, height).ansi());
    let each = time(&scene, view, width, height);
    eprintln!("{:.2} ms a picture", each.as_secs_f64() * 1e3);
    Ok(())
}

fn time(scene: &MapScene<'_>, view: ViewAngle, width: usize, height: usize) -> Duration {
    let start = Instant::now();
    for round in 0..ROUNDS {
        let view = view.moved(f64::from(round) * 3.6, 0.0);
        std::hint::black_box(draw(scene, view, width, height));
    }
    start.elapsed() / ROUNDS
}

fn marker(name: &str) -> Marker {
    let found = Marker::ALL.into_iter().find(|marker| marker.name() == name);
    found.unwrap_or_default()
}

fn layers(name: &str) -> Layers {
    let all = [Layers::Both, Layers::Bands, Layers::Lines];
    let found = all.into_iter().find(|layers| layers.name() == name);
    found.unwrap_or_default()
}
