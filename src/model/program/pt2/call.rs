//! One call of an operator in an exported program: its arguments by name, whatever form they were written in.

use std::cell::Cell;
use std::collections::HashMap;

use serde_json::Value as Json;

use super::super::datum::Datum;
use super::super::kind::Kind;
use super::super::op::Operand;
use super::super::{Program, Size, Value};

/// Named values of a program while it is read.
pub(super) type Names = HashMap<String, Value>;

/// A call whose arguments are asked for by their names in the operator's schema.
pub(super) struct Call<'a> {
    /// The operator's name without the underscore of a form that works in place.
    pub(super) base: String,
    /// Its overload, e.g. `Tensor`.
    pub(super) overload: &'a str,
    arguments: Vec<Argument<'a>>,
    names: &'a Names,
    program: &'a mut Program,
}

/// Arguments that change no value in evaluation mode: where and how numbers are kept, how gradients are taken, what
/// training would do. Every type of floats is that of layers.
const WITHOUT_EFFECT: [&str; 19] = [
    "copy",
    "cudnn_enable",
    "cudnn_enabled",
    "device",
    "dropout",
    "dtype",
    "implicit",
    "layout",
    "memory_format",
    "momentum",
    "non_blocking",
    "p",
    "padding_idx",
    "pin_memory",
    "requires_grad",
    "scale_grad_by_freq",
    "sparse",
    "stable",
    "train",
];

/// An argument of a call.
struct Argument<'a> {
    name: &'a str,
    json: &'a Json,
    /// True if the translation asked for it.
    asked: Cell<bool>,
}

/// Returns the only entry of an object: the kind of an argument, and what it holds.
pub(super) fn union(json: &Json) -> Option<(&str, &Json)> {
    let (kind, value) = json.as_object()?.iter().next()?;
    Some((kind.as_str(), value))
}

/// Returns the names in a list of arguments, inputs or outputs, those of lists inside one by one; `None` for what has
/// none.
pub(super) fn names(list: Option<&Json>) -> Vec<Option<&str>> {
    let values = list.and_then(Json::as_array).into_iter().flatten();
    let values = values.map(|value| value.get("arg").unwrap_or(value));
    let held = values.filter_map(union).flat_map(|(_, json)| match json {
        Json::Array(items) => items.iter().map(name_of).collect(),
        other => vec![name_of(other)],
    });
    held.collect()
}

fn name_of(json: &Json) -> Option<&str> {
    let name = json.get("name").or_else(|| json.get("as_name"));
    name.or_else(|| json.pointer("/as_tensor/name"))?.as_str()
}

/// Returns a number that may be written as `"Infinity"`, `"-Infinity"` or `"NaN"`.
fn number(json: &Json) -> Option<f64> {
    if let Some(number) = json.as_f64() {
        return Some(number);
    }
    if let Some(truth) = json.as_bool() {
        return Some(f64::from(u8::from(truth)));
    }
    json.as_str()?.replace("Infinity", "inf").parse().ok()
}

impl<'a> Call<'a> {
    /// Takes a node apart.
    pub(super) fn of(node: &'a Json, names: &'a Names, program: &'a mut Program) -> Option<Self> {
        let target = node.get("target")?.as_str()?;
        let mut parts = target.trim_start_matches("torch.ops.").split('.');
        let (_, name) = (parts.next()?, parts.next()?);
        let inputs = node.get("inputs")?.as_array()?.iter();
        let arguments = inputs.filter_map(|input| {
            let name = input.get("name")?.as_str()?;
            Some(Argument {
                name,
                json: input.get("arg")?,
                asked: Cell::new(false),
            })
        });
        let is_in_place = name.ends_with('_') && !name.starts_with("__");
        Some(Self {
            base: name[..name.len() - usize::from(is_in_place)].to_owned(),
            overload: parts.next().unwrap_or("default"),
            arguments: arguments.collect(),
            names,
            program,
        })
    }

    fn raw(&self, name: &str) -> Option<(&'a str, &'a Json)> {
        let mut arguments = self.arguments.iter();
        let found = arguments.find(|argument| argument.name == name)?;
        found.asked.set(true);
        union(found.json).filter(|(kind, _)| *kind != "as_none")
    }

    /// Forgets what a translation asked for that came to nothing.
    pub(super) fn forget(&self) {
        for argument in &self.arguments {
            argument.asked.set(false);
        }
    }

