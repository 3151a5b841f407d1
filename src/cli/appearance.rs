//! Appearance of the screen: colours, theme and characters, as they are asked for or as the terminal lets them
//! be.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use crossterm::event::KeyEvent;
use directories::ProjectDirs;

use crate::plot::Marker;
use crate::terminal;
use crate::terminal::Depth;
use crate::tui::terminal::background;
use crate::tui::{App, Appearance, Invocation, Keymap, Themes};

use super::screen::Begin;

/// Colours, theme and characters of the screen.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Appearance")]
pub(super) struct AppearanceOptions {
    /// Colours that the terminal is sent; `auto`: as NO_COLOR, COLORTERM and TERM tell
    #[arg(
        long,
        env = "ISOLOSS_COLOR",
        value_enum,
        default_value = "auto",
        value_name = "DEPTH"
    )]
    color: ColorOption,
    /// Theme: dark, light, gruvbox, nord, catppuccin, colorblind, high-contrast, mono, or one of your own;
    /// else dark or light, as the terminal is
    #[arg(long, env = "ISOLOSS_THEME", value_name = "NAME", value_parser = theme)]
    theme: Option<String>,
    /// Characters that pictures are made of; `auto`: braille, or ascii where the terminal has no other
    #[arg(long, env = "ISOLOSS_MARKER", value_enum, default_value = "auto")]
    marker: MarkerOption,
    /// 7-bit characters alone: `--marker ascii`
    #[arg(long, env = "ISOLOSS_ASCII")]
    ascii: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColorOption {
    Auto,
    Truecolor,
    #[value(name = "256")]
    TwoFiftySix,
    #[value(name = "16")]
    Sixteen,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MarkerOption {
    Auto,
    Braille,
    Octant,
    Sextant,
    Quadrant,
    #[value(name = "halfblock")]
    HalfBlock,
    Block,
    Ascii,
}

/// The choices that were asked for or found, with the reasons.
pub(super) struct Chosen {
    /// Appearance with which the screen begins.
    pub(super) look: Appearance,
    /// Reason for its number of colours.
    pub(super) depth: String,
    /// Reason why it is drawn with these characters.
    pub(super) marker: String,
    /// Reason why it has this theme.
    pub(super) theme: String,
    /// A sentence about each theme file that cannot be used.
    pub(super) wrong: Vec<String>,
    /// Keys that came while the terminal was asked.
    pub(super) typed: Vec<KeyEvent>,
}

impl Chosen {
    /// Returns a screen that looks so, with these keys.
    pub(super) fn begin(self, keymap: Keymap, invocation: Invocation) -> Begin {
        let mut app = App::new(self.look).with_keys(keymap).of(invocation);
        app.warn(self.wrong);
        Begin {
            app,
            typed: self.typed,
        }
    }
}

impl AppearanceOptions {
    /// Asks the environment, and the terminal where there is one, for what is not given.
    pub(super) fn choose(&self) -> Chosen {
        self.chosen(self.depth(), self.marker(), by_ground)
    }

    /// Returns the same for pictures that are written into files: whoever opens them has all colours and characters,
    /// whatever terminal this one is.
    pub(super) fn choose_for_files(&self) -> Chosen {
        let reason = || "files have all of them".to_owned();
        let depth = match self.color {
            ColorOption::Auto if variable("NO_COLOR").is_none() => (Depth::TrueColor, reason()),
            _ => self.depth(),
        };
        let marker = match self.marker {
            MarkerOption::Auto if !self.ascii => (Marker::Braille, reason()),
            _ => self.marker(),
        };
        self.chosen(depth, marker, |themes| {
            themes.select("dark");
            ("nobody asked for another".into(), Vec::new())
        })
    }

    fn chosen(
        &self,
        (depth, depth_reason): (Depth, String),
        (marker, marker_reason): (Marker, String),
        by_default: impl Fn(&mut Themes) -> (String, Vec<KeyEvent>),
    ) -> Chosen {
        let mut themes = Themes::built_in(depth);
        let folder = themes_folder();
        let wrong = folder
            .as_ref()
            .map_or(Vec::new(), |folder| themes.add_folder(folder));
        let (theme, typed) = match &self.theme {
            Some(name) if themes.select(name) => ("asked for".to_owned(), Vec::new()),
            _ => by_default(&mut themes),
        };
        Chosen {
            look: Appearance {
                marker,
                themes,
                ..Appearance::default()
            },
            depth: depth_reason,
            marker: marker_reason,
            theme,
            wrong,
            typed,
        }
    }

    fn depth(&self) -> (Depth, String) {
        let depth = match self.color {
            ColorOption::Auto => return terminal::depth(variable),
            ColorOption::Truecolor => Depth::TrueColor,
            ColorOption::TwoFiftySix => Depth::TwoFiftySix,
            ColorOption::Sixteen => Depth::Sixteen,
            ColorOption::Never => Depth::Mono,
        };
        (depth, "asked for".into())
    }

    fn marker(&self) -> (Marker, String) {
        let marker = match self.marker {
            _ if self.ascii => Marker::Ascii,
            MarkerOption::Auto => return terminal::marker(variable),
            MarkerOption::Braille => Marker::Braille,
            MarkerOption::Octant => Marker::Octant,
            MarkerOption::Sextant => Marker::Sextant,
            MarkerOption::Quadrant => Marker::Quadrant,
            MarkerOption::HalfBlock => Marker::HalfBlock,
            MarkerOption::Block => Marker::Block,
            MarkerOption::Ascii => Marker::Ascii,
        };
        (marker, "asked for".into())
    }
}

/// Returns a theme that is there: built in, or a file of the user's.
fn theme(name: &str) -> Result<String, String> {
    let themes = Themes::built_in(Depth::TrueColor);
    let folder = themes_folder();
    let file = folder
        .as_ref()
        .map(|folder| folder.join(format!("{name}.toml")));
    if themes.names().any(|known| known == name) || file.is_some_and(|file| file.exists()) {
        return Ok(name.to_owned());
    }
    let known: Vec<&str> = themes.names().collect();
    let own = folder.map_or(String::new(), |folder| {
        format!(", or a file {name}.toml in {}", folder.display())
    });
    Err(format!("expected one of {}{own}", known.join(", ")))
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var_os(name)?.to_string_lossy().into_owned();
    Some(value).filter(|value| !value.is_empty())
}

/// Returns the folder of the user's own themes.
fn themes_folder() -> Option<PathBuf> {
    let folders = ProjectDirs::from("", "", "isoloss")?;
    Some(folders.config_dir().join("themes"))
}

/// Time that a terminal may take to answer; over ssh it is farther away.
const PATIENCE: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(1)];

