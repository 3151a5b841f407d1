//! The evidence in words.

use super::question::{Candidate, Inquiry};
use super::verdict::FEWEST;
use super::{Assumed, Basis};

/// A cosine that is nearer than this to that of the reading that was taken was not what decided.
const SLACK: f64 = 0.02;
/// What to check where a path follows no reading.
const WARNING: &str = "the path does not follow the gradient of this model on these samples: check the labels, the data set, the pixels' normalization (--mean, --std), the model (--model, --activation) and which weights these are (--key)";

impl Inquiry<'_> {
    /// The answer of a reading to a question, in a word.
    fn answers(&self, candidate: &Candidate) -> Vec<(&'static str, String)> {
        let words = candidate.recognized.reading.words().into_iter();
        let mut answers: Vec<(&'static str, String)> = words
            .map(|(subject, answer)| (subject, answer.to_owned()))
            .collect();
        let scale = &self.scales[candidate.scale];
        answers.push(("normalization", scale.source.clone()));
        answers
    }

    /// Says for each open question what was taken and why; `scales` are those that losses leave.
    pub(super) fn tell(&mut self, taken: usize, tied: &[usize], scales: &[usize]) {
        let own = self.answers(&self.candidates[taken]);
        let mut clauses = Vec::new();
        let mut others = Vec::new();
        for (subject, answer) in &own {
            let of = |i: &usize| {
                let answers = self.answers(&self.candidates[*i]);
                let other = answers.into_iter().find(|other| other.0 == *subject);
                other.map(|other| other.1).filter(|other| other != answer)
            };
            let all: Vec<usize> = (0..self.candidates.len()).collect();
            if all.iter().find_map(of).is_none() {
                continue;
            }
            let mut level: Vec<String> = Vec::new();
            for other in tied.iter().filter_map(of) {
                if !level.contains(&other) {
                    level.push(other);
                }
            }
            let rival = all
                .iter()
                .filter(|i| !tied.contains(i))
                .filter_map(|i| Some((of(i)?, self.scores[*i].mean().value)))
                .filter(|(other, mean)| mean.is_finite() && !level.contains(other))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            clauses.push(self.clause(subject, answer, taken, &level, rival));
            others.extend(level);
        }
        if let [first, level @ ..] = scales {
            let name = |scale: &usize| self.scales[*scale].source.clone();
            let level: Vec<String> = level.iter().map(name).collect();
            clauses.push(if level.is_empty() {
                format!(
                    "normalization {}: the losses along the path are lowest",
                    name(first)
                )
            } else {
                format!(
                    "normalization {} assumed: the losses are as low with {}",
                    name(first),
                    level.join(", ")
                )
            });
            others.extend(level);
        }
        if self.candidates.len() == 1 {
            clauses.splice(0..0, plausible(&self.assumed));
        }
        self.assumed.tied = others;
        self.assumed.evidence = clauses.join("; ");
        self.assumed.warning = self.assumed.doubtful.then(|| WARNING.into());
    }

    fn clause(
        &self,
        subject: &str,
        answer: &str,
        taken: usize,
        level: &[String],
        rival: Option<(String, f64)>,
    ) -> String {
        let mean = self.scores[taken].mean();
        let cosine = if mean.count >= FEWEST {
            format!("cosine {:.2}", mean.value)
        } else {
            String::new()
        };
        match (self.assumed.basis, level) {
            (Basis::Path, []) => {
                let own = mean.value;
                let rival = rival.map_or(String::new(), |(other, mean)| {
                    let higher = if mean > own - SLACK {
                        ", with a far higher loss"
                    } else {
                        ""
                    };
                    format!("; {other} {mean:.2}{higher}")
                });
                format!("{subject} {answer}: the updates follow its gradient, {cosine}{rival}")
            }
            (Basis::Path, level) => format!(
                "{subject} {answer} assumed: the updates follow {} as well, {cosine}",
                level.join(", ")
            ),
            (Basis::Loss, _) => {
                format!("{subject} {answer}: its loss is lower by a third and more")
            }
            (Basis::Usual, _) if mean.count < FEWEST => format!(
                "{subject} {answer} assumed: the path has fewer than {FEWEST} updates to ask"
            ),
            (Basis::Usual, _) => {
                format!("{subject} {answer} assumed: the updates follow no reading, {cosine}")
            }
        }
    }
}

/// How well the updates follow the one reading there is.
fn plausible(assumed: &Assumed) -> Option<String> {
    let (cosine, error) = (assumed.cosine?, assumed.cosine_error?);
    Some(if assumed.doubtful {
        format!("the updates do not follow its gradient, cosine {cosine:.2} ± {error:.2}")
    } else {
        format!("the updates follow its gradient, cosine {cosine:.2} ± {error:.2}")
    })
}

impl Assumed {
    /// What was taken, in a line.
    #[must_use]
    pub fn taken(&self) -> String {
        let words = self.function.reading.words();
        let mut words: Vec<String> = words
            .into_iter()
            .map(|(subject, answer)| format!("{subject} {answer}"))
            .collect();
        words.push(format!("pixels {}", self.normalization));
        words.join(", ")
    }

    /// Lines for a summary: what was taken, why, and what to check where it is doubtful.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("assumed: {}", self.taken())];
        lines.extend(Some(self.evidence.clone()).filter(|evidence| !evidence.is_empty()));
        lines.extend(self.loss_range.map(|[low, high]| {
            format!("loss of the newest checkpoint over these readings: {low:.4} to {high:.4}")
        }));
        lines.extend(self.warning.as_ref().map(|text| format!("warning: {text}")));
        lines.join("\n") + "\n"
    }
}
