//! One line made of pieces: when it is too narrow, the least important ones give way.

use ratatui::text::{Line, Span};

/// Blanks between two pieces.
const GAP: usize = 2;

/// A piece of a line.
pub(in crate::tui) struct Piece {
    spans: Vec<Span<'static>>,
    /// 0 is the last to give way.
    rank: u8,
    /// The piece that takes its place when it gives way.
    shorter: Option<Box<Piece>>,
}

impl Piece {
    pub(in crate::tui) fn new(rank: u8, spans: Vec<Span<'static>>) -> Self {
        Self {
            spans,
            rank,
            shorter: None,
        }
    }

    /// Returns the same piece, in whose place a shorter one of a lower rank stands when it gives way.
    pub(in crate::tui) fn or(self, shorter: Self) -> Self {
        Self {
            shorter: Some(Box::new(shorter)),
            ..self
        }
    }

    fn width(&self) -> usize {
        self.spans.iter().map(Span::width).sum()
    }
}

/// Joins what fits into `width` columns, in the order given.
pub(in crate::tui) fn fit(mut pieces: Vec<Piece>, width: usize) -> Line<'static> {
    let total = |pieces: &[Piece]| {
        let gaps = GAP * pieces.len().saturating_sub(1);
        pieces.iter().map(Piece::width).sum::<usize>() + gaps
    };
    let may_give_way =
        |pieces: &[Piece]| pieces.len() > 1 || pieces.iter().any(|piece| piece.shorter.is_some());
    while may_give_way(&pieces) && total(&pieces) > width {
        let ranked = pieces.iter().enumerate();
        let Some((least, _)) = ranked.max_by_key(|(_, piece)| piece.rank) else {
            break;
        };
        match pieces[least].shorter.take() {
            Some(shorter) => pieces[least] = *shorter,
            None => drop(pieces.remove(least)),
        }
    }
    let mut spans = Vec::new();
    for piece in pieces {
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        spans.extend(piece.spans);
    }
    Line::from(spans)
}

/// Returns the end of a path that has to fit into `width` columns; `…` stands for what is cut at the front.
pub(in crate::tui) fn tail(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.to_owned();
    }
    let kept = text.chars().skip(length - width.saturating_sub(1));
    let kept: String = kept.take(width.saturating_sub(1)).collect();
    // A folder's name is kept whole or not at all.
    let whole = kept.find('/').map_or(&*kept, |slash| &kept[slash..]);
    format!("…{whole}").chars().take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(width: usize) -> String {
        let piece = |rank, text: &'static str| Piece::new(rank, vec![Span::raw(text)]);
        let pieces = vec![piece(0, "name"), piece(2, "detail"), piece(1, "state")];
        fit(pieces, width).to_string()
    }

    #[test]
    fn the_least_important_piece_gives_way_first() {
        assert_eq!(fitted(19), "name  detail  state");
        assert_eq!(fitted(18), "name  state");
        assert_eq!(fitted(10), "name");
        assert_eq!(fitted(2), "name");
    }

    #[test]
    fn a_piece_is_shortened_before_it_goes() {
        let piece = |rank, text: &'static str| Piece::new(rank, vec![Span::raw(text)]);
        let fitted = |width| {
            let age = piece(3, "saved 4 s ago, usually every 5 s").or(piece(1, "saved 4 s ago"));
            let pieces = vec![piece(0, "name"), age, piece(2, "loss")];
            fit(pieces, width).to_string()
        };
        assert_eq!(fitted(44), "name  saved 4 s ago, usually every 5 s  loss");
        assert_eq!(fitted(43), "name  saved 4 s ago  loss");
        assert_eq!(fitted(24), "name  saved 4 s ago");
        assert_eq!(fitted(18), "name");
    }

    #[test]
    fn the_tail_of_a_path_is_what_tells_runs_apart() {
        assert_eq!(tail("runs/resnet20", 13), "runs/resnet20");
        assert_eq!(tail("/data/runs/resnet20", 10), "…/resnet20");
        assert_eq!(tail("/data/runs/resnet20", 13), "…/resnet20");
        assert_eq!(tail("abc", 1), "…");
        assert_eq!(tail("abc", 0), "");
    }
}
