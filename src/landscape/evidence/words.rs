//! The evidence in words.

use super::decide::Choice;
use super::inquiry::Inquiry;
use super::question::Candidate;
use super::scales::ScaleChoice;
use super::verdict::{ENOUGH_UPDATES, FEWEST_UPDATES};
use super::{Assumed, Basis};
use crate::data::scale::PixelScale;
use crate::landscape::coupling::Coupling;
use crate::model::Reading;

/// A cosine that is nearer than this to that of the reading that was taken was not what decided.
const SLACK: f64 = 0.02;
/// Advice what to check if a path follows no reading.
const NOT_FOLLOWED: &str = "the path does not follow the gradient of this model on these samples";
/// The same of few updates, which scatter.
const FEW_UPDATES: &str =
    "few updates, and none follows the gradient of this model on these samples";
const CHECK: &str = "check the labels, the data set, the pixels' normalization (--mean, --std), the model (--model, --activation) and which weights these are (--key)";
/// The same of an exported model, which leaves nothing else open.
const CHECK_EXPORTED: &str = "check the samples, their labels and which weights these are (--key), and that the loss is the one of training";

impl Inquiry<'_> {
    /// Returns the answer of a reading to a question, in a word.
    fn answers(&self, candidate: &Candidate) -> Vec<(&'static str, String)> {
        let mut answers = candidate.recognized.reading.words();
        let scale = &self.scales[candidate.scale];
        answers.push(("normalization", scale.source.clone()));
        answers
    }

    /// Says in which answers another reading, with the index of its scale, differs from `own`: `gelu`,
    /// `tanh and pixels -1 to 1`.
    pub(super) fn difference(&self, own: (usize, usize), other: (usize, usize)) -> String {
        let words = |i: usize| self.candidates[i].recognized.reading.words();
        let known = words(own.0);
        let differing = words(other.0)
            .into_iter()
            .filter(|word| !known.contains(word));
        let mut differing: Vec<String> = differing
            .map(|(subject, answer)| match subject {
                "activation" => answer,
                subject => format!("{subject} {answer}"),
            })
            .collect();
        if own.1 != other.1 {
            differing.push(format!("pixels {}", brief(&self.scales[other.1].source)));
        }
        differing.join(" and ")
    }

    /// Says for each open question what was taken and why; `scales` are those that losses leave.
    pub(super) fn tell(&mut self, choice: &Choice, left: &ScaleChoice) {
        let Choice { taken, tied, .. } = choice;
        let taken = *taken;
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
            let runner_up = all
                .iter()
                .filter(|i| !tied.contains(i))
                .filter_map(|i| Some((of(i)?, self.scores[*i].mean().value)))
                .filter(|(other, mean)| mean.is_finite() && !level.contains(other))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            clauses.push(self.clause((subject, answer), choice, &level, runner_up));
            others.extend(level);
        }
        if let [first, level @ ..] = &left.scales[..] {
            let name = |scale: &usize| self.scales[*scale].source.clone();
            let level: Vec<String> = level.iter().map(name).collect();
            clauses.push(of_scales(&name(first), &level, left.basis));
            others.extend(level);
        }
        clauses.extend(self.assumed.unasked.iter().map(|subject| {
            format!("{subject} assumed as usual: it was not asked, which would take long; tell it with --{subject}")
        }));
        if self.candidates.len() == 1 {
            clauses.splice(0..0, plausible(&self.assumed));
        }
        self.assumed
            .untold
            .clone_from(&self.candidates[taken].recognized.untold);
        clauses.extend(self.assumed.untold.clone());
        self.assumed.tied = others;
        self.assumed.evidence = clauses.join("; ");
        if self.assumed.doubtful {
            let mean = self.scores[taken].mean();
            let is_scattered = mean.count < ENOUGH_UPDATES && !mean.is_negative();
            if !is_scattered {
                self.assumed.warn(NOT_FOLLOWED);
            }
        }
    }

    fn clause(
        &self,
        (subject, answer): (&str, &str),
        choice: &Choice,
        level: &[String],
        runner_up: Option<(String, f64)>,
    ) -> String {
        let mean = self.scores[choice.taken].mean();
        let cosine = if mean.count >= FEWEST_UPDATES {
            format!("cosine {:.2}", mean.value)
        } else {
            String::new()
        };
        match (self.assumed.basis, level) {
            (Basis::Path, []) => {
                let own = mean.value;
                let runner_up = runner_up.map_or(String::new(), |(other, mean)| {
                    let higher = match mean > own - SLACK {
                        true if choice.is_by_statistics => {
                            ", which batch norm's running statistics do not fit"
                        }
                        true => ", with a far higher loss",
                        false => "",
                    };
                    format!("; {other} {mean:.2}{higher}")
                });
                format!("{subject} {answer}: the updates follow its gradient, {cosine}{runner_up}")
            }
            (Basis::Path, level) => format!(
                "{subject} {answer} assumed: the updates follow {} as well, {cosine}",
                level.join(", ")
            ),
            (Basis::Loss, []) => {
                format!("{subject} {answer}: the losses of others are higher by half and more")
            }
            (Basis::Statistics, []) => {
                format!("{subject} {answer}: batch norm's running statistics fit no other as well")
            }
            (Basis::Statistics, level) => format!(
                "{subject} {answer} assumed: batch norm's running statistics fit {} as well",
                level.join(", ")
            ),
            (_, level) if mean.count < FEWEST_UPDATES => format!(
                "{subject} {answer} assumed: the path has fewer than {FEWEST_UPDATES} updates to ask{}",
                as_low(level)
            ),
            (Basis::Loss, level) => format!("{subject} {answer} assumed{}", as_low(level)),
            (Basis::Usual, _) => {
                format!("{subject} {answer} assumed: the updates follow no reading, {cosine}")
            }
        }
    }
}

