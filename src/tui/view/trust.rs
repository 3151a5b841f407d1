//! Reasons to trust the picture, or not to: the share of the path that the plane holds, and how far the map's
//! loss is from the checkpoints' own.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget, Wrap};

use crate::landscape::evidence::Assumed;
use crate::loss::Score;
use crate::plot::axis::short;
use crate::session::size_in_words;
use crate::session::snapshot::{Fidelity, Finding, Snapshot};
use crate::weights::trajectory::Trajectory;

use super::super::line::Piece;
use super::super::state::App;
use super::{enclosed, facts, frame, padded};

/// Columns of the names at the left.
const LABEL: usize = 10;

/// Draws the pane.
pub(crate) fn render(app: &App, area: Rect, buffer: &mut Buffer) {
    let inner = enclosed(&frame(app, "trust", area.width), area, buffer);
    let mut lines = doubt(app);
    lines.extend(thinned(app));
    if let Some(trajectory) = &app.snapshot().trajectory {
        lines.extend(plane(app, trajectory));
        lines.extend(losses(app));
    }
    lines.extend(kept(app));
    lines.extend(missing(app));
    lines.extend(assumed(app));
    // Where rows are short, these go first: most of them stands above the map too.
    lines.extend(sources(app));
    Paragraph::new(lines)
        .wrap(Wrap { trim: false })
        .render(padded(inner), buffer);
}

/// A line of the pane: a name, a number that is read first, and the rest.
fn row(app: &App, label: &str, value: (String, Style), rest: String) -> Line<'static> {
    let theme = app.theme();
    Line::from(vec![
        Span::styled(format!("{label:LABEL$}"), theme.faint()),
        Span::styled(value.0, value.1),
        Span::styled(rest, theme.faint()),
    ])
}

/// Returns the share of the path that lies in the plane.
fn plane(app: &App, trajectory: &Trajectory) -> Vec<Line<'static>> {
    let theme = app.theme();
    let mut lines = Vec::new();
    if let Some((label, share, null)) = explained(trajectory) {
        let style = if share > null {
            theme.strong()
        } else {
            theme.warn()
        };
        let rest = format!(" (random walk {:.0} %)", null * 100.0);
        lines.push(row(app, &label, (facts::percent(share), style), rest));
    }
    let selected = app.selected().unwrap_or(0);
    if let Some([median, most]) = residuals(trajectory) {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let summary = format!("{} median, {} at most", percent(median), percent(most));
        // The last checkpoint is the plane's origin: its 0 would say nothing.
        let (others, here) = (
            trajectory.residual.len() - 1,
            trajectory.residual.get(selected),
        );
        match here.filter(|_| selected < others) {
            Some(here) => {
                let value = (percent(*here), theme.strong());
                lines.push(row(app, "off plane", value, " here".into()));
                lines.push(row(app, "", (String::new(), theme.faint()), summary));
            }
            None => lines.push(row(
                app,
                "off plane",
                (summary, Style::new()),
                String::new(),
            )),
        }
    }
    if let [first, second, ..] = trajectory.lissajous[..]
        && trajectory.looks_random()
    {
        let text = format!("shaped like a random walk (R² {first:.2}, {second:.2})");
        lines.push(Line::styled(text, theme.warn()));
    }
    lines
}

/// Name, share and random-walk share of the components that span the picture.
fn explained(trajectory: &Trajectory) -> Option<(String, f64, f64)> {
    let sum = |shares: &[f64]| shares.iter().take(2).sum::<f64>();
    let label = match trajectory.explained.len() {
        0 => return None,
        1 => "PC1",
        _ => "PC1+2",
    };
    let null = sum(&trajectory.explained_null);
    Some((label.into(), sum(&trajectory.explained), null))
}

