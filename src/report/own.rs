//! Results of isoloss, known by their form: those alone are replaced unasked.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::loss::Score;
use crate::plot::{png, svg};
use crate::run::regular;

use super::score;

/// Bytes of a text that are looked at: the sentences before the first picture of a long run.
const HEAD: u64 = 4 << 20;
/// Bytes of a binary file in which its mark stands.
const MARKED: usize = 2048;
/// Name of the first file of an archive of arrays.
const NPZ: &str = "isoloss.npy";
/// Names of an object at most: a result has a dozen.
const NAMES: usize = 64;

/// Names of the objects that commands print as JSON, in their order. A later isoloss may have more between them.
const JSON: [&str; 11] = [
    "run parameters steps norm update_norm explained explained_null singular lissajous coordinates residual",
    "run origin model assumed parameters samples split seed bn plane x y loss measured evaluations path",
    "samples split seed bn x y runs",
    "a b alpha train test barrier model assumed samples seed bn curves",
    "run origin model assumed point lambda_max lambda_min ratio iterations converged samples parameters seed",
    "run parameters steps norm update_norm update_cosine layers cosine_matrix learning_rate drops",
    "layer edges checkpoints",
    "path step key parameters norm model evidence tensors steps left_out log",
    "run model assumed samples split updates",
    "run model assumed step samples split bn averages",
    "isoloss_plane origin batch_norm directions",
];
/// Columns of the tables that commands print as CSV; `score` is any score's, or lacks.
const TABLES: [&str; 8] = [
    "step,x,y,residual,norm,update_norm",
    "x,y,loss,score,measured",
    "run,label,x,y,loss,score,measured",
    "direction,seed,alpha,train_loss,train_score,test_loss,test_score",
    "x,y,lambda_max,lambda_min,ratio,iterations,converged",
    "last,loss,score,change",
    "step,critical_step,sharpness,beyond,evaluations,learning_rate",
    "name,shape,dtype,role,norm",
];
/// The same of tables with a column for each layer or checkpoint, and what those begin with.
const WIDE_TABLES: [(&str, &str); 2] = [
    ("step,norm,update_norm,update_cosine,learning_rate", "norm "),
    ("from,to", "step "),
];
/// Columns of the density of a spectrum, whose weights make one.
const DENSITY: &str = "node,weight";
/// Lines of the texts that commands print for people: the first one, and others that follow in this order. `#` is
/// a number, `*` is anything.
const TEXTS: [&[&str]; 14] = [
    &[
        "*: # checkpoints, steps # to #, # parameters",
        "PC1 * + PC2 * of the path's variance; a random walk has *",
    ],
    &[
        "*: 1 checkpoint, step #, # parameters",
        "One checkpoint is a point: there is no path yet.",
    ],
    // As earlier versions wrote it.
    &[
        "*: # checkpoints, steps # to #, # parameters",
        "One checkpoint is a point: there is no path yet.",
    ],
    &[
        "*: # checkpoints, steps # to #, # parameters",
        "Two checkpoints make a line: a plane needs a third.",
    ],
    &[
        "*: *, # parameters, * plane through step #",
        "# * samples*, # of # points measured*",
    ],
    &["# * samples, seed #*; one range and one scale for all"],
    &["*: *, step #, # samples, # weights of rank 2 and more, seed #"],
    &["*: *, # * samples", "*critical sharpness over steps*"],
    &[
        "*: *, step #, # * samples, running statistics *",
        "the last checkpoint: loss *",
    ],
    &[
        "from * (A) to * (B): *",
        "# train and # test samples, seed #*",
    ],
    &["slices through *: *", "# train and # test samples, seed #*"],
    &[
        "*: # checkpoints, # parameters",
        "*norm of the weights over steps*",
        "layer *first *last *times",
    ],
    &[
        "*",
        "*: # weights from * to *, mean *, standard deviation *, * exact zeros*",
    ],
    &[
        "*",
        "*step*, # parameters, norm *",
        "model *: *",
        "name *shape *type *norm  role",
    ],
];
/// States of a run, which the first line of a screen says behind a mark.
const STATES: [&str; 8] = [
    "watching",
    "overdue",
    "ended or stopped",
    "recording",
    "frozen",
    "folder cannot be read",
    "not begun yet",
    "nothing usable yet",
];

/// Tells a result of isoloss by its form, or a file that holds nothing yet.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_result(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    regular::open(path)?.take(HEAD).read_to_end(&mut head)?;
    if head.is_empty() {
        return Ok(true);
    }
    if is_binary(&head) {
        return Ok(true);
    }
    let text = match std::str::from_utf8(&head) {
        Ok(text) => text,
        // The head may end within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Ok(false),
    };
    Ok(is_text(text)
        || is_picture(text)
        || is_table(text)
        || (text.starts_with('{') && is_json(regular::open(path)?)))
}

