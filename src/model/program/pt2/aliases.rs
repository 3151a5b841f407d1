//! Tensors that share memory in the exported model, so that a write to one is seen through the others.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::call::names;

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
        let taken: Vec<&str> = names(node.get("inputs")).into_iter().flatten().collect();
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
            for given in names(node.get("outputs")).into_iter().flatten() {
                self.roots.insert(given.to_owned(), root.clone());
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
