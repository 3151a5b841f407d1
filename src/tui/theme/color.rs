//! A frame's colours brought down to those that the terminal can show.

use std::collections::HashMap;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

use crate::plot::Rgb;
use crate::terminal::Depth;

/// Returns the numbers of a depth's colours, in SGR 38;5. The first sixteen are the user's own to choose, so that those
/// of the larger palette do not count on them.
fn palette(depth: Depth) -> &'static [u8] {
    match depth {
        Depth::Mono | Depth::TrueColor => &[],
        Depth::Sixteen => &NUMBERS.0,
        Depth::TwoFiftySix => &NUMBERS.1,
    }
}

/// 0 to 15, and 16 to 255.
const NUMBERS: ([u8; 16], [u8; 240]) = {
    let (mut few, mut many) = ([0; 16], [0; 240]);
    let mut number = 0;
    while number < 256 {
        if number < 16 {
            few[number] = number as u8;
        } else {
            many[number - 16] = number as u8;
        }
        number += 1;
    }
    (few, many)
};

/// The first sixteen, as xterm has them (`XTerm-col.ad`).
const SIXTEEN: [Rgb; 16] = [
    Rgb(0, 0, 0),
    Rgb(205, 0, 0),
    Rgb(0, 205, 0),
    Rgb(205, 205, 0),
    Rgb(0, 0, 238),
    Rgb(205, 0, 205),
    Rgb(0, 205, 205),
    Rgb(229, 229, 229),
    Rgb(127, 127, 127),
    Rgb(255, 0, 0),
    Rgb(0, 255, 0),
    Rgb(255, 255, 0),
    Rgb(92, 92, 255),
    Rgb(255, 0, 255),
    Rgb(0, 255, 255),
    Rgb(255, 255, 255),
];

/// Returns the colour of a number, as xterm has it (`256colres.pl`).
pub(in crate::tui) const fn colour_of(number: u8) -> Rgb {
    match number {
        0..16 => SIXTEEN[number as usize],
        16..232 => {
            let steps = [0, 95, 135, 175, 215, 255];
            let cube = number as usize - 16;
            Rgb(steps[cube / 36], steps[cube / 6 % 6], steps[cube % 6])
        }
        232.. => {
            let grey = 8 + 10 * (number - 232);
            Rgb(grey, grey, grey)
        }
    }
}

/// Returns the channels as amounts of light, 0 to 1 (IEC 61966-2-1).
pub(in crate::tui) fn linear(Rgb(r, g, b): Rgb) -> [f64; 3] {
    [r, g, b].map(|channel| {
        let coded = f64::from(channel) / 255.0;
        if coded <= 0.04045 {
            coded / 12.92
        } else {
            ((coded + 0.055) / 1.055).powf(2.4)
        }
    })
}

/// A colour in OKLab, in which equal distances look equally different.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::tui) struct Lab([f64; 3]);

impl Lab {
    /// Converts a colour, by Björn Ottosson, "A perceptual color space for image processing" (2020).
    pub(in crate::tui) fn of(colour: Rgb) -> Self {
        let [r, g, b] = linear(colour);
        let [l, m, s] = [
            0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b,
            0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b,
            0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b,
        ]
        .map(f64::cbrt);
        Self([
            0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
            0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
        ])
    }

    fn distance(self, other: Self) -> f64 {
        let [l, a, b] = [0, 1, 2].map(|axis| self.0[axis] - other.0[axis]);
        l * l + a * a + b * b
    }

    pub(in crate::tui) fn lightness(self) -> f64 {
        self.0[0]
    }
}

/// Least difference in lightness between a character and what lies behind it, where they differed.
const APART: f64 = 0.09;

/// Brings frames down to a depth. What was found for a colour is kept.
#[derive(Clone, Debug, Default)]
pub struct Quantizer {
    depth: Depth,
    nearest: HashMap<Rgb, u8>,
    /// Characters in a colour (first) on a ground (second) that has the same nearest one.
    apart: HashMap<[Rgb; 2], u8>,
}