/// Cuts the words about a scale down to its name.
fn brief(source: &str) -> &str {
    source.split([':', ';']).next().unwrap_or(source)
}

/// Says which scale of pixels was taken, on which ground, and which others are left.
fn of_scales(first: &str, level: &[String], basis: Basis) -> String {
    let others = level.join(", ");
    match (basis, level) {
        (Basis::Statistics, []) => {
            format!("normalization {first}: the first batch norm's running statistics fit no other")
        }
        (Basis::Statistics, _) => format!(
            "normalization {first} assumed: the first batch norm's running statistics fit {others} as well"
        ),
        (Basis::Loss, []) => {
            format!("normalization {first}: the losses along the path are lowest")
        }
        (Basis::Loss, _) => {
            format!("normalization {first} assumed: the losses are as low with {others}")
        }
        (Basis::Usual | Basis::Path, []) => format!(
            "normalization {first}: the losses along the path are lowest, and batch norm's running statistics nearest"
        ),
        (Basis::Usual | Basis::Path, _) => format!(
            "normalization {first} assumed: neither losses nor batch norm's running statistics tell it from {others}"
        ),
    }
}

/// Names the answers whose losses do not tell against them.
fn as_low(level: &[String]) -> String {
    if level.is_empty() {
        String::new()
    } else {
        format!("; the loss is about as low with {}", level.join(", "))
    }
}

/// Says how well the updates follow the one reading there is.
fn plausible(assumed: &Assumed) -> Option<String> {
    let (cosine, error) = (assumed.cosine?, assumed.cosine_error?);
    Some(if assumed.doubtful {
        format!("the updates do not follow its gradient, cosine {cosine:.2} ± {error:.2}")
    } else {
        format!("the updates follow its gradient, cosine {cosine:.2} ± {error:.2}")
    })
}

impl Assumed {
    /// Adds a reason to doubt, with what to check.
    fn warn(&mut self, reason: &str) {
        self.doubtful = true;
        self.say_first(match &self.warning {
            Some(_) => reason.to_owned(),
            None if self.function.reading == Reading::default() => {
                format!("{reason}: {CHECK_EXPORTED}")
            }
            None => format!("{reason}: {CHECK}"),
        });
    }

