//! Files of `torch.save` and pickles: zip archives, legacy files, and what frameworks wrap around them.
//!
//! The reader is isoloss's own, since it is what all else rests on: one foreign object must not refuse a
//! file, a tensor must be read in pieces, and every archive that torch writes must be taken. Others read
//! tensors whole at twice their size and refuse archives by the length of their name.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::archive::Archive;
use super::pickle::{ArrayRef, Element, Node, Pickle, PickleError, TensorRef, Value};
use super::source::Source;
use super::storage::Storage;
use super::stored::Stored;
use super::strided::Ahead;
use super::tree::{Item, Planter};
use super::{Dtype, FormatError};

const FORMAT: &str = "PyTorch";
/// Bytes of a pickle that must be inflated first.
const LARGEST_PICKLE: u64 = 256 << 20;
/// A file's tensors and how they are nested.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) tensors: Vec<Stored>,
    pub(super) root: Item,
}

/// Interprets a file.
pub(super) fn open(path: &Path, source: &Source) -> Result<Contents, FormatError> {
    contents(source).map_err(|reason| FormatError::Invalid {
        path: path.to_path_buf(),
        format: FORMAT,
        reason,
    })
}

/// Interprets a file, or a part of one.
pub(super) fn contents(source: &Source) -> Result<Contents, String> {
    contents_of(source, false)
}

/// Interprets a file, or one that lies in an archive, which holds no other.
fn contents_of(source: &Source, is_inner: bool) -> Result<Contents, String> {
    let front = source.bytes(0, source.len().min(16)).map_err(sentence)?;
    if front.starts_with(b"PK") {
        return of_archive(source, is_inner);
    }
    let pickle = Pickle::read(source, 0).map_err(cut)?;
    if pickle.root() == Value::Magic {
        return of_legacy(source);
    }
    Ok(planted(&pickle, &HashMap::new(), false))
}

fn sentence(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Returns the sentence for a pickle that lies in the file as it is: where it ends too early, so does the file.
fn cut(error: PickleError) -> String {
    match error {
        PickleError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it is cut or still being written".into()
        }
        error => sentence(error),
    }
}

fn of_archive(source: &Source, is_inner: bool) -> Result<Contents, String> {
    let archive = Archive::open(source).map_err(sentence)?;
    let Some(name) = archive.ending("data.pkl") else {
        // stable-baselines3 puts a file of torch's into an archive of its own.
        let inner = archive.ending("policy.pth").filter(|_| !is_inner);
        let inner = inner.ok_or("it holds no data.pkl")?;
        let inner = archive
            .record(inner)
            .and_then(|inner| inner.whole(LARGEST_PICKLE));
        return contents_of(&inner.map_err(sentence)?, true);
    };
    if archive.ending("constants.pkl").is_some() {
        return Err(
            "it is a TorchScript program: save torch.jit.load(...).state_dict() with torch.save instead"
                .into(),
        );
    }
    let folder = name.trim_end_matches("data.pkl").to_owned();
    let pickle = archive
        .record(name)
        .and_then(|pickle| pickle.whole(LARGEST_PICKLE));
    let pickle = Pickle::read(&pickle.map_err(sentence)?, 0).map_err(sentence)?;
    let order = archive.record(&format!("{folder}byteorder"));
    let order = order
        .and_then(|order| order.whole(16))
        .and_then(|order| order.bytes(0, order.len().min(16)));
    let big_endian = order.is_ok_and(|order| order == b"big");
    let mut storages = HashMap::new();
    for record in archive.names() {
        if let Some(key) = record
            .strip_prefix(&folder)
            .and_then(|rest| rest.strip_prefix("data/"))
        {
            let storage = archive.record(record).map_err(sentence)?;
            storages.insert(Arc::from(key), Arc::new(storage));
        }
    }
    Ok(planted(&pickle, &storages, big_endian))
}

/// Reads five pickles (mark, protocol, system, object, keys of storages), then each storage behind its size.
fn of_legacy(source: &Source) -> Result<Contents, String> {
    let mut at = 0;
    let mut read = || {
        let pickle = Pickle::read(source, at).map_err(cut)?;
        at = pickle.end();
        Ok::<_, String>(pickle)
    };
    let (_, _, system, object, keys) = (read()?, read()?, read()?, read()?, read()?);
    let little = system.get(system.root(), "little_endian");
    let big_endian = little == Some(Value::Bool(false));
    let sizes = object.element_sizes();
    let mut storages = HashMap::new();
    for key in keys.values(keys.root()).unwrap_or_default() {
        let key = keys.text(*key).ok_or("a storage has no key")?;
        let cut = "it is cut or still being written";
        let numel = source.bytes(at, 8).map_err(|_| cut)?;
        let mut numel: [u8; 8] = numel.try_into().map_err(|_| cut)?;
        if big_endian {
            numel.reverse();
        }
        let size = sizes.get(&key).copied().unwrap_or(1) as u64;
        let len = u64::from_le_bytes(numel).checked_mul(size).ok_or(cut)?;
        let part = source.part(at + 8, len).ok_or(cut)?;
        storages.insert(key, Arc::new(Storage::Plain(part)));
        at += 8 + len;
    }
    Ok(planted(&object, &storages, big_endian))
}

