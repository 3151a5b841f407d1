//! Parts of one checkpoint that several processes wrote, or layer by layer: told by where they lie.
//!
//! A number in a name is not enough: each rank of data-parallel training saves the whole model, and probes of
//! layers are models of their own. A framework's own words tell a part, or the other parts beside it.

use std::fs;
use std::path::Path;

use super::super::numbered::Numbered;

/// The words before the rank of a part in the name of its file or folder, and the remedy.
const RANKS: [(&str, &str); 6] = [
    (
        "mp_rank_",
        "tools/checkpoint/convert.py of Megatron-LM joins them, with target parallel sizes of 1",
    ),
    (
        "tp_rank_",
        "the converters of NeMo join them, with model parallel sizes of 1",
    ),
    (
        "pp_rank_",
        "the converters of NeMo join them, with model parallel sizes of 1",
    ),
    (
        "consolidated.",
        "convert_llama_weights_to_hf.py of transformers joins them",
    ),
    (
        "model_parallel_rank_",
        "merge the parts with the converter of the framework",
    ),
    (
        "-shard",
        "consolidate_fsdp_shards of metaseq joins them (FSDP.consolidate_shard_weights of fairscale)",
    ),
];
/// Most names of parts in the sentence about a checkpoint.
const TOLD: usize = 2;