/// Tells pictures, films and arrays by the marks that they begin with.
fn is_binary(head: &[u8]) -> bool {
    let begins = &head[..head.len().min(MARKED)];
    let has = |mark: &[u8]| begins.windows(mark.len()).any(|window| window == mark);
    let (keyword, text) = png::MARK;
    let png = format!("tEXt{keyword}\0{text}");
    // A comment: a sign, its kind, its length, its text.
    let gif = [b"!\xfe\x07", text.as_bytes()].concat();
    (begins.starts_with(b"\x89PNG\r\n\x1a\n") && has(png.as_bytes()))
        || (begins.starts_with(b"GIF89a") && has(&gif))
        || (begins.starts_with(b"PK\x03\x04")
            && begins
                .get(30..)
                .is_some_and(|name| name.starts_with(NPZ.as_bytes())))
}

fn is_json(file: impl Read) -> bool {
    let Ok(Names(names)) = serde_json::from_reader(BufReader::new(file)) else {
        return false;
    };
    JSON.iter().any(|known| {
        let mut names = names.iter();
        let mut known = known.split(' ');
        known.all(|name| names.any(|other| other == name))
    })
}

/// The names of an object, in their order.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor).map(Self)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Vec<String>;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = object.next_entry()? {
            names.push(name);
            if names.len() > NAMES {
                return Err(A::Error::custom("more names than any result has"));
            }
        }
        Ok(names)
    }
}

fn is_table(text: &str) -> bool {
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text.as_bytes())
        .into_records();
    let Some(Ok(head)) = rows.next() else {
        return false;
    };
    let columns = head.iter().collect::<Vec<_>>().join(",");
    let is_wide = |(columns, more): &(&str, &str)| {
        let first = columns.split(',');
        let count = first.clone().count();
        head.iter().take(count).eq(first)
            && head.iter().skip(count).all(|name| name.starts_with(more))
    };
    if columns == DENSITY {
        let weight = |row: csv::StringRecord| row.get(1)?.parse::<f64>().ok();
        let sum: Option<f64> = rows.map(|row| weight(row.ok()?)).sum();
        return sum.is_some_and(|sum| (sum - 1.0).abs() < 1e-3);
    }
    let scores = Score::ALL.map(Some).into_iter().chain([None]);
    let is_known = scores.into_iter().any(|score| {
        let mut tables = TABLES
            .iter()
            .map(|table| table.split(',').collect::<Vec<_>>());
        tables.any(|table| score::head(&table, score).join(",") == columns)
    });
    // Rows of another width are not its own.
    (is_known || WIDE_TABLES.iter().any(is_wide)) && rows.next().is_none_or(|row| row.is_ok())
}

fn is_picture(text: &str) -> bool {
    if text.starts_with("<svg ") || text.starts_with("<?xml version=\"1.0\"?>\n<!--") {
        return text.lines().nth(1) == Some(svg::MARK);
    }
    let text = without_colours(text);
    is_screen(&text) || is_small_screen(&text)
}

/// Tells the characters of a small screen, which has no first line of its own: by the loss in its last line, below a
/// picture that has no words but those of a frame.
fn is_small_screen(text: &str) -> bool {
    let mut lines = text.lines().rev().skip_while(|line| line.is_empty());
    let last = lines.next().and_then(|line| line.strip_prefix("loss "));
    let Some(loss) = last.and_then(|rest| rest.split(' ').next()) else {
        return false;
    };
    let is_number = |text: &str| text == "–" || text.parse::<f64>().is_ok();
    let is_word = |word: &str| word.bytes().filter(u8::is_ascii_alphabetic).count() > 2;
    let (mut rows, mut is_framed, mut has_words) = (0, false, false);
    for line in lines {
        rows += 1;
        is_framed = line.starts_with(['╭', '+']);
        has_words |= line.split(' ').any(is_word);
    }
    is_number(loss) && rows >= 2 && (is_framed || !has_words)
}

/// Tells the characters of a screen by its first line and the frame below.
fn is_screen(text: &str) -> bool {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let says = |state: &&str| {
        let marks = ["●", "○", "*"];
        marks
            .iter()
            .any(|mark| first.contains(&format!("  {mark} {state}")))
    };
    first.starts_with(' ')
        && STATES.iter().any(says)
        && lines.take(3).any(|line| line.starts_with(['╭', '+']))
}

/// Returns the text without the colours that pictures have.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        plain += end.map_or("", |end| part[end..].strip_prefix('m').unwrap_or(part));
    }
    plain
}

fn is_text(text: &str) -> bool {
    TEXTS.iter().any(|patterns| {
        let Some((first, others)) = patterns.split_first() else {
            return false;
        };
        let mut lines = text.lines();
        lines.next().is_some_and(|line| fits(line, first))
            && others
                .iter()
                .all(|pattern| lines.any(|line| fits(line, pattern)))
    })
}

