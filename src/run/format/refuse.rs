//! Checkpoints that are parts of one, or hold weights in a form that is not read: named, with the remedy.

use std::path::{Path, PathBuf};

use super::FormatError;
use super::tree::Item;

/// Words before the rank of a tensor-parallel part, in the name of its file or folder.
const RANKS: [&str; 4] = [
    "mp_rank_",
    "tp_rank_",
    "consolidated.",
    "model_parallel_rank_",
];

fn refused(path: &Path, what: String, remedy: &'static str) -> FormatError {
    FormatError::Refused {
        path: path.to_path_buf(),
        what,
        remedy,
    }
}

/// By names beside and in the path, before anything is opened.
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
    if name.contains("zero_pp_rank_") && name.contains("model_states") {
        return Some(zero(path));
    }
    let other = other_part(path)?;
    let what = format!(
        "one of several tensor-parallel parts of a model, another is {}",
        other.display()
    );
    Some(refused(
        path,
        what,
        "merge the parts with the converter of the framework",
    ))
}

fn zero(path: &Path) -> FormatError {
    let what = "placeholders of a DeepSpeed ZeRO-3 (stage 3) checkpoint".into();
    refused(
        path,
        what,
        "zero_to_fp32.py beside it makes one file of the parts",
    )
}

/// The second tensor-parallel part beside this one.
fn other_part(path: &Path) -> Option<PathBuf> {
    let (folder, name) = (path.parent()?, path.file_name()?.to_str()?);
    let named = |part: &str| {
        let (before, rank, after) = RANKS.iter().find_map(|word| {
            let (before, rest) = part.split_at(part.find(word)? + word.len());
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (rank, after) = rest.split_at(end);
            (!rank.is_empty()).then_some((before, rank, after))
        })?;
        let other = usize::from(rank.parse::<usize>().ok()? == 0);
        let width = rank.len();
        Some(format!("{before}{other:0width$}{after}"))
    };
    let beside = named(name).map(|other| folder.join(other));
    let above = folder.file_name().and_then(|part| named(part.to_str()?));
    let above = above.and_then(|other| Some(folder.parent()?.join(other).join(name)));
    beside
        .into_iter()
        .chain(above)
        .find(|other| other.is_file())
}

/// By what the checkpoint holds.
pub(super) fn by_content(path: &Path, root: &Item) -> Option<FormatError> {
    let args = root.get("args").or_else(|| root.get("config"));
    let parts = args.and_then(|args| args.get("tensor_model_parallel_size")?.number());
    if let Some(parts) = parts.filter(|parts| *parts > 1.0) {
        let what = format!("one of {parts} tensor-parallel parts of a model");
        return Some(refused(
            path,
            what,
            "merge the parts with the converter of the framework",
        ));
    }
    if let Some(name) = quantized(root, 0) {
        let what = format!("quantized weights ({name})");
        return Some(refused(
            path,
            what,
            "save the model before it is quantized, or dequantized",
        ));
    }
    sharded(root, 0).map(|class| {
        let remedy = "save the full state dict (FullStateDictConfig or get_model_state_dict with full_state_dict)";
        refused(path, format!("a part of distributed tensors ({class})"), remedy)
    })
}

/// The name of a tensor that only quantized models have.
fn quantized(item: &Item, depth: usize) -> Option<String> {
    let Item::Dict(_, fields) = item else {
        return None;
    };
    let endings = [
        ".SCB",
        ".absmax",
        ".quant_map",
        ".qweight",
        ".qzeros",
        ".g_idx",
        ".W_q",
        ".weight_packed",
    ];
    fields.iter().find_map(|(name, inner)| match inner {
        // What torch.ao.quantization packs, whatever it is kept as.
        _ if name.contains("_packed_params") => Some(name.to_string()),
        Item::Tensor(_) => endings
            .iter()
            .any(|end| name.ends_with(end))
            .then(|| name.to_string()),
        _ if depth < 4 => quantized(inner, depth + 1),
        _ => None,
    })
}

fn sharded(item: &Item, depth: usize) -> Option<String> {
    let Item::Dict(_, fields) = item else {
        return None;
    };
    fields.iter().find_map(|(_, inner)| match inner {
        Item::Dict(Some(class), _) | Item::Other(class)
            if class.ends_with("ShardedTensor") || class.ends_with("DTensor") =>
        {
            Some(class.to_string())
        }
        _ if depth < 4 => sharded(inner, depth + 1),
        _ => None,
    })
}
