//! Files of settings and of colours.

use std::sync::LazyLock;

use isoloss::cli;
use isoloss::config::{File, Settings};
use isoloss::tui::{Keymap, Theme};

use super::assert_sentence;

static SETTINGS: LazyLock<Settings> = LazyLock::new(cli::settings);

/// A text as `isoloss.toml`, and as a theme.
pub fn config(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match File::parse("isoloss.toml".into(), text, &SETTINGS) {
        Ok(file) => {
            if let Err(error) = Keymap::default().rebound(&file.changes()) {
                assert_sentence(error);
            }
        }
        Err(problems) => problems.0.iter().for_each(assert_sentence),
    }
    if let Err(refusal) = Theme::parse("own", text) {
        assert_sentence(refusal);
    }
}
