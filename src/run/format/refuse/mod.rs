//! Checkpoints that are parts of one, or hold weights in a form that is not read: named, with the remedy.

mod parts;
mod quantized;

use std::path::Path;

use super::FormatError;
use super::role::is_trainer;
use super::stored::Stored;
use super::tree::Item;

/// Layers of dicts and lists that are looked into.
const DEEPEST: usize = 4;
/// The remedy for what is no model at all.
const SAVE_MODEL: &str = "save the state_dict of the model with torch.save or safetensors";

fn refused(path: &Path, what: String, remedy: &'static str) -> FormatError {
    FormatError::Refused {
        path: path.to_path_buf(),
        what,
        remedy,
    }
}

/// Judges by names beside and in the path, before anything is opened.
pub(super) fn by_place(path: &Path) -> Option<FormatError> {
    let name = path.file_name()?.to_str()?;
    let distributed = name == ".metadata"
        || Path::new(name)
            .extension()
            .is_some_and(|ending| ending == "distcp")
        || (path.is_dir() && path.join(".metadata").is_file());
    if distributed {
        let remedy =
            "python -m torch.distributed.checkpoint.format_utils dcp_to_torch makes one file of it";
        return Some(refused(
            path,
            "a part of a torch.distributed.checkpoint (DCP)".into(),
            remedy,
        ));
    }
    if name.contains(".data-0") && name.contains("-of-0") {
        return Some(refused(
            path,
            "the data of a TensorFlow checkpoint".into(),
            "save its variables with safetensors.numpy.save_file",
        ));
    }
    parts::by_place(path).map(|(what, remedy)| refused(path, what, remedy))
}

/// Judges by what the checkpoint holds.
pub(super) fn by_content<'a>(
    path: &Path,
    root: &Item,
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
) -> Option<FormatError> {
    if let Some(what) = model_parallel(root) {
        let remedy = "merge the parts with the converter of the framework (Megatron-LM: \
                      tools/checkpoint/convert.py)";
        return Some(refused(path, what, remedy));
    }
    let types = |index: usize| stored(index).map(|stored| &stored.dtype);
    if let Some(name) = quantized::name(root, &types, 0) {
        return Some(refused(
            path,
            format!("quantized weights ({name})"),
            "save the model before it is quantized, or dequantized",
        ));
    }
    if let Some(columns) = samples(root, stored) {
        let what = format!("samples (columns {columns}) and no weights");
        return Some(refused(path, what, "name the file with --data"));
    }
    if let Some(name) = wrapped(root, 0) {
        let what = format!(
            "a tensor of a class of its own ({name}), as distributed and quantized ones are"
        );
        let remedy = "save plain tensors: the full state dict of all processes (get_model_state_dict with \
                      full_state_dict), or weights that are not quantized";
        return Some(refused(path, what, remedy));
    }
    sharded(root, 0).map(|name| {
        let remedy = "save the full state dict (FullStateDictConfig or get_model_state_dict with full_state_dict)";
        refused(path, format!("a part of distributed tensors ({name})"), remedy)
    })
}

/// Names of columns that a model's output is compared with.
const TARGETS: [&str; 5] = ["target", "targets", "label", "labels", "input_ids"];

/// Returns the names of a file's columns: arrays side by side with an entry for each sample, a target among them.
fn samples<'a>(root: &Item, stored: &'a dyn Fn(usize) -> Option<&'a Stored>) -> Option<String> {
    let Item::Dict(_, fields) = root else {
        return None;
    };
    let mut counts = fields.iter().map(|(_, item)| match item {
        Item::Tensor(index) => stored(*index)?.shape.first().copied(),
        _ => None,
    });
    let first = counts.next()?.filter(|count| *count > 1)?;
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    let is_table = names.len() > 1 && counts.all(|count| count == Some(first));
    let has_target = names.iter().any(|name| TARGETS.contains(name));
    (is_table && has_target).then(|| names.join(", "))
}

/// Returns the number of parts that the arguments of training tell.
fn model_parallel(root: &Item) -> Option<String> {
    let args = root.get("args").or_else(|| root.get("config"))?;
    let kinds = [
        ("tensor_model_parallel_size", "tensor-parallel"),
        ("pipeline_model_parallel_size", "pipeline"),
        ("expert_model_parallel_size", "expert-parallel"),
    ];
    kinds.iter().find_map(|(name, kind)| {
        let count = args.get(name)?.number().filter(|count| *count > 1.0)?;
        Some(format!("one of {count} {kind} parts of a model"))
    })
}

/// Returns the name of a tensor that torch rebuilds by way of a class of its own: of it, only the name is known.
fn wrapped(item: &Item, depth: usize) -> Option<String> {
    let Item::Dict(_, fields) = item else {
        return None;
    };
    fields.iter().find_map(|(name, inner)| match inner {
        Item::Other(class) if class.ends_with("_rebuild_wrapper_subclass") => {
            quantized::is_of_layer(name).then(|| name.to_string())
        }
        // The state of an optimizer may be so beside a whole model.
        _ if depth < DEEPEST && !is_trainer(name) => wrapped(inner, depth + 1),
        _ => None,
    })
}

/// Returns the class of a tensor of which each process has a part, or the name of a flattened part.
fn sharded(item: &Item, depth: usize) -> Option<String> {
    let Item::Dict(_, fields) = item else {
        return None;
    };
    fields.iter().find_map(|(name, inner)| match inner {
        Item::Dict(Some(class), _) | Item::Other(class)
            if class.ends_with("ShardedTensor") || class.ends_with("DTensor") =>
        {
            Some(class.to_string())
        }
        Item::Tensor(_) => is_flattened(name).then(|| name.to_string()),
        _ if depth < DEEPEST => sharded(inner, depth + 1),
        _ => None,
    })
}

