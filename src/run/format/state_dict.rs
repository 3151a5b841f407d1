//! Which of a checkpoint's tensors are the model's: one network among nested dicts.
//!
//! Networks are told apart by their keys and never mixed. One is taken: the model before its average and
//! its teacher, a generator before its discriminator, then what stands under a trainer's usual key, then
//! the larger, then the first. States of optimizers, schedulers and losses are none, at any depth.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use super::role::{NetworkRole, TRAINER, is_role, is_trainer};
use super::stored::Stored;
use super::tree::Item;
use super::{FormatError, heads, names};

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
const LAYER: [&str; 6] = ["weight", "bias", "kernel", "scale", "embedding", "gamma"];

/// A network of the checkpoint that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherNetwork {
    /// The `--key` that takes it.
    pub key: String,
    /// Its numbers.
    pub numbers: u64,
    /// What it is.
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

/// Why none could be chosen.
#[derive(Debug, PartialEq)]
pub(super) enum Problem {
    None,
    Empty,
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
    tensors: Vec<(usize, String)>,
    numbers: u64,
}

impl Network {
    fn key(&self) -> Option<String> {
        (!self.path.is_empty()).then(|| self.path.join("."))
    }

    fn role(&self) -> NetworkRole {
        NetworkRole::of(self.path.iter().map(|part| &**part))
    }

    fn is_in_container(&self) -> bool {
        self.path.iter().any(|part| CONTAINERS.contains(&&**part))
    }
}

/// Finds the networks of one checkpoint.
struct Finder<'a> {
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
    found: Vec<Network>,
}