/// Returns the median and largest residual of the checkpoints but the last; `None` if there is no other.
fn residuals(trajectory: &Trajectory) -> Option<[f64; 2]> {
    let (_, others) = trajectory.residual.split_last()?;
    let mut sorted: Vec<f64> = others.iter().copied().filter(|r| r.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    Some([*sorted.get(sorted.len() / 2)?, *sorted.last()?])
}

/// The checkpoint's own loss beside that of its place on the map.
fn losses(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let line = facts::selected(app);
    let (truth, map) = (line.and_then(|l| l.truth), line.and_then(|l| l.on_plane));
    let word = word(app.snapshot());
    let pair = |label: &str, truth: String, map: String| {
        row(
            app,
            label,
            (truth, theme.strong()),
            format!(" {word}, map {map}"),
        )
    };
    let mut lines = vec![pair("loss", facts::loss(truth), facts::loss(map))];
    lines.extend(app.snapshot().score().map(|score| {
        let [truth, map] = [truth, map].map(|measure| facts::score(score, measure));
        let name = Some(score.name()).filter(|name| name.chars().count() < LABEL);
        pair(name.unwrap_or(score.short()), truth, map)
    }));
    lines.extend(logged(app));
    lines.extend(test(app));
    lines.extend(average(app));
    lines.extend(error(app));
    lines.extend(fidelity(app));
    lines
}

/// Returns what training logged itself at the checkpoint: `0.312 eval 0.33 lr 0.001`.
fn logged(app: &App) -> Option<Line<'static>> {
    let theme = app.theme();
    let logged = facts::logged(app);
    logged.train.or(logged.eval)?;
    let told = [
        ("", logged.train),
        ("eval ", logged.eval),
        ("lr ", logged.rate),
    ];
    let told = told.into_iter().filter_map(|(name, value)| {
        let value = Span::styled(short(value?) + " ", theme.strong());
        Some([Span::styled(name, theme.faint()), value])
    });
    let label = Span::styled(format!("{:LABEL$}", "logged"), theme.faint());
    Some(std::iter::once(label).chain(told.flatten()).collect())
}

/// The current checkpoint on test samples.
fn test(app: &App) -> Option<Line<'static>> {
    let test = app.snapshot().test?;
    let value = (facts::loss(Some(test)), app.theme().strong());
    let rest = match app.snapshot().score() {
        Some(score) => {
            let value = facts::score(score, Some(test));
            match score {
                Score::Accuracy => format!(" loss, {value} right"),
                _ => format!(" loss, {} {value}", score.name()),
            }
        }
        None => " loss".into(),
    };
    Some(row(app, "test", value, rest))
}

/// Returns the expected error of the map between the points that were measured.
fn error(app: &App) -> Option<Line<'static>> {
    let snapshot = app.snapshot();
    let points = snapshot.map.as_ref()?.surface.measured();
    let value = facts::error(snapshot.progress.error?);
    let rest = format!(", {points} points");
    Some(row(app, "map error", (value, Style::new()), rest))
}

/// On which samples the map was measured, where these are not all everywhere.
fn fidelity(app: &App) -> Option<Line<'static>> {
    let map = app.snapshot().map.as_ref()?;
    let (few, rest) = match map.fidelity? {
        Fidelity::Few(few) => (few, " alone so far".into()),
        Fidelity::Estimate { few, points, .. } => (few, format!(", all at {points}")),
    };
    let value = (format!("{few} samples"), Style::new());
    Some(row(app, "map of", value, rest))
}

/// Returns what averaging the last checkpoints would change: the best of several numbers of them.
fn average(app: &App) -> Option<Line<'static>> {
    let snapshot = app.snapshot();
    let now = snapshot
        .checkpoints
        .iter()
        .rev()
        .find_map(|line| line.truth)?;
    let averages = snapshot
        .averages
        .iter()
        .filter(|average| average.1.loss.is_finite());
    let (count, best) = averages.min_by(|a, b| a.1.loss.total_cmp(&b.1.loss))?;
    let change = best.loss - now.loss;
    let style = if change < 0.0 {
        app.theme().strong()
    } else {
        Style::new()
    };
    let sign = if change < 0.0 { "−" } else { "+" };
    let value = format!("{sign}{}", short(change.abs()));
    Some(row(
        app,
        "average",
        (value, style),
        format!(" loss, last {count}"),
    ))
}

