//! Pictures one after the other as a film: GIF in one palette for all, or APNG in all colours.

use std::collections::HashMap;
use std::io;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::png::{MARK, Pixels};

/// Hundredths of a second that the last picture stays before the film begins again.
const REST: u16 = 200;
/// Colours of a GIF.
const COLOURS: usize = 256;
/// Colours that it has exactly, the most frequent first: grounds, bands, ink. The others are edges of letters.
const EXACT: usize = 96;
/// Least distance between two of the rest, squared, over three channels: nearer ones look the same.
const APART: u32 = 3 * 8 * 8;
/// Rare colours that are looked at: edges have some thousands.
const CANDIDATES: usize = 1 << 15;

type Colour = [u8; 3];

/// A part of a picture that differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
}

/// Pictures of a film, which are drawn or read one at a time because all of them would not fit into memory.
pub trait Reel {
    /// Returns the number of pictures.
    fn count(&self) -> usize;

    /// Returns one of them.
    ///
    /// # Errors
    /// It cannot be read.
    fn picture(&self, index: usize) -> io::Result<Pixels>;
}

/// The findings of one pass over all pictures.
struct Survey {
    width: u32,
    height: u32,
    counts: HashMap<Colour, u64>,
}

impl Survey {
    fn of(reel: &impl Reel, mut done: impl FnMut()) -> io::Result<Self> {
        let mut survey = Self {
            width: 0,
            height: 0,
            counts: HashMap::new(),
        };
        for index in 0..reel.count() {
            let pixels = reel.picture(index)?;
            survey.width = survey.width.max(pixels.width);
            survey.height = survey.height.max(pixels.height);
            let colours = pixels.rgb.as_chunks::<3>().0;
            for run in colours.chunk_by(|a, b| a == b) {
                *survey.counts.entry(run[0]).or_default() += run.len() as u64;
            }
            done();
        }
        if survey.width == 0 || survey.height == 0 {
            return Err(io::Error::other("expected a picture, found none"));
        }
        Ok(survey)
    }

    /// Returns at most 256 colours for all pictures. The frequent ones are exact and nothing is dithered, so that bands
    /// stay even and contours sharp.
    fn palette(&self) -> Vec<Colour> {
        let mut colours: Vec<(Colour, u64)> = self.counts.iter().map(|(c, n)| (*c, *n)).collect();
        colours.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let colours = colours.into_iter().map(|(colour, _)| colour);
        if self.counts.len() <= COLOURS {
            return colours.collect();
        }
        let mut palette: Vec<Colour> = Vec::with_capacity(COLOURS);
        for colour in colours.take(CANDIDATES) {
            let is_new = || {
                palette
                    .iter()
                    .all(|known| distance(*known, colour) >= APART)
            };
            if palette.len() < COLOURS && (palette.len() < EXACT || is_new()) {
                palette.push(colour);
            }
        }
        palette
    }

    /// Returns a picture on a canvas of the film's size, in the colour of its corner.
    fn fitted(&self, pixels: Pixels) -> Pixels {
        if (pixels.width, pixels.height) == (self.width, self.height) {
            return pixels;
        }
        let corner = pixels.rgb.first_chunk::<3>().copied().unwrap_or_default();
        let length = self.width as usize * self.height as usize;
        let mut rgb = vec![corner; length].as_flattened().to_vec();
        let [inner, outer] = [pixels.width, self.width].map(|width| 3 * width as usize);
        let rows = rgb.chunks_mut(outer).zip(pixels.rgb.chunks(inner.max(1)));
        for (canvas, row) in rows {
            canvas[..row.len()].copy_from_slice(row);
        }
        Pixels {
            width: self.width,
            height: self.height,
            rgb,
        }
    }
}

fn distance(a: Colour, b: Colour) -> u32 {
    let squares = a
        .into_iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2));
    squares.sum()
}

/// The numbers of a palette's colours.
struct Numbers<'a> {
    palette: &'a [Colour],
    known: HashMap<Colour, u8>,
}

impl Numbers<'_> {
    fn of(&mut self, colour: Colour) -> u8 {
        let palette = self.palette;
        *self.known.entry(colour).or_insert_with(|| {
            let nearest = (0..=u8::MAX).zip(palette);
            let nearest = nearest.min_by_key(|(_, known)| distance(**known, colour));
            nearest.map_or(0, |(number, _)| number)
        })
    }
}

/// Returns the smallest part that holds all that differs; one pixel if nothing does.
fn difference(before: &Pixels, after: &Pixels) -> Part {
    let width = 3 * after.width.max(1) as usize;
    let rows = before.rgb.chunks(width).zip(after.rgb.chunks(width));
    let (mut left, mut right) = (usize::MAX, 0);
    let (mut top, mut bottom) = (None, 0);
    for (y, (old, new)) in rows.enumerate() {
        let differs = |x: &usize| old[3 * x..3 * x + 3] != new[3 * x..3 * x + 3];
        let mut columns = 0..width / 3;
        let Some(first) = columns.find(differs) else {
            continue;
        };
        let last = columns.rfind(differs).unwrap_or(first);
        left = left.min(first);
        right = right.max(last);
        top = top.or(Some(y));
        bottom = y;
    }
    let Some(top) = top else {
        return Part {
            left: 0,
            top: 0,
            width: 1,
            height: 1,
        };
    };
    Part {
        left: left as u32,
        top: top as u32,
        width: (right - left + 1) as u32,
        height: (bottom - top + 1) as u32,
    }
}

