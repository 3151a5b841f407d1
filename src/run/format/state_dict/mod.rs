//! Chooses the tensors of a checkpoint that are the model's: one network among nested dicts.
//!
//! Networks are told apart by their keys and never mixed. One is taken: the model before its average and
//! its teacher, a generator before its discriminator, then what stands under a trainer's usual key, then
//! the larger, then the first. States of optimizers, schedulers and losses are none, at any depth.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::role::{NetworkRole, is_optimizer, is_record, is_role, is_trainer};
use super::stored::Stored;
use super::tree::Item;
use super::{FormatError, heads, wrappers};

/// Keys under which trainers put the state dict: what is nested below one is one network.
const CONTAINERS: [&str; 9] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
];
/// Names within the state of an optimizer.
const STATES: [&str; 9] = [
    "exp_avg",
    "exp_avg_sq",
    "max_exp_avg_sq",
    "momentum_buffer",
    "square_avg",
    "acc_delta",
    "param_groups",
    "fp32_flat_groups",
    "single_partition_of_fp32_groups",
];
/// Names of a layer's own tensors.
const LAYER: [&str; 8] = [
    "weight",
    "bias",
    "kernel",
    "scale",
    "embedding",
    "gamma",
    "w",
    "b",
];
const UNEXPANDED: &str = "save the model's own tensors, not views that were expanded from them";
/// The `--key` of the outermost tensors.
const OUTERMOST: &str = ".";

/// A network of the checkpoint that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNetwork {
    /// The `--key` that takes it.
    pub key: String,
    /// Its numbers.
    pub numbers: u64,
    /// Its role.
    pub role: NetworkRole,
}

/// The model's tensors: index among all of the file's, and name in the state dict.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) key: Option<String>,
    pub(super) tensors: Vec<(usize, String)>,
    pub(super) others: Vec<OtherNetwork>,
    /// Further names of these tensors that are known already: index among them, and name.
    pub(super) tied: Vec<(usize, String)>,
}

/// Reasons why none could be chosen.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    None,
    Empty,
    Huge,
    Expanded,
    Same(String),
    Key { key: String, found: Vec<String> },
}

impl Problem {
    pub(super) fn of(self, path: &Path) -> FormatError {
        let path = path.to_path_buf();
        match self {
            Self::None => FormatError::NoTensors(path),
            Self::Empty => FormatError::Refused {
                path,
                what: "empty: all its tensors have size 0, as placeholders of a sharded run have"
                    .into(),
                remedy: "take the checkpoint that holds the weights",
            },
            Self::Huge => FormatError::Refused {
                path,
                what: "tensors of more numbers than memory has addresses".into(),
                remedy: UNEXPANDED,
            },
            Self::Expanded => FormatError::Refused {
                path,
                what: "tensors of many times the numbers that the file holds".into(),
                remedy: UNEXPANDED,
            },
            Self::Same(name) => FormatError::Refused {
                path,
                what: format!("two tensors called {name}"),
                remedy: "choose one network with --key",
            },
            Self::Key { key, found } => FormatError::Key { path, key, found },
        }
    }
}

#[derive(Debug)]
struct Network {
    path: Vec<Arc<str>>,
    role: NetworkRole,
    tensors: Vec<(usize, String)>,
    numbers: u64,
}

impl Network {
    fn key(&self) -> Option<String> {
        (!self.path.is_empty()).then(|| self.path.join("."))
    }

    /// Returns true if it has tensors as layers name them: a buffer of observations has none.
    fn has_layers(&self) -> bool {
        let mut names = self.tensors.iter().map(|(_, name)| name);
        names.any(|name| name.rsplit('.').next().is_some_and(is_of_layer))
    }

    fn is_in_container(&self) -> bool {
        self.path.iter().any(|part| CONTAINERS.contains(&&**part))
    }
}

/// Finds the networks of one checkpoint.
struct Finder<'a> {
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
    found: Vec<Network>,
    /// True to pass over keys with any word of a trainer's, false for those of optimizers alone.
    is_strict: bool,
}