/// Returns what is measured, and on what.
fn sources(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let found = |label: &str, finding: Result<String, &str>| match finding {
        Ok(text) => row(app, label, (text, Style::new()), String::new()),
        Err(text) => row(app, label, (text.to_owned(), theme.warn()), String::new()),
    };
    let mut lines = Vec::new();
    match &snapshot.model {
        Finding::Is(model) if model.parameters > 0 => {
            let text = format!("{} ({} weights)", model.name, thousands(model.parameters));
            lines.push(found("model", Ok(text)));
        }
        Finding::Is(model) => lines.push(found("model", Ok(model.name.clone()))),
        Finding::Not(_) => lines.push(found("model", Err("not recognized"))),
        Finding::Pending => {}
    }
    match &snapshot.data {
        Finding::Is(_) => lines.push(found("samples", Ok(samples(snapshot).unwrap_or_default()))),
        Finding::Not(_) => lines.push(found("samples", Err("none"))),
        Finding::Pending => {}
    }
    if !snapshot.batch_norm.is_empty() {
        lines.push(found("bn mode", Ok(snapshot.batch_norm.clone())));
    }
    lines
}

/// True where the path does not follow the gradient of what is measured.
fn is_doubtful(app: &App) -> bool {
    let assumed = app.snapshot().assumed.as_ref();
    assumed.is_some_and(|assumed| assumed.doubtful)
}

/// Returns what is taken for granted of the model, and what speaks for it.
fn assumed(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let Some(assumed) = &app.snapshot().assumed else {
        return Vec::new();
    };
    let words = assumed.function.reading.words();
    let mut taken: Vec<String> = words
        .into_iter()
        .map(|(subject, answer)| match subject {
            "activation" => answer,
            subject => format!("{subject} {answer}"),
        })
        .collect();
    taken.extend(assumed.pixels().map(|pixels| format!("pixels {pixels}")));
    // An evaluator stands as the model.
    let is_own = app.snapshot().evaluator.is_none();
    if is_own && !["", "cross-entropy"].contains(&&*assumed.loss) {
        taken.push(format!("loss {}", assumed.loss));
    }
    let mut lines = Vec::new();
    if !taken.is_empty() {
        let taken = (taken.join(", "), Style::new());
        lines.push(row(app, "assumed", taken, String::new()));
    }
    if !assumed.tied.is_empty() {
        let range = assumed.loss_range.map_or(String::new(), |[low, high]| {
            format!(", loss {}–{}", short(low), short(high))
        });
        let tied = (assumed.tied.join(", "), Style::new());
        lines.push(row(app, "or else", tied, range));
    }
    if let (Some(cosine), Some(error)) = (assumed.cosine, assumed.cosine_error) {
        let style = if assumed.doubtful || cosine <= error {
            theme.warn()
        } else {
            theme.strong()
        };
        let rest = format!(" ± {error:.2}, cosine with {} updates", assumed.intervals);
        lines.push(row(app, "follows", (format!("{cosine:.2}"), style), rest));
    }
    lines
}

/// Says what to check if it is doubtful that the run minimized what is measured; it comes first.
fn doubt(app: &App) -> Vec<Line<'static>> {
    let assumed = app.snapshot().assumed.as_ref();
    let warnings = assumed.into_iter().flat_map(Assumed::warnings);
    warnings
        .map(|warning| Line::styled(warning.clone(), app.theme().warn()))
        .collect()
}

/// `1024 of cifar10 train`.
pub(super) fn samples(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.data {
        Finding::Is(data) => {
            let split = format!("{:?}", data.split).to_lowercase();
            Some(format!("{} of {} {split}", data.samples, data.name))
        }
        _ => None,
    }
}

/// `272 474`.
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

/// The copies of checkpoints that are kept, and how much of the path lies on disk.
fn kept(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let mut lines = Vec::new();
    if let Some(kept) = snapshot.kept.as_ref().filter(|kept| kept.checkpoints > 0) {
        // `2 GiB` says as much as `2.00 GiB`, and leaves the row its room.
        let words = |bytes| size_in_words(bytes).replace(".00 ", " ");
        let size = words(kept.bytes);
        let rest = match kept.room {
            Some(room) => format!(" · {size} of {}", words(room)),
            None => format!(" · {size}"),
        };
        let count = (kept.checkpoints.to_string(), theme.strong());
        lines.push(row(app, "kept", count, rest));
    }
    let gone = facts::gone(snapshot);
    let count = gone.iter().filter(|gone| **gone).count();
    if count > 0 {
        let value = (count.to_string(), theme.strong());
        let rest = format!(" of {} points", gone.len());
        lines.push(row(app, "deleted", value, rest));
    }
    lines
}

