//! `line` without a screen.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Value, json};

use crate::landscape::{Assumed, Barrier};
use crate::loss::Measure;
use crate::loss::Score;
use crate::plot::axis::short;
use crate::plot::{AxisSide, Curve, Graph, Mark, Palette, Picture, Stroke};
use crate::weights::BatchNorm;

use super::npz::Array;
use super::score::{self, Keyed};
use super::{cell, csv_rows, graph, loss, map, statistics};

/// Loss and score on the samples of one split.
#[derive(Clone, Debug, Serialize)]
pub struct SplitValues {
    /// Mean loss, one a point.
    pub loss: Vec<f64>,
    /// The score, one a point.
    #[serde(flatten)]
    pub score: Keyed<Vec<f64>>,
    /// Loss and score at α = 0 and α = 1.
    #[serde(skip)]
    pub ends: [Measure; 2],
    /// The hill between the ends, refined beyond the grid; `None` for slices.
    #[serde(skip)]
    pub barrier: Option<Barrier>,
}

impl SplitValues {
    /// Collects what was measured along a line and at its ends, and the hill between them.
    #[must_use]
    pub fn of(
        points: &[Measure],
        score: Option<Score>,
        ends: [Measure; 2],
        barrier: Option<Barrier>,
    ) -> Self {
        Self {
            loss: points.iter().map(|point| point.loss).collect(),
            score: Keyed {
                score,
                numbers: points.iter().map(|point| point.score).collect(),
            },
            ends,
            barrier,
        }
    }
}

/// One line through weight space.
#[derive(Clone, Debug, Serialize)]
pub struct ReportedLine {
    /// `to B`, `random`, `pc1`, `pc2`, `update` or `file`.
    pub direction: String,
    /// Seed of a random direction.
    pub seed: Option<u64>,
    /// Places at which it was measured, in lengths of the direction.
    pub alpha: Vec<f64>,
    /// Values on training samples; `None` if there are none.
    pub train: Option<SplitValues>,
    /// On test samples, likewise.
    pub test: Option<SplitValues>,
}

/// One or more lines through a checkpoint.
#[derive(Clone, Debug)]
pub struct LineReport {
    /// The checkpoint at α = 0.
    pub a: String,
    /// The checkpoint at α = 1; `None` for slices.
    pub b: Option<String>,
    /// The architecture.
    pub model: String,
    /// Assumptions about the function that is measured, and the reasons for them.
    pub assumed: Assumed,
    /// Samples of each split, train and test.
    pub samples: [usize; 2],
    /// Seed of samples and random directions.
    pub seed: u64,
    /// Treatment of running statistics.
    pub bn: BatchNorm,
    /// The network has such statistics.
    pub has_statistics: bool,
    /// The score beside the loss; `None` if it has none.
    pub score: Option<Score>,
    /// The lines; there is at least one.
    pub curves: Vec<ReportedLine>,
}

/// The JSON of `line`: that of its first line, and all of them where there are more. Field names are
/// other programs' to rely on.
#[derive(Debug, Serialize)]
pub struct LineJson<'a> {
    a: &'a str,
    b: Option<&'a str>,
    alpha: &'a [f64],
    train: Option<&'a SplitValues>,
    test: Option<&'a SplitValues>,
    barrier: Option<Barriers>,
    model: &'a str,
    assumed: &'a Assumed,
    samples: [usize; 2],
    seed: u64,
    bn: BatchNorm,
    curves: &'a [ReportedLine],
}

/// The barrier between two checkpoints on each split.
#[derive(Clone, Copy, Debug, Serialize)]
struct Barriers {
    train: Option<Barrier>,
    test: Option<Barrier>,
}

