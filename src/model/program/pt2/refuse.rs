//! Operators and values of an exported program that are never measured, whatever their form.

use std::ops::RangeInclusive;

use serde_json::Value as Json;

use super::call::{names, union};
use super::signature::used;
use super::{Foreign, Pt2Error, Reader, label};

/// Operators that draw random numbers.
const RANDOM: [&str; 8] = [
    "rand",
    "randn",
    "randint",
    "bernoulli",
    "multinomial",
    "normal",
    "poisson",
    "uniform",
];
/// Operators whose results have a size that depends on numbers.
const DATA_DEPENDENT: [&str; 5] = [
    "nonzero",
    "item",
    "_local_scalar_dense",
    "masked_select",
    "unique",
];
/// Libraries of operators on quantized tensors.
const QUANTIZED: [&str; 4] = ["quantized", "_quantized", "quantized_decomposed", "torchao"];
/// The numbers that the schema has for sparse layouts.
const SPARSE: RangeInclusive<i64> = 1..=5;
/// The numbers that it has for complex types.
const COMPLEX: RangeInclusive<i64> = 9..=11;

impl Reader<'_> {
    /// Refuses what no form of the operator allows.
    pub(super) fn refuse(&self, node: &Json, target: &str, label: &str) -> Result<(), Pt2Error> {
        let (path, operator) = (self.path.to_path_buf(), label.to_owned());
        let argument = |name: &str| {
            let inputs = node.get("inputs").and_then(Json::as_array)?.iter();
            let mut named =
                inputs.filter(|input| input.get("name").and_then(Json::as_str) == Some(name));
            named.next()?.pointer("/arg/as_bool")?.as_bool()
        };
        if argument("training") == Some(true) || argument("train") == Some(true) {
            return Err(Pt2Error::Training { path, operator });
        }
        let mut parts = target.trim_start_matches("torch.ops.").split('.');
        let (library, name) = (parts.next(), parts.next().unwrap_or_default());
        let plain = name.trim_end_matches('_').trim_end_matches("_like");
        if RANDOM.contains(&plain) {
            return Err(Pt2Error::Random { path, operator });
        }
        if DATA_DEPENDENT.contains(&plain) {
            return Err(Pt2Error::DataDependent { path, operator });
        }
        let arguments = names(node.get("inputs")).into_iter().skip(1);
        let mut indices = arguments.flatten();
        if plain == "index" && indices.any(|name| self.truths.contains(name)) {
            return Err(Pt2Error::DataDependent { path, operator });
        }
        let is_quantized = library.is_some_and(|library| QUANTIZED.contains(&library));
        if is_quantized || name.contains("quantize") {
            return Err(self.foreign(Foreign::Quantized, operator));
        }
        Ok(())
    }

    /// Refuses arguments that are no tensors.
    pub(super) fn refuse_inputs(&self, module: &Json) -> Result<(), Pt2Error> {
        let specs = module
            .pointer("/signature/input_specs")
            .and_then(Json::as_array);
        let mut specs = specs.into_iter().flatten().filter_map(union);
        let custom = specs.find(|(of, _)| matches!(*of, "custom_obj" | "token"));
        let Some((_, spec)) = custom else {
            return Ok(());
        };
        let name = spec.pointer("/arg/name").and_then(Json::as_str);
        Err(self.foreign(Foreign::Object, name.unwrap_or("a custom object").into()))
    }

    /// Refuses a value of a graph that is sparse or complex, by the operation that has first to do with it.
    pub(super) fn refuse_values(&self, graph: &Json) -> Result<(), Pt2Error> {
        let values = graph.get("tensor_values").and_then(Json::as_object);
        let kinds = values.into_iter().flatten();
        let mut kinds = kinds.filter_map(|(name, value)| Some((name.as_str(), foreign(value)?)));
        let used = used(graph);
        let Some((name, kind)) = kinds.find(|(name, _)| used.contains(*name)) else {
            return Ok(());
        };
        let nodes = graph.get("nodes").and_then(Json::as_array);
        let mut nodes = nodes.into_iter().flatten();
        let holds = |node: &Json, key: &str| names(node.get(key)).contains(&Some(name));
        let node = nodes.find(|node| holds(node, "outputs") || holds(node, "inputs"));
        let place = node.and_then(|node| Some(label(node, node.get("target")?.as_str()?)));
        Err(self.foreign(kind, place.unwrap_or_else(|| name.into())))
    }

    fn foreign(&self, kind: Foreign, place: String) -> Pt2Error {
        Pt2Error::Foreign {
            path: self.path.to_path_buf(),
            kind,
            place,
        }
    }
}

/// Returns the kind of a value that is not measured; `None` for numbers in a plain array.
fn foreign(value: &Json) -> Option<Foreign> {
    let is_in = |key: &str, range: RangeInclusive<i64>| {
        let number = value.get(key).and_then(Json::as_i64);
        number.is_some_and(|number| range.contains(&number))
    };
    if is_in("layout", SPARSE) {
        return Some(Foreign::Sparse);
    }
    is_in("dtype", COMPLEX).then_some(Foreign::Complex)
}
