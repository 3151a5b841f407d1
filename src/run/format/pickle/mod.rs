//! A pickle machine that runs nothing.
//!
//! Classes and functions are names here. A few dozen of them are known for what they make (containers,
//! tensors of torch, arrays of numpy); every other one becomes an [`Opaque`] value that keeps its name,
//! its arguments and its state, so that one foreign object never refuses a file. Memory is bounded by a
//! budget that each value is charged to, and long bytes stay in the file.

mod escapes;
mod input;
mod machine;
mod memo;
mod rebuild;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use machine::{Machine, PickleError};
pub(super) use rebuild::{element, number};
pub(crate) use value::{ArrayRef, Blob, Element, Node, Opaque, TensorRef, Value};

use super::source::Source;

/// A pickle's values.
#[derive(Debug)]
pub(crate) struct Pickle {
    nodes: Vec<Node>,
    root: Value,
    end: u64,
}

impl Pickle {
    /// Interprets the pickle that begins at the byte `at`.
    ///
    /// # Errors
    /// It is no pickle, is cut, or holds more than the budget.
    pub(crate) fn read(source: &Source, at: u64) -> Result<Self, PickleError> {
        Machine::new(source, at).run()
    }

    /// Returns the outermost value.
    pub(crate) fn root(&self) -> Value {
        self.root
    }

    /// Returns the first byte behind the pickle.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Returns the parts of a value.
    pub(crate) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    /// Returns the text of a value; that of bytes where they are UTF-8, since Python 2 wrote names so.
    pub(crate) fn text(&self, value: Value) -> Option<Arc<str>> {
        match self.node(value)? {
            Node::Text(text) => Some(Arc::clone(text)),
            Node::Bytes(Blob::Short(bytes)) => std::str::from_utf8(bytes).ok().map(Arc::from),
            _ => None,
        }
    }

    /// Returns the entries of a dict, or of an object that is one.
    pub(crate) fn entries(&self, value: Value) -> Option<&[(Value, Value)]> {
        match self.node(value)? {
            Node::Dict(entries) => Some(entries),
            Node::Object(object) if !object.dict.is_empty() => Some(&object.dict),
            _ => None,
        }
    }

    /// Returns the value of a key in a dict.
    pub(crate) fn get(&self, dict: Value, key: &str) -> Option<Value> {
        let entries = self.entries(dict)?;
        let found = entries
            .iter()
            .rev()
            .find(|(name, _)| self.text(*name).is_some_and(|name| &*name == key));
        found.map(|(_, value)| *value)
    }

    /// Returns the bytes of an element, by the key of each storage.
    pub(crate) fn element_sizes(&self) -> HashMap<Arc<str>, usize> {
        let storages = self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some((
                Arc::clone(&storage.key),
                storage.element.as_ref().map_or(1, |element| element.size),
            )),
            _ => None,
        });
        storages.collect()
    }

    /// Returns the values of a list or tuple.
    pub(crate) fn values(&self, value: Value) -> Option<&[Value]> {
        match self.node(value)? {
            Node::List(values) | Node::Tuple(values) => Some(values),
            _ => None,
        }
    }
}