/// Returns the pixels of a part.
fn cut(pixels: &Pixels, part: Part) -> Vec<u8> {
    let rows = pixels.rgb.chunks(3 * pixels.width.max(1) as usize);
    let rows = rows.skip(part.top as usize).take(part.height as usize);
    let columns = 3 * part.left as usize..3 * (part.left + part.width) as usize;
    rows.flat_map(|row| &row[columns.clone()])
        .copied()
        .collect()
}

/// Gives each picture, with the part of it that is new, to `write`.
fn each(
    reel: &impl Reel,
    survey: &Survey,
    mut write: impl FnMut(usize, Vec<u8>, Part) -> io::Result<()>,
) -> io::Result<()> {
    let mut before: Option<Pixels> = None;
    for index in 0..reel.count() {
        let pixels = survey.fitted(reel.picture(index)?);
        let whole = Part {
            left: 0,
            top: 0,
            width: survey.width,
            height: survey.height,
        };
        let part = before
            .as_ref()
            .map_or(whole, |before| difference(before, &pixels));
        write(index, cut(&pixels, part), part)?;
        before = Some(pixels);
    }
    Ok(())
}

/// Makes a GIF that runs round and round, at this many pictures a second; `done` is called twice a picture.
///
/// # Errors
/// A picture cannot be read, or is larger than a GIF can be.
pub fn gif(reel: &impl Reel, fps: u16, mut done: impl FnMut()) -> io::Result<Vec<u8>> {
    let survey = Survey::of(reel, &mut done)?;
    let side = |length: u32| {
        let found = || {
            io::Error::other(format!(
                "expected at most 65535 pixels a side for a GIF, found {length}"
            ))
        };
        u16::try_from(length).map_err(|_| found())
    };
    let palette = survey.palette();
    let mut numbers = Numbers {
        palette: &palette,
        known: HashMap::new(),
    };
    let mut bytes = Vec::new();
    let (width, height) = (side(survey.width)?, side(survey.height)?);
    let mut encoder = Encoder::new(&mut bytes, width, height, palette.as_flattened())
        .map_err(io::Error::other)?;
    encoder
        .set_repeat(Repeat::Infinite)
        .map_err(io::Error::other)?;
    encoder
        .write_raw_extension(
            gif::AnyExtension(gif::Extension::Comment as u8),
            &[MARK.1.as_bytes()],
        )
        .map_err(io::Error::other)?;
    let last = reel.count().saturating_sub(1);
    each(reel, &survey, |index, rgb, part| {
        let colours = rgb.as_chunks::<3>().0;
        let frame = Frame {
            delay: if index == last {
                REST
            } else {
                delay(index, fps)
            },
            dispose: DisposalMethod::Keep,
            left: side(part.left)?,
            top: side(part.top)?,
            width: side(part.width)?,
            height: side(part.height)?,
            buffer: colours.iter().map(|colour| numbers.of(*colour)).collect(),
            ..Frame::default()
        };
        done();
        encoder.write_frame(&frame).map_err(io::Error::other)
    })?;
    drop(encoder);
    Ok(bytes)
}

/// Returns the hundredths of a second for a picture: fractions are made good by the next ones.
fn delay(index: usize, fps: u16) -> u16 {
    let until = |index: usize| (100.0 * index as f64 / f64::from(fps)).round();
    (until(index + 1) - until(index)) as u16
}