/// That the path had to be thinned, because there is no room for more copies.
fn thinned(app: &App) -> Option<Line<'static>> {
    let kept = app.snapshot().kept.as_ref();
    let count = kept.map(|kept| kept.thinned).filter(|count| *count > 0)?;
    let text = format!("thinned {count}: the room for copies is full (--keep)");
    Some(Line::styled(text, app.theme().warn()))
}

/// Returns what is not on the path: the number that cannot be read and that are left out, with the newest
/// reasons.
fn missing(app: &App) -> Vec<Line<'static>> {
    let theme = app.theme();
    let snapshot = app.snapshot();
    let (count, _) = facts::missing(snapshot);
    let unreadable = (facts::unreadable(snapshot)).map(|reason| {
        (
            format!("{count} unreadable, retried:"),
            theme.warn(),
            reason,
        )
    });
    let left_out = facts::left_out(snapshot)
        .filter(|_| snapshot.trouble.is_none())
        .map(|(count, reason)| (format!("{count} left out:"), Style::new(), reason));
    let all = unreadable.into_iter().chain(left_out);
    all.flat_map(|(what, style, reason)| {
        [
            Line::styled(what, style),
            Line::styled(reason.to_owned(), theme.faint()),
        ]
    })
    .collect()
}

/// Returns the word for the loss of a checkpoint itself: no truth until the path was asked which function was
/// minimized, nor if it does not follow the gradient of any, or that of several.
fn word(snapshot: &Snapshot) -> &'static str {
    match &snapshot.assumed {
        Some(assumed) if assumed.doubtful => "read",
        Some(assumed) if assumed.is_known() => "true",
        _ => "assumed",
    }
}

/// Returns what of the path is deleted and thinned, for a line.
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

/// The pane in one line.
pub(super) fn brief(app: &App) -> Vec<Piece> {
    let theme = app.theme();
    let Some(trajectory) = &app.snapshot().trajectory else {
        return Vec::new();
    };
    let mut pieces = Vec::new();
    if is_doubtful(app) {
        let doubt = "doubtful: model, pixels, labels?";
        pieces.push(Piece::new(0, vec![Span::styled(doubt, theme.warn())]));
    }
    if let Some((label, share, null)) = explained(trajectory) {
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
    if let Some([median, _]) = residuals(trajectory) {
        pieces.push(Piece::new(
            2,
            vec![
                Span::styled("off plane ", theme.faint()),
                Span::styled(format!("{:.0} %", median * 100.0), theme.strong()),
            ],
        ));
    }
    let line = facts::selected(app);
    pieces.push(Piece::new(
        1,
        vec![
            Span::styled(format!("{} ", word(app.snapshot())), theme.faint()),
            Span::styled(facts::loss(line.and_then(|l| l.truth)), theme.strong()),
            Span::styled(" map ", theme.faint()),
            Span::styled(facts::loss(line.and_then(|l| l.on_plane)), theme.strong()),
        ],
    ));
    pieces.extend(short_of(app));
    pieces
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_true_only_once_the_path_says_which_function_was_minimized() {
        let said = |assumed: Option<Assumed>| {
            word(&Snapshot {
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
            ..clear.clone()
        };
        let tied = Assumed {
            tied: vec!["activation tanh".into()],
            ..clear.clone()
        };
        let all = [Some(clear), Some(doubtful), Some(tied), Some(unasked)];
        assert_eq!(all.map(said), ["true", "read", "assumed", "assumed"]);
        assert_eq!([None, Some(unclear)].map(said), ["assumed"; 2]);
    }

    #[test]
    fn the_residual_of_the_last_checkpoint_does_not_count() {
        let trajectory = Trajectory {
            residual: vec![0.4, 0.1, 0.2, 0.0],
            ..Trajectory::default()
        };
        assert_eq!(residuals(&trajectory).unwrap(), [0.2, 0.4]);
        let one = Trajectory {
            residual: vec![0.0],
            ..Trajectory::default()
        };
        assert_eq!(residuals(&one), None);
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(thousands),
            ["0", "999", "1 000", "1 234 567"]
        );
    }
}
