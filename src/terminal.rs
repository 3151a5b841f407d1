//! Facts about the terminal that the environment tells: the number of its colours, and its characters.

use crate::plot::Marker;

/// Number of colours that a terminal is sent.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub enum Depth {
    /// None: bold, dim and reverse alone.
    #[serde(rename = "never")]
    Mono,
    /// The sixteen that terminals have had since the beginning.
    #[serde(rename = "16")]
    Sixteen,
    /// xterm's 6×6×6 cube and its greys.
    #[serde(rename = "256")]
    TwoFiftySix,
    /// 8 bits a channel.
    #[default]
    #[serde(rename = "truecolor")]
    TrueColor,
}

impl Depth {
    /// Returns the contour levels of a map that its colours tell apart, one less than bands.
    #[must_use]
    pub fn levels(self) -> usize {
        match self {
            Self::Mono | Self::Sixteen => 4,
            Self::TwoFiftySix => 8,
            Self::TrueColor => 12,
        }
    }

    /// Returns its name, as `--color` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mono => "never",
            Self::Sixteen => "16",
            Self::TwoFiftySix => "256",
            Self::TrueColor => "truecolor",
        }
    }
}

/// Terminals that show 24 bits and say so in TERM alone, which is what is left of them over ssh.
const TRUE_COLOUR: [&str; 6] = [
    "alacritty",
    "foot",
    "wezterm",
    "xterm-ghostty",
    "xterm-kitty",
    "contour",
];
/// Terminals without colours.
const MONO: [&str; 6] = ["dumb", "vt52", "vt100", "vt102", "vt220", "vt320"];

/// Returns the depth that these variables ask for, and which of them. `variable` gives none for one that is not set
/// or empty.
pub fn depth(variable: impl Fn(&str) -> Option<String>) -> (Depth, String) {
    if variable("NO_COLOR").is_some() {
        return (Depth::Mono, "NO_COLOR is set".into());
    }
    let Some(term) = variable("TERM") else {
        return (Depth::Sixteen, "TERM is not set".into());
    };
    let by_term = depth_of(&term);
    let told = |depth| (depth, format!("TERM is {term}"));
    // The console of Linux has a palette of sixteen, whatever the shell before it has said.
    if by_term == Depth::Mono || term == "linux" {
        return told(by_term);
    }
    // Both pass on variables of the terminal around them without asking it.
    if variable("STY").is_some() && variable("TMUX").is_none() {
        let depth = by_term.min(Depth::TwoFiftySix);
        return (depth, format!("GNU screen, TERM is {term}"));
    }
    if variable("TERM_PROGRAM").is_some_and(|program| program == "Apple_Terminal") {
        return (Depth::TwoFiftySix, "TERM_PROGRAM is Apple_Terminal".into());
    }
    match variable("COLORTERM") {
        Some(told) if ["truecolor", "24bit"].contains(&told.as_str()) => {
            (Depth::TrueColor, format!("COLORTERM is {told}"))
        }
        _ => told(by_term),
    }
}

fn depth_of(term: &str) -> Depth {
    let family = term.split('-').next().unwrap_or(term);
    if MONO.contains(&family) {
        Depth::Mono
    } else if term.ends_with("-direct") || TRUE_COLOUR.iter().any(|name| term.starts_with(name)) {
        Depth::TrueColor
    } else if term.contains("256color") || ["xterm", "tmux"].contains(&term) {
        Depth::TwoFiftySix
    } else {
        Depth::Sixteen
    }
}

/// Returns true if the terminal that these variables name cannot move its cursor: it gets lines.
pub fn is_dumb(variable: impl Fn(&str) -> Option<String>) -> bool {
    variable("TERM").is_some_and(|term| term == "dumb")
}

/// Returns the marker that these variables let be drawn, and which of them.
pub fn marker(variable: impl Fn(&str) -> Option<String>) -> (Marker, String) {
    // The console's fonts have 256 or 512 glyphs; few hold the signs of the map.
    let bare = variable("TERM").filter(|term| term == "linux" || depth_of(term) == Depth::Mono);
    if let Some(term) = bare {
        return (Marker::Ascii, format!("TERM is {term}"));
    }
    match language(&variable) {
        Some((name, value)) if !is_unicode(&value) => {
            (Marker::Ascii, format!("{name} is {value}, without UTF-8"))
        }
        Some((name, value)) => (Marker::Braille, format!("{name} is {value}")),
        None => (Marker::Braille, "no language is set".into()),
    }
}