impl Quantizer {
    /// Replaces the colours of a frame by the nearest ones that this depth has. A character never takes
    /// the colour of its own ground.
    pub fn quantize(&mut self, depth: Depth, buffer: &mut Buffer) {
        if depth != self.depth {
            *self = Self {
                depth,
                ..Self::default()
            };
        }
        match depth {
            Depth::TrueColor => {}
            Depth::Mono => {
                for cell in &mut buffer.content {
                    (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
                }
            }
            Depth::Sixteen | Depth::TwoFiftySix => {
                for cell in &mut buffer.content {
                    self.quantize_cell(cell);
                }
            }
        }
    }

    fn quantize_cell(&mut self, cell: &mut Cell) {
        let (ink, ground) = (rgb(cell.fg), rgb(cell.bg));
        let behind = ground.map(|ground| self.nearest(ground));
        if let Some(number) = behind {
            cell.bg = Color::Indexed(number);
        }
        let Some(ink) = ink else { return };
        let own = self.nearest(ink);
        let number = match ground {
            Some(ground) if behind == Some(own) && ink != ground => self.apart([ink, ground]),
            _ => own,
        };
        cell.fg = Color::Indexed(number);
    }

    fn nearest(&mut self, colour: Rgb) -> u8 {
        let palette = palette(self.depth);
        let find = || nearest_of(palette.iter().copied(), Lab::of(colour));
        *self.nearest.entry(colour).or_insert_with(find)
    }

    /// Returns the nearest colour that is lighter than what the ground became where the character was lighter than the
    /// ground, and else darker.
    fn apart(&mut self, [ink, ground]: [Rgb; 2]) -> u8 {
        let palette = palette(self.depth);
        let behind = Lab::of(colour_of(self.nearest(ground))).lightness();
        let find = || {
            let wanted = Lab::of(ink);
            let lighter = wanted.lightness() >= Lab::of(ground).lightness();
            let sides = [lighter, !lighter].map(|lighter| {
                let stands_out = move |number: &u8| {
                    let above = Lab::of(colour_of(*number)).lightness() - behind;
                    (if lighter { above } else { -above }) >= APART
                };
                palette.iter().copied().filter(stands_out)
            });
            let [own, other] = sides.map(Iterator::collect::<Vec<u8>>);
            let side = if own.is_empty() { other } else { own };
            nearest_of(side.into_iter(), wanted)
        };
        *self.apart.entry([ink, ground]).or_insert_with(find)
    }
}

/// Returns the number whose colour is nearest; 0 where there is none.
fn nearest_of(numbers: impl Iterator<Item = u8>, colour: Lab) -> u8 {
    let distance = |number: &u8| Lab::of(colour_of(*number)).distance(colour);
    let nearest = numbers.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    nearest.unwrap_or_default()
}

fn rgb(colour: Color) -> Option<Rgb> {
    match colour {
        Color::Rgb(r, g, b) => Some(Rgb(r, g, b)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::theme::bands;
    use ratatui::layout::Rect;

    /// Returns one cell with these colours, brought down.
    fn quantized(depth: Depth, ink: Rgb, ground: Rgb) -> [Color; 2] {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 1, 1));
        let colour = |Rgb(r, g, b): Rgb| Color::Rgb(r, g, b);
        (buffer.content[0].fg, buffer.content[0].bg) = (colour(ink), colour(ground));
        Quantizer::default().quantize(depth, &mut buffer);
        [buffer.content[0].fg, buffer.content[0].bg]
    }

    fn number(depth: Depth, colour: Rgb) -> u8 {
        match quantized(depth, Rgb(1, 2, 3), colour)[1] {
            Color::Indexed(number) => number,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn oklab_is_that_of_its_author() {
        // From the table of the paper, by way of XYZ: white, and the primaries that others publish.
        let near = |colour, expected: [f64; 3]| {
            assert!(Lab::of(colour).distance(Lab(expected)) < 1e-6, "{colour:?}");
        };
        near(Rgb(255, 255, 255), [1.0, 0.0, 0.0]);
        near(Rgb(255, 0, 0), [0.627_96, 0.224_86, 0.125_85]);
        near(Rgb(0, 0, 255), [0.452_01, -0.032_46, -0.311_53]);
    }

    #[test]
    fn colours_of_a_palette_are_their_own_nearest() {
        for depth in [Depth::Sixteen, Depth::TwoFiftySix] {
            for wanted in palette(depth) {
                let found = number(depth, colour_of(*wanted));
                assert_eq!(colour_of(found), colour_of(*wanted));
            }
        }
        assert_eq!(depth_sizes(), [16, 240]);
    }

    fn depth_sizes() -> [usize; 2] {
        [Depth::Sixteen, Depth::TwoFiftySix].map(|depth| palette(depth).len())
    }

    #[test]
    fn known_colours_have_known_numbers() {
        assert_eq!(number(Depth::TwoFiftySix, Rgb(255, 135, 0)), 208);
        assert_eq!(number(Depth::TwoFiftySix, Rgb(0x12, 0x12, 0x12)), 233);
        assert_eq!(number(Depth::TwoFiftySix, Rgb(0x28, 0x28, 0x28)), 235);
        assert_eq!(number(Depth::Sixteen, Rgb(250, 10, 10)), 9);
        assert_eq!(number(Depth::Sixteen, Rgb(20, 20, 20)), 0);
        let bands = bands::SIXTEEN.iter();
        let bands: Vec<u8> = bands.map(|band| number(Depth::Sixteen, *band)).collect();
        assert_eq!(bands, [4, 5, 2, 6, 3]);
    }

    #[test]
    fn a_character_keeps_apart_from_its_ground() {
        let ground = Rgb(40, 40, 40);
        for (ink, lighter) in [(Rgb(41, 41, 41), true), (Rgb(39, 39, 39), false)] {
            for depth in [Depth::Sixteen, Depth::TwoFiftySix] {
                let [Color::Indexed(ink), Color::Indexed(ground)] = quantized(depth, ink, ground)
                else {
                    panic!("two numbers");
                };
                let above =
                    Lab::of(colour_of(ink)).lightness() - Lab::of(colour_of(ground)).lightness();
                assert!(above.abs() > APART / 2.0, "{depth:?}: {ink} on {ground}");
                // Nothing is darker than black.
                assert!(lighter == (above > 0.0) || ground == 0, "{ink} on {ground}");
            }
        }
        // What had its ground's colour keeps it: it was not to be seen.
        let [ink, ground] = quantized(Depth::Sixteen, ground, ground);
        assert_eq!(ink, ground);
    }

    #[test]
    fn true_colours_stay_and_mono_has_none() {
        let colours = [Rgb(1, 2, 3), Rgb(4, 5, 6)];
        let kept = quantized(Depth::TrueColor, colours[0], colours[1]);
        assert_eq!(kept, [Color::Rgb(1, 2, 3), Color::Rgb(4, 5, 6)]);
        let none = quantized(Depth::Mono, colours[0], colours[1]);
        assert_eq!(none, [Color::Reset, Color::Reset]);
    }
}
