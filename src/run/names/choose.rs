//! The choice of one family as the path, and what that makes of all other files.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::file_role::{self, FileRole};
use super::left_out::LeftOut;
use super::parsed::{ParsedName, parse};
use super::series::{Beside, Series, SeriesPoint, families, resolve};
use super::token::has_thousands;

use super::{Family, FamilyKind, FileArrangement, NameEvidence, NamedPoint, StepUnit, pattern};

/// All series of a folder's files.
pub(super) struct Choice<'a> {
    paths: &'a [&'a PathBuf],
    names: Vec<ParsedName>,
    evidence: Vec<NameEvidence>,
    series: Vec<Series>,
    /// Files that names alone tell to be no checkpoint.
    refused: Vec<(usize, LeftOut)>,
}

/// Relation of one series to the followed one.
struct Relation {
    why: FamilyKind,
    pattern: String,
}

impl<'a> Choice<'a> {
    /// Takes the paths, which are sorted, into families.
    pub(super) fn new(paths: &'a [&'a PathBuf], evidence: &dyn Fn(&Path) -> NameEvidence) -> Self {
        let file = |path: &&'a PathBuf| path.file_name().and_then(|name| name.to_str());
        let thousands = has_thousands(paths.iter().filter_map(file));
        let names: Vec<ParsedName> = paths.iter().map(|path| parse(path, thousands)).collect();
        let mut refused = Vec::new();
        let mut files = Vec::new();
        for (file, name) in names.iter().enumerate() {
            match refusal(name) {
                Some(reason) => refused.push((file, reason)),
                None => files.push(file),
            }
        }
        let series = families(&names, &files)
            .iter()
            .flat_map(|family| resolve(&names, family))
            .collect();
        Self {
            evidence: paths.iter().map(|path| evidence(path)).collect(),
            paths,
            names,
            series,
            refused,
        }
    }

    /// Returns the path in order, and what each other file is.
    pub(super) fn arrangement(mut self) -> FileArrangement {
        let mut arrangement = FileArrangement::default();
        let mut left_out: BTreeMap<usize, LeftOut> =
            std::mem::take(&mut self.refused).into_iter().collect();
        if let Some(main) = self.main() {
            let joined = self.join(main, &mut left_out);
            self.leave_out(main, &joined, &mut left_out, &mut arrangement);
            let main = &self.series[main];
            arrangement.unit = main.unit;
            arrangement.pattern = pattern::of_series(main, &self.names, false);
            arrangement.points = main
                .members
                .iter()
                .map(|member| self.point(member))
                .collect();
        } else {
            for series in &self.series {
                for file in files(series) {
                    left_out.insert(file, self.training_state(file));
                }
            }
        }
        let path = |file: usize| self.paths[file].clone();
        arrangement.left_out = left_out
            .into_iter()
            .map(|(file, why)| (path(file), why))
            .collect();
        arrangement
    }

    fn point(&self, member: &SeriesPoint) -> NamedPoint {
        NamedPoint {
            path: self.paths[member.file].clone(),
            step: member.step,
            epoch: member.epoch,
        }
    }

    fn training_state(&self, file: usize) -> LeftOut {
        match self.names[file].role {
            FileRole::Training => LeftOut::TrainingState,
            _ => LeftOut::Optimizer,
        }
    }

    fn role(&self, series: &Series) -> FileRole {
        self.names[series.first()].role
    }

    fn newest(&self, series: &Series) -> Option<SystemTime> {
        series
            .members
            .iter()
            .filter_map(|member| self.evidence[member.file].modified)
            .max()
    }

    fn oldest(&self, series: &Series) -> Option<SystemTime> {
        series
            .members
            .iter()
            .filter_map(|member| self.evidence[member.file].modified)
            .min()
    }

    /// Returns the folder of a series' run: all that is above its steps.
    fn folder(&self, series: &Series) -> &[String] {
        let components = &self.names[series.first()].components;
        components.get(..series.depth).unwrap_or_default()
    }

    /// Returns the series that is followed.
    ///
    /// Names with steps come before names without. Of the same files in several folders, which are several
    /// runs, the newest is taken, else the one with more files, else the last in natural order. Of
    /// different files in one folder: not one that ended before another began; not what a trainer saves for
    /// a crash (`recovery-12-300`), which goes at every save; the model before its
    /// adversary, its average and the optimizer, unless it has less than half as many files; then the
    /// one with more files, steps before epochs, usual words for a model, more numbers, the higher folder.
    fn main(&self) -> Option<usize> {
        let mut winners = self.winners();
        if winners.iter().any(|at| self.series[*at].is_numbered()) {
            winners.retain(|at| self.series[*at].is_numbered());
        }
        let most = winners
            .iter()
            .map(|at| self.series[*at].members.len())
            .max()?;
        let began = winners
            .iter()
            .map(|at| &self.series[*at])
            .filter(|series| self.role(series) == FileRole::Model && series.members.len() > 1)
            .filter_map(|series| self.oldest(series))
            .max();
        winners.into_iter().min_by_key(|at| {
            let series = &self.series[*at];
            let name = &self.names[series.first()];
            let count = series.members.len();
            let is_stale = self
                .newest(series)
                .zip(began)
                .is_some_and(|(newest, began)| newest < began);
            let numbers = self.evidence[series.first()].numbers;
            (
                is_stale,
                file_role::is_spare(&name.words),
                count * 2 < most,
                self.role(series),
                Reverse(count),
                series.unit,
                name.preference,
                Reverse(numbers),
                name.components.len(),
                *at,
            )
        })
    }

    /// Returns the series to follow of the same files in several folders, without those that hold no model.
    fn winners(&self) -> Vec<usize> {
        let mut winners: HashMap<(&str, &[String], FileRole), usize> = HashMap::new();
        for (at, series) in self.series.iter().enumerate() {
            let name = &self.names[series.first()];
            // Folders below the step are networks of one checkpoint: `500/unet/`, `500/vae/`.
            let below = series.depth + 1..name.components.len().saturating_sub(1);
            let below = name.components.get(below).unwrap_or_default();
            let key = (name.file_key.as_str(), below, self.role(series));
            winners
                .entry(key)
                .and_modify(|best| {
                    if self.is_better_run(at, *best) {
                        *best = at;
                    }
                })
                .or_insert(at);
        }
        let mut winners: Vec<usize> = winners.into_values().collect();
        winners.sort_unstable();
        winners.retain(|at| self.role(&self.series[*at]) < FileRole::Training);
        let is_model = |at: &usize| self.role(&self.series[*at]) < FileRole::Optimizer;
        if winners.iter().any(is_model) {
            winners.retain(is_model);
        } else {
            // `opt-125m/step_5.pt`: a language model, unless the name is surer.
            let words = |at: &usize| self.names[self.series[*at].first()].file_key.split(' ');
            winners.retain(|at| words(at).all(|word| !word.starts_with("optim")));
        }
        winners
    }

    /// Returns true if series `a` is followed rather than `b`, whose files have the same names in another folder.
    fn is_better_run(&self, a: usize, b: usize) -> bool {
        let (a_series, b_series) = (&self.series[a], &self.series[b]);
        let numbered = (a_series.is_numbered(), b_series.is_numbered());
        if numbered.0 != numbered.1 {
            return numbered.0;
        }
        let counts = (a_series.members.len(), b_series.members.len());
        let (a_folder, b_folder) = (self.folder(a_series), self.folder(b_series));
        if a_folder != b_folder && a_folder.starts_with(b_folder) {
            return counts.0 > counts.1;
        }
        if a_folder != b_folder && b_folder.starts_with(a_folder) {
            return counts.0 >= counts.1;
        }
        if a_folder == b_folder && !a_series.is_run {
            // Networks that an index tells apart: the first.
            return (counts.0, Reverse(self.first_path(a)))
                > (counts.1, Reverse(self.first_path(b)));
        }
        let times = (self.newest(a_series), self.newest(b_series));
        (times.0, counts.0, self.first_path(a)) > (times.1, counts.1, self.first_path(b))
    }

    /// Returns the files are sorted by path in natural order.
    fn first_path(&self, series: usize) -> usize {
        self.series[series].first()
    }

    /// Adds to the main series what has steps of its own in the same unit and is no network of its own:
    /// `best_iter_9500` beside `iter_9000`, `epoch_3_good` beside `epoch_4`. Returns the series that went
    /// into it.
    fn join(&mut self, main: usize, left_out: &mut BTreeMap<usize, LeftOut>) -> HashSet<usize> {
        let mut joined = HashSet::from([main]);
        let mut steps: HashMap<u64, usize> = self.series[main]
            .members
            .iter()
            .filter_map(|member| Some((member.step?, member.file)))
            .collect();
        if steps.is_empty() || self.series[main].unit == StepUnit::Order {
            return joined;
        }
        let mut added = Vec::new();
        for at in 0..self.series.len() {
            if at == main || !self.belongs(main, at, &steps) {
                continue;
            }
            joined.insert(at);
            for member in &self.series[at].members {
                let Some(step) = member.step else { continue };
                if let Some(of) = steps.get(&step) {
                    let of = Some(self.paths[*of].clone());
                    left_out.insert(member.file, LeftOut::MaybeCopy { of });
                } else {
                    steps.insert(step, member.file);
                    added.push(*member);
                }
            }
            for (file, beside, point) in self.series[at].beside.clone() {
                left_out.insert(file, self.beside(beside, point));
            }
        }
        self.series[main].members.extend(added);
        self.series[main].members.sort_by_key(|member| member.step);
        joined
    }

    fn belongs(&self, main: usize, other: usize, steps: &HashMap<u64, usize>) -> bool {
        let (main, other) = (&self.series[main], &self.series[other]);
        let (a, b) = (&self.names[main.first()], &self.names[other.first()]);
        let folder =
            |name: &ParsedName| name.components.split_last().map(|(_, rest)| rest.to_vec());
        if !other.is_numbered()
            || main.unit != other.unit
            || a.role != b.role
            || main.is_run
            || other.is_run
            || folder(a) != folder(b)
            || self.is_other_network(main, other)
            || self.is_constant(main, other)
            || !self.stands_alike(main, other)
        {
            return false;
        }
        let explicit = matches!(main.unit, StepUnit::Step | StepUnit::Epoch);
        let begins = |series: &Series| {
            let name = &self.names[series.first()];
            let slot = name.slots.get(*series.counters.first()?)?;
            let text = name.components.get(slot.component)?;
            let start = name.tokens.get(slot.component)?.get(slot.token)?.start;
            Some(text.get(..start)?.to_lowercase())
        };
        let disjoint = other
            .members
            .iter()
            .all(|member| member.step.is_some_and(|step| !steps.contains_key(&step)));
        (b.standing > 0 && explicit)
            || (other.members.len() == 1
                && disjoint
                && begins(main).is_some()
                && begins(main) == begins(other))
    }

    /// Returns true if the step of `other` is a number that all names of `main` have, as 150 in
    /// `detr_150e/latest.pth` beside `detr_150e/epoch_8.pth`.
    fn is_constant(&self, main: &Series, other: &Series) -> bool {
        let (a, b) = (&self.names[main.first()], &self.names[other.first()]);
        let counter = other.counters.first().and_then(|at| b.slots.get(*at));
        counter.is_some_and(|counter| {
            a.slots.iter().enumerate().any(|(at, ours)| {
                !main.counters.contains(&at)
                    && ours.component == counter.component
                    && ours.value == counter.value
            })
        })
    }

    /// Returns true if the steps of both stand in the same folder's or file's name.
    fn stands_alike(&self, main: &Series, other: &Series) -> bool {
        let component = |series: &Series| {
            let name = &self.names[series.first()];
            let slot = name.slots.get(*series.counters.first()?)?;
            Some(slot.component)
        };
        component(main) == component(other)
    }

    /// Returns true where the files' own tensors differ.
    fn is_other_network(&self, main: &Series, other: &Series) -> bool {
        let signature = |series: &Series| self.evidence[series.first()].signature;
        signature(main)
            .zip(signature(other))
            .is_some_and(|(a, b)| a != b)
    }

    fn beside(&self, beside: Beside, point: usize) -> LeftOut {
        let of = self.paths[point].clone();
        match beside {
            Beside::Part => LeftOut::Part { of },
            Beside::Copy => LeftOut::MaybeCopy { of: Some(of) },
            Beside::SameStep => LeftOut::SameStep { of },
        }
    }

    fn leave_out(
        &self,
        main: usize,
        joined: &HashSet<usize>,
        left_out: &mut BTreeMap<usize, LeftOut>,
        arrangement: &mut FileArrangement,
    ) {
        for (file, beside, point) in &self.series[main].beside {
            left_out.insert(*file, self.beside(*beside, *point));
        }
        let mut loose = Vec::new();
        let mut related: Vec<(usize, Relation)> = Vec::new();
        for (at, series) in self
            .series
            .iter()
            .enumerate()
            .filter(|(at, _)| !joined.contains(at))
        {
            if self.role(series) >= FileRole::Optimizer {
                for file in files(series) {
                    left_out.insert(file, self.training_state(file));
                }
            } else if (series.is_numbered() && !self.repeats(main, at))
                || self.is_same_in_another_folder(main, at)
            {
                related.push((at, self.relation(main, series)));
            } else {
                loose.push(series);
            }
        }
        for (at, relation) in &related {
            for file in files(&self.series[*at]) {
                left_out.insert(file, reason(relation));
            }
        }
        for file in loose.into_iter().flat_map(files) {
            left_out.insert(file, self.unnumbered(main, file, &related));
        }
        arrangement.alternatives = self.alternatives(main, &related, left_out);
    }

    /// Returns true where a series' one number is no step but a constant of the main series' names, as 768 in
    /// `style_768.safetensors` beside `style_768-000010.safetensors`, or where its files are called
    /// `latest` and no more.
    fn repeats(&self, main: usize, other: usize) -> bool {
        let (main, other) = (&self.series[main], &self.series[other]);
        let (a, b) = (&self.names[main.first()], &self.names[other.first()]);
        let words = b
            .words
            .iter()
            .all(|word| a.words.binary_search(word).is_ok());
        let alone = other.members.len() == 1;
        b.file_key.is_empty() || (alone && words && self.is_constant(main, other))
    }

    /// Returns true for files without steps that have the main series' names in a folder beside its own.
    fn is_same_in_another_folder(&self, main: usize, other: usize) -> bool {
        let (main, other) = (&self.series[main], &self.series[other]);
        let (a, b) = (&self.names[main.first()], &self.names[other.first()]);
        let nested = self.folder(main).starts_with(self.folder(other))
            || self.folder(other).starts_with(self.folder(main));
        !main.is_numbered() && a.file_key == b.file_key && a.role == b.role && !nested
    }

    fn relation(&self, main: usize, series: &Series) -> Relation {
        let main = &self.series[main];
        let (ours, theirs) = (self.folder(main), self.folder(series));
        let apart = ours
            .iter()
            .zip(theirs)
            .position(|(ours, theirs)| ours != theirs);
        let same_files = self.names[main.first()].file_key == self.names[series.first()].file_key;
        // Of a folder that has both the path and another family, that family alone can be named.
        let folder = apart.and_then(|apart| theirs.get(..=apart));
        let why = if self.role(series) == FileRole::Average && self.role(main) != FileRole::Average
        {
            FamilyKind::Average
        } else if series.is_run || (folder.is_some() && same_files) {
            FamilyKind::Run
        } else if self.counts_otherwise(main, series) {
            FamilyKind::Unit
        } else {
            FamilyKind::Network
        };
        let pattern = match folder {
            Some(folder) if why == FamilyKind::Run => {
                let folder: Vec<String> =
                    folder.iter().map(|part| pattern::escaped(part)).collect();
                format!("{}/**", folder.join("/"))
            }
            _ => self.pattern(main, series),
        };
        Relation { why, pattern }
    }

    /// Returns true for the same network counted in another unit: another word for it, or other numbers.
    fn counts_otherwise(&self, main: &Series, series: &Series) -> bool {
        let (a, b) = (&self.names[main.first()], &self.names[series.first()]);
        let units = is_explicit(main.unit) && is_explicit(series.unit) && main.unit != series.unit;
        let numbers = a.words == b.words && a.slots.len() != b.slots.len();
        (units || numbers) && a.role == b.role && !self.is_other_network(main, series)
    }

    /// Returns the glob of a series that takes none of the main one's files.
    fn pattern(&self, main: &Series, series: &Series) -> String {
        let glob = pattern::of_series(series, &self.names, false);
        let first = self.paths[main.first()];
        if pattern::glob_matches(&glob, first) {
            return pattern::of_series(series, &self.names, true);
        }
        glob
    }

    /// Returns the reason for a file without a step beside files that have one.
    fn unnumbered(&self, main: usize, file: usize, related: &[(usize, Relation)]) -> LeftOut {
        let name = &self.names[file];
        let main = &self.series[main];
        let folder = name
            .components
            .split_last()
            .map_or(&[][..], |(_, folder)| folder);
        for (at, relation) in related {
            let series = &self.series[*at];
            let theirs = self.folder(series);
            let elsewhere = relation.why == FamilyKind::Run
                && folder.starts_with(theirs)
                && !self.folder(main).starts_with(theirs);
            let words = &self.names[series.first()].words;
            let alike = name.role == self.role(series) && *words == name.words;
            if elsewhere || (alike && *words != self.names[main.first()].words) {
                return reason(relation);
            }
        }
        if name.role != self.role(main) {
            let family = pattern::escaped(&name.components.join("/"));
            return match name.role {
                FileRole::Average => LeftOut::Average { family },
                _ => LeftOut::OtherNetwork { family },
            };
        }
        let words = &self.names[main.first()].words;
        let known = name
            .words
            .iter()
            .all(|word| words.binary_search(word).is_ok());
        if known || name.standing > 0 {
            let last = main.members.last().filter(|_| name.standing != 1);
            LeftOut::MaybeCopy {
                of: last.map(|member| self.paths[member.file].clone()),
            }
        } else {
            LeftOut::NoStep
        }
    }

    fn alternatives(
        &self,
        main: usize,
        related: &[(usize, Relation)],
        left_out: &BTreeMap<usize, LeftOut>,
    ) -> Vec<Family> {
        let mut families: BTreeMap<&str, Family> = BTreeMap::new();
        let is_path = self.series[main].members.len() > 1;
        for (at, relation) in related {
            let series = &self.series[*at];
            // A part of the path's checkpoints is no family.
            let count = files(series)
                .filter(|file| left_out.contains_key(file))
                .count();
            families
                .entry(&relation.pattern)
                .and_modify(|family| family.files += count)
                .or_insert_with(|| Family {
                    pattern: relation.pattern.clone(),
                    files: count,
                    why: relation.why,
                });
        }
        // A single file beside a path is none itself: a frozen encoder, a file of statistics.
        families.retain(|_, family| family.files > 1 || !is_path || family.why == FamilyKind::Run);
        families.into_values().collect()
    }
}