/// Returns true if a whole line matches a pattern.
fn fits(line: &str, pattern: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|piece| after(line, piece)) else {
        return false;
    };
    let Some(last) = pieces.next_back() else {
        return rest.is_empty();
    };
    // The leftmost place leaves the most to those behind.
    for piece in pieces {
        match ends(rest).find_map(|end| after(end, piece)) {
            Some(end) => rest = end,
            None => return false,
        }
    }
    ends(rest).any(|end| after(end, last) == Some(""))
}

/// Returns the ends of a text, the longest first.
fn ends(text: &str) -> impl Iterator<Item = &str> {
    let places = text.char_indices().map(|(at, _)| at);
    places.chain([text.len()]).map(|at| &text[at..])
}

/// Returns the text after a piece of a pattern, in which `#` is a number.
fn after<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    let mut parts = piece.split('#');
    let mut rest = text.strip_prefix(parts.next()?)?;
    for part in parts {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        if behind.len() == rest.len() {
            return None;
        }
        rest = behind.strip_prefix(part)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;
    use rstest::rstest;

    fn known(content: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, content).unwrap();
        is_result(&path).unwrap()
    }

    #[rstest]
    #[case::log("Loaded data: mnist, 60000 train samples\nepoch 1\n")]
    #[case::other_log("cfg: 12 checkpoints, 400 parameters\n")]
    #[case::coloured_log("\u{1b}[0;32mINFO\u{1b}[0m training started\n")]
    #[case::notes(" isoloss  my notes on it\n")]
    #[case::log("epoch 1\nloss 0.7\nepoch 2\nloss 0.5\n")]
    #[case::losses("loss 0.7\nloss 0.5\n")]
    #[case::words("12.5\n3.5\nloss of friction\n")]
    #[case::more_notes("run: mlp, 9 train samples\nnothing else\n")]
    #[case::svg(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M0 0"/></svg>"#
    )]
    #[case::table("x,y,loss,accuracy\n1,2,3,4\n")]
    #[case::begun_alike("last,loss,accuracy,change my own\n")]
    #[case::other_rows("last,loss,accuracy,change\n1,2\n")]
    #[case::graph("node,weight\n1,2\n")]
    #[case::json(r#"{"run":"a","parameters":3,"steps":[1]}"#)]
    #[case::cut(r#"{"layer":null,"edges":[],"checkpoints":["#)]
    #[case::two(r#"{"layer":null,"edges":[],"checkpoints":[]} {}"#)]
    #[case::settings("data = \"digits\"\n")]
    #[case::escape_at_the_end("a\u{1b}[")]
    fn what_is_only_alike_is_not_known(#[case] content: &str) {
        assert!(!known(content), "{content}");
    }

    #[rstest]
    #[case::empty("")]
    #[case::json("{\"layer\":null,\"edges\":[0,null],\"more\":{\"a\":1},\"checkpoints\":[]}\n")]
    #[case::accuracies("last,loss,accuracy,change\n1,2,3,4\n")]
    #[case::perplexities("x,y,loss,perplexity,measured\n1,2,3,4,true\n")]
    #[case::without_scores("direction,seed,alpha,train_loss,test_loss\n")]
    #[case::density("node,weight\n-1,0.25\n2.5,0.75\n")]
    #[case::quoted("from,to,\"step 1\"\n0,1,5\n")]
    #[case::layers("step,norm,update_norm,update_cosine,learning_rate,\"norm a,b\"\n")]
    #[case::long_name(
        "weird: 3 checkpoints: 4 checkpoints, steps 0 to 3, 9 parameters\nOne checkpoint is a point: there is no path yet.\n"
    )]
    #[case::screen(" runs/a  ● watching  step 0\n╭ landscape ─╮\n")]
    #[case::small_screen("   ●⠤⡀   \n ○⠔⠁⣀   \n\nloss 0.395  assumed  step 5\n")]
    #[case::small_screen_of_words("+ weights over +\n| 6.01 |\n+---+\nloss –  step 5\n")]
    #[case::coloured(
        "\u{1b}[0;1m \u{1b}[0mruns/a  * frozen, 3 newer\u{1b}[0m\nsaid\n\u{1b}[0;2m+ a +\n"
    )]
    fn a_result_is_known(#[case] content: &str) {
        assert!(known(content), "{content}");
    }

    #[test]
    fn a_pattern_takes_a_line_as_a_whole() {
        assert!(fits("a: b: 12 of 3 c", "*: # of # c"));
        assert!(fits("", "*") && fits("x y x", "x*x"));
        for wrong in ["a: x of 3 c", "a: 1 of 3 c.", "a: 1 of  c", ""] {
            assert!(!fits(wrong, "*: # of # c"), "{wrong}");
        }
        assert!(!fits("x", "x*x"));
    }
}