/// Storages of files that a pickle holds as bytes, by the value that holds them: each is read once.
type InnerStorages = RefCell<HashMap<u32, Option<(Arc<Storage>, Element)>>>;

fn planted(
    pickle: &Pickle,
    storages: &HashMap<Arc<str>, Arc<Storage>>,
    big_endian: bool,
) -> Contents {
    let inner = RefCell::default();
    let stored = |node: &Node| match node {
        Node::Tensor(tensor) => of_torch(pickle, (storages, &inner), tensor, big_endian),
        Node::Array(array) => Some(of_numpy(array)),
        _ => None,
    };
    let mut planter = Planter::new(pickle, &stored);
    let root = planter.item(pickle.root(), 0);
    Contents {
        tensors: planter.tensors,
        root,
    }
}

fn of_torch(
    pickle: &Pickle,
    (storages, inner): (&HashMap<Arc<str>, Arc<Storage>>, &InnerStorages),
    tensor: &TensorRef,
    big_endian: bool,
) -> Option<Stored> {
    let Node::Storage(reference) = pickle.node(Value::Node(tensor.storage))? else {
        return None;
    };
    let within = reference.within.as_ref().and_then(|file| {
        let mut known = inner.borrow_mut();
        let known = known.entry(tensor.storage).or_insert_with(|| within(file));
        known.clone()
    });
    let (storage, element) = match within {
        Some((storage, element)) => (Some(storage), element),
        None => (
            storages.get(&reference.key).cloned(),
            tensor.element.clone(),
        ),
    };
    let stored = Stored {
        dtype: dtype(&element),
        size: element.size,
        shape: tensor.shape.clone(),
        strides: tensor.strides.clone(),
        offset: tensor.offset.saturating_add(reference.from),
        big_endian,
        // A storage that is written out in place has no key of its own.
        key: match &reference.within {
            Some(_) => format!("within {}", tensor.storage).into(),
            None => Arc::clone(&reference.key),
        },
        storage: storage.ok_or_else(|| format!("its storage {} is not in the file", reference.key)),
        ahead: Ahead::default(),
    };
    Some(stored.checked())
}

/// Returns a storage that was saved as a legacy file of its own, as `pickle.dump` of a tensor does.
fn within(source: &Source) -> Option<(Arc<Storage>, Element)> {
    let mut at = 0;
    let mut root = None;
    for part in 0..5 {
        let pickle = Pickle::read(source, at).ok()?;
        at = pickle.end();
        if part == 3 {
            root = Some(pickle);
        }
    }
    let root = root?;
    let Node::Storage(storage) = root.node(root.root())? else {
        return None;
    };
    let element = storage.element.clone()?;
    let len = storage.numel.checked_mul(element.size as u64)?;
    let part = source.part(at + 8, len)?;
    Some((Arc::new(Storage::Plain(part)), element))
}

fn of_numpy(array: &ArrayRef) -> Stored {
    let mut strides = vec![0; array.shape.len()];
    let mut step = 1usize;
    let mut along = |(stride, extent): (&mut usize, &usize)| {
        *stride = step;
        step = step.saturating_mul(*extent);
    };
    if array.fortran {
        strides.iter_mut().zip(&array.shape).for_each(&mut along);
    } else {
        strides
            .iter_mut()
            .zip(&array.shape)
            .rev()
            .for_each(&mut along);
    }
    let mut stored = Stored {
        dtype: dtype(&array.element),
        size: array.element.size,
        shape: array.shape.clone(),
        strides,
        offset: 0,
        big_endian: array.big_endian,
        key: "".into(),
        storage: Err("its bytes are not as many as its shape needs".into()),
        ahead: Ahead::default(),
    };
    // An array of other bytes than its shape needs is not what it was.
    let needed = stored
        .count()
        .and_then(|count| (count as u64).checked_mul(stored.size as u64));
    if let Some(storage) = needed.and_then(|needed| array.data.storage(needed)) {
        stored.storage = Ok(Arc::new(storage));
    }
    stored.checked()
}

fn dtype(element: &Element) -> Dtype {
    Dtype::of_name(&element.name)
}

#[cfg(test)]
mod tests;
