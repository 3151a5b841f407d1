//! Themes: flat files of colour tokens, and the styles that the screen makes of them.

mod bands;
pub mod color;
pub mod themes;

use ratatui::style::{Color, Modifier, Style};

use crate::plot::{Bands, Colormap, Palette, Rgb};
use crate::terminal::Depth;

/// The themes that are built in, in the order in which a key goes through them, with their files.
pub(in crate::tui) const BUILT_IN: [(&str, &str); 8] = [
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
    ("gruvbox", include_str!("../../../themes/gruvbox.toml")),
    ("nord", include_str!("../../../themes/nord.toml")),
    (
        "catppuccin",
        include_str!("../../../themes/catppuccin.toml"),
    ),
    (
        "colorblind",
        include_str!("../../../themes/colorblind.toml"),
    ),
    (
        "high-contrast",
        include_str!("../../../themes/high-contrast.toml"),
    ),
    (MONO, include_str!("../../../themes/mono.toml")),
];
const MONO: &str = "mono";

/// The tokens of a theme file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tokens {
    bands: Bands,
    ground: Rgb,
    text: Rgb,
    faint: Rgb,
    border: Rgb,
    accent: Rgb,
    good: Rgb,
    warn: Rgb,
    bad: Rgb,
    path: Rgb,
    mark: Rgb,
}

/// Tokens that are colours, in the order of the fields.
const COLOURS: [&str; 10] = [
    "ground", "text", "faint", "border", "accent", "good", "warn", "bad", "path", "mark",
];
const COLORMAP: &str = "colormap";
const RECEDE: &str = "recede";

impl Tokens {
    /// Reads the tokens of a file.
    ///
    /// # Errors
    /// A sentence about the first token that is not as expected.
    fn of(table: &toml::Table) -> Result<Self, String> {
        let known = || [COLORMAP, RECEDE].into_iter().chain(COLOURS);
        if let Some(strange) = table
            .keys()
            .find(|name| !known().any(|known| known == *name))
        {
            let known: Vec<&str> = known().collect();
            return Err(format!(
                "{strange}: no such token, expected {}",
                known.join(", ")
            ));
        }
        let colour = |name: &str| {
            let value = value(table, name, "#rrggbb")?;
            let colour = value.as_str().and_then(hexadecimal);
            colour.ok_or_else(|| format!("{name}: expected #rrggbb, found {value}"))
        };
        let mut colours = [Rgb(0, 0, 0); COLOURS.len()];
        for (place, name) in colours.iter_mut().zip(COLOURS) {
            *place = colour(name)?;
        }
        let [
            ground,
            text,
            faint,
            border,
            accent,
            good,
            warn,
            bad,
            path,
            mark,
        ] = colours;
        Ok(Self {
            bands: Bands::Gradient {
                map: colormap(table)?,
                recede: recede(table)?,
            },
            ground,
            text,
            faint,
            border,
            accent,
            good,
            warn,
            bad,
            path,
            mark,
        })
    }
}

impl Tokens {
    /// Returns the tokens in this number of colours.
    fn at(self, depth: Depth) -> Self {
        let dark = self.ground.luma() < 0.5;
        match (depth, self.bands) {
            (Depth::Sixteen, _) if dark => SIXTEEN_DARK,
            (Depth::Sixteen, _) => SIXTEEN_LIGHT,
            (Depth::TwoFiftySix, Bands::Gradient { map, .. }) => Self {
                bands: Bands::Steps(if dark { bands::of(map) } else { bands::PALE }),
                ..self
            },
            _ => self,
        }
    }
}

fn value<'a>(
    table: &'a toml::Table,
    name: &str,
    expected: &str,
) -> Result<&'a toml::Value, String> {
    let value = table.get(name);
    value.ok_or_else(|| format!("{name}: expected {expected}, found none"))
}

fn colormap(table: &toml::Table) -> Result<Colormap, String> {
    let names = Colormap::ALL.map(Colormap::name).join(", ");
    let value = value(table, COLORMAP, &format!("one of {names}"))?;
    let named = Colormap::ALL
        .into_iter()
        .find(|map| value.as_str() == Some(map.name()));
    named.ok_or_else(|| format!("{COLORMAP}: expected one of {names}, found {value}"))
}

/// Returns the share by which bands recede into the ground.
fn recede(table: &toml::Table) -> Result<f64, String> {
    let expected = "a number from 0.0 to 0.9";
    let value = value(table, RECEDE, expected)?;
    let share = value.as_float().filter(|share| (0.0..=0.9).contains(share));
    share.ok_or_else(|| format!("{RECEDE}: expected {expected}, found {value}"))
}

/// Reads `#rrggbb`.
fn hexadecimal(text: &str) -> Option<Rgb> {
    let digits = text.strip_prefix('#')?;
    let is_whole = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let [_, r, g, b] = u32::from_str_radix(digits, 16)
        .ok()
        .filter(|_| is_whole)?
        .to_be_bytes();
    Some(Rgb(r, g, b))
}

