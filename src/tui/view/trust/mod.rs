//! Reasons to trust the picture, or not to: the share of the path that the plane holds, and how far the map's
//! loss is from the checkpoints' own.

mod loss;
mod path;
mod row;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use crate::report::condition;
use crate::session::{Finding, Snapshot};

use super::super::state::App;
use super::super::state::choice::View;
use super::{enclosed, facts, frame, padded};
use crate::tui::view::fitted_line::Piece;

use row::{LABEL, Row};

/// Draws the pane; where rows are short, the last ones have no place.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let title = match app.view() {
        View::Compare => format!("trust · {}", facts::name(app.snapshot())),
        _ => "trust".into(),
    };
    let inner = padded(enclosed(&frame(app, &title, area.width), area, buffer));
    let width = usize::from(inner.width);
    let lines = rows(app, width).into_iter();
    let lines: Vec<Line<'_>> = lines.map(|row| row.line(app, width)).collect();
    Paragraph::new(lines).render(inner, buffer);
}

/// Returns the rows for a pane of `width` columns, the most important ones first.
fn rows(app: &App, width: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = doubt(app).into_iter().collect();
    rows.extend(path::thinned(app));
    if let Some(trajectory) = &app.snapshot().trajectory {
        rows.extend(path::plane(app, trajectory));
        if facts::refusal(app.snapshot()).is_none() {
            rows.extend(loss::losses(app, width));
        }
    }
    rows.extend(path::kept(app));
    rows.extend(path::missing(app));
    // Most of them stands above the map too.
    rows.extend(sources(app));
    rows
}

/// Returns the name of the measured loss, and of its samples.
fn sources(app: &App) -> Vec<Row> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let mut rows = Vec::new();
    match &snapshot.model {
        Finding::Is(model) => {
            let weights = (model.parameters > 0)
                .then(|| format!(" ({} weights)", thousands(model.parameters)));
            rows.push(Row::new("model", model.name.clone(), Style::new()).with(weights));
        }
        Finding::Not(_) => rows.push(Row::new("model", "not recognized", theme.warn())),
        Finding::Pending => {}
    }
    match &snapshot.data {
        Finding::Is(_) => {
            let samples = samples(snapshot).unwrap_or_default();
            rows.push(Row::new("samples", samples, Style::new()));
        }
        Finding::Not(_) => rows.push(Row::new("samples", "none", theme.warn())),
        Finding::Pending => {}
    }
    if !snapshot.device.is_empty() {
        let pace = facts::pace(snapshot).map(|pace| format!(", {pace}"));
        rows.push(Row::new("device", snapshot.device.clone(), Style::new()).with(pace));
    }
    if let Some(mode) = facts::batch_norm(snapshot) {
        let row = Row::new("batchnorm", mode, Style::new());
        rows.push(row.with([" running statistics".into()]));
    }
    rows
}

/// Says if it is doubtful that the run minimized what is measured; it comes first. The reason and what to check
/// stand below the map.
fn doubt(app: &App) -> Option<Row> {
    condition::doubt(app.snapshot())?;
    let row = Row::new("doubtful", "see below the map", app.theme().warn());
    Some(row)
}

/// Returns `1024 of cifar10 train`.
pub(super) fn samples(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.data {
        Finding::Is(data) => {
            let split = format!("{:?}", data.split).to_lowercase();
            Some(format!("{} of {} {split}", data.samples, data.name))
        }
        _ => None,
    }
}

/// Returns `272 474`.
fn thousands(count: usize) -> String {
    let digits = count.to_string();
    let grouped: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    grouped.join(" ")
}

/// Returns the numbers of checkpoints that are deleted and thinned, for a line.
fn short_of(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let thinned = snapshot.kept.as_ref().map_or(0, |kept| kept.thinned);
    let gone = facts::gone(snapshot).iter().filter(|gone| **gone).count();
    let told = [
        (thinned, "thinned", theme.warn(), 1),
        (gone, "deleted", theme.faint(), 3),
    ];
    let told = told.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, what, style, rank)| {
        Piece::new(rank, vec![Span::styled(format!("{count} {what}"), style)])
    })
    .collect()
}

/// Returns the pane in one line.
pub(super) fn brief(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let Some(trajectory) = &app.snapshot().trajectory else {
        return Vec::new();
    };
    let mut pieces = Vec::new();
    if condition::doubt(app.snapshot()).is_some() {
        let doubt = "doubtful: model, pixels, labels?";
        pieces.push(Piece::new(0, vec![Span::styled(doubt, theme.warn())]));
    }
    if let Some((label, share, null)) = facts::explained(app.snapshot()) {
        pieces.push(Piece::new(
            0,
            vec![
                Span::styled(format!("{label} "), theme.faint()),
                Span::styled(facts::percent(share), theme.strong()),
                Span::styled(
                    format!(" (random walk {:.0} %)", null * 100.0),
                    theme.faint(),
                ),
            ],
        ));
    }
    if let Some([median, _]) = facts::median_and_most(&facts::distances(trajectory)) {
        pieces.push(Piece::new(
            2,
            vec![
                Span::styled("off plane ", theme.faint()),
                Span::styled(facts::whole_percent(median), theme.strong()),
            ],
        ));
    }
    if facts::refusal(app.snapshot()).is_some() {
        pieces.extend(short_of(app));
        return pieces;
    }
    let line = facts::selected(app);
    let word = loss::word(app.snapshot());
    let losses = [
        (word, line.and_then(|l| l.truth)),
        ("map", line.and_then(|l| l.on_plane)),
    ];
    let known = losses.into_iter().filter(|(_, measure)| measure.is_some());
    let known = known.flat_map(|(word, measure)| {
        [
            Span::styled(format!(" {word} "), theme.faint()),
            Span::styled(facts::loss(measure), theme.strong()),
        ]
    });
    let known: Vec<Span<'_>> = known.collect();
    if !known.is_empty() {
        let spans = std::iter::once(Span::styled("loss", theme.faint())).chain(known);
        pieces.push(Piece::new(1, spans.collect()));
    }
    pieces.extend(short_of(app));
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::landscape::Assumed;

    #[test]
    fn a_loss_is_true_only_once_the_path_says_which_function_was_minimized() {
        let said = |assumed: Option<Assumed>| {
            loss::word(&Snapshot {
                assumed,
                ..Snapshot::default()
            })
        };
        let unclear = Assumed {
            cosine: Some(0.4),
            ..Assumed::default()
        };
        let clear = Assumed {
            evident: true,
            ..unclear.clone()
        };
        let unasked = Assumed {
            unasked: vec!["activation".into()],
            ..clear.clone()
        };
        let doubtful = Assumed {
            doubtful: true,
            warning: Some("the path does not follow the gradient".into()),
            ..clear.clone()
        };
        let tied = Assumed {
            tied: vec!["activation tanh".into()],
            ..clear.clone()
        };
        let all = [Some(clear), Some(doubtful), Some(tied), Some(unasked)];
        assert_eq!(all.map(said), ["true", "doubtful", "assumed", "assumed"]);
        assert_eq!([None, Some(unclear)].map(said), ["assumed"; 2]);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
