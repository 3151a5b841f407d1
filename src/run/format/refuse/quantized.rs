//! Weights that are numbers of few bits beside their scales: told by the names that only such models have.

use std::collections::HashSet;

use super::super::Dtype;
use super::super::role::is_trainer;
use super::super::tree::Item;

/// Last words of tensors that only quantized models have.
const WORDS: [&str; 8] = [
    "SCB",
    "qweight",
    "qzeros",
    "W_q",
    "weight_packed",
    "Qidxs",
    "q_weight",
    "q_invperm",
];
/// The same, behind the name of a layer.
const WORDS_OF_LAYERS: [&str; 3] = [".absmax", ".quant_map", ".g_idx"];
/// Dicts and lists within each other that are looked into.
const DEEPEST: usize = 6;

/// The element type of a tensor.
pub(super) type Types<'a> = dyn Fn(usize) -> Option<&'a Dtype> + 'a;

/// Returns the name of a tensor that only quantized models have.
pub(super) fn name(item: &Item, types: &Types<'_>, depth: usize) -> Option<String> {
    let deeper = |inner: &Item| (depth < DEEPEST).then(|| name(inner, types, depth + 1))?;
    let fields = match item {
        Item::List(values) => return values.iter().find_map(deeper),
        Item::Dict(_, fields) => fields,
        _ => return None,
    };
    let found = fields.iter().find_map(|(name, inner)| match inner {
        // What torch.ao.quantization packs, whatever it is kept as.
        _ if name.contains("_packed_params") => Some(name.to_string()),
        Item::Tensor(_) => is_telling(name).then(|| name.to_string()),
        Item::Other(class) if class.ends_with("_rebuild_qtensor") => {
            is_of_layer(name).then(|| name.to_string())
        }
        // The state of an optimizer may be of few bits beside a whole model.
        _ if is_trainer(name) && &**name != "state" => None,
        _ => deeper(inner),
    });
    let named = fields.iter().filter_map(|(name, inner)| match inner {
        Item::Tensor(index) => Some((&**name, *index)),
        _ => None,
    });
    found.or_else(|| scaled(named, types))
}

/// Returns true for the name of a layer's tensor; under another, one foreign value beside a model says nothing of it.
pub(super) fn is_of_layer(name: &str) -> bool {
    name.contains('.') || name == "weight"
}

fn is_telling(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    WORDS.contains(&last) || WORDS_OF_LAYERS.iter().any(|end| name.ends_with(end))
}

/// Returns the first tensor of few bits whose scale lies beside it.
fn scaled<'n>(
    tensors: impl Iterator<Item = (&'n str, usize)> + Clone,
    types: &Types<'_>,
) -> Option<String> {
    let scaled: HashSet<String> = tensors
        .clone()
        .flat_map(|(name, _)| of_scale(name))
        .collect();
    if scaled.is_empty() {
        return None;
    }
    let mut tensors = tensors;
    let found = tensors
        .find(|(name, index)| scaled.contains(*name) && types(*index).is_some_and(is_of_few_bits));
    found.map(|(name, _)| format!("{name} beside its scale"))
}

/// Returns the names that a tensor would have whose scale, or book of codes, has this name.
fn of_scale(scale: &str) -> Vec<String> {
    let rules = [
        ("_scale_inv", ""),
        ("_scale_2", ""),
        ("_scales", ""),
        ("_scales", "_blocks"),
        ("_scale", ""),
        ("._scale", "._data"),
        ("input_scale", "weight"),
        ("scale_weight", "weight"),
        ("codebooks", "codes"),
    ];
    let names = rules.iter().filter_map(|(end, instead)| {
        let front = scale.strip_suffix(end)?;
        Some(format!("{front}{instead}"))
    });
    names.collect()
}

/// Returns true for eight bits and less, and for words that such numbers are packed into.
fn is_of_few_bits(dtype: &Dtype) -> bool {
    match dtype {
        Dtype::F8E4M3 | Dtype::F8E5M2 | Dtype::F8E4M3Fnuz | Dtype::F8E5M2Fnuz => true,
        Dtype::Other(name) => !matches!(name.as_str(), "BOOL" | "I64" | "U64" | "C64"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const I8: Dtype = Dtype::Other(String::new());

    /// Returns a dict of tensors of these names and types.
    fn dict(fields: &[(&str, &Dtype)]) -> (Item, Vec<Dtype>) {
        let named = fields.iter().enumerate();
        let items = named.map(|(at, (name, _))| ((*name).into(), Item::Tensor(at)));
        let types = fields.iter().map(|(_, dtype)| (*dtype).clone());
        (Item::Dict(None, items.collect()), types.collect())
    }

    fn told(fields: &[(&str, &Dtype)], around: impl Fn(Item) -> Item) -> Option<String> {
        let (item, types) = dict(fields);
        name(&around(item), &|index| types.get(index), 0)
    }

    #[test]
    fn every_way_of_few_bits_is_known() {
        let known: [&[(&str, &Dtype)]; 12] = [
            &[("SCB", &Dtype::F32), ("weight", &I8)],
            &[
                ("l.weight", &Dtype::F8E4M3),
                ("l.weight_scale_inv", &Dtype::F32),
            ],
            &[
                ("l.weight", &Dtype::F8E4M3),
                ("l.weight_scale", &Dtype::F32),
            ],
            &[("l.weight", &Dtype::F8E5M2), ("l.input_scale", &Dtype::F32)],
            &[
                ("l.weight", &Dtype::F8E4M3),
                ("l.scale_weight", &Dtype::F32),
            ],
            &[("l.weight", &I8), ("l.weight_scale", &Dtype::F32)],
            &[("l.weight", &I8), ("l.weight_scale_2", &Dtype::F32)],
            &[("l.up_blocks", &I8), ("l.up_scales", &I8)],
            &[("l.weight._data", &I8), ("l.weight._scale", &Dtype::F32)],
            &[("l.codes", &I8), ("l.codebooks", &Dtype::F16)],
            &[("W_q", &I8), ("scale", &Dtype::F32)],
            &[("l.qweight", &I8), ("l.scales", &Dtype::F16)],
        ];
        for fields in known {
            assert!(told(fields, |item| item).is_some(), "{fields:?}");
            let in_list = |item| Item::Dict(None, vec![("models".into(), Item::List(vec![item]))]);
            assert!(told(fields, in_list).is_some(), "{fields:?} in a list");
        }
        let class = Item::Other("torch._utils._rebuild_qtensor".into());
        let packed = |name: &str| Item::Dict(None, vec![(name.into(), class.clone())]);
        let told = name(&packed("l.weight"), &|_| None, 0);
        assert_eq!(told.as_deref(), Some("l.weight"));
        assert_eq!(name(&packed("sample"), &|_| None, 0), None);
    }

    #[test]
    fn plain_weights_are_read_whatever_scales_they_learn() {
        let plain: [&[(&str, &Dtype)]; 4] = [
            &[("l.weight", &Dtype::F32), ("l.weight_scale", &Dtype::F32)],
            &[("l.weight", &Dtype::F8E4M3), ("l.bias", &Dtype::F32)],
            &[
                ("norm.scale", &Dtype::F32),
                ("steps", &I8),
                ("logit_scale", &Dtype::F32),
            ],
            &[("absmax", &Dtype::F32)],
        ];
        for fields in plain {
            assert_eq!(told(fields, |item| item), None, "{fields:?}");
        }
        let state = |item| Item::Dict(None, vec![("optimizer".into(), item)]);
        assert_eq!(told(&[("0.qweight", &I8)], state), None);
    }
}
