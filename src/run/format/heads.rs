//! Networks that share one flat state dict, told apart by the first part of their names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::role::{NetworkRole, is_generator};
use super::wrappers::is_front;

/// Share of an average's tensors that the averaged network has too: averages keep counters of their own.
const SHARED: f64 = 0.9;

/// Pairs of an average and another network that are compared at most.
const MOST_PAIRS: usize = 10_000;

/// The tensors behind a head: names without dots, since some averages write them so, and shapes.
type Held<'a> = HashSet<(String, Option<&'a [usize]>)>;

/// Returns the heads, behind what wrappers put in front of all names, whose tensors are a network of their own:
/// - `model_ema.` beside `model.`, `teacher.` beside `student.`, `encoder_k.` beside `encoder_q.`: averages of
///   the same names and shapes;
/// - `generator.` and `discriminator.`: both;
/// - `loss.`, `lpips.` beside others.
pub(super) fn networks<'a>(
    tensors: &[(usize, String)],
    shape: &dyn Fn(usize) -> Option<&'a [usize]>,
) -> Vec<(Arc<str>, NetworkRole)> {
    let front = front(tensors);
    let mut heads: BTreeMap<&str, Held<'a>> = BTreeMap::new();
    for (index, name) in tensors {
        if let Some((head, rest)) = name[front.len()..].split_once('.') {
            let held = (rest.replace('.', ""), shape(*index));
            heads.entry(head).or_default().insert(held);
        }
    }
    let roles = heads
        .keys()
        .map(|head| (*head, NetworkRole::of(std::iter::once(*head))));
    let roles: HashMap<&str, NetworkRole> = roles.collect();
    let role = |head: &str| roles.get(head).copied().unwrap_or(NetworkRole::Model);
    let others = heads.iter();
    let others = others.filter(|(head, _)| role(head) != NetworkRole::Average);
    let mut others: Vec<&Held<'a>> = others.map(|(_, held)| held).collect();
    // Files of people have a few networks: of very many names each pair would be compared.
    if others.len().saturating_mul(heads.len() - others.len()) > MOST_PAIRS {
        others.clear();
    }
    let judged = heads.keys().any(|head| is_generator(head));
    let judging = heads
        .keys()
        .any(|head| role(head) == NetworkRole::Discriminator);
    let follows = |held: &Held<'a>, other: &Held<'a>| {
        let shared = held.intersection(other).count();
        shared > 0 && shared as f64 >= SHARED * held.len() as f64
    };
    let own = |(head, held): (&&str, &Held<'a>)| {
        let name = format!("{front}{head}").into();
        let momentum = momentum_of(head).and_then(|of| heads.get(of.as_str()));
        if momentum.is_some_and(|of| follows(held, of)) {
            return Some((name, NetworkRole::Average));
        }
        let role = role(head);
        let is_own = match role {
            NetworkRole::Average => others.iter().any(|twin| follows(held, twin)),
            NetworkRole::Discriminator => judged,
            NetworkRole::Loss => heads.len() > 1,
            NetworkRole::Model => judging && is_generator(head),
        };
        is_own.then_some((name, role))
    };
    heads.iter().filter_map(own).collect()
}

/// Returns the words of wrappers in front of all names, e.g. `module.`.
fn front(tensors: &[(usize, String)]) -> String {
    let mut front = String::new();
    while let Some((_, first)) = tensors.first()
        && let Some((head, _)) = first[front.len()..].split_once('.')
        && is_front(head)
    {
        let longer = format!("{front}{head}.");
        if !tensors.iter().all(|(_, name)| name.starts_with(&longer)) {
            break;
        }
        front = longer;
    }
    front
}

/// Returns the head that a momentum encoder follows: `encoder_q` of `encoder_k`, `encoder` of `encoder_m`.
fn momentum_of(head: &str) -> Option<String> {
    let keys = head.strip_suffix("_k").map(|stem| format!("{stem}_q"));
    keys.or_else(|| head.strip_suffix("_m").map(str::to_owned))
}
