//! Which of a checkpoint's tensors are the model's: the state dict among nested dicts.

use std::path::Path;

use super::FormatError;

/// Keys under which trainers put the state dict, the likeliest first.
const CONTAINERS: [&str; 14] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "student",
    "ema_state_dict",
    "model_ema",
    "ema",
    "ema_model",
];
/// Words that wrappers put before every name.
const PREFIXES: [&str; 3] = ["module.", "model.", "_orig_mod."];
/// How top-level keys begin that hold a trainer's state and no model.
const TRAINER: [&str; 13] = [
    "optim",
    "opt_state",
    "lr_sched",
    "sched",
    "scaler",
    "grad_scaler",
    "amp",
    "rng",
    "random",
    "callbacks",
    "loops",
    "hyper_parameters",
    "hparams",
];

/// Whether a key means something to [`choose`].
pub(super) fn is_known_key(key: &str) -> bool {
    CONTAINERS.contains(&key) || TRAINER.iter().any(|word| key.starts_with(word))
}

/// The model's tensors: index among all of the file's, and name in the state dict.
#[derive(Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) key: Option<String>,
    pub(super) tensors: Vec<(usize, String)>,
}

/// Why none could be chosen.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    None,
    Key { key: String, found: Vec<String> },
}

impl Problem {
    pub(super) fn of(self, path: &Path) -> FormatError {
        let path = path.to_path_buf();
        match self {
            Self::None => FormatError::NoTensors(path),
            Self::Key { key, found } => FormatError::Key { path, key, found },
        }
    }
}

/// Chooses among dotted names. `key` may be dotted itself; without it the likeliest container is
/// entered, as often as there is one, and prefixes that all names share are stripped.
pub(super) fn choose(names: &[&str], key: Option<&str>) -> Result<Chosen, Problem> {
    let mut chosen: Vec<(usize, &str)> = names.iter().copied().enumerate().collect();
    let mut entered: Vec<&str> = Vec::new();
    if let Some(key) = key {
        let inside = enter(&chosen, key);
        if inside.is_empty() {
            return Err(Problem::Key {
                key: key.to_owned(),
                found: heads(&chosen),
            });
        }
        (chosen, entered) = (inside, vec![key]);
    } else {
        while let Some((container, inside)) = container(&chosen) {
            chosen = inside;
            entered.push(container);
        }
        let is_model = |(_, name): &(usize, &str)| !belongs_to_trainer(name);
        chosen.retain(is_model);
    }
    strip_prefixes(&mut chosen);
    if chosen.is_empty() {
        return Err(Problem::None);
    }
    Ok(Chosen {
        key: (!entered.is_empty()).then(|| entered.join(".")),
        tensors: chosen
            .into_iter()
            .map(|(index, name)| (index, name.to_owned()))
            .collect(),
    })
}

fn enter<'a>(names: &[(usize, &'a str)], key: &str) -> Vec<(usize, &'a str)> {
    let inside = |(index, name): &(usize, &'a str)| {
        let rest = name.strip_prefix(key)?.strip_prefix('.')?;
        Some((*index, rest))
    };
    names.iter().filter_map(inside).collect()
}

/// The likeliest container that is there. One that holds every name and is a wrapper's word too is
/// left to the stripping of prefixes.
fn container<'a>(names: &[(usize, &'a str)]) -> Option<(&'static str, Vec<(usize, &'a str)>)> {
    let found = CONTAINERS
        .iter()
        .map(|container| (*container, enter(names, container)));
    let (container, inside) = found.into_iter().find(|(_, inside)| !inside.is_empty())?;
    let is_prefix = PREFIXES
        .iter()
        .any(|prefix| prefix.trim_end_matches('.') == container);
    let others = names.len() - inside.len();
    let trainer = names
        .iter()
        .filter(|(_, name)| belongs_to_trainer(name))
        .count();
    if others == 0 && is_prefix {
        return None;
    }
    // A module that happens to have such a name, beside other modules, is no container.
    let beside = others > trainer
        && !matches!(
            container,
            "state_dict" | "model_state_dict" | "model_state" | "model"
        );
    (!beside || others_are_copies(names, container)).then_some((container, inside))
}

