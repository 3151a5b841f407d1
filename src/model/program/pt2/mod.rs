//! Programs that `torch.export.save` wrote (`.pt2`), with the weights of any checkpoint by name.

mod aliases;
mod archive;
mod aten;
mod call;
mod error;
mod refuse;
mod signature;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value as Json;

pub use self::error::{Foreign, Pt2Error};
pub use self::signature::{arguments, roles};

use self::aliases::Aliases;
use self::archive::Archive;
use self::call::{Call, Names, kind, union};
use self::signature::{GraphInput, InputSource, input, output_names, taken, used};
use super::apply;
use super::kind::Kind;
use super::op::Op;
use super::{Node, Output, Program, Value};
use crate::brief::brief;
use crate::weights::{Layout, names};

/// A program with the slots of a layout in the place of its weights.
#[derive(Debug)]
pub struct BoundProgram {
    /// The program.
    pub program: Program,
    /// Parameters that the checkpoint does not hold, which stay as they are in the archive.
    pub kept: Vec<String>,
    /// Numbers of all of these together.
    pub kept_numbers: usize,
}

/// Reads an archive for checkpoints of a layout.
///
/// # Errors
/// The archive cannot be read, uses what is not known, or is of another model.
pub fn read(path: &Path, layout: &Layout) -> Result<BoundProgram, Pt2Error> {
    let mut reader = Reader {
        path,
        archive: Archive::open(path)?,
        program: Program::default(),
        names: Names::new(),
        aliases: Aliases::default(),
        kept: Vec::new(),
        kept_numbers: 0,
        truths: HashSet::new(),
        unknown: BTreeMap::new(),
    };
    let module = reader
        .archive
        .program
        .get_mut("graph_module")
        .map(Json::take);
    let module = module.unwrap_or_default();
    let graph = module.get("graph").unwrap_or(&Json::Null);
    reader.refuse_inputs(&module)?;
    reader.refuse_values(graph)?;
    reader.inputs(&module, layout)?;
    reader.nodes(graph)?;
    reader.finish(&module)
}

struct Reader<'a> {
    path: &'a Path,
    archive: Archive,
    program: Program,
    names: Names,
    aliases: Aliases,
    kept: Vec<String>,
    kept_numbers: usize,
    /// Names of truth values.
    truths: HashSet<String>,
    /// Operators that are not known: how often they are used, and where first.
    unknown: BTreeMap<String, (usize, String)>,
}