/// Chooses a network. `key` names it by the checkpoint's own keys, dotted.
pub(super) fn choose<'a>(
    root: &Item,
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
    key: Option<&str>,
) -> Result<Chosen, Problem> {
    // `best_loss_state_dict` has a trainer's word: it counts where nothing else does.
    let mut networks = found(root, stored, key, true)?;
    if networks.is_empty() {
        networks = found(root, stored, key, false)?;
    }
    if networks.is_empty() {
        return Err(Problem::None);
    }
    // The sort keeps the file's order among equals.
    networks.sort_by_key(|one| {
        (
            one.numbers == 0,
            one.role,
            !one.has_layers(),
            !one.is_in_container(),
            std::cmp::Reverse(one.numbers),
        )
    });
    let chosen = networks.remove(0);
    if chosen.numbers == 0 {
        let mut all = chosen.tensors.iter();
        let is_huge = |(index, _): &(usize, String)| {
            stored(*index).is_some_and(|stored| stored.count().is_none())
        };
        return Err(if all.any(is_huge) {
            Problem::Huge
        } else {
            Problem::Empty
        });
    }
    let others = networks.iter().filter(|other| other.numbers > 0);
    let others = others
        .map(|other| OtherNetwork {
            key: other.key().unwrap_or_else(|| OUTERMOST.into()),
            numbers: other.numbers,
            role: other.role,
        })
        .collect();
    let key = chosen.key();
    let tensors = without_wrappers(chosen.tensors)?;
    Ok(Chosen {
        key,
        tensors,
        others,
        tied: Vec::new(),
    })
}

/// Finds the networks, all or those under a key.
fn found<'a>(
    root: &Item,
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
    key: Option<&str>,
    is_strict: bool,
) -> Result<Vec<Network>, Problem> {
    let mut finder = Finder {
        stored,
        found: Vec::new(),
        is_strict,
    };
    match key {
        None => finder.find(root, &mut Vec::new(), false),
        Some(OUTERMOST) => finder.network(root, &[OUTERMOST.into()], false),
        Some(key) => {
            let picked = below(root, key).ok_or_else(|| Problem::Key {
                key: key.to_owned(),
                found: heads(root),
            })?;
            finder.find(&picked, &mut vec![key.into()], false);
            if finder.found.is_empty() {
                finder.network(&picked, &[key.into()], true);
            }
        }
    }
    Ok(finder.found)
}

/// Takes wrappers' words off; two tensors never share a name.
fn without_wrappers(tensors: Vec<(usize, String)>) -> Result<Vec<(usize, String)>, Problem> {
    let (indices, mut all): (Vec<usize>, Vec<String>) = tensors.into_iter().unzip();
    wrappers::strip(&mut all);
    let mut seen = HashSet::new();
    if let Some(name) = all.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(Problem::Same(name.clone()));
    }
    Ok(indices.into_iter().zip(all).collect())
}

