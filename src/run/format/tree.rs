//! A checkpoint's values as nested dicts with tensors as leaves; modules become their state dicts.

use std::collections::HashSet;
use std::sync::Arc;

use super::Dtype;
use super::pickle::{Node, Opaque, Pickle, Value};
use super::stored::Stored;

/// Dicts within dicts.
const DEEPEST: usize = 64;
/// Values that are met again, because several others hold them: each is planted anew, so that a few nodes could
/// make any number. Those that are met once are as many as the pickle has.
const AGAIN: usize = 256 << 10;
/// Numbers of a list that are kept, where it holds nothing else: a log is no part of a model.
const NUMBERS: usize = 64;

/// A value of a checkpoint.
#[derive(Clone, Debug)]
pub(in crate::run) enum Item {
    /// Index into the file's tensors.
    Tensor(usize),
    /// By name, with the class where it is an object.
    Dict(Option<Arc<str>>, Vec<(Arc<str>, Item)>),
    /// In order.
    List(Vec<Item>),
    /// A whole number or another.
    Number(f64),
    /// Anything else, by its class.
    Other(Arc<str>),
}

impl Item {
    /// The value of this name in a dict.
    pub(in crate::run) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Dict(_, fields) = self else {
            return None;
        };
        let found = fields.iter().rev().find(|field| &*field.0 == name);
        found.map(|field| &field.1)
    }

    /// The first value of a list.
    pub(in crate::run) fn first(&self) -> Option<&Self> {
        match self {
            Self::List(values) => values.first(),
            _ => None,
        }
    }

    /// A number that is finite.
    pub(in crate::run) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value).filter(|value| value.is_finite()),
            _ => None,
        }
    }
}

/// Turns the values of a pickle into a tree.
pub(super) struct Planter<'a> {
    pub(super) pickle: &'a Pickle,
    /// Makes a stored tensor of a node.
    pub(super) stored: &'a dyn Fn(&Node) -> Option<Stored>,
    pub(super) tensors: Vec<Stored>,
    met: HashSet<u32>,
    /// Values that were met again.
    again: usize,
    /// Nodes around the value at hand that were met before.
    inside: usize,
}

impl<'a> Planter<'a> {
    pub(super) fn new(pickle: &'a Pickle, stored: &'a dyn Fn(&Node) -> Option<Stored>) -> Self {
        Self {
            pickle,
            stored,
            tensors: Vec::new(),
            met: HashSet::new(),
            again: 0,
            inside: 0,
        }
    }

    pub(super) fn item(&mut self, value: Value, depth: usize) -> Item {
        let is_new = match value {
            Value::Node(index) => self.met.insert(index),
            _ => true,
        };
        self.again += usize::from(!is_new || self.inside > 0);
        if depth > DEEPEST || self.again > AGAIN {
            return Item::Other("too deep".into());
        }
        self.inside += usize::from(!is_new);
        let item = self.planted(value, depth);
        self.inside -= usize::from(!is_new);
        item
    }

    fn planted(&mut self, value: Value, depth: usize) -> Item {
        match value {
            Value::Int(value) => return Item::Number(value as f64),
            Value::Float(value) => return Item::Number(value),
            Value::None | Value::Bool(_) | Value::Magic => return Item::Other("none".into()),
            Value::Node(_) => {}
        }
        match self.pickle.node(value) {
            Some(Node::Dict(entries)) => Item::Dict(None, self.fields(entries, depth)),
            Some(Node::List(values) | Node::Tuple(values)) => {
                let has_nodes = values.iter().any(|value| matches!(value, Value::Node(_)));
                let kept = if has_nodes { values.len() } else { NUMBERS };
                let kept = values.iter().take(kept);
                Item::List(kept.map(|value| self.item(*value, depth + 1)).collect())
            }
            Some(node @ (Node::Tensor(_) | Node::Array(_))) => match (self.stored)(node) {
                Some(stored) => self.tensor(stored),
                None => Item::Other("a tensor that cannot be read".into()),
            },
            Some(Node::Object(object)) => self.object(object, depth),
            Some(Node::Text(_)) => Item::Other("text".into()),
            _ => Item::Other("bytes".into()),
        }
    }

    fn tensor(&mut self, stored: Stored) -> Item {
        self.tensors.push(stored);
        Item::Tensor(self.tensors.len() - 1)
    }

    fn fields(&mut self, entries: &[(Value, Value)], depth: usize) -> Vec<(Arc<str>, Item)> {
        let mut fields = Vec::new();
        for (key, value) in entries {
            let name = match key {
                Value::Int(key) => key.to_string().into(),
                key => match self.pickle.text(*key) {
                    Some(name) => name,
                    None => continue,
                },
            };
            let item = self.item(*value, depth + 1);
            fields.push((name, item));
        }
        fields
    }

    fn object(&mut self, object: &'a Opaque, depth: usize) -> Item {
        let state = match self.pickle.node(object.state) {
            Some(Node::Tuple(parts)) => parts.first().copied().unwrap_or(Value::None),
            _ => object.state,
        };
        let class = Some(Arc::clone(&object.class));
        if self.pickle.get(state, "_parameters").is_some() {
            let mut fields = Vec::new();
            self.module(state, "", depth, &mut fields);
            return Item::Dict(class, fields);
        }
        let entries = self.pickle.entries(state).unwrap_or_default();
        if entries.is_empty() && object.dict.is_empty() {
            return Item::Other(Arc::clone(&object.class));
        }
        let mut fields = self.fields(entries, depth);
        fields.extend(self.fields(&object.dict, depth));
        Item::Dict(class, fields)
    }

    /// The state dict of a module: its own parameters and buffers, then those of the modules in it.
    fn module(&mut self, state: Value, front: &str, depth: usize, to: &mut Vec<(Arc<str>, Item)>) {
        self.again += usize::from(self.inside > 0);
        if depth > DEEPEST || self.again > AGAIN {
            return;
        }
        let pickle = self.pickle;
        let passed = pickle.get(state, "_non_persistent_buffers_set");
        let passed = passed.and_then(|passed| pickle.values(passed));
        let is_passed = |name: &str| {
            let mut passed = passed.unwrap_or_default().iter();
            passed.any(|other| pickle.text(*other).is_some_and(|other| &*other == name))
        };
        for kind in ["_parameters", "_buffers"] {
            let own = pickle.get(state, kind).and_then(|own| pickle.entries(own));
            for (key, value) in own.unwrap_or_default() {
                let Some(name) = pickle.text(*key).filter(|name| !is_passed(name)) else {
                    continue;
                };
                let Item::Tensor(index) = self.item(*value, depth + 1) else {
                    continue;
                };
                // A module knows its buffers; running statistics are told by their names.
                let is_buffer = kind == "_buffers" && !name.starts_with("running_");
                if let Some(stored) = self.tensors.get_mut(index).filter(|_| is_buffer) {
                    stored.dtype = Dtype::Other("buffer".into());
                }
                to.push((format!("{front}{name}").into(), Item::Tensor(index)));
            }
        }
        let inner = pickle
            .get(state, "_modules")
            .and_then(|own| pickle.entries(own));
        for (key, value) in inner.unwrap_or_default() {
            if let (Some(name), Some(Node::Object(object))) =
                (pickle.text(*key), pickle.node(*value))
            {
                self.module(object.state, &format!("{front}{name}."), depth + 1, to);
            }
        }
    }
}