/// Turns to the light theme where the terminal's ground is light, and to the dark one elsewhere. Returns
/// why, and the keys that came while the terminal was asked.
fn by_ground(themes: &mut Themes) -> (String, Vec<KeyEvent>) {
    if themes.depth() == Depth::Mono {
        return ("there are no colours".into(), Vec::new());
    }
    let answer = ask();
    let (light, reason) = match (answer.ground, variable("COLORFGBG")) {
        (Some(ground), _) => (
            ground.luma() > 0.5,
            format!("the terminal's ground is {ground}"),
        ),
        (None, Some(colours)) => (is_light(&colours), format!("COLORFGBG is {colours}")),
        (None, None) => (false, "the terminal does not tell its ground".into()),
    };
    themes.select(if light { "light" } else { "dark" });
    (reason, answer.typed)
}

/// Returns the terminal's ground, where there is a terminal to be asked.
fn ask() -> background::BackgroundAnswer {
    let consoles = ["linux", "dumb"];
    let is_console = variable("TERM").is_none_or(|term| consoles.contains(&term.as_str()));
    if is_console || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return background::BackgroundAnswer::default();
    }
    let far = variable("SSH_CONNECTION").is_some();
    // A terminal that cannot be asked has not told its ground.
    background::ask(PATIENCE[usize::from(far)]).unwrap_or_default()
}

/// Judges by the convention of rxvt: numbers of ink and ground, of the sixteen colours.
fn is_light(colours: &str) -> bool {
    let ground = colours.rsplit(';').next();
    ground.is_some_and(|ground| ["7", "9", "10", "11", "12", "13", "14", "15"].contains(&ground))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ground_of_colorfgbg_is_its_last_number() {
        let light = ["0;15", "0;default;7", "15"].map(is_light);
        assert_eq!(light, [true; 3]);
        let dark = ["15;0", "7;8", "0;default", ""].map(is_light);
        assert_eq!(dark, [false; 4]);
    }
}