/// Tokens of all themes on a dark ground in the sixteen colours of a terminal, whose tones are the user's own.
const SIXTEEN_DARK: Tokens = Tokens {
    bands: Bands::Steps(bands::SIXTEEN),
    ground: Rgb(0, 0, 0),
    text: Rgb(229, 229, 229),
    faint: Rgb(127, 127, 127),
    border: Rgb(127, 127, 127),
    accent: Rgb(0, 255, 255),
    good: Rgb(0, 255, 0),
    warn: Rgb(255, 255, 0),
    bad: Rgb(255, 0, 0),
    path: Rgb(255, 255, 255),
    mark: Rgb(255, 255, 0),
};
/// The same on a light ground.
const SIXTEEN_LIGHT: Tokens = Tokens {
    bands: Bands::Steps(bands::SIXTEEN),
    ground: Rgb(255, 255, 255),
    text: Rgb(0, 0, 0),
    faint: Rgb(127, 127, 127),
    border: Rgb(127, 127, 127),
    accent: Rgb(0, 0, 238),
    good: Rgb(0, 0, 238),
    warn: Rgb(205, 0, 205),
    bad: Rgb(205, 0, 0),
    path: Rgb(0, 0, 0),
    mark: Rgb(205, 0, 0),
};

/// The styles of the screen. Nothing depends on hue alone: what matters is bold or reverse as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    name: String,
    /// None: a theme without colours.
    tokens: Option<Tokens>,
    depth: Depth,
}

impl Theme {
    /// Reads a theme file: all tokens, or none for a theme without colours.
    ///
    /// # Errors
    /// A sentence about what is not as expected; it does not name the file.
    pub fn parse(name: &str, file: &str) -> Result<Self, String> {
        let table: toml::Table = file
            .parse()
            .map_err(|error: toml::de::Error| format!("not TOML: {}", error.message()))?;
        let tokens = if table.is_empty() {
            None
        } else {
            Some(Tokens::of(&table)?)
        };
        Ok(Self {
            name: name.to_owned(),
            tokens,
            depth: Depth::default(),
        })
    }

    /// Returns the theme as it is shown in this number of colours.
    #[must_use]
    pub fn at(&self, depth: Depth) -> Self {
        let (name, tokens) = match depth {
            Depth::Mono => (MONO, None),
            _ => (self.name(), self.tokens.map(|tokens| tokens.at(depth))),
        };
        Self {
            name: name.to_owned(),
            tokens,
            depth,
        }
    }

    /// Returns its name, which is that of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns true if it looks as another one does.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        self.tokens == other.tokens
    }

    /// Returns the colours of pictures; `None` without colours.
    #[must_use]
    pub fn palette(&self) -> Option<Palette> {
        self.tokens.map(|tokens| Palette {
            bands: tokens.bands,
            levels: self.depth.levels(),
            ground: tokens.ground,
            text: tokens.text,
            faint: tokens.faint,
            path: tokens.path,
            mark: tokens.mark,
        })
    }

    /// Returns the ground that everything lies on, and ordinary text.
    #[must_use]
    pub fn base(&self) -> Style {
        self.tokens.map_or(Style::reset(), |tokens| {
            Style::reset()
                .fg(terminal(tokens.text))
                .bg(terminal(tokens.ground))
        })
    }

    /// Returns the style of what does not draw the eye: captions, units, hints.
    #[must_use]
    pub fn faint(&self) -> Style {
        self.ink(|t| t.faint, Modifier::empty(), Modifier::DIM)
    }

    /// Returns the style of frames.
    #[must_use]
    pub fn border(&self) -> Style {
        self.ink(|t| t.border, Modifier::empty(), Modifier::DIM)
    }

    /// Returns the style of what should be seen first.
    #[must_use]
    pub fn strong(&self) -> Style {
        self.ink(|t| t.text, Modifier::BOLD, Modifier::BOLD)
    }

    /// Returns the names and keys.
    #[must_use]
    pub fn accent(&self) -> Style {
        self.ink(|t| t.accent, Modifier::BOLD, Modifier::BOLD)
    }

    /// Returns the style of what is well.
    #[must_use]
    pub fn good(&self) -> Style {
        self.ink(|t| t.good, Modifier::empty(), Modifier::empty())
    }

    /// Returns the style of what is to be taken with care.
    #[must_use]
    pub fn warn(&self) -> Style {
        self.ink(|t| t.warn, Modifier::BOLD, Modifier::BOLD)
    }

    /// Returns the style of what went wrong.
    #[must_use]
    pub fn bad(&self) -> Style {
        self.ink(
            |t| t.bad,
            Modifier::BOLD,
            Modifier::BOLD | Modifier::REVERSED,
        )
    }

    fn ink(&self, token: impl Fn(&Tokens) -> Rgb, coloured: Modifier, mono: Modifier) -> Style {
        match &self.tokens {
            Some(tokens) => Style::new()
                .fg(terminal(token(tokens)))
                .add_modifier(coloured),
            None => Style::new().add_modifier(mono),
        }
    }
}

