//! The command line by which a session was asked for: what other commands need to measure the same.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::data::{Columns, Count, TokenType};
use crate::landscape::{Budget, Hosting, Place, Precision};
use crate::loss::{Classes, Criterion, Loss};
use crate::session::Options;

/// The run of a session and the options of its measurements. Words are as the shell gives them to a program,
/// unquoted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Invocation {
    /// The run folder.
    pub run: PathBuf,
    /// Folders of the runs beside it.
    pub compared: Vec<PathBuf>,
    /// Options that choose files and state dict.
    pub key: Vec<String>,
    /// Options that choose samples, model and device.
    pub measure: Vec<String>,
    /// Option for batch norm's running statistics.
    pub batch_norm: Vec<String>,
    /// Option for the number of samples that are measured everywhere.
    pub fidelity: Vec<String>,
    /// Options that start workers.
    pub workers: Vec<String>,
}

impl Invocation {
    /// Returns the words of a session's options. What decides the numbers is said even where it is the default:
    /// defaults can be configured.
    #[must_use]
    pub fn of(options: &Options, compared: &[PathBuf]) -> Self {
        let key = options.choice.key.iter();
        let key = key.flat_map(|key| option("--key", key));
        let only = options.choice.only.iter();
        let only = only.flat_map(|only| option("--only", only));
        let disk_only = options.disk_only.then(|| "--disk-only".to_owned());
        Self {
            run: options.run.clone(),
            compared: compared.to_vec(),
            key: key.chain(only).chain(disk_only).collect(),
            measure: measure(options),
            workers: workers(&options.hosting),
            batch_norm: option("--bn", options.batch_norm.name()).into(),
            fidelity: (options.fidelity.iter())
                .flat_map(|few| option("--fidelity", &number(*few)))
                .collect(),
        }
    }

    /// Returns the command that watches the same again.
    #[must_use]
    pub fn watch(&self) -> Vec<String> {
        let runs = std::iter::once(&self.run).chain(&self.compared);
        let options = [
            &self.key,
            &self.measure,
            &self.batch_norm,
            &self.fidelity,
            &self.workers,
        ];
        ["isoloss", "watch"]
            .map(str::to_owned)
            .into_iter()
            .chain(runs.map(|run| run.display().to_string()))
            .chain(options.into_iter().flatten().cloned())
            .collect()
    }
}

/// Returns the words as a line that a POSIX shell takes apart again.
#[must_use]
pub fn shell(words: &[String]) -> String {
    let quoted = words.iter().map(|word| quoted(word));
    quoted.collect::<Vec<_>>().join(" ")
}

/// Returns a word as a shell takes it for one. A zero byte, which no argument can have, is left out.
pub(super) fn quoted(word: &str) -> String {
    // Of these no shell makes anything, and shlex would put `--x=-1:1` in quotes.
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    if !word.is_empty() && !word.starts_with('=') && word.chars().all(plain) {
        return word.to_owned();
    }
    let word = word.replace('\0', "");
    shlex::try_quote(&word).map_or_else(|_| word.clone(), String::from)
}

fn option(name: &str, value: &(impl ToString + ?Sized)) -> [String; 2] {
    [name.to_owned(), value.to_string()]
}

/// Returns the options by which workers are started by other means than one for each device.
fn workers(hosting: &Hosting) -> Vec<String> {
    let launches = &hosting.launches;
    let mut launchers: Vec<&String> = launches
        .iter()
        .filter_map(|one| one.launcher.as_ref())
        .collect();
    launchers.sort();
    launchers.dedup();
    let given = launchers.iter();
    let mut words: Vec<String> = given.flat_map(|one| option("--worker", *one)).collect();
    if hosting.budget != Budget::Auto {
        words.extend(option("--budget", &hosting.budget));
    }
    let each = launches.len() / launchers.len().max(1);
    if each > usize::from(!launchers.is_empty()) {
        words.extend(option("--workers", &each));
    }
    if hosting.splits_samples {
        words.push("--split-samples".into());
    }
    words
}

fn number(count: Count) -> String {
    match count {
        Count::All => "all".into(),
        Count::At(count) => count.to_string(),
    }
}

