//! The values that a pickle makes: plain ones in place, all others in one list, referred to by number.

use std::sync::Arc;

use super::super::source::Source;
use super::super::storage::{Packing, Storage};

/// A value; what has parts is in the list of its [`Pickle`](super::Pickle).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    None,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// The number with which torch begins its files of old: longer than any other that counts.
    Magic,
    /// A number.
    Float(f64),
    /// A value with parts: its place in the list.
    Node(u32),
}

/// Bytes of a pickle: long ones stay in the file.
#[derive(Clone, Debug)]
pub(crate) enum Blob {
    /// In memory.
    Short(Arc<[u8]>),
    /// In the file.
    Long(Source),
    /// In the file, as a text in UTF-8 whose characters are the bytes.
    Latin(Source),
}

impl Blob {
    /// Returns the bytes; `None` if they are not as many as are needed.
    pub(crate) fn storage(&self, needed: u64) -> Option<Storage> {
        let source = match self {
            Self::Short(bytes) => Source::Memory(Arc::clone(bytes)),
            Self::Long(source) => source.clone(),
            // Each is a character of one or two bytes; they are counted when they are read.
            Self::Latin(text) => {
                let fits = needed <= text.len() && text.len() / 2 <= needed;
                return fits.then(|| Storage::packed(text.clone(), Packing::Latin, needed));
            }
        };
        (source.len() == needed).then_some(Storage::Plain(source))
    }
}

/// An object of a class that is not known, or known only by its fields: nothing of it is run.
#[derive(Clone, Debug)]
pub(crate) struct Opaque {
    /// Module and name, with a dot between.
    pub(crate) class: Arc<str>,
    /// State that was set.
    pub(crate) state: Value,
    /// Values that were appended, or those of a tuple with a class of its own.
    pub(crate) list: Vec<Value>,
    /// Values that were set by key.
    pub(crate) dict: Vec<(Value, Value)>,
}

/// Type of the elements of a storage or an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    /// Name as safetensors write it: `F32`, `I64`, `BOOL` …, else the format's own.
    pub(crate) name: Arc<str>,
    /// Bytes of one.
    pub(crate) size: usize,
}

/// A storage of torch that lies outside the pickle, or within as bytes.
#[derive(Clone, Debug)]
pub(crate) struct StorageRef {
    /// Key of its bytes.
    pub(crate) key: Arc<str>,
    /// Element type; `None` if the tensor tells.
    pub(crate) element: Option<Element>,
    /// Elements that it claims.
    pub(crate) numel: u64,
    /// First element, in the storage that it is a view of.
    pub(crate) from: u64,
    /// The storage written out as a torch file of its own, in place.
    pub(crate) within: Option<Source>,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(crate) struct TensorRef {
    /// The storage's node.
    pub(crate) storage: u32,
    /// Element type.
    pub(crate) element: Element,
    /// First element.
    pub(crate) offset: u64,
    /// Extents, outermost first.
    pub(crate) shape: Vec<usize>,
    /// Elements from one to the next, for each extent.
    pub(crate) strides: Vec<usize>,
}

/// An array of numpy.
#[derive(Clone, Debug)]
pub(crate) struct ArrayRef {
    /// Element type.
    pub(crate) element: Element,
    /// Extents, outermost first.
    pub(crate) shape: Vec<usize>,
    /// The first extent varies fastest.
    pub(crate) fortran: bool,
    /// The most significant byte of an element comes first.
    pub(crate) big_endian: bool,
    /// The elements.
    pub(crate) data: Blob,
}

/// A value with parts.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Text.
    Text(Arc<str>),
    /// A text that is longer than any name, in the file.
    LongText(Source),
    /// Bytes.
    Bytes(Blob),
    /// A list, a set, a deque.
    List(Vec<Value>),
    /// A tuple.
    Tuple(Vec<Value>),
    /// A dict, in its own order; of equal keys the last counts.
    Dict(Vec<(Value, Value)>),
    /// A class or function by its name; never called.
    Global(Arc<str>),
    /// A storage.
    Storage(Box<StorageRef>),
    /// A tensor.
    Tensor(Box<TensorRef>),
    /// An array of numpy.
    Array(Box<ArrayRef>),
    /// A type of numpy's elements, and true for big-endian.
    NumpyType(Box<Element>, bool),
    /// Anything else.
    Object(Box<Opaque>),
    /// A value that lies outside: a tensor of the oldest format.
    Outside,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of a million entries is a million nodes.
    #[test]
    fn nodes_are_small() {
        assert!(size_of::<Value>() <= 16 && size_of::<Node>() <= 32);
    }
}