/// Returns a colour as ratatui has it.
#[must_use]
pub fn terminal(Rgb(r, g, b): Rgb) -> Color {
    Color::Rgb(r, g, b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::plot::map::band_colour;
    use crate::tui::theme::color::linear;

    fn built_in() -> Vec<Theme> {
        let all = BUILT_IN.iter();
        all.map(|(name, file)| Theme::parse(name, file).unwrap())
            .collect()
    }

    /// Returns every theme with colours, at every depth that has some.
    fn coloured() -> Vec<(Theme, Tokens)> {
        let depths = [Depth::Sixteen, Depth::TwoFiftySix, Depth::TrueColor];
        let all = built_in();
        let all = all
            .iter()
            .flat_map(|theme| depths.map(|depth| theme.at(depth)));
        all.filter_map(|theme| theme.tokens.map(|tokens| (theme.clone(), tokens)))
            .collect()
    }

    /// Returns the contrast of WCAG 2.2, 1 to 21.
    fn contrast(a: Rgb, b: Rgb) -> f64 {
        let luminance = |colour: Rgb| {
            let [r, g, b] = linear(colour);
            0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05
        };
        let (a, b) = (luminance(a), luminance(b));
        (a / b).max(b / a)
    }

    #[test]
    fn every_built_in_theme_is_whole() {
        for theme in built_in() {
            assert_eq!(theme.tokens.is_none(), theme.name() == MONO);
        }
    }

    #[test]
    fn text_can_be_read_on_its_ground() {
        for (theme, t) in coloured() {
            for ink in [t.text, t.accent, t.good, t.warn, t.bad, t.path, t.mark] {
                let found = contrast(ink, t.ground);
                assert!(found >= 4.5, "{theme:?}: {ink:?} {found:.2}");
            }
            assert!(contrast(t.faint, t.ground) >= 3.9, "{theme:?}");
            assert!(contrast(t.border, t.ground) >= 1.4, "{theme:?}");
        }
    }

    #[test]
    fn the_path_can_be_seen_on_every_band() {
        for (theme, t) in coloured() {
            let palette = theme.palette().unwrap();
            let bands = palette.levels + 1;
            for band in 0..bands {
                let behind = band_colour(&palette, band, bands, false);
                let found = contrast(t.path, behind);
                // Sixteen colours have no tones between: white on yellow is what there is.
                let least = if palette.levels > 4 { 2.0 } else { 1.6 };
                assert!(found >= least, "{} {band}: {found:.2}", theme.name());
            }
        }
    }

    #[test]
    fn in_high_contrast_everything_stands_out_more() {
        let all = built_in();
        let find = |name: &str| {
            all.iter()
                .find(|t| t.name() == name)
                .unwrap()
                .tokens
                .unwrap()
        };
        let (high, dark) = (find("high-contrast"), find("dark"));
        for token in [
            |t: Tokens| t.text,
            |t: Tokens| t.faint,
            |t: Tokens| t.border,
        ] {
            let [high, dark] = [high, dark].map(|t| contrast(token(t), t.ground));
            assert!(high > dark && high >= 5.0);
        }
    }

    #[test]
    fn without_colours_what_matters_is_bold_or_reverse() {
        let theme = built_in()[0].at(Depth::Mono);
        assert_eq!(theme.name(), MONO);
        for style in [theme.strong(), theme.accent(), theme.warn(), theme.bad()] {
            assert!(style.fg.is_none() && style.add_modifier.contains(Modifier::BOLD));
        }
        assert!(theme.bad().add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_of_its_token() {
        let dark = BUILT_IN[0].1;
        let said = |from: &str, to: &str| {
            assert!(dark.contains(from));
            Theme::parse("mine", &dark.replace(from, to)).unwrap_err()
        };
        assert_eq!(
            said("\"#11151a\"", "\"#12\""),
            "ground: expected #rrggbb, found \"#12\""
        );
        assert_eq!(
            said("\"#11151a\"", "7"),
            "ground: expected #rrggbb, found 7"
        );
        assert_eq!(
            said("mark = \"#ffb86b\"", ""),
            "mark: expected #rrggbb, found none"
        );
        assert!(said("viridis", "jet").starts_with("colormap: expected one of viridis, cividis"));
        assert!(said("viridis", "jet").ends_with("found \"jet\""));
        assert!(said("mark =", "marks =").starts_with("marks: no such token, expected colormap"));
        assert!(said("0.28", "3.0").ends_with("from 0.0 to 0.9, found 3.0"));
        assert!(said("= 0.28", "=").starts_with("not TOML: "));
    }
}