/// A part's name in words, and the remedy.
pub(super) type Part = (String, &'static str);

/// Looks at the path of a file, and at what lies beside it.
pub(super) fn by_place(path: &Path) -> Option<Part> {
    let name = path.file_name()?.to_str()?;
    if path.is_dir() {
        return None;
    }
    numbered(path, name)
        .or_else(|| deep_speed(name))
        .or_else(|| fully_sharded(name))
        .or_else(|| beside(path, name))
}

fn numbered(path: &Path, name: &str) -> Option<Part> {
    let part = Numbered::of(name)?;
    let folder = path.parent().unwrap_or(path).display();
    Some((
        format!(
            "part {} of {} of a checkpoint, the others belong into {folder}",
            part.number, part.count
        ),
        "give that folder: the parts are read together where each checkpoint has a folder of its own",
    ))
}

fn deep_speed(name: &str) -> Option<Part> {
    if name.contains("zero_pp_rank_") && name.contains("model_states") {
        return Some((
            "placeholders of a DeepSpeed ZeRO-3 (stage 3) checkpoint".into(),
            "zero_to_fp32.py beside it makes one file of the parts",
        ));
    }
    let layer = name.strip_prefix("layer_")?;
    let (_, rest) = number(layer)?;
    let (_, rest) = number(rest.strip_prefix("-model_")?)?;
    rest.starts_with("-model_states").then(|| {
        (
            "one layer of a DeepSpeed pipeline checkpoint".into(),
            "save the state_dict of the whole model, or join the layers with DeepSpeedCheckpoint of \
             deepspeed.checkpoint",
        )
    })
}

fn fully_sharded(name: &str) -> Option<Part> {
    let after = |word: &str| name.split_once(word).and_then(|(_, rest)| number(rest));
    if after("pytorch_model_fsdp_rank").is_some() {
        return Some((
            "the part of one process (FSDP, LOCAL_STATE_DICT)".into(),
            "set fsdp_state_dict_type to FULL_STATE_DICT",
        ));
    }
    let of_world = after("world_size_").filter(|(_, rest)| rest.starts_with("_rank_"));
    if let Some((count, _)) = of_world.filter(|(count, _)| *count > 1) {
        return Some((
            format!("the part of one of {count} processes (FSDP)"),
            "python -m verl.model_merger merge makes one model of the parts, or save a full state dict",
        ));
    }
    let (_, rest) = after("rank_").or_else(|| after("rank"))?;
    let (count, _) = number(rest.strip_prefix("_of_")?)?;
    (count > 1).then(|| {
        (
            format!("the part of one of {count} processes"),
            "save a full state dict on one process (get_model_state_dict with full_state_dict)",
        )
    })
}

/// Returns the number that a text begins with, and what follows.
fn number(text: &str) -> Option<(usize, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    Some((digits.parse().ok()?, rest))
}

/// Returns a name up to its rank, what follows it, and the remedy for such parts.
fn ranked(name: &str) -> Option<(&str, &str, &'static str)> {
    RANKS.iter().find_map(|(word, remedy)| {
        let (before, rest) = name.split_at(name.find(word)? + word.len());
        let (_, mut rest) = number(rest)?;
        loop {
            let joined = ["_pp_rank_", "_tp_rank_", "_ep_rank_"].iter();
            let mut joined = joined.filter_map(|joint| number(rest.strip_prefix(joint)?));
            // Megatron joins ranks of three digits without a word.
            let bare = || {
                let (_, behind) = number(rest.strip_prefix('_')?)?;
                (rest.len() - behind.len() == 4).then_some((0, behind))
            };
            match joined.next().or_else(bare) {
                Some((_, behind)) => rest = behind,
                None => return Some((before, rest, *remedy)),
            }
        }
    })
}

/// Returns a part of which another lies beside it, or in a folder beside its own.
fn beside(path: &Path, name: &str) -> Option<Part> {
    let folder = path.parent()?;
    let files = || siblings(folder, name, |_| true);
    let folders = || {
        let own = folder.file_name()?.to_str()?;
        let above = folder.parent().filter(|above| *above != Path::new(""));
        let above = above.unwrap_or(Path::new("."));
        siblings(above, own, |other| other.join(name).is_file())
    };
    let (mut names, remedy) = files().or_else(folders)?;
    names.sort();
    let more = names.len().saturating_sub(TOLD);
    names.truncate(TOLD);
    let more = match more {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let names = names.join(", ");
    Some((
        format!("one of the tensor-parallel or pipeline parts of a model ({names}{more})"),
        remedy,
    ))
}

/// Returns the names in a folder that differ from this one in the rank alone, with itself; `None` if it is alone.
fn siblings(
    folder: &Path,
    name: &str,
    counts: impl Fn(&Path) -> bool,
) -> Option<(Vec<String>, &'static str)> {
    let (before, after, remedy) = ranked(name)?;
    let folder = if folder == Path::new("") {
        Path::new(".")
    } else {
        folder
    };
    let entries = fs::read_dir(folder).ok()?.flatten();
    let names = entries.filter_map(|entry| {
        let other = entry.file_name().into_string().ok()?;
        let is_one = ranked(&other).is_some_and(|(b, a, _)| (b, a) == (before, after));
        (is_one && counts(&entry.path())).then_some(other)
    });
    let names: Vec<String> = names.collect();
    (names.len() > 1).then_some((names, remedy))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// Returns the words for the first of these files, where all of them lie in one folder.
    fn words(files: &[&str]) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        by_place(&folder.path().join(files[0])).map(|(what, _)| what)
    }

    #[test]
    fn each_framework_s_parts_are_known() {
        let known: [&[&str]; 10] = [
            &["mp_rank_00_000/m.pt", "mp_rank_00_001/m.pt"],
            &["mp_rank_01/m.pt", "mp_rank_00/m.pt"],
            &[
                "tp_rank_00_pp_rank_000/m.ckpt",
                "tp_rank_00_pp_rank_001/m.ckpt",
            ],
            &["consolidated.00.pth", "consolidated.01.pth"],
            &["layer_02-model_00-model_states.pt"],
            &["checkpoint_1-shard0.pt", "checkpoint_1-shard1.pt"],
            &["pytorch_model_fsdp_rank0.bin"],
            &["model_world_size_2_rank_0.pt"],
            &["weights_rank_0_of_2_step5.pt"],
            &["zero_pp_rank_0_mp_rank_00_model_states.pt"],
        ];
        for files in known {
            assert!(words(files).is_some(), "{files:?}");
        }
        let (one, other) = (
            ["mp_rank_00/m.pt", "mp_rank_01/m.pt"],
            ["mp_rank_01/m.pt", "mp_rank_00/m.pt"],
        );
        assert_eq!(
            words(&one),
            words(&other),
            "one sentence for all parts can be folded"
        );
    }

    #[test]
    fn whole_models_of_ranks_and_layers_are_not_refused() {
        let whole: [&[&str]; 8] = [
            &["model_rank0.pt", "model_rank1.pt"],
            &["rank_0/model.pt", "rank_1/model.pt"],
            &["layer_3.pt", "layer_4.pt"],
            &[
                "mp_rank_00_model_states.pt",
                "zero_pp_rank_0_mp_rank_00_optim_states.pt",
            ],
            &["consolidated.00.pth"],
            &["checkpoint_1-shard0.pt"],
            &["model_world_size_1_rank_0.pt"],
            &["mp_rank_00_step_10.pt", "mp_rank_00_step_20.pt"],
        ];
        for files in whole {
            assert_eq!(words(files), None, "{files:?}");
        }
    }
}
