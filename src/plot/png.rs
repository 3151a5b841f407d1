//! A picture as PNG: its SVG at twice the size, with a font of its own.

use std::io::{self, BufRead, Seek};
use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};

use super::picture::Picture;

/// The font of all text. It is part of the program because a server has none, and because a picture should not
/// depend on the machine that drew it.
const FONTS: [&[u8]; 2] = [
    include_bytes!("../../assets/DejaVuSansMono.ttf"),
    include_bytes!("../../assets/DejaVuSansMono-Bold.ttf"),
];
const FAMILY: &str = "DejaVu Sans Mono";
/// Pixels of a unit of the SVG: papers print at 200 dots an inch and more.
const SCALE: f32 = 2.0;
/// Pixels of an inch, which has 96 units, in a metre.
const DENSITY: f32 = 96.0 / 0.0254;
/// Pixels at most; a larger picture is drawn at its own size instead.
const LARGEST: f32 = 4e7;

/// The chunk by which a file is known again: a keyword and its text.
pub const MARK: (&str, &str) = ("Software", "isoloss");

static DATABASE: LazyLock<Arc<fontdb::Database>> = LazyLock::new(|| {
    let mut database = fontdb::Database::new();
    for font in FONTS {
        database.load_font_data(font.to_vec());
    }
    // A browser's first choice may be none of these.
    database.set_monospace_family(FAMILY);
    Arc::new(database)
});

/// Pixels in rows from the top, three bytes each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels of a row.
    pub width: u32,
    /// Number of rows.
    pub height: u32,
    /// Red, green and blue of each.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Returns the picture as a PNG file.
    ///
    /// # Errors
    /// It has no cells, or more than fit into memory.
    pub fn png(&self) -> io::Result<Vec<u8>> {
        let (pixels, scale) = draw(&self.svg())?;
        pixels.png(scale)
    }
}

impl Pixels {
    /// Draws an SVG file of isoloss.
    ///
    /// # Errors
    /// It is no SVG file, or too large.
    pub fn of_svg(svg: &str) -> io::Result<Self> {
        draw(svg).map(|(pixels, _)| pixels)
    }

    /// Reads a PNG file of isoloss.
    ///
    /// # Errors
    /// It is none, or too large.
    pub fn of_png(file: impl BufRead + Seek) -> io::Result<Self> {
        let mut reader = png::Decoder::new(file).read_info()?;
        let info = reader.info();
        let (width, height) = (info.width, info.height);
        let kind = (info.color_type, info.bit_depth);
        if kind != (png::ColorType::Rgb, png::BitDepth::Eight) {
            return Err(io::Error::other(
                "expected three colours of 8 bits each, found another kind of PNG",
            ));
        }
        if width as f32 * height as f32 > LARGEST {
            return Err(too_large(width as f32, height as f32));
        }
        let mut rgb = vec![0; 3 * width as usize * height as usize];
        reader.next_frame(&mut rgb)?;
        Ok(Self { width, height, rgb })
    }

    fn png(&self, scale: f32) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        let across = (DENSITY * scale).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: across,
            yppu: across,
            unit: png::Unit::Meter,
        }));
        encoder.add_text_chunk(MARK.0.into(), MARK.1.into())?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(bytes)
    }
}

fn too_large(width: f32, height: f32) -> io::Error {
    io::Error::other(format!(
        "expected a picture of at most {LARGEST} pixels, found {width} by {height}"
    ))
}