/// Whether all names outside `container` stand under other containers or a trainer's keys.
fn others_are_copies(names: &[(usize, &str)], container: &str) -> bool {
    names.iter().all(|(_, name)| {
        let head = name.split('.').next().unwrap_or_default();
        head == container || CONTAINERS.contains(&head) || belongs_to_trainer(name)
    })
}

fn belongs_to_trainer(name: &str) -> bool {
    TRAINER.iter().any(|word| name.starts_with(word)) && name.contains('.')
}

fn strip_prefixes(names: &mut [(usize, &str)]) {
    while let Some(prefix) = PREFIXES.iter().find(|prefix| {
        !names.is_empty() && names.iter().all(|(_, name)| name.starts_with(**prefix))
    }) {
        for (_, name) in names.iter_mut() {
            *name = &name[prefix.len()..];
        }
    }
}

/// The first parts of names, each once, for an error message.
fn heads(names: &[(usize, &str)]) -> Vec<String> {
    let mut heads: Vec<String> = Vec::new();
    for (_, name) in names {
        let head = name.split('.').next().unwrap_or_default();
        if heads.iter().all(|known| known != head) {
            heads.push(head.to_owned());
        }
    }
    heads.truncate(12);
    heads
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    fn chosen(names: &[&str], key: Option<&str>) -> (Option<String>, Vec<String>) {
        let chosen = choose(names, key).unwrap();
        (
            chosen.key,
            chosen.tensors.into_iter().map(|(_, name)| name).collect(),
        )
    }

    #[test]
    fn a_plain_state_dict_is_taken_as_it_is() {
        assert_eq!(
            chosen(&["fc1.weight", "fc1.bias"], None),
            (None, vec!["fc1.weight".into(), "fc1.bias".into()])
        );
    }

    #[test]
    fn lightning_s_is_found_and_its_optimizer_is_not() {
        let names = [
            "state_dict.model.conv1.weight",
            "state_dict.model.bn1.bias",
            "optimizer_states.0.state.0.momentum_buffer",
        ];
        assert_eq!(
            chosen(&names, None),
            (
                Some("state_dict".into()),
                vec!["conv1.weight".into(), "bn1.bias".into()]
            )
        );
    }

    #[test]
    fn an_optimizer_beside_a_flat_model_is_left_out() {
        let names = ["net.0.weight", "optimizer.state.0.exp_avg"];
        assert_eq!(chosen(&names, None).1, ["0.weight"]);
        assert_eq!(
            chosen(&["fc.weight", "optimizer.state.0.exp_avg"], None).1,
            ["fc.weight"]
        );
        assert_eq!(
            choose(&["optimizer.state.0.exp_avg"], None),
            Err(Problem::None)
        );
    }

    #[test]
    fn wrappers_words_are_stripped_only_when_all_names_have_them() {
        assert_eq!(
            chosen(&["module._orig_mod.a", "module._orig_mod.b"], None),
            (None, vec!["a".into(), "b".into()])
        );
        assert_eq!(
            chosen(&["module.a", "head.b"], None).1,
            ["module.a", "head.b"]
        );
    }

    #[test]
    fn the_model_comes_before_its_average_unless_the_key_says_otherwise() {
        let names = ["ema.fc.weight", "model.fc.weight", "optim.state.0.exp_avg"];
        assert_eq!(
            choose(&names, None).unwrap().tensors,
            [(1, "fc.weight".into())]
        );
        assert_eq!(
            choose(&names, Some("ema")).unwrap().tensors,
            [(0, "fc.weight".into())]
        );
    }

    #[test]
    fn nested_containers_are_entered() {
        let names = [
            "model.state_dict.module.fc.weight",
            "optimizer.state.0.exp_avg",
        ];
        assert_eq!(
            chosen(&names, None),
            (Some("model.state_dict".into()), vec!["fc.weight".into()])
        );
        assert_eq!(chosen(&names, Some("model.state_dict")).1, ["fc.weight"]);
    }

    #[test]
    fn a_wrong_key_is_answered_with_the_keys_that_are_there() {
        let problem = choose(
            &["model.fc.weight", "ema.fc.weight", "model.fc.bias"],
            Some("net"),
        );
        let found = vec!["model".to_owned(), "ema".to_owned()];
        assert_eq!(
            problem,
            Err(Problem::Key {
                key: "net".into(),
                found
            })
        );
    }
}
