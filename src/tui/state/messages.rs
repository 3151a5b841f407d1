//! Sentences for the banner's line, and which of them the user has seen.

use crate::session::Snapshot;

use super::news;

/// Sentences of the screen itself, and what the user has dismissed.
#[derive(Clone, Debug, Default)]
pub(super) struct Messages {
    /// Answer to the last key.
    message: Option<String>,
    /// News that the user has seen.
    dismissed: Option<String>,
    /// Sentences that do not come from the session, the first to be shown last.
    warnings: Vec<String>,
}

impl Messages {
    /// Takes sentences to be shown until the user has seen them.
    pub(super) fn warn(&mut self, sentences: Vec<String>) {
        self.warnings = sentences;
    }

    /// Says something until the next key.
    pub(super) fn tell(&mut self, sentence: String) {
        self.message = Some(sentence);
    }

    /// Takes back the answer to the last key. Returns false if there was none.
    pub(super) fn untell(&mut self) -> bool {
        self.message.take().is_some()
    }

    pub(super) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Returns the news of the session, or else the last warning. `is_map` is true if the map is shown.
    pub(super) fn banner<'a>(&'a self, snapshot: &'a Snapshot, is_map: bool) -> Option<&'a str> {
        let warning = self.warnings.last().map(String::as_str);
        self.news(snapshot, is_map).or(warning)
    }

    /// Takes what the banner shows as seen.
    pub(super) fn dismiss(&mut self, snapshot: &Snapshot, is_map: bool) {
        match self.news(snapshot, is_map) {
            Some(news) => self.dismissed = Some(news.to_owned()),
            None => drop(self.warnings.pop()),
        }
    }

    /// Returns the last thing that went wrong in the session; `None` if the user has seen it.
    fn news<'a>(&self, snapshot: &'a Snapshot, is_map: bool) -> Option<&'a str> {
        let newest = news::newest(snapshot, is_map)?;
        (self.dismissed.as_deref() != Some(newest)).then_some(newest)
    }
}