impl LineReport {
    /// Returns the JSON of these lines.
    #[must_use]
    pub fn json(&self) -> LineJson<'_> {
        let first = &self.curves[0];
        LineJson {
            a: &self.a,
            b: self.b.as_deref(),
            alpha: &first.alpha,
            train: first.train.as_ref(),
            test: first.test.as_ref(),
            barrier: self.barriers(),
            model: &self.model,
            assumed: &self.assumed,
            samples: self.samples,
            seed: self.seed,
            bn: self.bn,
            curves: &self.curves,
        }
    }

    /// Returns the hills between A and B; `None` for slices.
    fn barriers(&self) -> Option<Barriers> {
        self.b.as_ref()?;
        let curve = self.curves.first()?;
        let barrier = |values: &Option<SplitValues>| values.as_ref()?.barrier;
        Some(Barriers {
            train: barrier(&curve.train),
            test: barrier(&curve.test),
        })
    }

    /// Returns one row a point of each line.
    ///
    /// # Errors
    /// Never: rows are written to memory.
    pub fn csv(&self) -> Result<String, csv::Error> {
        let columns = [
            "direction",
            "seed",
            "alpha",
            "train_loss",
            "train_score",
            "test_loss",
            "test_score",
        ];
        let head = score::head(&columns, self.score);
        let has_score = self.score.is_some();
        let rows = self.curves.iter().flat_map(|curve| {
            (0..curve.alpha.len()).map(move |i| {
                let of = |values: &Option<SplitValues>| {
                    let (loss, score) = values.as_ref().map_or_else(Default::default, |values| {
                        (cell(values.loss[i]), cell(values.score.numbers[i]))
                    });
                    std::iter::once(loss).chain(has_score.then_some(score))
                };
                let seed = curve.seed.map_or(String::new(), |seed| seed.to_string());
                let place = [curve.direction.clone(), seed, cell(curve.alpha[i])];
                let splits = of(&curve.train).chain(of(&curve.test));
                place.into_iter().chain(splits).collect()
            })
        });
        csv_rows(std::iter::once(head).chain(rows))
    }

    /// Returns two lines: what is drawn, and on which samples it was measured.
    fn head(&self) -> String {
        let what = match &self.b {
            Some(b) => format!("from {} (A) to {b} (B): {}", self.a, self.model),
            None => format!("slices through {}: {}", self.a, self.model),
        };
        let test = self.curves.first().and_then(|curve| curve.test.as_ref());
        let on_test = |end| score::on_test(self.score, end);
        let what = match (&self.b, test.map(|test| test.ends)) {
            (Some(_), Some([a, b])) => format!("{what}; A {}, B {}", on_test(a), on_test(b)),
            (None, Some([a, _])) => format!("{what}, {}", on_test(a)),
            (_, None) => what,
        };
        let [train, test] = self.samples;
        let (seed, bn) = (self.seed, statistics(self.bn, self.has_statistics));
        format!("{what}\n{train} train and {test} test samples, seed {seed}{bn}\n")
    }

    /// Returns the summary and graph: loss on the left scale, the score on the right where there is one line;
    /// train unbroken and test broken.
    #[must_use]
    pub fn text(&self, width: usize) -> String {
        let mut text = self.head();
        text += &self.assumed.text();
        for (split, barrier) in self
            .barriers()
            .map_or(Vec::new(), |b| vec![("train", b.train), ("test", b.test)])
        {
            if let Some(barrier) = barrier {
                let _ = writeln!(text, "{}", barrier_sentence(split, barrier));
            }
        }
        text += &self.holes();
        for group in self.graphs() {
            text.push('\n');
            text += &self.with_graph(&group, |graph| graph::text(&graph, width));
            text += &order(&group);
        }
        text
    }

    /// Says where the lines have no finite loss, because pictures have nothing there.
    fn holes(&self) -> String {
        let mut text = String::new();
        for curve in &self.curves {
            let values = curve.train.as_ref().or(curve.test.as_ref());
            let holes = values.map_or(Vec::new(), |values| holes(&curve.alpha, &values.loss));
            if holes.is_empty() {
                continue;
            }
            let seed = curve
                .seed
                .map_or(String::new(), |seed| format!("seed {seed}: "));
            let spans: Vec<String> = holes.iter().map(|hole| span(*hole)).collect();
            let is_beyond = holes.iter().any(|[from, to]| *from < 0.0 || *to > 1.0);
            let advice = if self.b.is_some() && self.bn == BatchNorm::States && is_beyond {
                "; beyond A and B batch norm's variances fall below 0: --bn recalibrated takes them anew"
            } else {
                ""
            };
            let spans = spans.join(" and ");
            let _ = writeln!(text, "{seed}the loss is not finite at α {spans}{advice}");
        }
        text
    }

    /// Returns the curves that share a picture: random directions overlaid, each of the others alone.
    fn graphs(&self) -> Vec<Vec<&ReportedLine>> {
        let (random, others): (Vec<_>, Vec<_>) =
            self.curves.iter().partition(|curve| curve.seed.is_some());
        let overlaid = Some(random).filter(|curves| !curves.is_empty());
        overlaid
            .into_iter()
            .chain(others.into_iter().map(|curve| vec![curve]))
            .collect()
    }

    /// Makes the graph of a group, and gives it to `draw`.
    fn with_graph<T>(&self, group: &[&ReportedLine], draw: impl FnOnce(Graph<'_>) -> T) -> T {
        let drawn: Vec<Drawn> = group.iter().flat_map(|curve| drawn(curve)).collect();
        let alone = group.len() == 1;
        let mut curves = Vec::new();
        // Test curves would hide the others where several directions are overlaid.
        let shown = |line: &&Drawn| alone || line.stroke == Stroke::Solid;
        for line in drawn.iter().filter(shown) {
            let on = |y, side| Curve {
                x: &line.alpha,
                y,
                side,
                stroke: line.stroke,
            };
            curves.push(on(&line.loss, AxisSide::Left));
            if alone && self.score.is_some() {
                curves.push(on(&line.score, AxisSide::Right));
            }
        }
        let ends: &[(f64, &str)] = match group {
            _ if self.b.is_some() => &[(0.0, "A"), (1.0, "B")],
            [only] if only.direction == "update" => &[(-1.0, "before"), (0.0, "0")],
            _ => &[(0.0, "0")],
        };
        let marks = ends.iter().map(|&(at, label)| Mark {
            at,
            label: label.into(),
        });
        let title = match group {
            [_] if self.b.is_some() => "loss from A to B (train —, test - -)".into(),
            [only] => format!("loss along {} (train —, test - -)", only.direction),
            many => format!("train loss along {} random directions", many.len()),
        };
        let scale = self.score.map_or("", Score::scale);
        draw(graph::plain(&title, scale, curves, marks.collect()))
    }

    /// Draws the graphs one below the other.
    #[must_use]
    pub fn picture(&self, palette: Option<Palette>) -> Picture {
        let head = self.head() + &self.holes();
        let groups = self.graphs();
        let drawn = groups.iter().map(|group| {
            self.with_graph(group, |graph| {
                graph::picture(vec![graph], [].into_iter(), palette)
            })
        });
        let drawn: Vec<Picture> = drawn.collect();
        map::titled(head.lines(), palette, Picture::stacked(&drawn))
    }

    /// Returns the lines as arrays, and what they are of: names of those behind the first begin with `curve1_` and so
    /// on.
    #[must_use]
    pub fn arrays(&self) -> (Value, Vec<Array>) {
        let about = json!({
            "a": self.a,
            "b": self.b,
            "model": self.model,
            "assumed": self.assumed,
            "samples": self.samples,
            "seed": self.seed,
            "bn": self.bn,
            "score": self.score.map(Score::key),
            "directions": self.curves.iter().map(|curve| &curve.direction).collect::<Vec<_>>(),
            "seeds": self.curves.iter().map(|curve| curve.seed).collect::<Vec<_>>(),
        });
        let arrays = self.curves.iter().enumerate().flat_map(|(i, curve)| {
            let prefix = if i == 0 {
                String::new()
            } else {
                format!("curve{i}_")
            };
            let row = move |name: String, values: &[f64]| {
                Array::row(format!("{prefix}{name}"), values.iter().copied())
            };
            let mut arrays = vec![row("alpha".into(), &curve.alpha)];
            for (split, values) in [("train", &curve.train), ("test", &curve.test)] {
                if let Some(values) = values {
                    arrays.push(row(format!("{split}_loss"), &values.loss));
                    arrays.extend(self.score.map(|score| {
                        row(format!("{split}_{}", score.key()), &values.score.numbers)
                    }));
                }
            }
            arrays
        });
        (about, arrays.collect())
    }
}