/// Returns true if the terminal's language has more than ASCII; if none is set, it is taken to.
pub(crate) fn speaks_unicode() -> bool {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    language(set).is_none_or(|(_, language)| is_unicode(&language))
}

/// Returns the variable that decides on the language, by POSIX the strongest that is set, and its value.
/// `variable` gives none for one that is not set or empty.
fn language(variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"];
    names
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)))
}

/// Returns true if a language, e.g. `de_DE.UTF-8`, has all of Unicode.
fn is_unicode(language: &str) -> bool {
    let name = language.to_ascii_lowercase().replace('-', "");
    name.contains("utf8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn variables(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        move |name| {
            let found = set.iter().find(|(known, _)| *known == name);
            found
                .map(|(_, value)| (*value).to_owned())
                .filter(|value| !value.is_empty())
        }
    }

    #[rstest]
    #[case("xterm-256color", "", Depth::TwoFiftySix)]
    #[case("xterm-256color", "truecolor", Depth::TrueColor)]
    #[case("xterm-256color", "24bit", Depth::TrueColor)]
    #[case("xterm-256color", "yes", Depth::TwoFiftySix)]
    #[case("xterm-direct", "", Depth::TrueColor)]
    #[case("xterm-kitty", "", Depth::TrueColor)]
    #[case("xterm", "", Depth::TwoFiftySix)]
    #[case("tmux-256color", "", Depth::TwoFiftySix)]
    #[case("tmux-256color", "truecolor", Depth::TrueColor)]
    #[case("screen-256color", "", Depth::TwoFiftySix)]
    #[case("screen", "", Depth::Sixteen)]
    #[case("rxvt", "", Depth::Sixteen)]
    #[case("linux", "", Depth::Sixteen)]
    #[case("linux", "truecolor", Depth::Sixteen)]
    #[case("dumb", "", Depth::Mono)]
    #[case("dumb", "truecolor", Depth::Mono)]
    #[case("vt220-8bit", "", Depth::Mono)]
    #[case("", "", Depth::Sixteen)]
    fn depths_of_terminals(#[case] term: &str, #[case] colorterm: &str, #[case] expected: Depth) {
        for (no_color, expected) in [("", expected), ("1", Depth::Mono)] {
            let set = [
                ("TERM", term),
                ("COLORTERM", colorterm),
                ("NO_COLOR", no_color),
            ];
            let (found, why) = depth(variables(&set));
            assert_eq!(found, expected, "{set:?}: {why}");
            assert!(!why.is_empty());
        }
    }

    #[test]
    fn a_terminal_that_cannot_move_its_cursor_is_dumb() {
        let dumb = |term| is_dumb(variables(&[("TERM", term)]));
        assert!(dumb("dumb") && !dumb("linux") && !dumb(""));
    }

    #[test]
    fn what_hands_on_more_than_it_shows_is_not_believed() {
        let truecolor = ("COLORTERM", "truecolor");
        let apple = [
            ("TERM", "xterm-256color"),
            truecolor,
            ("TERM_PROGRAM", "Apple_Terminal"),
        ];
        assert_eq!(depth(variables(&apple)).0, Depth::TwoFiftySix);
        let screen = [("TERM", "screen.xterm-256color"), truecolor, ("STY", "1.x")];
        assert_eq!(depth(variables(&screen)).0, Depth::TwoFiftySix);
        // tmux itself brings 24 bits down to what the terminal around it shows.
        let tmux = [("TERM", "screen"), truecolor, ("TMUX", "/tmp/tmux,1,0")];
        assert_eq!(depth(variables(&tmux)).0, Depth::TrueColor);
    }

    #[rstest]
    #[case(&[("LANG", "en_GB.UTF-8")], Marker::Braille)]
    #[case(&[("LANG", "C.utf8")], Marker::Braille)]
    #[case(&[], Marker::Braille)]
    #[case(&[("LANG", "C")], Marker::Ascii)]
    #[case(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "POSIX")], Marker::Ascii)]
    #[case(&[("LC_CTYPE", "de_DE.ISO-8859-1"), ("LANG", "en_GB.UTF-8")], Marker::Ascii)]
    #[case(&[("LC_ALL", ""), ("LANG", "en_GB.UTF-8")], Marker::Braille)]
    #[case(&[("TERM", "linux"), ("LANG", "en_GB.UTF-8")], Marker::Ascii)]
    #[case(&[("TERM", "dumb"), ("LANG", "en_GB.UTF-8")], Marker::Ascii)]
    fn markers_of_languages(#[case] set: &[(&str, &str)], #[case] expected: Marker) {
        assert_eq!(marker(variables(set)).0, expected);
    }
}
