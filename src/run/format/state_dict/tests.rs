//! Networks in dicts as trainers write them.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use super::super::Dtype;
use super::super::strided::Ahead;
use super::*;

/// Returns a tensor of two numbers for each name, of a shape of its own where its name ends with a digit.
fn stored(names: &[&str]) -> Vec<Stored> {
    let one = |name: &&str| Stored {
        dtype: Dtype::F32,
        size: 4,
        shape: vec![2, name.bytes().last().map_or(1, |b| usize::from(b % 7) + 1)],
        strides: vec![1, 1],
        offset: 0,
        big_endian: false,
        key: "".into(),
        storage: Err("no file".into()),
        ahead: Ahead::default(),
    };
    names.iter().map(one).collect()
}

/// The key that was taken, the names of its tensors, and the keys of the other networks.
type Choice = (Option<String>, Vec<String>, Vec<String>);

fn chosen(names: &[&str], key: Option<&str>) -> Result<Choice, Problem> {
    let stored = stored(names);
    let fields = names.iter().enumerate();
    let fields = fields.map(|(at, name)| ((*name).into(), Item::Tensor(at)));
    let root = Item::Dict(None, fields.collect());
    let of = |index: usize| stored.get(index);
    let chosen = choose(&root, &of, key)?;
    let names = chosen.tensors.into_iter().map(|(_, name)| name).collect();
    let others = chosen.others.into_iter().map(|other| other.key).collect();
    Ok((chosen.key, names, others))
}

#[test]
fn an_average_among_flat_names_is_a_network_of_its_own() {
    let names = [
        "model.fc.weight",
        "model.fc.bias",
        "model_ema.fc.weight",
        "model_ema.fc.bias",
    ];
    let (key, taken, others) = chosen(&names, None).unwrap();
    assert_eq!(
        (key, taken),
        (None, vec!["fc.weight".into(), "fc.bias".into()])
    );
    assert_eq!(others, ["model_ema"]);
    let (_, taken, _) = chosen(&names, Some("model_ema")).unwrap();
    assert_eq!(taken, ["fc.weight", "fc.bias"]);
    let names = ["student.a", "head.b", "teacher.a"];
    let (_, taken, others) = chosen(&names, None).unwrap();
    assert_eq!(
        (taken, others),
        (
            vec!["student.a".into(), "head.b".into()],
            vec!["teacher".into()]
        )
    );
}

#[test]
fn a_module_that_only_has_such_a_name_stays() {
    let names = ["backbone.weight", "target.weight1", "center_head.bias"];
    let (_, taken, others) = chosen(&names, None).unwrap();
    assert_eq!(taken.len(), 3);
    assert!(others.is_empty());
}

#[test]
fn networks_that_share_a_flat_dict_are_told_apart() {
    let names = [
        "discriminator.net.weight3",
        "generator.net.weight1",
        "generator.net.bias",
        "loss.lpips.weight",
    ];
    let (key, taken, others) = chosen(&names, None).unwrap();
    assert_eq!(key.as_deref(), Some("generator"));
    assert_eq!(taken, ["net.weight1", "net.bias"]);
    assert_eq!(others, ["discriminator", "loss"]);
    let (_, taken, _) = chosen(&names, Some("discriminator")).unwrap();
    assert_eq!(taken, ["net.weight3"]);
    // A head of that name alone is a module.
    let names = ["backbone.weight", "discriminator.weight"];
    assert_eq!(chosen(&names, None).unwrap().1.len(), 2);
}

/// Returns a dict of dicts by dotted paths; the tensors are numbered.
fn tree(paths: &[&str]) -> Item {
    let mut root: Vec<(Arc<str>, Item)> = Vec::new();
    for (at, path) in paths.iter().enumerate() {
        let mut fields = &mut root;
        let mut parts: Vec<&str> = path.split('/').collect();
        let last = parts.pop().unwrap();
        for part in parts {
            let known = fields.iter().position(|(name, _)| &**name == part);
            let known = known.unwrap_or_else(|| {
                fields.push((part.into(), Item::Dict(None, Vec::new())));
                fields.len() - 1
            });
            let Item::Dict(_, inner) = &mut fields[known].1 else {
                unreachable!()
            };
            fields = inner;
        }
        fields.push((last.into(), Item::Tensor(at)));
    }
    Item::Dict(None, root)
}