impl Reader<'_> {
    /// Gives each input of the graph its value.
    fn inputs(&mut self, module: &Json, layout: &Layout) -> Result<(), Pt2Error> {
        let used = used(module.get("graph").unwrap_or(&Json::Null));
        let (mut wanted, mut constants) = (Vec::new(), Vec::new());
        for taken in taken(module) {
            match taken.from {
                InputSource::Parameter | InputSource::Buffer => wanted.push(taken),
                InputSource::Constant => constants.push(taken),
                InputSource::Argument => self.argument(taken.graph, module),
            }
        }
        wanted.retain(|wanted| used.contains(wanted.graph));
        constants.retain(|wanted| used.contains(wanted.graph));
        self.bind(&wanted, layout)?;
        for constant in constants {
            self.constant(&constant)?;
        }
        Ok(())
    }

    fn argument(&mut self, graph: &str, module: &Json) {
        self.program.inputs.push(input(graph, module));
        let input = Value::Input(self.program.inputs.len() - 1);
        self.names.insert(graph.to_owned(), input);
    }

    /// Refuses an argument that is not one tensor for each of any number of samples.
    fn batch(&self) -> Result<(), Pt2Error> {
        for input in &self.program.inputs {
            let (path, name) = (self.path.to_path_buf(), input.name.clone());
            match input.shape.first() {
                Some(None) => {}
                Some(&Some(samples)) => {
                    return Err(Pt2Error::FixedBatch {
                        path,
                        input: name,
                        samples,
                    });
                }
                None => return Err(Pt2Error::NoBatch { path, input: name }),
            }
        }
        Ok(())
    }

    fn constant(&mut self, wanted: &GraphInput<'_>) -> Result<(), Pt2Error> {
        let tensor = self.archive.tensor(wanted.name)?;
        let value = self.program.constant(tensor);
        self.names.insert(wanted.graph.to_owned(), value);
        Ok(())
    }

    /// Finds the weights in the layout; what is not there stays as it is in the archive.
    fn bind(&mut self, wanted: &[GraphInput<'_>], layout: &Layout) -> Result<(), Pt2Error> {
        let ties = wanted.iter().map(|wanted| self.archive.names(wanted.name));
        let ties: Vec<Vec<String>> = ties.collect();
        let found = names::matched(&ties, layout.names());
        if !wanted.is_empty() && found.iter().all(Option::is_none) {
            let slots = layout.slots().iter().take(3);
            let other: Vec<&str> = slots.map(|slot| slot.name.as_str()).collect();
            return Err(Pt2Error::Missing {
                path: self.path.to_path_buf(),
                missing: wanted.len(),
                count: wanted.len(),
                example: wanted[0].name.to_owned(),
                other: other.join(", "),
            });
        }
        for (wanted, slot) in wanted.iter().zip(found) {
            if let Some(slot) = slot {
                self.fits(wanted.name, &layout.slots()[slot].shape)?;
                let graph = wanted.graph.to_owned();
                self.names.insert(graph, Value::Slot(slot));
            } else {
                self.constant(wanted)?;
                let shape = self.archive.shape(wanted.name).unwrap_or_default();
                self.kept_numbers += shape.iter().product::<usize>();
                self.kept.push(wanted.name.to_owned());
            }
        }
        Ok(())
    }

    /// Refuses a tensor of another shape than that of the archive, which broadcasting could hide.
    fn fits(&self, name: &str, found: &[usize]) -> Result<(), Pt2Error> {
        match self.archive.shape(name) {
            Some(expected) if expected != found => Err(Pt2Error::Shape {
                path: self.path.to_path_buf(),
                name: name.to_owned(),
                expected,
                found: found.to_vec(),
            }),
            _ => Ok(()),
        }
    }

    /// Translates the operations, those of blocks inside as if they stood alone.
    fn nodes(&mut self, graph: &Json) -> Result<(), Pt2Error> {
        let values = graph.get("tensor_values").and_then(Json::as_object);
        let truths = values.into_iter().flatten().filter(|(_, value)| {
            value.get("dtype").and_then(Json::as_i64).and_then(kind) == Some(Kind::Bool)
        });
        self.truths.extend(truths.map(|(name, _)| name.clone()));
        let nodes = graph.get("nodes").and_then(Json::as_array);
        let nodes = nodes.map(Vec::as_slice).unwrap_or_default();
        let inputs = nodes.iter().map(|node| node.get("inputs"));
        let taken = inputs.chain([graph.get("outputs")]).flat_map(call::names);
        let taken: HashSet<&str> = taken.flatten().collect();
        for node in nodes {
            let target = node
                .get("target")
                .and_then(Json::as_str)
                .unwrap_or_default();
            if target.contains("_assert") || target.contains("sym_constrain") {
                continue;
            }
            if target.contains("higher_order.wrap_with") {
                self.block(node, target.contains("set_grad"))?;
                continue;
            }
            self.node(node, target, &taken)?;
        }
        Ok(())
    }

    /// Translates an operation; `taken` are the values that others take.
    fn node(&mut self, node: &Json, target: &str, taken: &HashSet<&str>) -> Result<(), Pt2Error> {
        let label = label(node, target);
        self.refuse(node, target, &label)?;
        let followed = self.aliases.follow(node, target, &label);
        followed.map_err(|operator| self.writes_through(operator))?;
        let call = Call::of(node, &self.names, &mut self.program);
        let translated = call.and_then(|mut call| aten::translate(&mut call));
        let mut others = call::names(node.get("outputs")).into_iter().skip(1);
        let takes_others = others.any(|name| name.is_some_and(|name| taken.contains(name)));
        // An operation of which more results are taken than it gives is not known in this form.
        let translated = translated.filter(|(op, _)| !takes_others || apply::gives_several(op));
        let Some((op, operands)) = translated else {
            let short = short(target).to_owned();
            let unknown = self.unknown.entry(short).or_insert((0, label));
            unknown.0 += 1;
            // What takes its results is not told a second time.
            self.results(node, self.program.nodes.len());
            self.program.nodes.push(Node {
                op: Op::Same,
                operands: Vec::new(),
                label: target.into(),
            });
            return Ok(());
        };
        self.results(node, self.program.nodes.len());
        self.program.nodes.push(Node {
            op,
            operands,
            label: label.into(),
        });
        Ok(())
    }

    fn writes_through(&self, operator: String) -> Pt2Error {
        Pt2Error::WritesThrough {
            path: self.path.to_path_buf(),
            operator,
        }
    }

    /// Names the results of the operation at this place.
    fn results(&mut self, node: &Json, at: usize) {
        for (output, name) in call::names(node.get("outputs")).into_iter().enumerate() {
            if let Some(name) = name {
                let value = Value::Node { node: at, output };
                self.names.insert(name.to_owned(), value);
            }
        }
    }

    /// Puts the operations of a block in the place of its call.
    fn block(&mut self, node: &Json, without_gradient: bool) -> Result<(), Pt2Error> {
        let arguments = node.get("inputs").and_then(Json::as_array);
        let mut arguments = arguments.into_iter().flatten();
        let graph = arguments.find_map(|input| input.pointer("/arg/as_graph/graph"));
        let graph = graph.unwrap_or(&Json::Null);
        let given = call::names(node.get("inputs")).into_iter().flatten();
        let given = given.filter_map(|name| self.names.get(name).copied());
        let given: Vec<Value> = given.collect();
        let taken = call::names(graph.get("inputs")).into_iter().flatten();
        for (name, value) in taken.zip(given) {
            self.names.insert(name.to_owned(), value);
        }
        self.refuse_values(graph)?;
        self.nodes(graph)?;
        let inner = call::names(graph.get("outputs")).into_iter().flatten();
        let inner = inner.filter_map(|name| self.names.get(name).copied());
        let inner: Vec<Value> = inner.collect();
        let outputs = call::names(node.get("outputs"));
        for (name, value) in outputs.into_iter().zip(inner) {
            let Some(name) = name else { continue };
            let op = if without_gradient {
                Op::Detach
            } else {
                Op::Same
            };
            let given = Value::Node {
                node: self.program.nodes.len(),
                output: 0,
            };
            self.program.nodes.push(Node {
                op,
                operands: vec![Some(value)],
                label: "no_grad".into(),
            });
            self.names.insert(name.to_owned(), given);
        }
        Ok(())
    }

    /// Takes the outputs, when all operators are known.
    fn finish(mut self, module: &Json) -> Result<BoundProgram, Pt2Error> {
        if !self.unknown.is_empty() {
            let told = self.unknown.iter().take(8);
            let told: Vec<String> = told
                .map(|(name, (times, first))| format!("{name} ({times}×, {first})"))
                .collect();
            return Err(Pt2Error::Operators {
                path: self.path.to_path_buf(),
                count: self.unknown.len(),
                operators: told.join(", "),
            });
        }
        self.batch()?;
        let specs = module
            .pointer("/signature/output_specs")
            .and_then(Json::as_array);
        let mut names = output_names(module).into_iter();
        for (of, spec) in specs.into_iter().flatten().filter_map(union) {
            if of != "user_output" {
                continue;
            }
            let own = names.next().flatten();
            let name = spec.pointer("/arg/as_tensor/name").and_then(Json::as_str);
            let seen = name.map_or(Ok(()), |name| self.aliases.finish(name));
            seen.map_err(|operator| self.writes_through(operator))?;
            let sizes = name.and_then(|name| {
                let values = module.pointer("/graph/tensor_values")?;
                values.get(name)?.get("sizes")?.as_array().map(Vec::len)
            });
            // One number that has no name is a loss: nothing else of a model is one.
            let scalar = (sizes == Some(0)).then(|| "loss".to_owned());
            if let Some(value) = name.and_then(|name| self.names.get(name)) {
                self.program.outputs.push(Output {
                    name: own.or(scalar),
                    value: *value,
                });
            }
        }
        if self.program.outputs.is_empty() {
            return Err(Pt2Error::Archive {
                path: self.path.to_path_buf(),
                found: "a program without a tensor as its output".into(),
            });
        }
        Ok(BoundProgram {
            program: self.program,
            kept: self.kept,
            kept_numbers: self.kept_numbers,
        })
    }
}

/// Returns `aten.conv2d.default` of `torch.ops.aten.conv2d.default`.
fn short(target: &str) -> &str {
    target.trim_start_matches("torch.ops.")
}

/// Returns the operator, and the last line of the user's source that led to it.
fn label(node: &Json, target: &str) -> String {
    let trace = node
        .pointer("/metadata/stack_trace")
        .and_then(Json::as_str)
        .unwrap_or_default();
    let mut lines = trace
        .lines()
        .rev()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let code = lines.next();
    let place = lines.find(|line| line.starts_with("File "));
    let place = place.and_then(|line| {
        let mut parts = line.split('"');
        let file = parts.nth(1)?.rsplit('/').next()?;
        let number = parts.next()?.split("line ").nth(1)?.split(',').next()?;
        Some(format!("{file}:{number}"))
    });
    match (place, code) {
        (Some(place), Some(code)) => {
            format!("{} at {place} `{}`", short(target), brief(code, 60))
        }
        _ => short(target).to_owned(),
    }
}
