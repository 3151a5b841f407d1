//! The themes that can be shown: those that are built in and the user's own; one of them is on.

use std::fs;
use std::path::Path;

use crate::run::regular;
use crate::terminal::Depth;

use crate::tui::theme::{BUILT_IN, Theme};

/// Bytes of a theme at most.
const LARGEST: u64 = 1 << 20;

/// All themes, and which is on.
#[derive(Clone, Debug, PartialEq)]
pub struct Themes {
    depth: Depth,
    /// As they are shown at this depth, with the names that they are asked for.
    all: Vec<(String, Theme)>,
    at: usize,
}

impl Default for Themes {
    fn default() -> Self {
        Self::built_in(Depth::default())
    }
}

impl Themes {
    /// Returns the built-in themes, the first of them on.
    #[must_use]
    pub fn built_in(depth: Depth) -> Self {
        // The files are part of the program, and a test reads each of them.
        let all = BUILT_IN.iter();
        let all = all.filter_map(|(name, file)| Theme::parse(name, file).ok());
        Self {
            depth,
            all: all
                .map(|theme| (theme.name().to_owned(), theme.at(depth)))
                .collect(),
            at: 0,
        }
    }

    /// Adds the files `*.toml` of a folder, by their names; one that is called as a built-in theme takes
    /// its place. Returns a sentence about each that cannot be used; no folder is no theme.
    pub fn add_folder(&mut self, folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        files.sort();
        let mut wrong = Vec::new();
        for path in files {
            if let Err(reason) = self.add_file(&path) {
                wrong.push(format!("{}: {reason}", path.display()));
            }
        }
        wrong
    }

    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let file = regular::read_text(path, LARGEST).map_err(|error| error.to_string())?;
        let theme = Theme::parse(&name, &file)?.at(self.depth);
        match self.all.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = theme,
            None => self.all.push((name.into_owned(), theme)),
        }
        Ok(())
    }

    /// Turns to a theme; false where none has this name.
    pub fn select(&mut self, name: &str) -> bool {
        let found = self.all.iter().position(|(known, _)| known == name);
        self.at = found.unwrap_or(self.at);
        found.is_some()
    }

    /// Turns to the next one that looks different at this depth, round and round.
    pub fn next(&mut self) {
        let count = self.all.len();
        let others = (1..count).map(|step| (self.at + step) % count);
        let different = |at: &usize| !self.all[*at].1.looks_like(self.current());
        self.at = others.into_iter().find(different).unwrap_or(self.at);
    }

    /// Returns the one that is on.
    #[must_use]
    pub fn current(&self) -> &Theme {
        &self.all[self.at].1
    }

    /// Returns the number of colours in which they are shown.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Returns the names of all, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seen(themes: &mut Themes) -> Vec<String> {
        let mut seen = vec![themes.current().name().to_owned()];
        loop {
            themes.next();
            let name = themes.current().name();
            if seen.iter().any(|known| known == name) {
                return seen;
            }
            seen.push(name.to_owned());
        }
    }

    #[test]
    fn all_are_gone_through_that_can_be_told_apart() {
        let all = seen(&mut Themes::built_in(Depth::TrueColor));
        assert_eq!(all, BUILT_IN.map(|(name, _)| name));
        let few = seen(&mut Themes::built_in(Depth::Sixteen));
        assert_eq!(few[..2], ["dark", "light"]);
        assert_eq!(seen(&mut Themes::built_in(Depth::Mono)), ["mono"]);
    }

    #[test]
    fn a_theme_is_known_by_its_name_whatever_it_becomes() {
        let mut themes = Themes::built_in(Depth::Mono);
        assert!(themes.select("nord") && !themes.select("norse"));
        assert_eq!(themes.current().name(), "mono");
    }

    #[test]
    fn own_themes_join_the_others_and_a_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let nord = BUILT_IN[3].1;
        write("sea.toml", &nord.replace("#2e3440", "#001122"));
        write("dark.toml", &nord.replace("#2e3440", "#221100"));
        write("broken.toml", &nord.replace("#2e3440", "blue"));
        write("notes.txt", "no theme");
        let mut themes = Themes::default();
        let before = themes.current().clone();
        let wrong = themes.add_folder(folder.path());
        let [sentence] = &wrong[..] else {
            panic!("{wrong:?}");
        };
        assert!(sentence.ends_with("broken.toml: ground: expected #rrggbb, found \"blue\""));
        assert!(themes.select("sea") && !themes.select("broken"));
        assert_eq!(themes.names().count(), BUILT_IN.len() + 1);
        assert!(themes.select("dark") && !themes.current().looks_like(&before));
        assert!(themes.add_folder(&folder.path().join("none")).is_empty());
    }
}