impl Finder<'_> {
    /// Finds the networks at and below a value; `known` tells that what it holds is one, unless it holds
    /// several.
    fn find(&mut self, item: &Item, path: &mut Vec<Arc<str>>, known: bool) {
        if path.last().is_some_and(|key| self.is_passed(key)) {
            return;
        }
        let fields: Vec<(Arc<str>, &Item)> = match item {
            Item::Dict(class, fields) if !is_state(class.as_deref(), fields) => fields
                .iter()
                .map(|(name, item)| (Arc::clone(name), item))
                .collect(),
            Item::List(values) => {
                let numbered = values.iter().enumerate();
                numbered
                    .map(|(at, item)| (at.to_string().into(), item))
                    .collect()
            }
            _ => return,
        };
        let nested = |item: &Item| matches!(item, Item::Dict(..) | Item::List(_));
        let alone = !fields.iter().any(|(_, item)| nested(item));
        let own = fields
            .iter()
            .any(|(name, item)| self.is_weight(name, item, alone));
        let known = known || path.last().is_some_and(|key| CONTAINERS.contains(&&**key));
        let networks = self.holds_networks(&fields);
        let layers = fields.iter().filter(|(_, item)| is_layer(item)).count();
        // Two layers may be two networks of one layer each, unless they are numbered.
        let numbered = |name: &str| name.contains(|c: char| c.is_ascii_digit() || c == '/');
        let all_numbered = || {
            fields
                .iter()
                .all(|(name, item)| !nested(item) || numbered(name))
        };
        let joined = !networks
            && (known || layers > 2 || own && layers > 0 || layers == 2 && all_numbered());
        if joined || own {
            self.network(item, path, joined);
        }
        if !joined {
            for (name, item) in fields.iter().filter(|(_, item)| nested(item)) {
                path.push(Arc::clone(name));
                self.find(item, path, networks);
                path.pop();
            }
        }
    }

    /// Returns true for a key whose values are a trainer's.
    fn is_passed(&self, key: &str) -> bool {
        if self.is_strict {
            is_trainer(key)
        } else {
            is_optimizer(key)
        }
    }

    /// Returns true for a dict whose values are networks rather than the layers of one. A word like `target` may be
    /// a layer's name too: it tells a network where a flat state dict stands below it, where all beside it
    /// have such words, and where another value has the same tensors.
    fn holds_networks(&self, fields: &[(Arc<str>, &Item)]) -> bool {
        let nested: Vec<(&Arc<str>, &Item)> = fields
            .iter()
            .filter(|(name, item)| {
                matches!(item, Item::Dict(..) | Item::List(_)) && !self.is_passed(name)
            })
            .map(|(name, item)| (name, *item))
            .collect();
        // `model` beside `lm_head` is a module as well.
        if nested.iter().any(|(_, item)| is_layer(item)) {
            return false;
        }
        let is_named = |name: &str| CONTAINERS.contains(&name) || is_role(name);
        let all_named = nested.iter().all(|(name, _)| is_named(name));
        nested.iter().any(|(name, item)| {
            let is_network = || {
                all_named
                    || is_flat(item)
                    || nested
                        .iter()
                        .any(|(other, twin)| other != name && self.is_twin(item, twin))
            };
            CONTAINERS.contains(&&***name) || is_role(name) && is_network()
        })
    }

    /// Returns true if two values hold tensors of the same names and shapes.
    fn is_twin(&self, one: &Item, other: &Item) -> bool {
        let [one, other] = [one, other].map(|item| {
            let mut tensors = Vec::new();
            flatten(item, "", true, &mut tensors);
            let mut shapes: Vec<_> = tensors
                .into_iter()
                .map(|(index, name)| (name, (self.stored)(index).map(|stored| &stored.shape)))
                .collect();
            shapes.sort_unstable();
            shapes
        });
        !one.is_empty() && one == other
    }

    /// Returns a float tensor that is no number of the trainer's. Where it stands beside networks rather than
    /// `alone`, any word of a trainer's tells that.
    fn is_weight(&self, name: &str, item: &Item, alone: bool) -> bool {
        let Item::Tensor(index) = item else {
            return false;
        };
        let float = (self.stored)(*index)
            .is_some_and(|stored| !stored.dtype.is_other() && !stored.shape.is_empty());
        let is_state = !name.contains('.') && !alone && self.is_passed(name);
        float && !is_state && !is_flat_state(name)
    }

    fn network(&mut self, item: &Item, path: &[Arc<str>], nested: bool) {
        let mut tensors = Vec::new();
        flatten(item, "", nested, &mut tensors);
        let shape = |index: usize| (self.stored)(index).map(|stored| stored.shape.as_slice());
        for (head, role) in heads::networks(&tensors, &shape) {
            let front = format!("{head}.");
            let (own, rest): (Vec<_>, Vec<_>) = tensors
                .into_iter()
                .partition(|(_, name)| name.starts_with(&front));
            tensors = rest;
            let own = own.into_iter();
            let own = own.map(|(index, name)| (index, name[front.len()..].to_owned()));
            let path: Vec<Arc<str>> = path.iter().cloned().chain([head]).collect();
            self.add(path, role, own.collect());
        }
        self.add(path.to_vec(), NetworkRole::Model, tensors);
    }

    fn add(&mut self, path: Vec<Arc<str>>, role: NetworkRole, tensors: Vec<(usize, String)>) {
        let float = |index: usize| (self.stored)(index).filter(|stored| !stored.dtype.is_other());
        let numbers = tensors
            .iter()
            .filter_map(|(index, _)| float(*index)?.count());
        let numbers = numbers.fold(0u64, |all, count| all.saturating_add(count as u64));
        if !tensors.is_empty() {
            // A generator within an average is the average's.
            let above = NetworkRole::of(path.iter().map(|part| &**part));
            self.found.push(Network {
                path,
                role: role.max(above),
                tensors,
                numbers,
            });
        }
    }
}

