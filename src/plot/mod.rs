//! Pictures as pure geometry: levels, contours, rasters, axes, and the map and the relief as grids of
//! character cells. Nothing here knows a terminal; the screen copies a [`picture::Picture`], a report
//! prints it.

pub mod axis;
mod blocks;
mod canvas;
pub mod chart;
pub mod colormap;
pub mod contour;
pub mod film;
pub mod graph;
pub mod levels;
pub mod map;
pub mod matrix;
pub mod picture;
pub mod picture_key;
pub mod png;
pub mod raster;
pub mod relief;
pub mod svg;

#[cfg(test)]
mod test_scene;
pub mod title;

pub use chart::Chart;
pub use colormap::{Bands, Colormap};
pub use film::Reel;
pub use graph::{AxisSide, Curve, Graph, Mark, Stroke};
pub use levels::LevelScale;
pub use map::panels::Panel;
pub use map::{AxisTitle, Extras, Layers, MapScene, Palette, SurfaceLayer, Uncertainty};
pub use picture::{Cell, Picture, Rgb};
pub use picture_key::PictureKey;
pub use png::Pixels;
pub use raster::{Marker, Raster};
pub use relief::ViewAngle;