fn is_explicit(unit: StepUnit) -> bool {
    !matches!(unit, StepUnit::Unspecified | StepUnit::Order)
}

fn reason(relation: &Relation) -> LeftOut {
    let family = relation.pattern.clone();
    match relation.why {
        FamilyKind::Network => LeftOut::OtherNetwork { family },
        FamilyKind::Average => LeftOut::Average { family },
        FamilyKind::Run => LeftOut::OtherRun { family },
        FamilyKind::Unit => LeftOut::OtherUnit { family },
    }
}

fn files(series: &Series) -> impl Iterator<Item = usize> {
    let members = series.members.iter().map(|member| member.file);
    members.chain(series.beside.iter().map(|(file, ..)| *file))
}

/// Returns the reason why a name alone tells that a file is no checkpoint.
fn refusal(name: &ParsedName) -> Option<LeftOut> {
    let file = name.components.last()?;
    let ending = file
        .rsplit_once('.')
        .map(|(_, ending)| ending.to_ascii_lowercase());
    let ending = ending.as_deref().unwrap_or_default();
    let hidden = name.components.iter().any(|part| part.starts_with('.'));
    let is_data = file_role::is_metadata(ending) || file_role::is_samples(file);
    if hidden || is_data || file.contains("tfevents") {
        return Some(LeftOut::Metadata);
    }
    let folders = name
        .components
        .split_last()
        .map_or(&[][..], |(_, folders)| folders);
    let exported = folders
        .iter()
        .any(|folder| matches!(folder.as_str(), "export" | "exported" | "exports"));
    (exported || file_role::is_export(ending)).then_some(LeftOut::Export)
}