/// Chooses a network. `key` names it by the checkpoint's own keys, dotted.
pub(super) fn choose<'a>(
    root: &Item,
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
    key: Option<&str>,
) -> Result<Chosen, Problem> {
    let mut finder = Finder {
        stored,
        found: Vec::new(),
    };
    match key {
        None => finder.find(root, &mut Vec::new(), false),
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
    let mut networks = finder.found;
    if networks.is_empty() {
        return Err(Problem::None);
    }
    // The sort keeps the file's order among equals.
    networks.sort_by_key(|one| {
        (
            one.numbers == 0,
            one.role(),
            !one.is_in_container(),
            std::cmp::Reverse(one.numbers),
        )
    });
    let chosen = networks.remove(0);
    if chosen.numbers == 0 {
        return Err(Problem::Empty);
    }
    let others = networks.iter().filter(|other| other.numbers > 0);
    let others = others
        .map(|other| OtherNetwork {
            key: other.key().unwrap_or_default(),
            numbers: other.numbers,
            role: other.role(),
        })
        .collect();
    let key = chosen.key();
    let tensors = named(chosen.tensors)?;
    Ok(Chosen {
        key,
        tensors,
        others,
        tied: Vec::new(),
    })
}

/// Takes wrappers' words off; two tensors never share a name.
fn named(tensors: Vec<(usize, String)>) -> Result<Vec<(usize, String)>, Problem> {
    let (indices, mut all): (Vec<usize>, Vec<String>) = tensors.into_iter().unzip();
    names::strip(&mut all);
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
        if path.last().is_some_and(|key| is_trainer(key))
            && path.last().is_none_or(|key| &**key != "state")
        {
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
        let joined = !networks && (known || layers > 2 || (own && layers > 0));
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

    /// True for a dict whose values are networks rather than the layers of one. A word like `target` may be
    /// a layer's name too: it tells a network where a flat state dict stands below it, where all beside it
    /// have such words, and where another value has the same tensors.
    fn holds_networks(&self, fields: &[(Arc<str>, &Item)]) -> bool {
        let nested: Vec<(&Arc<str>, &Item)> = fields
            .iter()
            .filter(|(name, item)| {
                matches!(item, Item::Dict(..) | Item::List(_)) && !is_trainer(name)
            })
            .map(|(name, item)| (name, *item))
            .collect();
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

    /// True if two values hold tensors of the same names and shapes.
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

    /// A float tensor that is no number of the trainer's. Where it stands beside networks rather than
    /// `alone`, any word of a trainer's tells that.
    fn is_weight(&self, name: &str, item: &Item, alone: bool) -> bool {
        let Item::Tensor(index) = item else {
            return false;
        };
        let float = (self.stored)(*index)
            .is_some_and(|stored| !stored.dtype.is_other() && !stored.shape.is_empty());
        let is_state = !name.contains('.') && !alone && is_trainer(name);
        float && !is_state && !is_flat_state(name)
    }

    fn network(&mut self, item: &Item, path: &[Arc<str>], nested: bool) {
        let mut tensors = Vec::new();
        flatten(item, "", nested, &mut tensors);
        let shape = |index: usize| (self.stored)(index).map(|stored| stored.shape.as_slice());
        for head in heads::networks(&tensors, &shape) {
            let front = format!("{head}.");
            let (own, rest): (Vec<_>, Vec<_>) = tensors
                .into_iter()
                .partition(|(_, name)| name.starts_with(&front));
            tensors = rest;
            let own = own.into_iter();
            let own = own.map(|(index, name)| (index, name[front.len()..].to_owned()));
            let path: Vec<Arc<str>> = path.iter().cloned().chain([head]).collect();
            self.add(path, own.collect());
        }
        self.add(path.to_vec(), tensors);
    }

    fn add(&mut self, path: Vec<Arc<str>>, tensors: Vec<(usize, String)>) {
        let float = |index: usize| (self.stored)(index).filter(|stored| !stored.dtype.is_other());
        let numbers = tensors
            .iter()
            .filter_map(|(index, _)| float(*index)?.count());
        let numbers = numbers.fold(0u64, |all, count| all.saturating_add(count as u64));
        if !tensors.is_empty() {
            self.found.push(Network {
                path,
                tensors,
                numbers,
            });
        }
    }
}

fn flatten(item: &Item, front: &str, nested: bool, to: &mut Vec<(usize, String)>) {
    let mut field = |name: &str, item: &Item| match item {
        Item::Tensor(index) if !is_flat_state(name) => to.push((*index, format!("{front}{name}"))),
        // Within a network only a whole word is a trainer's: `center_head` is a module.
        Item::Dict(..) | Item::List(_)
            if nested && !TRAINER.contains(&name.to_ascii_lowercase().as_str()) =>
        {
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

/// The value under a dotted key: keys may have dots themselves, and flat names begin with one.
fn below(item: &Item, key: &str) -> Option<Item> {
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

/// The state of an optimizer, by what it holds.
fn is_state(class: Option<&str>, fields: &[(Arc<str>, Item)]) -> bool {
    class.is_some_and(|class| class.starts_with("torch.optim"))
        || fields.iter().any(|(name, _)| STATES.contains(&&**name))
}

/// A flat name within an optimizer's state.
fn is_flat_state(name: &str) -> bool {
    name.split('.').any(|part| STATES.contains(&part))
        || name
            .split_once('.')
            .is_some_and(|(head, _)| head.starts_with("optim"))
}

/// A dict whose tensors have dotted names: the flat state dict of a network.
fn is_flat(item: &Item) -> bool {
    let Item::Dict(_, fields) = item else {
        return false;
    };
    let dotted = |(name, item): &(Arc<str>, Item)| {
        matches!(item, Item::Tensor(_)) && name.trim_matches('.').contains('.')
    };
    fields.iter().any(dotted)
}

/// A dict of one layer's tensors, as flax nests them.
fn is_layer(item: &Item) -> bool {
    let Item::Dict(_, fields) = item else {
        return false;
    };
    let tensor = |(name, item): &(Arc<str>, Item)| {
        matches!(item, Item::Tensor(_)) && LAYER.contains(&&**name)
    };
    !fields.is_empty() && fields.iter().all(tensor)
}

/// The outermost keys, for an error message.
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::Dtype;
    use super::*;

    /// A tensor of two numbers for each name, of a shape of its own where its name ends with a digit.
    fn stored(names: &[&str]) -> Vec<Stored> {
        let one = |name: &&str| Stored {
            dtype: Dtype::F32,
            size: 4,
            shape: vec![2, name.bytes().last().map_or(1, |b| usize::from(b % 7) + 1)],
            strides: vec![1, 1],
            offset: 0,
            big_endian: false,
            key: "".into(),
            storage: Err("no file".into()),
        };
        names.iter().map(one).collect()
    }

    /// The key that was taken, the names of its tensors, and the keys of the other networks.
    type Choice = (Option<String>, Vec<String>, Vec<String>);

    fn chosen(names: &[&str], key: Option<&str>) -> Result<Choice, Problem> {
        let stored = stored(names);
        let fields = names.iter().enumerate();
        let fields = fields.map(|(at, name)| ((*name).into(), Item::Tensor(at)));
        let root = Item::Dict(None, fields.collect());
        let of = |index: usize| stored.get(index);
        let chosen = choose(&root, &of, key)?;
        let names = chosen.tensors.into_iter().map(|(_, name)| name).collect();
        let others = chosen.others.into_iter().map(|other| other.key).collect();
        Ok((chosen.key, names, others))
    }

    #[test]
    fn an_average_among_flat_names_is_a_network_of_its_own() {
        let names = [
            "model.fc.weight",
            "model.fc.bias",
            "model_ema.fc.weight",
            "model_ema.fc.bias",
        ];
        let (key, taken, others) = chosen(&names, None).unwrap();
        assert_eq!(
            (key, taken),
            (None, vec!["fc.weight".into(), "fc.bias".into()])
        );
        assert_eq!(others, ["model_ema"]);
        let (_, taken, _) = chosen(&names, Some("model_ema")).unwrap();
        assert_eq!(taken, ["fc.weight", "fc.bias"]);
        let names = ["student.a", "head.b", "teacher.a"];
        let (_, taken, others) = chosen(&names, None).unwrap();
        assert_eq!(
            (taken, others),
            (
                vec!["student.a".into(), "head.b".into()],
                vec!["teacher".into()]
            )
        );
    }

    #[test]
    fn a_module_that_only_has_such_a_name_stays() {
        let names = ["backbone.weight", "target.weight1", "center_head.bias"];
        let (_, taken, others) = chosen(&names, None).unwrap();
        assert_eq!(taken.len(), 3);
        assert!(others.is_empty());
    }

    #[test]
    fn networks_that_share_a_flat_dict_are_told_apart() {
        let names = [
            "discriminator.net.weight3",
            "generator.net.weight1",
            "generator.net.bias",
            "loss.lpips.weight",
        ];
        let (key, taken, others) = chosen(&names, None).unwrap();
        assert_eq!(key.as_deref(), Some("generator"));
        assert_eq!(taken, ["net.weight1", "net.bias"]);
        assert_eq!(others, ["discriminator", "loss"]);
        let (_, taken, _) = chosen(&names, Some("discriminator")).unwrap();
        assert_eq!(taken, ["net.weight3"]);
        // A head of that name alone is a module.
        let names = ["backbone.weight", "discriminator.weight"];
        assert_eq!(chosen(&names, None).unwrap().1.len(), 2);
    }

    /// A dict of dicts by dotted paths; the tensors are numbered.
    fn tree(paths: &[&str]) -> Item {
        let mut root: Vec<(Arc<str>, Item)> = Vec::new();
        for (at, path) in paths.iter().enumerate() {
            let mut fields = &mut root;
            let mut parts: Vec<&str> = path.split('/').collect();
            let last = parts.pop().unwrap();
            for part in parts {
                let known = fields.iter().position(|(name, _)| &**name == part);
                let known = known.unwrap_or_else(|| {
                    fields.push((part.into(), Item::Dict(None, Vec::new())));
                    fields.len() - 1
                });
                let Item::Dict(_, inner) = &mut fields[known].1 else {
                    unreachable!()
                };
                fields = inner;
            }
            fields.push((last.into(), Item::Tensor(at)));
        }
        Item::Dict(None, root)
    }

    fn taken(paths: &[&str]) -> Vec<String> {
        let stored = stored(paths);
        let of = |index: usize| stored.get(index);
        let chosen = choose(&tree(paths), &of, None).unwrap();
        chosen.tensors.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn a_nested_layer_whose_name_is_a_role_stays_in_its_network() {
        let flax = [
            "params/encoder/Dense_0/kernel",
            "params/encoder/Dense_0/bias",
            "params/target_head/kernel",
            "params/target_head/bias",
        ];
        assert_eq!(taken(&flax).len(), 4);
        let twins = [
            "params/online/Dense_0/kernel",
            "params/target/Dense_0/kernel",
        ];
        assert_eq!(taken(&twins), ["Dense_0.kernel"]);
        let roles = ["params/generator/Dense_0/kernel", "params/critic/out/bias"];
        assert_eq!(taken(&roles), ["Dense_0.kernel"]);
        let flat = ["model/text/fc.weight", "model/ema/fc.weight2"];
        assert_eq!(taken(&flat), ["fc.weight"]);
    }

    #[test]
    fn optimizers_are_no_networks_and_a_wrong_key_is_answered_with_those_there_are() {
        let names = ["fc.weight", "optimizer.state.0.exp_avg"];
        assert_eq!(chosen(&names, None).unwrap().1, ["fc.weight"]);
        assert_eq!(chosen(&names[1..], None), Err(Problem::None));
        let problem = chosen(&names, Some("net")).unwrap_err();
        assert!(matches!(problem, Problem::Key { key, .. } if key == "net"));
    }
}
