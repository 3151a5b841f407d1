//! Contents of a torch file beside its tensors, as far as they are plain values.

use std::path::Path;
use std::sync::Arc;

use super::Dtype;
use super::stored::Stored;
use super::tree::Item;

pub(in crate::run) use super::tree::Item as Note;

/// Settings of an optimizer's groups that are read from tensors: files can have any number of groups.
const MOST_SETTINGS: usize = 4096;
/// Key of an optimizer's parameter groups.
const GROUPS: &str = "param_groups";

/// Reads the outermost value of a torch file; `None` if it cannot be read. Settings of an optimizer are numbers, also
/// those that a graph on the device needs as tensors of one number (`torch.optim.Adam(lr=torch.tensor(1e-3))`).
pub(in crate::run) fn read(path: &Path) -> Option<Note> {
    let file = super::OpenFile::open(path).ok()?;
    let mut root = file.root?;
    let mut left = MOST_SETTINGS;
    settle(&mut root, &file.tensors, &mut left);
    Some(root)
}

/// Replaces the settings of all parameter groups below a value that are tensors by their numbers.
fn settle(value: &mut Item, tensors: &[Stored], left: &mut usize) {
    match value {
        Item::Dict(_, fields) => {
            for (name, value) in fields {
                match value {
                    Item::List(groups) if &**name == GROUPS => {
                        settings(groups).for_each(|setting| settle_setting(setting, tensors, left));
                    }
                    _ => settle(value, tensors, left),
                }
            }
        }
        Item::List(values) => {
            for value in values {
                settle(value, tensors, left);
            }
        }
        _ => {}
    }
}

fn settings(groups: &mut [Item]) -> impl Iterator<Item = &mut Item> {
    let fields = groups.iter_mut().filter_map(|group| match group {
        Item::Dict(_, fields) => Some(fields),
        _ => None,
    });
    fields
        .flatten()
        .map(|field: &mut (Arc<str>, Item)| &mut field.1)
}

fn settle_setting(setting: &mut Item, tensors: &[Stored], left: &mut usize) {
    let Item::Tensor(index) = *setting else {
        return;
    };
    let number = tensors.get(index).filter(|_| *left > 0).and_then(number);
    *left = left.saturating_sub(1);
    if let Some(number) = number {
        *setting = Item::Number(number);
    }
}

/// Reads the number of a tensor of one; `None` if it has several, or none that can be read.
fn number(stored: &Stored) -> Option<f64> {
    if stored.count() != Some(1) {
        return None;
    }
    if stored.dtype == Dtype::F64 {
        let mut bytes = [0; 8];
        return (stored.raw(0, &mut bytes).ok()).map(|()| f64::from_le_bytes(bytes));
    }
    let mut value = [0.0];
    stored.read(0, &mut value).ok()?;
    // PyTorch prints a float32 of 1e-3 as 0.001, and so does this.
    value[0].to_string().parse().ok()
}