/// Makes an animated PNG, likewise.
///
/// # Errors
/// A picture cannot be read.
pub fn apng(reel: &impl Reel, fps: u16, mut done: impl FnMut()) -> io::Result<Vec<u8>> {
    let survey = Survey::of(reel, &mut done)?;
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, survey.width, survey.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(u32::try_from(reel.count()).map_err(io::Error::other)?, 0)?;
    encoder.set_dispose_op(png::DisposeOp::None)?;
    encoder.set_blend_op(png::BlendOp::Source)?;
    encoder.add_text_chunk(MARK.0.into(), MARK.1.into())?;
    let mut writer = encoder.write_header()?;
    let last = reel.count().saturating_sub(1);
    each(reel, &survey, |index, rgb, part| {
        if index == last {
            writer.set_frame_delay(REST, 100)?;
        } else {
            writer.set_frame_delay(1, fps)?;
        }
        if index > 0 {
            writer.reset_frame_position()?;
            writer.set_frame_dimension(part.width, part.height)?;
            writer.set_frame_position(part.left, part.top)?;
        }
        done();
        Ok(writer.write_image_data(&rgb)?)
    })?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use std::io::Cursor;

    impl Reel for Vec<Pixels> {
        fn count(&self) -> usize {
            self.len()
        }

        fn picture(&self, index: usize) -> io::Result<Pixels> {
            Ok(self[index].clone())
        }
    }

    fn picture(width: u32, height: u32, colour: impl Fn(u32, u32) -> Colour) -> Pixels {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Pixels {
            width,
            height,
            rgb: places.flat_map(|(x, y)| colour(x, y)).collect(),
        }
    }

    /// Returns three pictures of which the second has another square, the third is smaller.
    fn reel() -> Vec<Pixels> {
        let plain = |_, _| [9, 9, 9];
        let square = |x: u32, y: u32| {
            if (3..5).contains(&x) && y == 2 {
                [200, 0, 7]
            } else {
                [9, 9, 9]
            }
        };
        vec![
            picture(8, 4, plain),
            picture(8, 4, square),
            picture(6, 3, square),
        ]
    }

    fn laid(canvas: &mut [Colour], width: usize, part: Part, colours: &[Colour]) {
        let rows = colours.chunks(part.width as usize).enumerate();
        for (y, row) in rows {
            let start = (part.top as usize + y) * width + part.left as usize;
            canvas[start..start + row.len()].copy_from_slice(row);
        }
    }

    #[test]
    fn a_gif_is_read_back_with_its_pictures_delays_and_size() {
        let bytes = gif(&reel(), 8, || ()).unwrap();
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(Cursor::new(&bytes)).unwrap();
        assert_eq!((decoder.width(), decoder.height()), (8, 4));
        let mut canvas = vec![[0; 3]; 32];
        let mut seen = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            let [left, top, width, height] =
                [frame.left, frame.top, frame.width, frame.height].map(u32::from);
            let part = Part {
                left,
                top,
                width,
                height,
            };
            let colours: Vec<Colour> = frame.buffer.chunks(4).map(|c| [c[0], c[1], c[2]]).collect();
            laid(&mut canvas, 8, part, &colours);
            seen.push((frame.delay, part.width, canvas.concat()));
        }
        assert_eq!(decoder.repeat(), Repeat::Infinite);
        let expected = reel();
        // An eighth of a second is 12.5 hundredths.
        assert_eq!([seen[0].0, seen[1].0, seen[2].0], [13, 12, REST]);
        assert_eq!(seen.len(), 3);
        assert_eq!(
            [&seen[0].2, &seen[1].2],
            [&expected[0].rgb, &expected[1].rgb]
        );
        // Only what is new is written; the smaller one is filled up, and the same there.
        assert_eq!([seen[0].1, seen[1].1, seen[2].1], [8, 2, 1]);
        assert_eq!(seen[2].2, expected[1].rgb);
    }

    #[test]
    fn an_apng_is_read_back_to_the_pixel() {
        let bytes = apng(&reel(), 8, || ()).unwrap();
        let mut reader = png::Decoder::new(Cursor::new(&bytes)).read_info().unwrap();
        let animation = *reader.info().animation_control().unwrap();
        assert_eq!((animation.num_frames, animation.num_plays), (3, 0));
        assert_eq!((reader.info().width, reader.info().height), (8, 4));
        let mut canvas = vec![[0; 3]; 32];
        let mut delays = Vec::new();
        for expected in [&reel()[0], &reel()[1], &reel()[1]] {
            let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
            let found = reader.next_frame(&mut buffer).unwrap();
            let control = *reader.info().frame_control().unwrap();
            let part = Part {
                left: control.x_offset,
                top: control.y_offset,
                width: control.width,
                height: control.height,
            };
            laid(
                &mut canvas,
                8,
                part,
                buffer[..found.buffer_size()].as_chunks::<3>().0,
            );
            assert_eq!(canvas.concat(), expected.rgb);
            delays.push((control.delay_num, control.delay_den));
        }
        assert_eq!(delays, [(1, 8), (1, 8), (REST, 100)]);
    }

    #[test]
    fn frequent_colours_are_exact_where_there_are_too_many() {
        // Bands of three colours, and a thousand shades of a few pixels.
        let colour = |x: u32, y: u32| match y {
            0..30 => [[250, 250, 240], [12, 90, 160], [200, 30, 40]][(x / 34) as usize],
            _ => [(x * 2) as u8, (y * 5) as u8, (x + y) as u8],
        };
        let reel = vec![picture(100, 40, colour)];
        let survey = Survey::of(&reel, || ()).unwrap();
        assert!(survey.counts.len() > 900);
        let palette = survey.palette();
        assert!(palette.len() <= COLOURS);
        for band in [[250, 250, 240], [12, 90, 160], [200, 30, 40]] {
            assert!(palette[..3].contains(&band));
        }
        let mut numbers = Numbers {
            palette: &palette,
            known: HashMap::new(),
        };
        let worst = survey
            .counts
            .keys()
            .map(|c| distance(palette[numbers.of(*c) as usize], *c));
        assert!(worst.max().unwrap() < 3 * 40 * 40);
    }

    #[test]
    fn no_pictures_are_no_film() {
        assert!(gif(&Vec::<Pixels>::new(), 8, || ()).is_err());
        assert!(apng(&Vec::<Pixels>::new(), 8, || ()).is_err());
    }
}
