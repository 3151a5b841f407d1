//! Titles made of items, e.g. `run, bs 128, test error 7.4 %`: what has no room is left out whole, and
//! no word or number is cut.

/// Returns as many items as there is room for, in their order; a first one that has none is cut, which `…` shows.
#[must_use]
pub fn fit(title: &str, separator: &str, width: usize) -> String {
    lines(title, separator, width, 1).pop().unwrap_or_default()
}

/// Returns the same on at most `rows` lines, which break between items.
#[must_use]
pub fn lines(title: &str, separator: &str, width: usize, rows: usize) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    let mut lines: Vec<String> = Vec::new();
    for item in title.split(separator) {
        let full = lines.len() >= rows;
        match lines.last_mut() {
            None => lines.push(cut(item, width)),
            Some(line) if length(line) + length(separator) + length(item) <= width => {
                line.push_str(separator);
                line.push_str(item);
            }
            Some(_) if !full && length(item) <= width => lines.push(item.into()),
            Some(_) => {}
        }
    }
    lines
}

/// Returns the text, cut in its middle if it has more than `width` columns: names differ at their ends.
#[must_use]
pub fn middle(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    let kept = width.saturating_sub(1);
    let end = kept / 2;
    let start = text.chars().take(kept - end);
    let rest = text.chars().skip(length - end);
    start.chain(['…']).chain(rest).take(width).collect()
}

/// Returns dotted names in at most `width` columns each: those that have more lose what all of them begin with, and only
/// then their middle, so that layers of one network stay apart.
#[must_use]
pub fn names(names: &[&str], width: usize) -> Vec<String> {
    let is_long = |name: &&&str| name.chars().count() > width;
    let long: Vec<&str> = names.iter().filter(is_long).copied().collect();
    let shared = shared_beginning(&long);
    let fitted = |name: &&str| match name.strip_prefix(shared) {
        Some(rest) if is_long(&name) && !shared.is_empty() => middle(&format!("…{rest}"), width),
        _ => middle(name, width),
    };
    let cut: Vec<String> = names.iter().map(fitted).collect();
    let is_alone = |text: &String| cut.iter().filter(|other| *other == text).count() == 1;
    let apart = |(name, text): (&&str, &String)| {
        if is_alone(text) {
            text.clone()
        } else {
            end(name, width)
        }
    };
    names.iter().zip(&cut).map(apart).collect()
}

/// Returns the end of a text that has more than `width` columns.
fn end(text: &str, width: usize) -> String {
    let length = text.chars().count();
    if length <= width {
        return text.into();
    }
    let rest = text.chars().skip(length - width.saturating_sub(1));
    std::iter::once('…').chain(rest).take(width).collect()
}

/// Returns the longest beginning of several names that ends at a dot; empty for one.
fn shared_beginning<'a>(names: &[&'a str]) -> &'a str {
    let Some((first, others)) = names.split_first().filter(|(_, others)| !others.is_empty()) else {
        return "";
    };
    let beginnings = first.rmatch_indices('.').map(|(dot, _)| &first[..=dot]);
    let mut shared = beginnings.filter(|start| others.iter().all(|name| name.starts_with(start)));
    shared.next().unwrap_or_default()
}

fn cut(item: &str, width: usize) -> String {
    if item.chars().count() <= width {
        return item.into();
    }
    let kept = item.chars().take(width.saturating_sub(1));
    kept.chain(['…']).take(width).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TITLE: &str = "mlp-fashion, bs 128, wd 0.0005, test error 13.2 %";

    #[test]
    fn items_that_have_no_room_are_left_out_and_later_ones_that_have_stay() {
        assert_eq!(fit(TITLE, ", ", 49), TITLE);
        assert_eq!(fit(TITLE, ", ", 48), "mlp-fashion, bs 128, wd 0.0005");
        assert_eq!(fit("a long one, longer, b", ", ", 13), "a long one, b");
        assert_eq!(fit(TITLE, ", ", 11), "mlp-fashion");
    }

    #[test]
    fn lines_break_between_items() {
        assert_eq!(
            lines(TITLE, ", ", 18, 3),
            ["mlp-fashion", "bs 128, wd 0.0005", "test error 13.2 %"]
        );
        assert_eq!(lines(TITLE, ", ", 18, 2).len(), 2);
    }

    #[test]
    fn both_ends_of_a_name_are_kept() {
        let name = "encoder.layer.11.attention.weight";
        assert_eq!(middle(name, 33), name);
        assert_eq!(middle(name, 12), "encode…eight");
        assert_eq!([2, 1, 0].map(|width| middle(name, width)), ["e…", "…", ""]);
    }

    #[test]
    fn layers_of_one_network_stay_apart() {
        let layers = [
            "transformer.h.0.attn.c_attn.weight",
            "transformer.h.1.attn.c_attn.weight",
            "wte.weight",
        ];
        let short = [
            "…0.attn.c_attn.weight",
            "…1.attn.c_attn.weight",
            "wte.weight",
        ];
        assert_eq!(names(&layers, 24), short);
        assert_eq!(names(&layers, 40), layers);
        assert_eq!(names(&layers[..1], 12), ["transf…eight"]);
        assert_eq!(
            names(&layers[..2], 15),
            ["…0.attn….weight", "…1.attn….weight"]
        );
        // Where the middles that tell them apart are cut, the ends do.
        let deep = [
            "transformer.h.1.attn.c_proj",
            "transformer.h.11.attn.c_proj",
            "transformer.h.11.mlp.c_proj",
            "transformer.wte",
        ];
        assert_eq!(
            names(&deep, 17),
            [
                "…1.attn.c_proj",
                "…11.attn.c_proj",
                "…11.mlp.c_proj",
                "transformer.wte"
            ]
        );
        assert_eq!(
            names(&deep[1..], 14),
            ["…h.11.a…c_proj", "…h.11.m…c_proj", "…wte"]
        );
        let sides = ["block.first.left.weight", "block.first.right.weight"];
        let others = [&sides[..], &["another.long.name"]].concat();
        assert_eq!(
            names(&others, 12),
            ["…left.weight", "…ight.weight", "anothe….name"]
        );
    }

    #[test]
    fn a_name_that_is_too_long_shows_that_it_is_cut() {
        assert_eq!(fit(TITLE, ", ", 6), "mlp-f…");
        assert_eq!([fit(TITLE, ", ", 1), fit(TITLE, ", ", 0)], ["…", ""]);
    }
}