/// Draws an SVG file, and tells the pixels of a unit.
fn draw(svg: &str) -> io::Result<(Pixels, f32)> {
    let options = usvg::Options {
        fontdb: Arc::clone(&DATABASE),
        font_family: FAMILY.into(),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).map_err(io::Error::other)?;
    let size = tree.size();
    let area = size.width() * size.height();
    let scale = if area * SCALE * SCALE <= LARGEST {
        SCALE
    } else {
        1.0
    };
    let [width, height] = [size.width(), size.height()].map(|side| (side * scale).round());
    let pixmap = (width * height <= LARGEST).then(|| Pixmap::new(width as u32, height as u32));
    let Some(mut pixmap) = pixmap.flatten() else {
        return Err(too_large(width, height));
    };
    let transform = Transform::from_scale(scale, scale);
    resvg::render(&tree, transform, &mut pixmap.as_mut());
    // The paper leaves nothing to shine through.
    let rgb = pixmap.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]);
    let pixels = Pixels {
        width: pixmap.width(),
        height: pixmap.height(),
        rgb: rgb.copied().collect(),
    };
    Ok((pixels, scale))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use crate::plot::picture::{Cell, Rgb};

    /// Returns the darkest red of each cell of a picture.
    fn darkest(picture: &Picture) -> Vec<u8> {
        let pixels = Pixels::of_svg(&picture.svg()).unwrap();
        let [across, down] = [8, 16].map(|side| side * SCALE as usize);
        assert_eq!(
            [pixels.width as usize, pixels.height as usize],
            [across * picture.width(), down * picture.height()]
        );
        let cells = (0..picture.height()).flat_map(|j| (0..picture.width()).map(move |i| (i, j)));
        let reds = cells.map(|(i, j)| {
            let rows = j * down..(j + 1) * down;
            let places = rows.flat_map(|y| (i * across..(i + 1) * across).map(move |x| (x, y)));
            let red = |(x, y)| pixels.rgb[3 * (y * pixels.width as usize + x)];
            places.map(red).min().unwrap()
        });
        reds.collect()
    }

    #[test]
    fn every_sign_that_screens_have_is_in_the_font_and_stays_in_its_cell() {
        for symbol in "aZ09µλΔ±×·●○◦✕✓▼▲◆⚠…—→←↑↓¿█▓▒░▀▄≥≈²".chars()
        {
            for bold in [false, true] {
                let mut picture = Picture::new(3, 3);
                let ink = Cell {
                    bold,
                    ..Cell::ink(Some(Rgb(0, 0, 0)))
                };
                picture.print(1, 1, &symbol.to_string(), ink);
                let cells = darkest(&picture);
                assert!(cells[4] < 0x60, "{symbol} {cells:?}");
                // Blocks overlap a little.
                let others = cells.iter().enumerate().filter(|(at, _)| *at != 4);
                let stained = others.filter(|(_, red)| **red < 0x60).count();
                assert!(
                    stained == 0 || "█▓▒░▀▄".contains(symbol),
                    "{symbol} {cells:?}"
                );
            }
        }
    }

    #[test]
    fn a_sign_that_is_in_no_font_is_a_box() {
        let mut picture = Picture::new(1, 1);
        picture.print(0, 0, "家", Cell::ink(Some(Rgb(0, 0, 0))));
        assert!(darkest(&picture)[0] < 0x80);
    }

    #[test]
    fn the_file_says_who_wrote_it_and_how_dense_it_is() {
        let mut picture = Picture::new(2, 1);
        picture.print(0, 0, "ab", Cell::default());
        let bytes = picture.png().unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(&bytes))
            .read_info()
            .unwrap();
        let info = reader.info();
        assert_eq!((info.width, info.height), (32, 32));
        assert_eq!(info.uncompressed_latin1_text[0].keyword, MARK.0);
        assert_eq!(info.uncompressed_latin1_text[0].text, MARK.1);
        // 192 dots an inch.
        assert_eq!(info.pixel_dims.unwrap().xppu, 7559);
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        assert_eq!(rgb, Pixels::of_svg(&picture.svg()).unwrap().rgb);
        assert_eq!(bytes, picture.png().unwrap(), "the same bytes each time");
    }

    #[test]
    fn a_picture_without_cells_is_refused_and_a_large_one_is_drawn_smaller() {
        assert!(Picture::new(0, 0).png().is_err());
        let wide = Pixels::of_svg(&Picture::new(500, 500).svg()).unwrap();
        assert_eq!([wide.width, wide.height], [4000, 8000]);
    }
}