/// Names the overlaid curves in the order of their ends, from the top, because plain characters cannot tell
/// them apart.
fn order(group: &[&ReportedLine]) -> String {
    let mut text = String::new();
    if group.len() < 2 {
        return text;
    }
    let at_end = |curve: &ReportedLine, last: bool| {
        let values = curve.train.as_ref().or(curve.test.as_ref())?;
        let end = |values: &[f64]| [values.first(), values.last()][usize::from(last)].copied();
        Some((curve.seed?, end(&curve.alpha)?, end(&values.loss)?))
    };
    for last in [false, true] {
        let mut ends: Vec<_> = group.iter().filter_map(|c| at_end(c, last)).collect();
        ends.sort_by(|a, b| b.2.total_cmp(&a.2));
        let Some(&(_, alpha, _)) = ends.first() else {
            continue;
        };
        let seeds = ends
            .iter()
            .map(|(seed, _, value)| format!("seed {seed} {}", loss(*value)));
        let seeds = seeds.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "at α {}, from the top: {seeds}", short(alpha));
    }
    text
}

/// A line as it is drawn: with its ends among the measured points, the score as its scale has it.
struct Drawn {
    alpha: Vec<f64>,
    loss: Vec<f64>,
    score: Vec<f64>,
    stroke: Stroke,
}

