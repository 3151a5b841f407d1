//! A row of the trust pane: a name, a number that is read first, and details as far as there is room.

use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::plot::title;

use super::super::super::state::App;

/// Columns of the names at the left.
pub(super) const LABEL: usize = 10;

/// One row, which never has more than one line.
#[derive(Clone, Debug)]
pub(super) struct Row {
    label: String,
    value: String,
    style: Style,
    details: Vec<String>,
}

impl Row {
    pub(super) fn new(label: &str, value: impl Into<String>, style: Style) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
            style,
            details: Vec::new(),
        }
    }

    /// Returns the same with these details, which follow the number as they are; the last ones give way first.
    pub(super) fn with(self, details: impl IntoIterator<Item = String>) -> Self {
        let details = details.into_iter().collect();
        Self { details, ..self }
    }

    /// Lays the row out in `width` columns. A name or value that has no room is cut in its middle.
    pub(super) fn line(mut self, app: &App, width: usize) -> Line<'static> {
        let theme = app.theme();
        let room = width.saturating_sub(LABEL);
        let label = title::middle(&self.label, LABEL - 1);
        let value = title::middle(&self.value, room);
        let length = |text: &str| text.chars().count();
        let used = |details: &[String]| details.iter().map(|text| length(text)).sum::<usize>();
        while length(&value) + used(&self.details) > room {
            self.details.pop();
        }
        Line::from(vec![
            Span::styled(format!("{label:LABEL$}"), theme.faint()),
            Span::styled(value, self.style),
            Span::styled(self.details.concat(), theme.faint()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_give_way_and_what_is_left_has_one_line() {
        let app = App::default();
        let row = Row::new("accuracy", "100 %", Style::new());
        let row = row.with([" assumed".into(), ", map 90.4 %".into()]);
        let said = |width| row.clone().line(&app, width).to_string();
        assert_eq!(said(36), "accuracy  100 % assumed, map 90.4 %");
        assert_eq!(said(34), "accuracy  100 % assumed");
        assert_eq!(said(16), "accuracy  100 %");
        let long = Row::new("encoder.layers", "a very long name", Style::new());
        assert_eq!(long.line(&app, 20).to_string(), "enco…yers a ver…name");
    }
}
