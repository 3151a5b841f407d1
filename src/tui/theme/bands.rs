//! The bands of maps in few colours. The nearest colours of a gradient would be greys, and pairs of the same
//! one: these are chosen by hand, each a little lighter than the one before.

use crate::plot::{Colormap, Rgb};

use crate::tui::theme::color::colour_of;

/// Blue, magenta, green, cyan and yellow of the sixteen.
pub(in crate::tui) const SIXTEEN: &[Rgb] = &colours([4, 5, 2, 6, 3]);
/// Pale ones for a light ground.
pub(in crate::tui) const PALE: &[Rgb] = &colours([96, 103, 110, 116, 115, 114, 150, 186, 228]);

const VIRIDIS: &[Rgb] = &colours([53, 54, 24, 30, 36, 71, 106, 142, 178]);
const CIVIDIS: &[Rgb] = &colours([17, 24, 60, 242, 244, 101, 137, 143, 179]);
const MAGMA: &[Rgb] = &colours([17, 53, 89, 125, 131, 167, 173, 209, 180]);
const INFERNO: &[Rgb] = &colours([17, 53, 89, 124, 130, 166, 172, 178, 179]);
const PLASMA: &[Rgb] = &colours([18, 54, 90, 126, 132, 168, 173, 209, 178]);
const YL_GN_BU: &[Rgb] = &colours([17, 18, 24, 25, 31, 67, 73, 109, 108]);
const BU_PU: &[Rgb] = &colours([53, 54, 90, 96, 97, 103, 104, 110, 146]);
const YL_OR_BR: &[Rgb] = &colours([52, 88, 94, 130, 136, 137, 172, 173, 143]);

/// Returns a gradient in xterm's 256 colours, for a dark ground.
pub(in crate::tui) fn of(map: Colormap) -> &'static [Rgb] {
    match map {
        Colormap::Viridis => VIRIDIS,
        Colormap::Cividis => CIVIDIS,
        Colormap::Magma => MAGMA,
        Colormap::Inferno => INFERNO,
        Colormap::Plasma => PLASMA,
        Colormap::YlGnBu => YL_GN_BU,
        Colormap::BuPu => BU_PU,
        Colormap::YlOrBr => YL_OR_BR,
    }
}

const fn colours<const COUNT: usize>(numbers: [u8; COUNT]) -> [Rgb; COUNT] {
    let mut colours = [Rgb(0, 0, 0); COUNT];
    let mut at = 0;
    while at < COUNT {
        colours[at] = colour_of(numbers[at]);
        at += 1;
    }
    colours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::color::Lab;

    #[test]
    fn steps_grow_lighter_and_none_comes_twice() {
        for map in Colormap::ALL {
            let light: Vec<f64> = of(map).iter().map(|c| Lab::of(*c).lightness()).collect();
            // A hair darker is made up for by another hue.
            let grows = light.windows(2).all(|pair| pair[1] > pair[0] - 0.02);
            assert!(grows, "{map:?} {light:?}");
            assert!(light[8] > light[0] + 0.35);
        }
        for steps in Colormap::ALL.map(of).into_iter().chain([SIXTEEN, PALE]) {
            for (at, colour) in steps.iter().enumerate() {
                assert!(!steps[..at].contains(colour), "{steps:?}");
            }
        }
    }
}
