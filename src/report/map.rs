//! The map of the screen and its relief as plain characters.

use crate::landscape::Surface;
use crate::plot::map::draw;
use crate::plot::relief::{self};
use crate::plot::{
    AxisTitle, Cell, Extras, Layers, LevelScale, MapScene, Marker, Palette, Picture, SurfaceLayer,
    ViewAngle,
};
use crate::session::schedule::whole_path;
use crate::terminal::speaks_unicode;

use super::broken_lines::broken;

/// Lines down.
const HEIGHT: usize = 30;
/// Characters across and lines down of a picture in colours: a full screen.
pub(super) const SCREEN: [usize; 2] = [120, 40];

/// Contents of a printed map or relief.
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
    /// Doubts, learning-rate drops, a second path.
    pub extras: Extras<'a>,
}

impl<'a> PrintedMap<'a> {
    /// Returns the map of a path alone, with a margin; the last checkpoint is the current one.
    pub(super) fn of_path(
        path: &'a [[f64; 2]],
        axes: [&'a str; 2],
        explained: Option<[f64; 2]>,
    ) -> Self {
        let window = whole_path(path);
        Self {
            surface: None,
            window: [window.x, window.y],
            path,
            current: path.len().saturating_sub(1),
            axes,
            explained,
            extras: Extras::default(),
        }
    }

    /// Returns the same map, with marks where the learning rate fell at these points of the path.
    pub(super) fn with_drops(mut self, drops: &'a [usize]) -> Self {
        self.extras.drops = drops;
        self
    }
}

/// Draws the map this many characters wide, without colours, in braille where the terminal's language has more than ASCII.
#[must_use]
pub fn text(map: &PrintedMap<'_>, width: usize) -> String {
    draw(&scene(map), width, HEIGHT).text()
}

/// Draws the surface as a relief, in the same characters.
#[must_use]
pub fn relief(map: &PrintedMap<'_>, view: ViewAngle, width: usize) -> String {
    relief::draw(&scene(map), view, width, HEIGHT).text()
}

/// Draws the map or its relief in colours, below lines about it.
pub(super) fn picture<'a>(
    map: &PrintedMap<'_>,
    view: Option<ViewAngle>,
    about: impl Iterator<Item = &'a str>,
    palette: Option<Palette>,
) -> Picture {
    let scene = MapScene {
        layers: Layers::Both,
        marker: Marker::Braille,
        palette,
        ..scene(map)
    };
    let [width, height] = SCREEN;
    let drawn = match view {
        Some(view) => relief::draw(&scene, view, width, height),
        None => draw(&scene, width, height),
    };
    titled(about, palette, drawn)
}

/// Returns a picture below lines about it.
pub(super) fn titled<'a>(
    about: impl Iterator<Item = &'a str>,
    palette: Option<Palette>,
    picture: Picture,
) -> Picture {
    let room = picture.width().saturating_sub(2);
    let mut pictures: Vec<Picture> = about
        .flat_map(|line| broken(line, room))
        .map(|line| {
            let mut title = Picture::new(picture.width(), 1);
            title.print(1, 0, &line, Cell::ink(palette.map(|palette| palette.text)));
            title
        })
        .collect();
    pictures.push(picture);
    let mut all = Picture::stacked(&pictures);
    if let Some(palette) = palette {
        all.lay_on(palette.ground);
    }
    all
}

fn scene<'a>(map: &PrintedMap<'a>) -> MapScene<'a> {
    MapScene {
        x: map.window[0],
        y: map.window[1],
        backdrop: map.surface.map(|surface| SurfaceLayer {
            surface,
            stale: false,
        }),
        path: map.path,
        selected: map.current,
        axes: axes(map.axes, map.explained),
        scale: LevelScale::default(),
        layers: layers(),
        marker: marker(),
        palette: None,
        extras: map.extras,
    }
}

/// Returns the titles of the axes.
pub(super) fn axes(names: [&str; 2], explained: Option<[f64; 2]>) -> [AxisTitle; 2] {
    [0, 1].map(|k| AxisTitle {
        name: names[k].to_owned(),
        share: explained.map(|explained| explained[k]),
    })
}

/// Chooses lines without colours, because they read better than shades; ASCII has only shades.
pub(super) fn layers() -> Layers {
    if speaks_unicode() {
        Layers::Lines
    } else {
        Layers::Bands
    }
}

/// Returns braille where the terminal's language has more than ASCII.
pub(crate) fn marker() -> Marker {
    if speaks_unicode() {
        Marker::Braille
    } else {
        Marker::Ascii
    }
}