    /// Puts a sentence before what is warned of already.
    fn say_first(&mut self, said: String) {
        self.warning = Some(match self.warning.take() {
            Some(known) => format!("{said}; {known}"),
            None => said,
        });
    }

    /// Doubts a model of which the updates follow one reading and the losses speak for another: the function that was
    /// minimized is perhaps none of them.
    pub(super) fn is_contradicted(&mut self) {
        self.warn("the updates follow another reading better, whose loss is far higher: the model is perhaps none of those that its names suggest, and an export settles it");
    }

    /// Doubts a loss that is far above that of guessing.
    pub(super) fn is_worse_than_guessing(&mut self, loss: f64, guessing: f64) {
        self.warn(&format!(
            "the newest checkpoint's loss {loss:.2} is far above that of guessing, {guessing:.2}"
        ));
    }

    /// Doubts a negative log-likelihood below 0, which no log-probabilities have.
    pub(super) fn is_no_likelihood(&mut self, loss: f64) {
        self.warn(&format!(
            "the newest checkpoint's nll is {loss:.2}, below 0: the output holds no log-probabilities, --loss cross-entropy takes logits"
        ));
    }

    /// Doubts a reading that few updates do not follow and under which the run has learned nothing: either alone
    /// is no reason to.
    pub(super) fn follows_nothing_yet(&mut self) {
        self.warn(FEW_UPDATES);
    }

    /// Doubts a reading whose running statistics do not fit it.
    pub(super) fn has_other_statistics(&mut self, loss: f64, own: f64) {
        self.warn(&format!(
            "with the running statistics of batch norm the loss is {loss:.2}, with those of a batch {own:.2}: a sign of another stem, other shortcuts or pixels"
        ));
    }

    /// Doubts samples, or a reading, that give batch norm quite other statistics than training did.
    pub(super) fn has_foreign_statistics(&mut self) {
        self.warn("batch norm's running statistics are far from those of these samples");
    }

    /// Doubts usual pixels where the running statistics are those of others.
    pub(super) fn is_of_own_scale(&mut self, own: &PixelScale) {
        self.doubtful = true;
        self.say_first(format!(
            "batch norm's running statistics fit none of the usual normalizations; {} would: say how this set was normalized by --mean and --std",
            own.to_hundredths()
        ));
    }

    /// Says in a line what is assumed.
    #[must_use]
    pub fn taken(&self) -> String {
        let words = self.function.reading.words();
        let mut words: Vec<String> = words
            .into_iter()
            .map(|(subject, answer)| format!("{subject} {answer}"))
            .collect();
        if !self.loss.is_empty() && self.loss != "cross-entropy" {
            words.push(format!("loss {}", self.loss));
        }
        match self.pixels() {
            Some(_) => words.push(format!("pixels {}", self.normalization)),
            // An evaluator has samples of its own.
            None if self.normalization.is_empty() => {}
            None => words.push(self.normalization.clone()),
        }
        words.join(", ")
    }

    /// Says that a file was looked at alone.
    pub fn is_of_one_file(&mut self) {
        self.add("the updates of its folder were not asked: give the folder, and they are".into());
    }

    /// Says that the loss is the mean over a number of batches whose samples depend on one another; returns the
    /// sentence.
    pub fn is_of_batches(&mut self, why: Coupling, batches: usize, samples: usize) -> String {
        let said = match why {
            Coupling::OneLoss => format!(
                "the model gives one loss for each of {batches} batches, and their mean by samples is that of all {samples} only if every batch scores as many items (padding, an ignored class) and no sample counts for another (a contrastive loss): --batch {samples} takes all as one"
            ),
            Coupling::Samples => format!(
                "what the model gives for a sample depends on the others of its batch, and here {batches} batches make the {samples} samples: --batch {samples} takes all as one, --batch N as many as training took"
            ),
        };
        self.batches = Some(said.clone());
        said
    }

