//! One file: TOML into values that the settings take, and keys of actions.

use std::ops::Range;
use std::path::{self, PathBuf};

use clap::ValueEnum;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::data;
use crate::model;
use crate::run::regular;
use crate::tui::{Action, Key};

use super::settings::{Settings, nearest};
use super::{Problem, Problems};

/// Bytes of a file at most: all settings and keys there are take some thousand.
const LARGEST: u64 = 1 << 20;
/// Most problems of a file that are reported; a file with thousands is a mistake of another kind.
const TOLD: usize = 8;

/// Name of the table of keys.
const KEYS: &str = "keys";

/// Settings and keys of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path.
    pub path: PathBuf,
    /// Its settings.
    pub values: Vec<SettingValue>,
    /// Its keys.
    pub keys: Vec<KeyBinding>,
}

/// A setting in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingValue {
    /// Name of the setting.
    pub name: String,
    /// As the flag takes it; the values of a list are joined by commas.
    pub text: String,
    /// Counted from 1.
    pub line: usize,
}

/// Keys of an action in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBinding {
    /// The action.
    pub action: Action,
    /// None: the action has no key.
    pub keys: Vec<Key>,
    /// Counted from 1.
    pub line: usize,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong in it, in its order.
    pub fn read(path: PathBuf, settings: &Settings) -> Result<Self, Problems> {
        match regular::read_text(&path, LARGEST) {
            Ok(text) => Self::parse(path, &text, settings),
            Err(error) => Err(Problems(vec![Problem {
                place: path.display().to_string(),
                message: format!("cannot be read: {error}"),
            }])),
        }
    }

    /// Understands the text of a file.
    ///
    /// # Errors
    /// All that is wrong in it, in its order.
    pub fn parse(path: PathBuf, text: &str, settings: &Settings) -> Result<Self, Problems> {
        let mut reader = Reader {
            text,
            settings,
            file: Self {
                path,
                values: Vec::new(),
                keys: Vec::new(),
            },
            problems: Vec::new(),
            untold: 0,
        };
        match DeTable::parse(text) {
            Ok(table) => reader.table(table.get_ref()),
            Err(error) => {
                let message = format!("not TOML: {}", error.message());
                reader.refuse(error.span().unwrap_or(0..0), message);
            }
        }
        if reader.problems.is_empty() {
            return Ok(reader.file);
        }
        reader.problems.sort_by_key(|(at, _)| *at);
        let more = (reader.untold > 0).then(|| Problem {
            place: reader.file.path.display().to_string(),
            message: format!("{} more such problems", reader.untold),
        });
        let problems = reader.problems.into_iter().map(|(_, problem)| problem);
        Err(Problems(problems.chain(more).collect()))
    }

    /// Returns `FILE:LINE` of the place where an action gets its keys; `None` if it gets none here.
    #[must_use]
    pub fn place_of_keys(&self, action: Action) -> Option<String> {
        let bound = self.keys.iter().find(|bound| bound.action == action)?;
        Some(format!("{}:{}", self.path.display(), bound.line))
    }

    /// Returns the changes that the keymap takes.
    #[must_use]
    pub fn changes(&self) -> Vec<(Action, Vec<Key>)> {
        let keys = self.keys.iter();
        keys.map(|bound| (bound.action, bound.keys.clone()))
            .collect()
    }
}

/// A file while it is read, with what was wrong at which byte.
struct Reader<'a> {
    text: &'a str,
    settings: &'a Settings,
    file: File,
    problems: Vec<(usize, Problem)>,
    /// Number of further ones.
    untold: usize,
}

