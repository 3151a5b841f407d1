//! A checkpoint's values as nested dicts with tensors as leaves; modules become their state dicts.

use std::collections::HashSet;
use std::sync::Arc;

use super::Dtype;
use super::pickle::{Node, Opaque, Pickle, Value};
use super::stored::Stored;

/// Dicts within dicts.
const DEEPEST: usize = 64;
/// Bytes of what is made for values that are met again, because several others hold them: each is planted anew,
/// so that a few nodes could make any number. Those that are met once are as many as the pickle has. Likewise of
/// names that are put together, as a short pickle could make long ones.
const LARGEST: usize = 16 << 20;
/// Bytes of one value with its place in a dict.
const ITEM: usize = size_of::<(Arc<str>, Item)>() + 32;
/// Values of a list that are kept where they hold no tensor: a log is no part of a model.
const RECORDS: usize = 64;
/// Bytes of one part of a key.
const LONGEST: usize = 1 << 10;
/// Plain numbers of a dict that are kept.
const NUMBERS: usize = 4096;

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
    /// True or false.
    Bool(bool),
    /// Anything else, by its class.
    Other(Arc<str>),
}

impl Item {
    /// Returns the value of this name in a dict.
    pub(in crate::run) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Dict(_, fields) = self else {
            return None;
        };
        let found = fields.iter().rev().find(|field| &*field.0 == name);
        found.map(|field| &field.1)
    }

    /// Returns the first value of a list.
    pub(in crate::run) fn first(&self) -> Option<&Self> {
        match self {
            Self::List(values) => values.first(),
            _ => None,
        }
    }

    /// Returns a number that is finite.
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
    /// Bytes of values that were met again.
    spent: usize,
    /// Bytes of names that were put together.
    name_bytes: usize,
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
            spent: 0,
            name_bytes: 0,
            inside: 0,
        }
    }

    pub(super) fn item(&mut self, value: Value, depth: usize) -> Item {
        let is_new = match (value, self.pickle.node(value)) {
            (_, Some(Node::Text(_))) => true,
            (Value::Node(index), _) => self.met.insert(index),
            _ => true,
        };
        let is_again = !is_new || self.inside > 0;
        if is_again {
            self.spent = self.spent.saturating_add(ITEM);
        }
        if depth > DEEPEST || is_again && self.spent > LARGEST {
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
            Value::Bool(value) => return Item::Bool(value),
            Value::None | Value::Magic => return Item::Other("none".into()),
            Value::Node(_) => {}
        }
        match self.pickle.node(value) {
            Some(Node::Dict(entries)) => Item::Dict(None, self.fields(entries, depth)),
            Some(Node::List(values) | Node::Tuple(values)) => self.list(values, depth),
            Some(node @ (Node::Tensor(_) | Node::Array(_))) => match (self.stored)(node) {
                Some(stored) => self.tensor(stored),
                None => Item::Other("a tensor that cannot be read".into()),
            },
            Some(Node::Object(object)) => self.object(object, depth),
            Some(Node::Text(_) | Node::LongText(_)) => Item::Other("text".into()),
            _ => Item::Other("bytes".into()),
        }
    }

    /// Returns the values of a list, as far as its last tensor at least. Those between that hold none leave their
    /// places.
    fn list(&mut self, values: &[Value], depth: usize) -> Item {
        let (mut items, mut kept) = (Vec::new(), RECORDS);
        let record = Item::Other("record".into());
        let has_nodes = values.iter().any(|value| matches!(value, Value::Node(_)));
        let known = if has_nodes { values.len() } else { RECORDS };
        for (at, value) in values.iter().take(known).enumerate() {
            let before = self.tensors.len();
            let item = self.item(*value, depth + 1);
            if self.tensors.len() > before {
                kept = kept.max(at + 1);
            }
            items.push(if at < kept { item } else { record.clone() });
        }
        items.truncate(kept);
        Item::List(items)
    }

    fn tensor(&mut self, stored: Stored) -> Item {
        if self.inside > 0 {
            let extents = 2 * size_of::<usize>() * stored.shape.len();
            self.spent = self.spent.saturating_add(size_of::<Stored>() + extents);
        }
        self.tensors.push(stored);
        Item::Tensor(self.tensors.len() - 1)
    }

    fn fields(&mut self, entries: &[(Value, Value)], depth: usize) -> Vec<(Arc<str>, Item)> {
        let (mut fields, mut numbers) = (Vec::new(), 0);
        for (key, value) in entries {
            numbers += usize::from(!matches!(value, Value::Node(_)));
            if numbers > NUMBERS && !matches!(value, Value::Node(_)) {
                continue;
            }
            let Some(name) = self.name(*key) else {
                continue;
            };
            let item = self.item(*value, depth + 1);
            fields.push((name, item));
        }
        fields
    }

    /// Returns the name that a key is; the parts of a tuple are joined, as flax flattens nested dicts.
    fn name(&mut self, key: Value) -> Option<Arc<str>> {
        if let Value::Int(key) = key {
            return Some(key.to_string().into());
        }
        let joined = match self.pickle.node(key)? {
            Node::Text(name) => return Some(Arc::clone(name)),
            Node::Tuple(parts) if (1..=DEEPEST).contains(&parts.len()) => {
                let part = |part: &Value| match part {
                    Value::Int(part) => Some(part.to_string().into()),
                    part => self.pickle.text(*part).filter(|part| part.len() <= LONGEST),
                };
                let parts: Option<Vec<Arc<str>>> = parts.iter().map(part).collect();
                parts?.join(".").into()
            }
            _ => self.pickle.text(key)?,
        };
        self.joined(joined)
    }

    /// Returns a name that was put together, if there is room for it.
    fn joined(&mut self, name: Arc<str>) -> Option<Arc<str>> {
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        (self.name_bytes <= LARGEST).then_some(name)
    }

    fn object(&mut self, object: &'a Opaque, depth: usize) -> Item {
        let state = self.state(object);
        let class = Some(Arc::clone(&object.class));
        if self.pickle.get(state, "_parameters").is_some() {
            let mut fields = Vec::new();
            self.module(state, "", depth, &mut fields);
            return Item::Dict(class, fields);
        }
        let entries = self.pickle.entries(state).unwrap_or_default();
        if entries.is_empty() && object.dict.is_empty() {
            // A named tuple, a class of lists, or a class with slots alone. Optax keeps its states so.
            let values = self.pickle.values(state).unwrap_or(&object.list);
            return match values {
                [] => Item::Other(Arc::clone(&object.class)),
                _ if object.class.starts_with("optax.") => Item::Other(Arc::clone(&object.class)),
                values => self.list(values, depth),
            };
        }
        let mut fields = self.fields(entries, depth);
        fields.extend(self.fields(&object.dict, depth));
        Item::Dict(class, fields)
    }

    /// Returns the dict of an object's fields, which may stand in a tuple: in front those of its dict, then those of
    /// its slots.
    fn state(&self, object: &Opaque) -> Value {
        let Some(Node::Tuple(parts)) = self.pickle.node(object.state) else {
            return object.state;
        };
        let is_full = |part: &&Value| {
            let entries = self.pickle.entries(**part);
            entries.is_some_and(|entries| !entries.is_empty())
        };
        let found = parts.iter().find(is_full);
        found.copied().unwrap_or(Value::None)
    }

    /// Adds the state dict of a module: its own parameters and buffers, then those of the modules in it.
    fn module(&mut self, state: Value, front: &str, depth: usize, to: &mut Vec<(Arc<str>, Item)>) {
        let is_again = self.inside > 0;
        if is_again {
            self.spent = self.spent.saturating_add(ITEM);
        }
        if depth > DEEPEST || is_again && self.spent > LARGEST {
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
                // A module knows its buffers; running statistics are recognized by their names.
                let is_buffer = kind == "_buffers" && !name.starts_with("running_");
                let stored = self.tensors.get_mut(index);
                if let Some(stored) = stored.filter(|stored| is_buffer && !stored.dtype.is_other())
                {
                    stored.dtype = Dtype::Other("buffer".into());
                }
                if let Some(name) = self.joined(format!("{front}{name}").into()) {
                    to.push((name, Item::Tensor(index)));
                }
            }
        }
        let inner = pickle
            .get(state, "_modules")
            .and_then(|own| pickle.entries(own));
        for (key, value) in inner.unwrap_or_default() {
            if let (Some(name), Some(Node::Object(object))) =
                (pickle.text(*key), pickle.node(*value))
            {
                let state = self.state(object);
                if let Some(front) = self.joined(format!("{front}{name}.").into()) {
                    self.module(state, &front, depth + 1, to);
                }
            }
        }
    }
}
