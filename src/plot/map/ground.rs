//! The lowest layer of the map: bands of loss, holes, and what is not known yet.

use super::super::picture::{Cell, Picture, Rgb};
use super::super::raster::Marker;
use super::{Palette, SampledScene};

/// Shades of 7-bit characters, lowest first.
const ASCII_RAMP: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];
/// Shades of other characters; none is heavy, so that lines and path stay readable.
const SHADE_RAMP: [char; 5] = [' ', '·', ':', '░', '▒'];
/// Ground over a dim band, where there are no fainter colours.
const VEIL: char = '░';

/// Contrast of a sign to its band.
const SIGN: f64 = 0.35;

/// Characters that say something other than a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signs {
    /// Sign of points that were measured to be NaN.
    pub(super) hole: char,
    /// Above the top level.
    pub(super) clipped: char,
    /// Not known yet.
    pub(super) unknown: char,
}

impl Signs {
    pub(super) fn of(marker: Marker) -> Self {
        let (hole, clipped, unknown) = match marker {
            Marker::Ascii => ('!', '^', '?'),
            _ => ('╳', '^', '·'),
        };
        Self {
            hole,
            clipped,
            unknown,
        }
    }
}

impl SampledScene<'_> {
    pub(super) fn draw_ground(&self, picture: &mut Picture) {
        if self.lattice.is_none() {
            return;
        }
        for row in 0..self.area.height {
            for column in 0..self.area.width {
                let cell = self.ground(column, row);
                picture.put(self.area.left + column, self.area.top + row, cell);
            }
        }
    }

    fn ground(&self, column: usize, row: usize) -> Cell {
        let signs = Signs::of(self.scene.marker);
        let sparse = column % 4 == (row % 2) * 2;
        let even = (column + row).is_multiple_of(2);
        let (loss, _) = match self.at(column, row) {
            Some(known) => known,
            None if sparse => return self.sign(signs.unknown),
            None => return Cell::default(),
        };
        if !loss.is_finite() {
            return if even {
                self.sign(signs.hole)
            } else {
                Cell::default()
            };
        }
        let band = self.levels.band(loss);
        let cell = if self.has_bands() {
            self.shade(band, self.dimness(column, row))
        } else {
            Cell::default()
        };
        if self.is_clipped(band) && sparse {
            self.clipped(cell)
        } else {
            cell
        }
    }

    /// Returns a sign that says something other than a loss.
    fn sign(&self, symbol: char) -> Cell {
        Cell {
            symbol,
            ..self.scene.faint_ink()
        }
    }

    /// Returns a cell of the highest band with the sign that it has no upper end.
    pub(super) fn clipped(&self, cell: Cell) -> Cell {
        let sign = self.sign(Signs::of(self.scene.marker).clipped);
        match cell.background {
            Some(behind) => Cell {
                symbol: sign.symbol,
                foreground: Some(contrast(behind, SIGN)),
                ..cell
            },
            None => sign,
        }
    }

    /// Returns true if a band is open above.
    pub(super) fn is_clipped(&self, band: usize) -> bool {
        band > 0 && band + 1 == self.levels.bands()
    }

    /// Returns a cell of a band, by how dim it is, 0 to 1.
    pub(super) fn shade(&self, band: usize, dimness: f64) -> Cell {
        let dim = dimness > 0.5;
        let bands = self.levels.bands();
        let ramp: &[char] = match self.scene.marker {
            Marker::Ascii => &ASCII_RAMP,
            _ => &SHADE_RAMP,
        };
        let symbol = ramp[(band * (ramp.len() - 1))
            .div_ceil((bands - 1).max(1))
            .min(ramp.len() - 1)];
        match self.scene.palette {
            None => Cell {
                symbol,
                dim,
                ..Cell::default()
            },
            Some(palette) => {
                let [colour, dimmed] =
                    [false, true].map(|dim| band_colour(&palette, band, bands, dim));
                let colour = colour.towards(dimmed, dimness);
                if self.scene.marker.is_ascii() {
                    let ink = colour.towards(palette.text, 0.2 * (1.0 - dimness));
                    Cell {
                        symbol,
                        ..Cell::ink(Some(ink))
                    }
                } else if dim && !palette.bands.has_shades() {
                    Cell {
                        symbol: VEIL,
                        background: Some(colour),
                        ..Cell::ink(Some(palette.ground))
                    }
                } else {
                    Cell {
                        background: Some(colour),
                        ..Cell::default()
                    }
                }
            }
        }
    }
}

/// Returns the colour behind a band.
pub(crate) fn band_colour(palette: &Palette, band: usize, bands: usize, dim: bool) -> Rgb {
    palette.bands.band(band, bands, palette.ground, dim)
}

/// Returns a colour that stands out from a background by this share: lighter on dark, darker on light.
pub(super) fn contrast(background: Rgb, share: f64) -> Rgb {
    let end = if background.luma() < 0.45 { 255 } else { 0 };
    background.towards(Rgb(end, end, end), share)
}