fn measure(options: &Options) -> Vec<String> {
    let setup = &options.setup;
    let mut words = Vec::new();
    if let Some(data) = &setup.data {
        words.extend(option("--data", &data.source.display()));
        words.extend(option("--split", &name(&data.split)));
        words.extend(option("--samples", &number(data.count)));
        words.extend(option("--order", &name(&data.order)));
        words.extend(option("--seed", &data.seed));
        for (name, values) in [("--mean", &data.mean), ("--std", &data.std)] {
            words.extend(values.iter().flat_map(|values| option(name, &list(values))));
        }
        words.extend(data.columns.iter().flat_map(columns));
    }
    if let Some(evaluator) = &setup.evaluator {
        words.extend(option("--evaluator", &evaluator.command));
        words.extend(option("--split", &name(&evaluator.split)));
        words.extend(option("--samples", &number(evaluator.samples)));
        words.extend(option("--seed", &evaluator.seed));
    }
    words.extend(option("--model", &setup.model));
    words.extend(criterion(&setup.criterion));
    for (subject, answer) in setup.reading.words() {
        words.extend(option(&format!("--{subject}"), &answer));
    }
    if setup.devices != [Place::Auto] {
        words.extend(option("--device", &list(&setup.devices)));
    }
    if setup.precision != Precision::F32 {
        words.extend(option("--dtype", &name(&setup.precision)));
    }
    let batch = setup.batch.iter();
    words.extend(batch.flat_map(|batch| option("--batch", batch)));
    words
}

/// Returns the target and the tokens of an exported model's samples.
fn columns(columns: &Columns) -> Vec<String> {
    let target = columns.target.iter();
    let mut words: Vec<String> = target
        .flat_map(|target| option("--target", target))
        .collect();
    if let Some(block) = columns.block {
        words.extend(option("--block", &block));
    }
    if columns.token != TokenType::default() {
        words.extend(option("--token-type", &name(&columns.token)));
    }
    words
}

/// Returns the loss with what belongs to it; nothing where all is as usual.
fn criterion(criterion: &Criterion) -> Vec<String> {
    let Criterion { loss, output } = criterion;
    let mut words = Vec::new();
    if *loss != Loss::default() {
        words.extend(option("--loss", loss.name()));
    }
    match loss {
        Loss::CrossEntropy(classes) | Loss::Nll(classes) => words.extend(of_classes(classes)),
        Loss::NextToken { classes, shift } => {
            words.extend((!shift).then(|| "--shifted".to_owned()));
            words.extend(of_classes(classes));
        }
        Loss::Huber { delta } => words.extend(option("--huber-delta", delta)),
        Loss::Bce { positive } => {
            let positive = positive.iter();
            words.extend(positive.flat_map(|weights| option("--pos-weight", &list(weights))));
        }
        Loss::Mse | Loss::L1 | Loss::Output => {}
    }
    words.extend(output.iter().flat_map(|output| option("--output", output)));
    words
}

fn of_classes(classes: &Classes) -> Vec<String> {
    let usual = Classes::default();
    let mut words = Vec::new();
    if classes.ignore != usual.ignore {
        words.push(format!("--ignore-index={}", classes.ignore));
    }
    if classes.smoothing != usual.smoothing {
        words.extend(option("--label-smoothing", &classes.smoothing));
    }
    let weights = classes.weights.iter();
    words.extend(weights.flat_map(|weights| option("--class-weights", &list(weights))));
    words
}

/// Returns the word of the command line for a value.
fn name(value: &impl ValueEnum) -> String {
    let value = value.to_possible_value();
    value.map_or_else(String::new, |value| value.get_name().to_owned())
}

fn list(values: &[impl ToString]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landscape::Launch;

    #[test]
    fn workers_are_started_again_as_they_were() {
        let by = |launcher: Option<&str>| Launch {
            launcher: launcher.map(str::to_owned),
            ..Launch::new(vec!["isoloss".into()], Vec::new())
        };
        let words = |launchers: &[Option<&str>], splits_samples: bool| {
            shell(&workers(&Hosting {
                launches: launchers.iter().map(|launcher| by(*launcher)).collect(),
                splits_samples,
                ..Hosting::default()
            }))
        };
        let (a, b) = (Some("ssh -T node7 {}"), Some("ssh -T node8 {}"));
        assert_eq!(words(&[], false), "");
        assert_eq!(words(&[a], false), "--worker 'ssh -T node7 {}'");
        assert_eq!(
            words(&[a, a, b, b], true),
            "--worker 'ssh -T node7 {}' --worker 'ssh -T node8 {}' --workers 2 --split-samples"
        );
        assert_eq!(words(&[None; 3], false), "--workers 3");
        assert_eq!(words(&[None], false), "--workers 1");
        let hurried = Hosting {
            budget: Budget::All,
            ..Hosting::default()
        };
        assert_eq!(workers(&hurried), ["--budget", "all"]);
    }
}