fn drawn(curve: &ReportedLine) -> Vec<Drawn> {
    let splits = [(&curve.train, Stroke::Solid), (&curve.test, Stroke::Dashed)];
    let measured = splits
        .into_iter()
        .filter_map(|(values, stroke)| Some((values.as_ref()?, stroke)));
    measured
        .map(|(values, stroke)| {
            let grid = curve
                .alpha
                .iter()
                .zip(values.loss.iter().zip(&values.score.numbers));
            let mut points: Vec<(f64, f64, f64)> = grid
                .map(|(alpha, (loss, score))| (*alpha, *loss, *score))
                .collect();
            let range = [curve.alpha.first(), curve.alpha.last()].map(Option::<&f64>::copied);
            for (at, end) in [0.0, 1.0].into_iter().zip(values.ends) {
                if let [Some(min), Some(max)] = range
                    && (min..=max).contains(&at)
                    && !curve.alpha.contains(&at)
                {
                    points.push((at, end.loss, end.score));
                }
            }
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            let of = values.score.score;
            // A score of predictions that are NaN is one of nothing.
            let on_scale = |(_, loss, score): &(f64, f64, f64)| match of {
                Some(of) if !loss.is_nan() => of.on_scale(*score),
                _ => f64::NAN,
            };
            Drawn {
                alpha: points.iter().map(|point| point.0).collect(),
                loss: points.iter().map(|point| point.1).collect(),
                score: points.iter().map(on_scale).collect(),
                stroke,
            }
        })
        .collect()
}

/// Returns the spans of successive places at which a loss is NaN or infinite.
fn holes(alpha: &[f64], loss: &[f64]) -> Vec<[f64; 2]> {
    let mut spans: Vec<[f64; 2]> = Vec::new();
    let mut is_open = false;
    for (alpha, loss) in alpha.iter().zip(loss) {
        match spans.last_mut().filter(|_| is_open) {
            Some(span) if !loss.is_finite() => span[1] = *alpha,
            None if !loss.is_finite() => spans.push([*alpha; 2]),
            _ => {}
        }
        is_open = !loss.is_finite();
    }
    spans
}

fn span([from, to]: [f64; 2]) -> String {
    if from < to {
        format!("{} to {}", short(from), short(to))
    } else {
        short(from)
    }
}

fn barrier_sentence(split: &str, barrier: Barrier) -> String {
    match barrier.height {
        height if height.is_nan() => {
            format!(
                "{split}: the loss is NaN between A and B, at α {}",
                short(barrier.alpha)
            )
        }
        height if height > 0.0 => format!(
            "{split}: a barrier of {} at α {}, above the straight line between the losses of A and B",
            loss(height),
            short(barrier.alpha)
        ),
        _ => format!("{split}: no barrier between A and B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_without_a_finite_loss_are_told_as_spans() {
        let alpha = [-0.5, -0.25, 0.0, 0.5, 1.0, 1.5];
        let nan = f64::NAN;
        let of = |loss: [f64; 6]| -> Vec<String> {
            holes(&alpha, &loss).into_iter().map(span).collect()
        };
        let found = of([nan, f64::INFINITY, 1.0, nan, 1.0, nan]);
        assert_eq!(found, ["-0.5 to -0.25", "0.5", "1.5"]);
        assert!(of([1.0; 6]).is_empty());
    }
}