fn taken(paths: &[&str]) -> Vec<String> {
    let stored = stored(paths);
    let of = |index: usize| stored.get(index);
    let chosen = choose(&tree(paths), &of, None).unwrap();
    chosen.tensors.into_iter().map(|(_, name)| name).collect()
}

#[test]
fn a_nested_layer_whose_name_is_a_role_stays_in_its_network() {
    let flax = [
        "params/encoder/Dense_0/kernel",
        "params/encoder/Dense_0/bias",
        "params/target_head/kernel",
        "params/target_head/bias",
    ];
    assert_eq!(taken(&flax).len(), 4);
    let twins = [
        "params/online/Dense_0/kernel",
        "params/target/Dense_0/kernel",
    ];
    assert_eq!(taken(&twins), ["Dense_0.kernel"]);
    let roles = ["params/generator/Dense_0/kernel", "params/critic/out/bias"];
    assert_eq!(taken(&roles), ["Dense_0.kernel"]);
    let flat = ["model/text/fc.weight", "model/ema/fc.weight2"];
    assert_eq!(taken(&flat), ["fc.weight"]);
}

#[test]
fn optimizers_are_no_networks_and_a_wrong_key_is_answered_with_those_there_are() {
    let names = ["fc.weight", "optimizer.state.0.exp_avg"];
    assert_eq!(chosen(&names, None).unwrap().1, ["fc.weight"]);
    assert_eq!(chosen(&names[1..], None), Err(Problem::None));
    let problem = chosen(&names, Some("net")).unwrap_err();
    assert!(matches!(problem, Problem::Key { key, .. } if key == "net"));
}

#[test]
fn averages_are_found_behind_wrappers_and_under_names_of_their_own() {
    let wrapped = [
        "module.model.fc.weight1",
        "module.model.fc.bias2",
        "module.model_ema.fc.weight1",
        "module.model_ema.fc.bias2",
    ];
    let (_, taken, others) = chosen(&wrapped, None).unwrap();
    assert_eq!(taken, ["fc.weight1", "fc.bias2"]);
    assert_eq!(others, ["module.model_ema"]);
    let (_, taken, _) = chosen(&wrapped, Some("module.model_ema")).unwrap();
    assert_eq!(taken, ["fc.weight1", "fc.bias2"]);
    // Latent diffusion takes the dots out.
    let dotless = ["model.a.b.weight1", "model_ema.abweight1"];
    assert_eq!(chosen(&dotless, None).unwrap().1, ["a.b.weight1"]);
    let momentum = ["encoder_k.fc.weight1", "encoder_q.fc.weight1"];
    assert_eq!(chosen(&momentum, None).unwrap().2, ["encoder_k"]);
}

#[test]
fn what_a_trainer_writes_beside_layers_is_no_weight() {
    let names = [
        "fc.weight1",
        "cls_token",
        "loss",
        "best_acc",
        "loss_history",
        "crit.weight2",
        "optimus.weight3",
    ];
    let (_, taken, others) = chosen(&names, None).unwrap();
    assert_eq!(taken, ["fc.weight1", "cls_token", "optimus.weight3"]);
    assert_eq!(others, ["crit"]);
}

#[test]
fn layers_are_joined_whatever_frameworks_call_them() {
    let flax = [
        "params/model/Dense_0/kernel",
        "params/lm_head/kernel",
        "params/center/kernel",
    ];
    assert_eq!(taken(&flax).len(), 3);
    let haiku = ["mlp_0/w", "mlp_0/b", "mlp_1/w", "mlp_1/b"];
    assert_eq!(taken(&haiku).len(), 4);
    let numbered = ["0/weight", "0/bias", "1/weight", "1/bias"];
    assert_eq!(taken(&numbered).len(), 4);
}

#[test]
fn a_network_is_found_under_a_trainer_s_word_and_before_what_has_no_layers() {
    assert_eq!(taken(&["best_loss_state_dict/fc.weight"]), ["fc.weight"]);
    assert_eq!(
        taken(&["optimizer/fc.weight", "opt_model/fc.bias"]),
        ["fc.bias"]
    );
    let replay = ["replay/obs6", "replay/action", "policy/fc.weight"];
    assert_eq!(taken(&replay), ["fc.weight"]);
    let solver = [
        "weights_dict/fc.weight",
        "solver_state/0/sum6",
        "solver_state/0/step",
    ];
    assert_eq!(taken(&solver), ["fc.weight"]);
}