/// Returns true for the name under which FSDP keeps the part of one process, flattened.
fn is_flattened(name: &str) -> bool {
    let (front, last) = name.rsplit_once('.').unwrap_or(("", name));
    match last.strip_prefix("flat_param") {
        Some("") => !front.is_empty(),
        Some(number) => number
            .strip_prefix('_')
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())),
        None => last == "_flat_param",
    }
}

/// Tells what a checkpoint without a model holds.
pub(super) fn without_model<'a>(
    path: &Path,
    root: &Item,
    stored: &'a dyn Fn(usize) -> Option<&'a Stored>,
) -> FormatError {
    if matches!(root, Item::Tensor(_)) {
        return refused(path, "a tensor alone, without a name".into(), SAVE_MODEL);
    }
    if has_optimizer(root, 0) {
        let what = "the state of an optimizer and no model".into();
        return refused(path, what, SAVE_MODEL);
    }
    let mut tensors = (0..).map_while(stored).peekable();
    let whole = tensors.peek().is_some_and(|first| first.dtype.is_other())
        && tensors.all(|tensor| tensor.dtype.is_other());
    if whole {
        let first = stored(0).map_or_else(String::new, |first| first.dtype.to_string());
        let what = format!("no tensors of floating point, only such as {first}");
        return refused(path, what, SAVE_MODEL);
    }
    FormatError::NoTensors(path.to_path_buf())
}

fn has_optimizer(item: &Item, depth: usize) -> bool {
    let Item::Dict(_, fields) = item else {
        return false;
    };
    let names = |name: &str| fields.iter().any(|(field, _)| &**field == name);
    let is_state = names("param_groups") || names("exp_avg") || names("momentum_buffer");
    let mut inner = fields
        .iter()
        .filter(|(name, _)| &**name == "state" || is_trainer(name));
    is_state || depth < DEEPEST && inner.any(|(_, inner)| has_optimizer(inner, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::super::Dtype;
    use super::super::strided::Ahead;
    use super::*;

    fn dict(fields: Vec<(&str, Item)>) -> Item {
        let fields = fields.into_iter().map(|(name, item)| (name.into(), item));
        Item::Dict(None, fields.collect())
    }

    fn refusal(root: &Item) -> Option<String> {
        by_content(Path::new("m.pt"), root, &|_| None).map(|error| error.to_string())
    }

    #[test]
    fn parts_are_told_by_their_arguments_and_by_flattened_tensors() {
        let args = dict(vec![
            ("tensor_model_parallel_size", Item::Number(1.0)),
            ("pipeline_model_parallel_size", Item::Number(2.0)),
        ]);
        let root = dict(vec![
            ("args", args),
            ("model", dict(vec![("w", Item::Tensor(0))])),
        ]);
        assert!(refusal(&root).is_some_and(|said| said.contains("one of 2 pipeline parts")));
        for name in ["_flat_param", "flat_param_0", "encoder.flat_param"] {
            let root = dict(vec![("model", dict(vec![(name, Item::Tensor(0))]))]);
            assert!(refusal(&root).is_some(), "{name}");
        }
        for name in ["flat_params", "flat_param", "flat_param_scale"] {
            let root = dict(vec![(name, Item::Tensor(0))]);
            assert_eq!(refusal(&root), None, "{name}");
        }
    }

    #[test]
    fn a_model_of_wrapped_tensors_is_refused_and_an_optimizer_of_them_is_not() {
        let class = Item::Other("torch._utils._rebuild_wrapper_subclass".into());
        let wrapped = dict(vec![("l.weight", class), ("n.weight", Item::Tensor(0))]);
        let root = dict(vec![("model", wrapped.clone())]);
        assert!(refusal(&root).is_some_and(|said| said.contains("(l.weight)")));
        assert_eq!(refusal(&dict(vec![("optimizer", wrapped)])), None);
    }

    #[test]
    fn columns_with_a_target_are_samples_and_equal_parameters_are_not() {
        let column = |first| Stored {
            dtype: Dtype::F32,
            size: 4,
            shape: vec![first, 3],
            strides: vec![3, 1],
            offset: 0,
            big_endian: false,
            key: "".into(),
            storage: Err("no file".into()),
            ahead: Ahead::default(),
        };
        let said = |names: [&str; 2], extents: [usize; 2]| {
            let stored = extents.map(column);
            let root = dict(vec![
                (names[0], Item::Tensor(0)),
                (names[1], Item::Tensor(1)),
            ]);
            by_content(Path::new("m.pt"), &root, &|at| stored.get(at))
                .map(|error| error.to_string())
        };
        let found = said(["x", "target"], [64, 64]).unwrap_or_default();
        assert!(found.contains("samples (columns x, target)"), "{found}");
        assert_eq!(said(["x", "target"], [64, 32]), None);
        assert_eq!(said(["x", "target"], [1, 1]), None);
        assert_eq!(said(["x", "y"], [64, 64]), None);
    }

    #[test]
    fn what_is_no_model_is_named() {
        let said = |root: &Item| without_model(Path::new("m.pt"), root, &|_| None).to_string();
        assert!(said(&Item::Tensor(0)).contains("a tensor alone"));
        let state = dict(vec![("param_groups", Item::List(Vec::new()))]);
        assert!(said(&dict(vec![("optimizer", state)])).contains("an optimizer and no model"));
        assert!(said(&dict(Vec::new())).contains("found none"));
    }
}
