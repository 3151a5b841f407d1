//! The help pane.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use crate::plot::title;

use super::super::state::App;
use super::{cleared, enclosed, frame};
use crate::tui::input::action::Action;
use crate::tui::input::help_text::{SCROLL, Section, sections};
use crate::tui::theme::Theme;

/// Columns of the keys.
const KEYS: usize = 14;
/// Columns of a list of keys.
const WIDTH: u16 = 56;
/// Draws the pane in the middle of the screen: in two columns where there is room for them.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let sections = sections(app.keymap(), app.appearance().marker.is_ascii());
    let wide = area.width >= 2 * WIDTH;
    let columns = if wide {
        let half = sections.len() / 2;
        vec![&sections[..half], &sections[half..]]
    } else {
        vec![&sections[..]]
    };
    let count = columns.len() as u16;
    let width = (WIDTH * count).min(area.width);
    let columns: Vec<Vec<Vec<Line<'_>>>> = columns
        .into_iter()
        .map(|sections| rows(sections, width.saturating_sub(2) / count, app.theme()))
        .collect();
    let lines = columns.iter().map(|rows| rows.iter().flatten().count());
    let lines = lines.max().unwrap_or(0);
    let pane = cleared(app, [width, lines as u16 + 2], area, buffer);
    let (title, first) = if lines + 2 <= pane.height.into() {
        ("keys".to_owned(), 0)
    } else {
        (scroll_title(app), SCROLL * app.scrolled())
    };
    let inner = enclosed(&frame(app, &title, width), pane, buffer);
    let areas = Layout::horizontal(vec![Constraint::Fill(1); columns.len()]).split(inner);
    for (rows, area) in columns.into_iter().zip(areas.iter()) {
        let shown: Vec<Line<'_>> = rows.into_iter().skip(first).flatten().collect();
        Paragraph::new(shown).render(*area, buffer);
    }
}

/// Returns the title where not all has room: which keys scroll.
fn scroll_title(app: &App) -> String {
    let keys = [Action::PanUp, Action::PanDown].map(|action| app.keymap().keys(action).first());
    let keys: Vec<String> = keys
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    format!("keys · {} scroll", keys.join(" "))
}

/// Returns the rows of a column, each with its lines: words that have no room beside their keys stand below the others.
fn rows<'a>(sections: &[Section], width: u16, theme: &Theme) -> Vec<Vec<Line<'a>>> {
    let room = usize::from(width).saturating_sub(KEYS + 2);
    let row = |(keys, help): &(String, &'static str)| {
        let words = title::lines(help, " ", room, usize::MAX).into_iter();
        let lines = words.enumerate().map(|(line, words)| {
            let keys = if line == 0 { keys.as_str() } else { "" };
            let keys = Span::styled(format!(" {keys:KEYS$}"), theme.accent());
            Line::from(vec![keys, Span::raw(words)])
        });
        lines.collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for section in sections {
        if !rows.is_empty() {
            rows.push(vec![Line::default()]);
        }
        rows.push(vec![Line::styled(
            format!(" {}", section.name),
            theme.strong(),
        )]);
        rows.extend(section.rows.iter().map(row));
    }
    rows
}
