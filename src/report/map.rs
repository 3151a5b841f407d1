//! The map of the screen and its relief as plain characters.

use crate::landscape::surface::Surface;
use crate::plot::levels::Scale;
use crate::plot::map::{AxisTitle, Backdrop, Layers, MapScene, draw};
use crate::plot::raster::Marker;
use crate::plot::relief::{self, View};

/// Characters across and lines down: what fits a page and most terminals.
const WIDTH: usize = 96;
const HEIGHT: usize = 30;

/// What a printed map or relief shows.
#[derive(Clone, Debug)]
pub struct PrintedMap<'a> {
    /// The measured surface, if there is one.
    pub surface: Option<&'a Surface>,
    /// Range of α and of β.
    pub window: [[f64; 2]; 2],
    /// The path, oldest first.
    pub path: &'a [[f64; 2]],
    /// Index of the checkpoint that is marked as current.
    pub current: usize,
    /// Names of the axes.
    pub axes: [&'a str; 2],
    /// Share of the path's variance along each axis.
    pub explained: Option<[f64; 2]>,
}

/// Draws the map without colours, in braille where the terminal's language has more than ASCII.
#[must_use]
pub fn text(map: &PrintedMap<'_>) -> String {
    draw(&scene(map), WIDTH, HEIGHT).text()
}

/// Draws the surface as a relief, in the same characters.
#[must_use]
pub fn relief(map: &PrintedMap<'_>, view: View) -> String {
    relief::draw(&scene(map), view, WIDTH, HEIGHT).text()
}

fn scene<'a>(map: &PrintedMap<'a>) -> MapScene<'a> {
    let title = |k: usize| AxisTitle {
        name: map.axes[k].to_owned(),
        share: map.explained.map(|explained| explained[k]),
    };
    let unicode = speaks_unicode();
    MapScene {
        x: map.window[0],
        y: map.window[1],
        backdrop: map.surface.map(|surface| Backdrop {
            surface,
            shift: [0.0, 0.0],
            stale: false,
        }),
        path: map.path,
        selected: map.current,
        axes: [title(0), title(1)],
        scale: Scale::default(),
        // Without colours, lines read better than shades; ASCII has only shades.
        layers: if unicode {
            Layers::Lines
        } else {
            Layers::Bands
        },
        marker: if unicode {
            Marker::Braille
        } else {
            Marker::Ascii
        },
        tints: None,
    }
}

/// By the variables that POSIX has for it, the strongest first.
fn speaks_unicode() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let language = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    language.is_none_or(|language| {
        language
            .to_ascii_lowercase()
            .replace('-', "")
            .contains("utf8")
    })
}