    /// Adds a clause to the evidence.
    fn add(&mut self, clause: String) {
        let known = Some(std::mem::take(&mut self.evidence)).filter(|known| !known.is_empty());
        let clauses: Vec<String> = known.into_iter().chain([clause]).collect();
        self.evidence = clauses.join("; ");
    }

    /// Notes that another run, which is measured as this one, followed another function; returns the sentence.
    pub fn differs(&mut self, other: &Self) -> Option<&str> {
        // An exported model leaves nothing to be read.
        if self.function == other.function || other.taken().is_empty() {
            return None;
        }
        let said = format!(
            "the second run is measured as the first ({}), and by itself it would be read as {}: its losses here may not be its own",
            self.taken(),
            other.taken()
        );
        self.say_first(said);
        self.warning.as_deref()
    }

    /// Returns by which figures pixels are normalized, in a few words.
    #[must_use]
    pub fn pixels(&self) -> Option<&str> {
        let source = match &self.function.pixels {
            Some(scale) => &scale.source,
            None => self.normalization.split_once('(')?.1.trim_end_matches(')'),
        };
        Some(brief(source))
    }

    /// Says under which readings the newest checkpoint would have which loss: `15.90 if pixels 0 to 1, 2.31 if gelu`;
    /// `None` if there is no other.
    #[must_use]
    pub fn otherwise(&self) -> Option<String> {
        let each = self.alternatives.iter();
        let each: Vec<String> = each
            .map(|other| format!("{:.4} if {}", other.loss, other.reading))
            .collect();
        (!each.is_empty()).then(|| each.join(", "))
    }

    /// Returns the lines for a summary: what was taken, why, and what to check where it is doubtful.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![format!("assumed: {}", self.taken())];
        lines.extend(Some(self.evidence.clone()).filter(|evidence| !evidence.is_empty()));
        lines.extend(
            self.otherwise()
                .map(|losses| format!("the newest checkpoint's loss would be {losses}")),
        );
        lines.extend(self.warnings().map(|text| format!("warning: {text}")));
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use crate::model::Activation;

    fn of(activation: Activation) -> Assumed {
        let mut assumed = Assumed {
            evident: true,
            normalization: "mean 0.286 std 0.353 (fashion-mnist)".into(),
            ..Assumed::default()
        };
        assumed.function.reading.activation = Some(activation);
        assumed
    }

    #[test]
    fn a_second_run_of_another_function_is_told_and_one_of_the_same_is_not() {
        let mut own = of(Activation::Relu);
        assert_eq!(own.differs(&of(Activation::Relu)), None);
        assert!(own.is_known());
        let said = own.differs(&of(Activation::Tanh)).unwrap();
        assert!(said.contains("read as activation tanh"), "{said}");
        assert!(!own.is_known());
    }

    #[test]
    fn reasons_to_doubt_are_told_together_with_what_to_check_once() {
        let mut own = of(Activation::Relu);
        own.is_worse_than_guessing(8.56, 2.3);
        own.has_other_statistics(8.56, 1.3);
        let said = own.warning.clone().unwrap();
        assert!(said.contains("that of guessing, 2.30") && said.contains("those of a batch 1.30"));
        assert_eq!(said.matches("check the labels").count(), 1);
        assert!(own.doubtful && !own.is_known());
    }

    #[test]
    fn pixels_are_told_in_a_few_words_and_one_file_says_so() {
        let mut own = of(Activation::Relu);
        assert_eq!(own.pixels(), Some("fashion-mnist"));
        own.normalization = "mean 0 std 1 (unknown set: pixels stay 0 to 1; give --mean)".into();
        assert_eq!(own.pixels(), Some("unknown set"));
        own.is_of_one_file();
        assert!(
            own.evidence
                .starts_with("the updates of its folder were not asked")
        );
    }
}