    /// Returns the arguments that are given and that the translation did not ask for, because it knows another form of
    /// the operator; those without effect are none of them.
    pub(super) fn ignored(&self) -> Vec<&'a str> {
        let others = self.arguments.iter().filter(|argument| {
            let is_given = union(argument.json).is_some_and(|(kind, _)| kind != "as_none");
            is_given && !argument.asked.get() && !WITHOUT_EFFECT.contains(&argument.name)
        });
        others.map(|argument| argument.name).collect()
    }

    /// Returns true if an argument is given and not `None`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Returns the values of an argument that is a tensor, a number, or a list of them; `None` if it is left out.
    pub(super) fn value(&mut self, name: &str) -> Option<Value> {
        let (kind, json) = self.raw(name)?;
        self.value_of(kind, json)
    }

    fn value_of(&mut self, kind: &str, json: &Json) -> Option<Value> {
        if let Some(known) = json.get("name").or_else(|| json.get("as_name")) {
            return self.names.get(known.as_str()?).copied();
        }
        let datum = match kind {
            "as_int" => Datum::int(json.as_i64()?),
            "as_bool" => Datum::host(vec![number(json)?], &[], Kind::Bool),
            "as_float" => Datum::number(number(json)?),
            "as_sym_int" => Datum::int(json.get("as_int")?.as_i64()?),
            "as_sym_float" => Datum::number(number(json.get("as_float")?)?),
            _ => return None,
        };
        Some(self.program.constant(datum.ok()?))
    }

    /// Returns the first operand, which schemas call `self` or `input`.
    pub(super) fn first(&mut self) -> Option<Value> {
        self.value("self").or_else(|| self.value("input"))
    }

    /// Returns the tensors of a list; `None` stands for those that are left out.
    pub(super) fn list(&mut self, name: &str) -> Vec<Option<Value>> {
        let Some((_, json)) = self.raw(name) else {
            return Vec::new();
        };
        let items = json.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let named = match union(item) {
                Some(("as_tensor", tensor)) => Some(tensor),
                Some(("as_none", _)) | None => None,
                Some(_) => Some(item),
            };
            let name = named.and_then(|named| named.get("name")?.as_str());
            values.push(name.and_then(|name| self.names.get(name).copied()));
        }
        values
    }

    /// Returns true if an argument is a list.
    pub(super) fn is_list(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|(_, json)| json.is_array())
    }

    /// Returns a whole number, or what the schema has in its place.
    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        let found = self.raw(name);
        let found =
            found.and_then(|(_, json)| json.as_i64().or_else(|| json.get("as_int")?.as_i64()));
        found.unwrap_or(default)
    }

    /// Returns a whole number, or `None` if it is left out.
    pub(super) fn maybe_int(&self, name: &str) -> Option<i64> {
        self.has(name).then(|| self.int(name, 0))
    }

    /// Returns a number, or what the schema has in its place.
    pub(super) fn float(&self, name: &str, default: f64) -> f64 {
        let found = self.raw(name).and_then(|(_, json)| number(json));
        found.unwrap_or(default)
    }

    /// Returns a number, or `None` if it is left out.
    pub(super) fn maybe_float(&self, name: &str) -> Option<f64> {
        self.raw(name).and_then(|(_, json)| number(json))
    }

    /// Returns a truth value, or what the schema has in its place.
    pub(super) fn truth(&self, name: &str, default: bool) -> bool {
        let found = self.raw(name).and_then(|(_, json)| json.as_bool());
        found.unwrap_or(default)
    }

    /// Returns a word.
    pub(super) fn word(&self, name: &str) -> Option<&'a str> {
        self.raw(name)?.1.as_str()
    }

    /// Returns whole numbers; a single one is a list of one.
    pub(super) fn ints(&self, name: &str) -> Vec<i64> {
        let Some((_, json)) = self.raw(name) else {
            return Vec::new();
        };
        let int = |json: &Json| json.as_i64().or_else(|| json.get("as_int")?.as_i64());
        match json.as_array() {
            Some(items) => items.iter().filter_map(int).collect(),
            None => int(json).into_iter().collect(),
        }
    }

    /// Returns whole numbers that are not negative, or these if none are given.
    pub(super) fn extents(&self, name: &str, default: &[usize]) -> Vec<usize> {
        let found = self.ints(name);
        if found.is_empty() {
            return default.to_vec();
        }
        found.into_iter().map(|n| n.max(0) as usize).collect()
    }

    /// Returns floats.
    pub(super) fn floats(&self, name: &str) -> Option<Vec<f64>> {
        let items = self.raw(name)?.1.as_array()?.iter();
        items.map(number).collect()
    }

    /// Returns one size.
    pub(super) fn size(&self, name: &str, default: i64) -> Size {
        let found = self.raw(name).and_then(|(_, json)| self.size_of(json));
        found.unwrap_or(Size::Fixed(default))
    }

    fn size_of(&self, json: &Json) -> Option<Size> {
        if let Some(name) = json.get("as_name").or_else(|| json.get("name")) {
            return Some(Size::Of(*self.names.get(name.as_str()?)?));
        }
        let number = json.as_i64().or_else(|| json.get("as_int")?.as_i64());
        number.map(Size::Fixed)
    }

    /// Returns sizes; `None` if one is not known.
    pub(super) fn sizes(&self, name: &str) -> Option<Vec<Size>> {
        let json = self.raw(name)?.1;
        match json.as_array() {
            Some(items) => items.iter().map(|item| self.size_of(item)).collect(),
            None => Some(vec![self.size_of(json)?]),
        }
    }

    /// Returns a number or a size.
    pub(super) fn operand(&self, name: &str, default: f64) -> Operand {
        let Some((_, json)) = self.raw(name) else {
            return Operand::Fixed(default);
        };
        match number(json) {
            Some(number) => Operand::Fixed(number),
            None => self
                .size_of(json)
                .map_or(Operand::Fixed(default), Operand::Of),
        }
    }

    /// Returns the kind of a type that is named.
    pub(super) fn kind(&self, name: &str) -> Option<Kind> {
        kind(self.raw(name)?.1.as_i64()?)
    }

    /// Returns true if a number is written as a float.
    pub(super) fn is_float(&self, name: &str) -> bool {
        self.raw(name)
            .is_some_and(|(kind, _)| kind.contains("float"))
    }
}

/// Returns the kind of PyTorch's types, by the numbers that the schema has for them; `None` for complex and other ones.
pub(super) fn kind(code: i64) -> Option<Kind> {
    match code {
        1..=5 => Some(Kind::Int),
        6..=8 | 13 => Some(Kind::Float),
        12 => Some(Kind::Bool),
        _ => None,
    }
}
