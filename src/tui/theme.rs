//! Themes: flat files of colour tokens, and the styles that the screen makes of them.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Deserializer};

use crate::plot::colormap::Colormap;
use crate::plot::map::Tints;
use crate::plot::picture::Rgb;

/// The themes that are built in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeName {
    /// Light ink on a dark ground.
    #[default]
    Dark,
    /// Dark ink on a light ground.
    Light,
    /// No colours: bold, dim and reverse alone.
    Mono,
}

impl ThemeName {
    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }

    /// Mono when the environment asks for no colour (<https://no-color.org>), else dark.
    #[must_use]
    pub fn from_environment() -> Self {
        match std::env::var_os("NO_COLOR") {
            Some(value) if !value.is_empty() => Self::Mono,
            _ => Self::Dark,
        }
    }

    /// As its file is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Mono => "mono",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Dark => include_str!("../../themes/dark.toml"),
            Self::Light => include_str!("../../themes/light.toml"),
            Self::Mono => include_str!("../../themes/mono.toml"),
        }
    }
}

/// The tokens of a theme file.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Colours {
    colormap: Colormap,
    #[serde(deserialize_with = "colour")]
    ground: Rgb,
    #[serde(deserialize_with = "colour")]
    text: Rgb,
    #[serde(deserialize_with = "colour")]
    faint: Rgb,
    #[serde(deserialize_with = "colour")]
    border: Rgb,
    #[serde(deserialize_with = "colour")]
    accent: Rgb,
    #[serde(deserialize_with = "colour")]
    good: Rgb,
    #[serde(deserialize_with = "colour")]
    warn: Rgb,
    #[serde(deserialize_with = "colour")]
    bad: Rgb,
    #[serde(deserialize_with = "colour")]
    path: Rgb,
    #[serde(deserialize_with = "colour")]
    mark: Rgb,
}

/// Reads `#rrggbb`.
fn colour<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Rgb, D::Error> {
    let text = String::deserialize(deserializer)?;
    let value = text
        .strip_prefix('#')
        .filter(|digits| digits.len() == 6)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let [_, r, g, b] = value
        .ok_or_else(|| serde::de::Error::custom(format!("expected #rrggbb, found {text}")))?
        .to_be_bytes();
    Ok(Rgb(r, g, b))
}

/// The styles of the screen. Nothing is told by hue alone: what matters is bold or reverse besides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Theme {
    /// None: a theme without colours.
    colours: Option<Colours>,
}

impl Theme {
    /// A built-in theme.
    #[must_use]
    pub fn of(name: ThemeName) -> Self {
        // The files are part of the program, and a test reads each of them.
        Self::parse(name.file()).unwrap_or(Self { colours: None })
    }

    /// Reads a theme file: all tokens, or none for a theme without colours.
    fn parse(file: &str) -> Result<Self, toml::de::Error> {
        let tokens: toml::Table = file.parse()?;
        let colours = if tokens.is_empty() {
            None
        } else {
            Some(tokens.try_into()?)
        };
        Ok(Self { colours })
    }

    /// The colours of pictures; none without colours.
    #[must_use]
    pub fn tints(&self) -> Option<Tints> {
        self.colours.map(|colours| Tints {
            colormap: colours.colormap,
            ground: colours.ground,
            text: colours.text,
            faint: colours.faint,
            path: colours.path,
            mark: colours.mark,
        })
    }

    /// The ground that everything lies on, and ordinary text.
    #[must_use]
    pub fn base(&self) -> Style {
        self.colours.map_or(Style::reset(), |colours| {
            Style::reset()
                .fg(terminal(colours.text))
                .bg(terminal(colours.ground))
        })
    }

    /// What does not draw the eye: captions, units, hints.
    #[must_use]
    pub fn faint(&self) -> Style {
        self.ink(|c| c.faint, Modifier::empty(), Modifier::DIM)
    }

    /// Frames.
    #[must_use]
    pub fn border(&self) -> Style {
        self.ink(|c| c.border, Modifier::empty(), Modifier::DIM)
    }

    /// What should be seen first.
    #[must_use]
    pub fn strong(&self) -> Style {
        self.ink(|c| c.text, Modifier::BOLD, Modifier::BOLD)
    }

    /// Names and keys.
    #[must_use]
    pub fn accent(&self) -> Style {
        self.ink(|c| c.accent, Modifier::BOLD, Modifier::BOLD)
    }

    /// All is well.
    #[must_use]
    pub fn good(&self) -> Style {
        self.ink(|c| c.good, Modifier::empty(), Modifier::empty())
    }

    /// To be taken with care.
    #[must_use]
    pub fn warn(&self) -> Style {
        self.ink(|c| c.warn, Modifier::BOLD, Modifier::BOLD)
    }

    /// Something went wrong.
    #[must_use]
    pub fn bad(&self) -> Style {
        self.ink(
            |c| c.bad,
            Modifier::BOLD,
            Modifier::BOLD | Modifier::REVERSED,
        )
    }

    fn ink(&self, token: impl Fn(&Colours) -> Rgb, coloured: Modifier, mono: Modifier) -> Style {
        match &self.colours {
            Some(colours) => Style::new()
                .fg(terminal(token(colours)))
                .add_modifier(coloured),
            None => Style::new().add_modifier(mono),
        }
    }
}

/// A colour as ratatui has it.
#[must_use]
pub fn terminal(Rgb(r, g, b): Rgb) -> Color {
    Color::Rgb(r, g, b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ALL: [ThemeName; 3] = [ThemeName::Dark, ThemeName::Light, ThemeName::Mono];

    #[test]
    fn every_built_in_theme_is_whole() {
        for name in ALL {
            let theme = Theme::parse(name.file()).unwrap();
            assert_eq!(theme.colours.is_none(), name == ThemeName::Mono);
        }
    }

    #[test]
    fn text_can_be_read_on_its_ground() {
        for name in [ThemeName::Dark, ThemeName::Light] {
            let c = Theme::of(name).colours.unwrap();
            for ink in [c.text, c.accent, c.good, c.warn, c.bad, c.path, c.mark] {
                assert!(
                    (ink.luma() - c.ground.luma()).abs() > 0.4,
                    "{name:?}: {ink:?}"
                );
            }
            assert!((c.faint.luma() - c.ground.luma()).abs() > 0.3);
        }
    }

    #[test]
    fn without_colours_what_matters_is_bold_or_reverse() {
        let theme = Theme::of(ThemeName::Mono);
        for style in [theme.strong(), theme.accent(), theme.warn(), theme.bad()] {
            assert!(style.fg.is_none() && style.add_modifier.contains(Modifier::BOLD));
        }
        assert!(theme.bad().add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn a_bad_token_is_named() {
        let error = Theme::parse("colormap = \"viridis\"\nground = \"#12\"").unwrap_err();
        assert!(error.to_string().contains("expected #rrggbb, found #12"));
    }
}
