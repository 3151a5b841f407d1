//! Tensors that share memory in the exported model, so that a write to one is seen through the others.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::call::union;

/// Operators whose result may be a view of their first operand.
const VIEWS: [&str; 33] = [
    "view",
    "reshape",
    "_unsafe_view",
    "flatten",
    "unflatten",
    "squeeze",
    "unsqueeze",
    "transpose",
    "permute",
    "t",
    "numpy_T",
    "mT",
    "movedim",
    "swapaxes",
    "expand",
    "expand_as",
    "slice",
    "select",
    "narrow",
    "split",
    "split_with_sizes",
    "chunk",
    "unbind",
    "diagonal",
    "unfold",
    "view_as",
    "reshape_as",
    "alias",
    "detach",
    "detach_",
    "contiguous",
    "to",
    "broadcast_to",
];

/// The tensor that each value is a view of, and those that were written to.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    roots: HashMap<String, String>,
    written: HashMap<String, String>,
}

impl Aliases {
    /// Follows one operation: `Err` names a write that is read by another name, which pure functions do not show.
    pub(super) fn follow(&mut self, node: &Json, target: &str, label: &str) -> Result<(), String> {
        let name = target.split('.').nth(3).unwrap_or_default();
        let taken = taken(node);
        for name in &taken {
            if let Some(writer) = self.written.get(self.root(name)) {
                return Err(writer.clone());
            }
        }
        let Some(first) = taken.first() else {
            return Ok(());
        };
        let root = self.root(first).to_owned();
        if VIEWS.contains(&name) {
            for given in given(node) {
                self.roots.insert(given, root.clone());
            }
        } else if name.ends_with('_') && !name.starts_with("__") {
            self.written.insert(root, label.to_owned());
        }
        Ok(())
    }

    /// Checks what the model gives, as [`Aliases::follow`] does for what an operation takes.
    pub(super) fn finish(&self, name: &str) -> Result<(), String> {
        match self.written.get(self.root(name)) {
            Some(writer) => Err(writer.clone()),
            None => Ok(()),
        }
    }

    fn root<'a>(&'a self, name: &'a str) -> &'a str {
        self.roots.get(name).map_or(name, String::as_str)
    }
}

/// The names of the tensors that an operation takes.
fn taken(node: &Json) -> Vec<String> {
    let inputs = node.get("inputs").and_then(Json::as_array);
    let arguments = inputs
        .into_iter()
        .flatten()
        .filter_map(|input| union(input.get("arg")?));
    let names = arguments.flat_map(|(_, json)| match json {
        Json::Array(items) => items.iter().filter_map(name_of).collect(),
        other => name_of(other).into_iter().collect::<Vec<_>>(),
    });
    names.collect()
}

fn name_of(json: &Json) -> Option<String> {
    let name = json.get("name").or_else(|| json.pointer("/as_tensor/name"));
    name.and_then(Json::as_str).map(str::to_owned)
}

/// The names of what an operation gives.
fn given(node: &Json) -> Vec<String> {
    let outputs = node.get("outputs").and_then(Json::as_array);
    let outputs = outputs.into_iter().flatten().filter_map(union);
    let names = outputs.flat_map(|(_, json)| match json {
        Json::Array(items) => items.iter().filter_map(name_of).collect(),
        other => name_of(other).into_iter().collect::<Vec<_>>(),
    });
    names.collect()
}