type Item<'a, 'b> = (
    &'b Spanned<std::borrow::Cow<'a, str>>,
    &'b Spanned<DeValue<'a>>,
);

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>) {
        for item in in_order(table) {
            match item.1.get_ref() {
                DeValue::Table(keys) if item.0.get_ref() == KEYS => self.keys(keys),
                _ => self.setting(item),
            }
        }
    }

    fn setting(&mut self, (name, value): Item<'_, '_>) {
        let known: Vec<&str> = self.settings.names().collect();
        if !known.contains(&name.get_ref().as_ref()) {
            // The nearest name is worth looking for only if it is reported.
            let message = if self.problems.len() < TOLD {
                unknown_setting(name.get_ref(), &known)
            } else {
                String::new()
            };
            return self.refuse(name.span(), message);
        }
        let Some(text) = text(value.get_ref()) else {
            let got = value.get_ref().type_str();
            let message = format!(
                "{}: expected a value or a list of values, got {got}",
                name.get_ref()
            );
            return self.refuse(value.span(), message);
        };
        if let Err(message) = self.settings.check(name.get_ref(), &text) {
            return self.refuse(value.span(), message);
        }
        let text = self.beside(name.get_ref(), text);
        let line = self.position(name.span().start).0;
        self.file.values.push(SettingValue {
            name: name.get_ref().to_string(),
            text,
            line,
        });
    }

    /// Returns a path that is not absolute is meant from the folder of the file.
    fn beside(&self, name: &str, text: String) -> String {
        // The weights of classes may stand themselves in the place of their file.
        let is_list = text
            .split(',')
            .all(|part| part.trim().parse::<f64>().is_ok());
        let is_path = self.settings.is_path(name) && text != data::DIGITS && !is_list;
        let is_program = name == "model" && model::program_file(&text).is_some();
        if !is_path && !is_program {
            return text;
        }
        let folder = self.file.path.parent().unwrap_or(path::Path::new(""));
        let path = folder.join(&text);
        let absolute = path::absolute(&path).unwrap_or(path);
        absolute.to_str().map_or(text, str::to_owned)
    }

    fn keys(&mut self, table: &DeTable<'_>) {
        for (name, value) in in_order(table) {
            let Ok(action) = Action::from_str(name.get_ref(), false) else {
                let message = if self.problems.len() < TOLD {
                    unknown_action(name.get_ref())
                } else {
                    String::new()
                };
                self.refuse(name.span(), message);
                continue;
            };
            let Some(keys) = self.keys_of(value) else {
                continue;
            };
            let line = self.position(name.span().start).0;
            self.file.keys.push(KeyBinding { action, keys, line });
        }
    }

    /// Returns the keys of an action: one, a list or an empty list; `None` if something is wrong.
    fn keys_of(&mut self, value: &Spanned<DeValue<'_>>) -> Option<Vec<Key>> {
        let items = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        let mut keys = Vec::new();
        for item in items {
            match self.key(item) {
                Ok(key) if keys.contains(&key) => {}
                Ok(key) => keys.push(key),
                Err(message) => {
                    self.refuse(item.span(), message);
                    return None;
                }
            }
        }
        Some(keys)
    }

    fn key(&self, value: &Spanned<DeValue<'_>>) -> Result<Key, String> {
        let DeValue::String(text) = value.get_ref() else {
            let got = value.get_ref().type_str();
            return Err(format!(
                "expected a key in quotes or a list of such, got {got}"
            ));
        };
        let key: Key = text.parse()?;
        match self
            .file
            .keys
            .iter()
            .find(|bound| bound.keys.contains(&key))
        {
            Some(bound) => Err(format!(
                "expected a key for one action, but `{key}` is that of `{}` in line {}",
                bound.action, bound.line
            )),
            None => Ok(key),
        }
    }

    fn refuse(&mut self, span: Range<usize>, message: String) {
        if self.problems.len() >= TOLD {
            self.untold += 1;
            return;
        }
        let (line, column) = self.position(span.start);
        let place = format!("{}:{line}:{column}", self.file.path.display());
        self.problems.push((span.start, Problem { place, message }));
    }

    /// Returns the line and column of a byte, counted from 1.
    fn position(&self, at: usize) -> (usize, usize) {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        (before.matches('\n').count() + 1, line.chars().count() + 1)
    }
}

fn unknown_setting(name: &str, known: &[&str]) -> String {
    if let Some(nearest) = nearest(name, known.iter().copied().chain([KEYS])) {
        return format!("expected a setting, got `{name}`; the nearest is `{nearest}`");
    }
    format!("expected {} or [{KEYS}], got `{name}`", known.join(", "))
}

fn unknown_action(name: &str) -> String {
    let actions: Vec<String> = Action::value_variants()
        .iter()
        .map(ToString::to_string)
        .collect();
    match nearest(name, actions.iter().map(String::as_str)) {
        Some(nearest) => format!("expected an action, got `{name}`; the nearest is `{nearest}`"),
        None => format!("expected an action that `isoloss config print` lists, got `{name}`"),
    }
}

/// Returns the entries of a table as they stand in the file.
fn in_order<'a, 'b>(table: &'b DeTable<'a>) -> Vec<Item<'a, 'b>> {
    let mut items: Vec<_> = table.iter().collect();
    items.sort_by_key(|(name, _)| name.span().start);
    items
}

/// Returns a value as the flag takes it; `None` of a table.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| text(item.get_ref())).collect();
            items.map(|items| items.join(","))
        }
        DeValue::Table(_) => None,
    }
}
