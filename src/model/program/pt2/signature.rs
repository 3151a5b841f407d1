//! The inputs and outputs of an exported program: arguments, weights with their roles, constants, names of outputs.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value as Json;

use super::Pt2Error;
use super::archive::Archive;
use super::call::{kind, union};
use crate::model::program::Input;
use crate::model::program::kind::Kind;
use crate::weights::{Role, Roles};

/// Returns the arguments of a program.
///
/// # Errors
/// The archive cannot be read.
pub fn arguments(path: &Path) -> Result<Vec<Input>, Pt2Error> {
    let archive = Archive::open(path)?;
    let module = archive.program.get("graph_module").unwrap_or(&Json::Null);
    let arguments = taken(module).filter(|taken| matches!(taken.from, InputSource::Argument));
    Ok(arguments.map(|taken| input(taken.name, module)).collect())
}

/// Returns an argument of a name in the graph.
pub(super) fn input(graph: &str, module: &Json) -> Input {
    let value = module
        .pointer("/graph/tensor_values")
        .and_then(|values| values.get(graph));
    let value = value.unwrap_or(&Json::Null);
    let sizes = value.get("sizes").and_then(Json::as_array);
    let sizes = sizes.into_iter().flatten().map(|size| {
        let fixed = size.get("as_int")?.as_u64()?;
        usize::try_from(fixed).ok()
    });
    let code = value.get("dtype").and_then(Json::as_i64);
    Input {
        name: graph.to_owned(),
        kind: code.and_then(kind).unwrap_or(Kind::Float),
        shape: sizes.collect(),
    }
}

/// Returns the tensors that a program takes of a checkpoint, with their roles: parameters, and buffers, which no
/// direction moves.
///
/// # Errors
/// The archive cannot be read.
pub fn roles(path: &Path) -> Result<Roles, Pt2Error> {
    let archive = Archive::open(path)?;
    let module = archive.program.get("graph_module").unwrap_or(&Json::Null);
    let used = used(module.get("graph").unwrap_or(&Json::Null));
    let mut roles = Roles::default();
    for taken in taken(module).filter(|taken| used.contains(taken.graph)) {
        let role = match taken.from {
            InputSource::Parameter => Role::Parameter,
            InputSource::Buffer => Role::RunningStatistic,
            InputSource::Constant | InputSource::Argument => continue,
        };
        roles.add(archive.names(taken.name), role);
    }
    Ok(roles)
}

/// An input of a program's graph.
pub(super) struct GraphInput<'a> {
    /// Its name in the graph.
    pub(super) graph: &'a str,
    /// Its name in the state dict, among the constants or among the arguments.
    pub(super) name: &'a str,
    pub(super) from: InputSource,
}

/// The place where the value of an input is.
pub(super) enum InputSource {
    Parameter,
    /// A buffer that a checkpoint holds.
    Buffer,
    /// A buffer or another tensor that the archive alone holds.
    Constant,
    Argument,
}

/// Returns the inputs of a program's graph.
pub(super) fn taken(module: &Json) -> impl Iterator<Item = GraphInput<'_>> {
    let specs = module
        .pointer("/signature/input_specs")
        .and_then(Json::as_array);
    let specs = specs.into_iter().flatten().filter_map(union);
    specs.filter_map(|(of, spec)| {
        let argument = spec.get("arg")?;
        let graph = argument
            .get("name")
            .or_else(|| argument.pointer("/as_tensor/name"))?;
        let graph = graph.as_str()?;
        let text = |key: &str| spec.get(key).and_then(Json::as_str);
        let is_stored = spec.get("persistent").and_then(Json::as_bool);
        let (name, from) = match of {
            "parameter" => (text("parameter_name")?, InputSource::Parameter),
            "buffer" if is_stored.unwrap_or(true) => (text("buffer_name")?, InputSource::Buffer),
            "buffer" => (text("buffer_name")?, InputSource::Constant),
            "tensor_constant" => (text("tensor_constant_name")?, InputSource::Constant),
            "user_input" => (graph, InputSource::Argument),
            _ => return None,
        };
        Some(GraphInput { graph, name, from })
    })
}

/// Returns the names of the values that a graph's operations or outputs take, those of blocks inside too.
pub(super) fn used(graph: &Json) -> HashSet<String> {
    let mut used = HashSet::new();
    let mut open = vec![graph.get("nodes"), graph.get("outputs")];
    while let Some(json) = open.pop() {
        match json {
            Some(Json::Object(entries)) => {
                if let Some(Json::String(name)) = entries.get("name") {
                    used.insert(name.clone());
                }
                let inner = entries.iter().filter(|(key, _)| *key != "metadata");
                open.extend(inner.map(|(_, json)| Some(json)));
            }
            Some(Json::Array(items)) => open.extend(items.iter().map(Some)),
            _ => {}
        }
    }
    used
}

/// Returns the names that the model gives its outputs, one for each leaf; `None` for those without.
pub(super) fn output_names(module: &Json) -> Vec<Option<String>> {
    let spec = module
        .pointer("/module_call_graph/0/signature/out_spec")
        .and_then(Json::as_str);
    let spec: Json = spec
        .and_then(|spec| serde_json::from_str(spec).ok())
        .unwrap_or_default();
    let context = spec.pointer("/1/context").and_then(Json::as_str);
    let context: Json = context
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let names = context.as_array().map(Vec::as_slice).unwrap_or_default();
    names
        .iter()
        .map(|name| name.as_str().map(str::to_owned))
        .collect()
}