fn flatten(item: &Item, front: &str, nested: bool, to: &mut Vec<(usize, String)>) {
    // Beside dotted names, a tensor without a dot may be a number that the trainer wrote down.
    let beside_layers = is_flat(item);
    let mut field = |name: &str, item: &Item| match item {
        Item::Tensor(index) => {
            let is_recorded = beside_layers && !name.contains('.') && is_record(name);
            if !is_recorded && !is_flat_state(name) {
                to.push((*index, format!("{front}{name}")));
            }
        }
        // Within a network `center` and `config` are modules, `optimizer` is not.
        Item::Dict(..) | Item::List(_) if nested && !is_optimizer(name) => {
            flatten(item, &format!("{front}{name}."), nested, to);
        }
        _ => {}
    };
    match item {
        Item::Dict(class, fields) if !is_state(class.as_deref(), fields) => {
            for (name, item) in fields {
                field(name, item);
            }
        }
        Item::List(values) => {
            let numbered = values.iter().enumerate();
            numbered.for_each(|(at, item)| field(&at.to_string(), item));
        }
        _ => {}
    }
}

/// Returns the value under a dotted key: keys may have dots themselves, and flat names begin with one.
fn below(item: &Item, key: &str) -> Option<Item> {
    if let Item::List(values) = item {
        let (number, rest) = key.split_once('.').unwrap_or((key, ""));
        let inner = values.get(number.parse::<usize>().ok()?)?;
        return match rest {
            "" => Some(inner.clone()),
            rest => below(inner, rest),
        };
    }
    let Item::Dict(_, fields) = item else {
        return None;
    };
    for (name, inner) in fields {
        if &**name == key && !matches!(inner, Item::Tensor(_)) {
            return Some(inner.clone());
        }
        let rest = key
            .strip_prefix(&**name)
            .and_then(|rest| rest.strip_prefix('.'));
        if let Some(found) = rest.and_then(|rest| below(inner, rest)) {
            return Some(found);
        }
    }
    let flat = fields.iter().filter_map(|(name, inner)| {
        let rest = name.strip_prefix(key)?.strip_prefix('.')?;
        Some((Arc::from(rest), inner.clone()))
    });
    let flat: Vec<_> = flat.collect();
    (!flat.is_empty()).then_some(Item::Dict(None, flat))
}

/// Returns the state of an optimizer, by what it holds.
fn is_state(class: Option<&str>, fields: &[(Arc<str>, Item)]) -> bool {
    let has = |names: &[&str]| fields.iter().any(|(name, _)| names.contains(&&**name));
    // An average of weights is among torch's optimizers, and is a model.
    let is_optimizer =
        |class: &str| class.starts_with("torch.optim") && !class.contains("swa_utils");
    class.is_some_and(is_optimizer)
        || has(&STATES)
        || has(&["step"]) && has(&["sum", "prev", "step_size", "mu_product"])
}

/// Returns a flat name within an optimizer's state.
fn is_flat_state(name: &str) -> bool {
    name.split('.').any(|part| STATES.contains(&part))
        || name
            .split_once('.')
            .is_some_and(|(head, _)| is_optimizer(head))
}

/// Returns a dict whose tensors have dotted names: the flat state dict of a network.
fn is_flat(item: &Item) -> bool {
    let Item::Dict(_, fields) = item else {
        return false;
    };
    let dotted = |(name, item): &(Arc<str>, Item)| {
        matches!(item, Item::Tensor(_)) && name.trim_matches('.').contains('.')
    };
    fields.iter().any(dotted)
}

/// Returns true for the name of a layer's own tensor.
fn is_of_layer(name: &str) -> bool {
    LAYER.contains(&name)
}

/// Returns a dict of one layer's tensors, as flax nests them.
fn is_layer(item: &Item) -> bool {
    let Item::Dict(_, fields) = item else {
        return false;
    };
    let tensor =
        |(name, item): &(Arc<str>, Item)| matches!(item, Item::Tensor(_)) && is_of_layer(name);
    !fields.is_empty() && fields.iter().all(tensor)
}

/// Returns the outermost keys, for an error message.
fn heads(root: &Item) -> Vec<String> {
    let Item::Dict(_, fields) = root else {
        return Vec::new();
    };
    let mut heads: Vec<String> = Vec::new();
    for (name, item) in fields {
        let head = name.split('.').next().unwrap_or_default();
        let holds = matches!(item, Item::Tensor(_) | Item::Dict(..) | Item::List(_));
        if holds && heads.iter().all(|known| known != head) {
            heads.push(head.to_owned());
        }
    }
    heads.truncate(12);
    heads
}

#[cfg(test)]
mod tests;
