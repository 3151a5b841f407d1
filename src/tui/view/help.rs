//! The help screen: the table of keys, and what the signs of the map mean.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Widget};

use crate::plot::title;

use super::super::action::Action;
use super::super::app::App;
use super::super::keymap::TABLE;
use super::super::theme::Theme;
use super::{enclosed, frame};

/// Columns of the keys.
const KEYS: usize = 14;
/// Columns of a list of keys.
const WIDTH: u16 = 56;
/// Signs of the map, in braille and block, and in 7-bit characters.
const SIGNS: [[&str; 3]; 6] = [
    ["○ ● ◆", "S O &", "start, current, looked at"],
    ["✕", "X", "lowest loss that was measured"],
    ["• ·", "o ,", "checkpoint; one the map is untrue of"],
    ["▼", "v", "the learning rate fell"],
    ["╳ ^", "! ^", "not a number, above the top level"],
    ["dim", "dim", "not yet measured finely enough"],
];
/// Rows by which an arrow key scrolls.
const SCROLL: usize = 3;

/// A headline with what stands below it: keys or signs, each with what it does or means.
struct Section {
    name: &'static str,
    rows: Vec<(String, &'static str)>,
}

/// How often the help can be scrolled until its last rows are at the top.
pub(in crate::tui) fn scrolls(app: &App) -> usize {
    let rows = sections(app)
        .into_iter()
        .map(|section| section.rows.len() + 2);
    rows.sum::<usize>() / SCROLL
}

/// Draws the pane in the middle of the screen: in two columns where there is room for them.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let sections = sections(app);
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
    let height = (lines as u16 + 2).min(area.height);
    let pane = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(pane, buffer);
    buffer.set_style(pane, app.theme().base());
    let (title, first) = if lines + 2 <= height.into() {
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

/// The title where not all has room: which keys scroll.
fn scroll_title(app: &App) -> String {
    let keys = [Action::PanUp, Action::PanDown].map(|action| app.keymap().keys(action).first());
    let keys: Vec<String> = keys
        .into_iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    format!("keys · {} scroll", keys.join(" "))
}

/// The rows of a column, each with its lines: words that have no room beside their keys stand below the others.
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

/// The groups of the table, without rows that no key leads to, and the signs.
fn sections(app: &App) -> Vec<Section> {
    let keys = |group: &crate::tui::keymap::Group| {
        let rows = group.rows.iter();
        let rows = rows.map(|row| (app.keymap().printed(row), row.help));
        Section {
            name: group.name,
            rows: rows.filter(|(keys, _)| !keys.is_empty()).collect(),
        }
    };
    let ascii = app.look().marker.is_ascii();
    let signs = SIGNS.map(|[signs, plain, meaning]| {
        let signs = if ascii { plain } else { signs };
        (signs.to_owned(), meaning)
    });
    let signs = Section {
        name: "signs",
        rows: signs.to_vec(),
    };
    let groups = TABLE.iter().map(keys);
    groups
        .chain([signs])
        .filter(|section| !section.rows.is_empty())
        .collect()
}
