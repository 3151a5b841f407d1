//! The classes and functions that are known by name, and the values that stand for what they make.

use std::sync::Arc;

use super::super::source::Source;
use super::super::storage::{Packing, Storage};
use super::machine::{Machine, PickleError, opaque};
use super::value::{ArrayRef, Blob, Element, Node, StorageRef, TensorRef, Value};

/// Functions that call functions; more deeply than this nobody nests them.
const DEEPEST: usize = 8;
/// Parts of the state of an array or of its type; other objects may have more.
const STATE: usize = 16;
/// Bytes of a key, or of the name of a type.
const NAME: usize = 1 << 10;
/// Extents of one tensor.
const EXTENTS: usize = 64;

impl Machine {
    /// Returns the value of a call; that of an unknown one is opaque.
    pub(super) fn made(
        &mut self,
        callable: Value,
        args: Value,
        depth: usize,
    ) -> Result<Value, PickleError> {
        let class = match self.node(callable) {
            Some(Node::Global(name)) => Arc::clone(name),
            _ => "object".into(),
        };
        let values = match self.node(args) {
            Some(Node::Tuple(values)) => values.clone(),
            _ => Vec::new(),
        };
        // One tuple may be the arguments of a million calls.
        self.charge(16 * values.len() as u64)?;
        if depth < DEEPEST
            && let Some(made) = self.known(&class, &values, depth)?
        {
            return Ok(made);
        }
        self.add(Node::Object(Box::new(opaque(class))))
    }

    fn known(
        &mut self,
        class: &str,
        args: &[Value],
        depth: usize,
    ) -> Result<Option<Value>, PickleError> {
        let first = args.first().copied().unwrap_or(Value::None);
        let (module, name) = class.rsplit_once('.').unwrap_or(("", class));
        let node = match (module, name) {
            ("collections", "OrderedDict" | "defaultdict" | "Counter")
            | ("__builtin__" | "builtins", "dict") => Some(self.dict(first)?),
            ("__builtin__" | "builtins", "set" | "frozenset" | "list")
            | ("collections", "deque") => Some(Node::List(self.elements(first)?)),
            ("__builtin__" | "builtins", "tuple") => Some(Node::Tuple(self.elements(first)?)),
            ("__builtin__" | "builtins", "bytes" | "bytearray") | ("_codecs", "encode") => {
                self.encoded(first)?
            }
            ("torch", "Size") => return Ok(Some(first)),
            (
                "torch._utils",
                "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_numpy"
                | "_rebuild_device_tensor_from_cpu_tensor",
            )
            | ("torch.nn.parameter", "Parameter" | "Buffer")
                if self.is_tensor(first) =>
            {
                return Ok(Some(first));
            }
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => self.tensor(args, None),
            ("torch._utils", "_rebuild_tensor_v3") => {
                let dtype = args.get(6).and_then(|dtype| self.global(*dtype));
                self.tensor(args, dtype.and_then(|dtype| element(&dtype)))
            }
            ("torch._tensor", "_rebuild_from_type_v2" | "_rebuild_from_type")
            | ("torch.tensor", "_rebuild_from_type") => {
                let inner = args.get(2).copied().unwrap_or(Value::None);
                return Ok(Some(self.made(first, inner, depth + 1)?));
            }
            ("torch._utils", name) if name.starts_with("_rebuild_") => self.unread(name, args),
            ("torch.storage", "_load_from_bytes") => self.within(first)?,
            // A graph is written as the dict of its module beside its code.
            ("torch.fx.graph_module", name) if name.starts_with("reduce_") => {
                let mut args = args.iter();
                let fields = args.find(|value| matches!(self.node(**value), Some(Node::Dict(_))));
                let mut object = Box::new(opaque("torch.fx.GraphModule".into()));
                object.state = fields.copied().unwrap_or(Value::None);
                Some(Node::Object(object))
            }
            // A compiled module is made of the one that it wraps.
            ("torch._dynamo.eval_frame", "OptimizedModule") => match self.node(first) {
                Some(Node::Object(wrapped))
                    if wrapped.dict.is_empty() && wrapped.list.is_empty() =>
                {
                    Some(Node::Object(wrapped.clone()))
                }
                _ => None,
            },
            ("copy_reg" | "copyreg", "_reconstructor") => {
                let class = self.global(first).unwrap_or_else(|| "object".into());
                let mut object = Box::new(opaque(class));
                if let Some(Node::Dict(entries)) = args.get(2).and_then(|at| self.node(*at)) {
                    object.dict.clone_from(entries);
                    self.charge(32 * object.dict.len() as u64)?;
                }
                Some(Node::Object(object))
            }
            _ if module.starts_with("numpy") => return self.of_numpy(name, args),
            _ => None,
        };
        node.map(|node| self.add(node)).transpose()
    }

    fn of_numpy(&mut self, name: &str, args: &[Value]) -> Result<Option<Value>, PickleError> {
        let first = args.first().copied().unwrap_or(Value::None);
        let argument = |index: usize| args.get(index).copied().unwrap_or(Value::None);
        let node = match name {
            "dtype" => {
                let name = self.string_of(first).unwrap_or_default();
                {
                    let is_big = name.starts_with('>');
                    Some(Node::NumpyType(Box::new(numpy_element(&name)), is_big))
                }
            }
            "_reconstruct" => Some(Node::Array(Box::new(ArrayRef {
                element: numpy_element(""),
                shape: vec![0],
                fortran: false,
                big_endian: false,
                data: Blob::Short(Arc::from([])),
            }))),
            "_frombuffer" => self.array(
                argument(2),
                argument(1),
                self.string_of(argument(3)).as_deref() == Some("F"),
                first,
            ),
            "scalar" => return Ok(self.scalar(first, argument(1))),
            _ => None,
        };
        node.map(|node| self.add(node)).transpose()
    }

    /// Sets the state of an object; that of known values says nothing more about them.
    pub(super) fn build(&mut self, object: Value, state: Value) {
        let parts = match self.node(state) {
            Some(Node::Tuple(parts)) if parts.len() <= STATE => parts.clone(),
            _ => Vec::new(),
        };
        let replaced = match (self.node(object), parts.as_slice()) {
            (Some(Node::Array(_)), [_, shape, dtype, Value::Bool(fortran), data]) => {
                self.array(*shape, *dtype, *fortran, *data)
            }
            (Some(Node::NumpyType(element, _)), [_, order, ..]) => {
                let big = self.string_of(*order).is_some_and(|order| order == ">");
                Some(Node::NumpyType(element.clone(), big))
            }
            _ => None,
        };
        let Value::Node(index) = object else {
            return;
        };
        match (self.nodes.get_mut(index as usize), replaced) {
            (Some(node), Some(replaced)) => *node = replaced,
            (Some(Node::Object(object)), None) => object.state = state,
            _ => {}
        }
    }

    /// Returns the object of a persistent id: a storage, a class whose source was saved beside it, or a value
    /// that lies outside.
    pub(super) fn persistent(&self, id: Value) -> Node {
        let parts = match self.node(id) {
            Some(Node::Tuple(parts)) => parts.as_slice(),
            Some(Node::Text(_)) => return Node::Outside,
            _ => &[],
        };
        let kind = parts.first().and_then(|kind| self.string_of(*kind));
        match (kind.as_deref(), parts) {
            (Some("storage"), [_, class, key, _, Value::Int(numel), rest @ ..]) => {
                let class = self.global(*class);
                let view = rest.first().and_then(|view| self.node(*view));
                let from = match view {
                    Some(Node::Tuple(view)) => match view.as_slice() {
                        [_, Value::Int(from), ..] => u64::try_from(*from).unwrap_or(u64::MAX),
                        _ => 0,
                    },
                    _ => 0,
                };
                Node::Storage(Box::new(StorageRef {
                    key: self.string_of(*key).unwrap_or_default().into(),
                    element: class.and_then(|class| element(&class)),
                    numel: u64::try_from(*numel).unwrap_or_default(),
                    from,
                    within: None,
                }))
            }
            (Some("module"), [_, class, ..]) => {
                Node::Global(self.global(*class).unwrap_or_else(|| "object".into()))
            }
            _ => match id {
                Value::Int(_) => Node::Outside,
                _ => Node::Object(Box::new(opaque("persistent id".into()))),
            },
        }
    }

    /// Returns `(storage, offset, size, stride, …)`.
    fn tensor(&self, args: &[Value], dtype: Option<Element>) -> Option<Node> {
        let [Value::Node(storage), Value::Int(offset), size, stride, ..] = *args else {
            return None;
        };
        let known = match self.nodes.get(storage as usize)? {
            Node::Storage(storage) => storage.element.clone(),
            Node::Object(_) | Node::Outside => None,
            _ => return None,
        };
        let (shape, strides) = (self.extents(size)?, self.extents(stride)?);
        if shape.len() != strides.len() {
            return None;
        }
        Some(Node::Tensor(Box::new(TensorRef {
            storage,
            element: dtype.or(known).unwrap_or_else(|| unknown("untyped", 1)),
            offset: u64::try_from(offset).ok()?,
            shape,
            strides,
        })))
    }

    /// Returns a tensor in a form that is not read, with its shape, so that its numbers can be reported as left out.
    fn unread(&self, function: &str, args: &[Value]) -> Option<Node> {
        let argument = |index: usize| args.get(index).copied().unwrap_or(Value::None);
        let (kind, shape) = match function {
            "_rebuild_sparse_tensor" => match self.node(argument(1)) {
                Some(Node::Tuple(data)) => ("sparse", self.extents(*data.get(2)?)?),
                _ => return None,
            },
            "_rebuild_meta_tensor_no_storage" => ("meta", self.extents(argument(1))?),
            "_rebuild_nested_tensor" => match self.node(argument(0)) {
                Some(Node::Tensor(buffer)) => ("nested", buffer.shape.clone()),
                _ => return None,
            },
            _ => return None,
        };
        Some(Node::Array(Box::new(ArrayRef {
            element: unknown(kind, 0),
            shape,
            fortran: false,
            big_endian: false,
            data: Blob::Short(Arc::from([])),
        })))
    }

    fn within(&mut self, bytes: Value) -> Result<Option<Node>, PickleError> {
        let within = match self.node(bytes) {
            Some(Node::Bytes(Blob::Long(source))) => source.clone(),
            Some(Node::Bytes(Blob::Short(bytes))) => Source::Memory(Arc::clone(bytes)),
            Some(Node::Bytes(Blob::Latin(text))) => {
                let (text, len) = (text.clone(), text.len());
                self.charge(len)?;
                Storage::packed(text, Packing::Latin, len).whole(len)?
            }
            _ => return Ok(None),
        };
        Ok(Some(Node::Storage(Box::new(StorageRef {
            key: "".into(),
            element: None,
            numel: 0,
            from: 0,
            within: Some(within),
        }))))
    }

    fn array(&self, shape: Value, dtype: Value, fortran: bool, data: Value) -> Option<Node> {
        let (element, big_endian) = match self.node(dtype)? {
            Node::NumpyType(element, big) => (Element::clone(element), *big),
            _ => return None,
        };
        let data = match self.node(data)? {
            Node::Bytes(blob) => blob.clone(),
            // Bytes of Python 2 that happen to be a text.
            Node::Text(text) => Blob::Short(Arc::from(Arc::clone(text))),
            _ => return None,
        };
        Some(Node::Array(Box::new(ArrayRef {
            element,
            shape: self.extents(shape)?,
            fortran,
            big_endian,
            data,
        })))
    }

    /// Returns a number of numpy's own types.
    fn scalar(&self, dtype: Value, data: Value) -> Option<Value> {
        let Node::NumpyType(element, false) = self.node(dtype)? else {
            return None;
        };
        match self.node(data)? {
            Node::Bytes(Blob::Short(bytes)) => number(&element.name, bytes),
            Node::Text(text) => number(&element.name, text.as_bytes()),
            _ => None,
        }
    }

    fn extents(&self, value: Value) -> Option<Vec<usize>> {
        let (Node::Tuple(values) | Node::List(values)) = self.node(value)? else {
            return None;
        };
        let extent = |value: &Value| match value {
            Value::Int(extent) => usize::try_from(*extent).ok(),
            _ => None,
        };
        (values.len() <= EXTENTS)
            .then(|| values.iter().map(extent).collect())
            .flatten()
    }

    fn dict(&mut self, from: Value) -> Result<Node, PickleError> {
        let entries = match self.node(from) {
            Some(Node::Dict(entries)) => entries.clone(),
            Some(Node::List(pairs)) => {
                let pair = |pair: &Value| match self.node(*pair)? {
                    Node::List(pair) | Node::Tuple(pair) => Some((*pair.first()?, *pair.get(1)?)),
                    _ => None,
                };
                pairs.iter().filter_map(pair).collect()
            }
            _ => Vec::new(),
        };
        self.charge(32 * entries.len() as u64)?;
        Ok(Node::Dict(entries))
    }

    fn elements(&mut self, from: Value) -> Result<Vec<Value>, PickleError> {
        let values = match self.node(from) {
            Some(Node::List(values) | Node::Tuple(values)) => values.clone(),
            _ => Vec::new(),
        };
        self.charge(16 * values.len() as u64)?;
        Ok(values)
    }

    /// Returns the bytes that Python 3 wrote as text for protocol 2.
    fn encoded(&mut self, from: Value) -> Result<Option<Node>, PickleError> {
        let bytes: Arc<[u8]> = match self.node(from) {
            Some(Node::Text(text)) => text.chars().map(|c| c as u32 as u8).collect(),
            Some(Node::LongText(text)) => return Ok(Some(Node::Bytes(Blob::Latin(text.clone())))),
            Some(Node::Bytes(blob)) => return Ok(Some(Node::Bytes(blob.clone()))),
            _ => Arc::from([]),
        };
        self.charge(bytes.len() as u64)?;
        Ok(Some(Node::Bytes(Blob::Short(bytes))))
    }

    fn is_tensor(&self, value: Value) -> bool {
        matches!(self.node(value), Some(Node::Tensor(_) | Node::Array(_)))
    }

    fn global(&self, value: Value) -> Option<Arc<str>> {
        match self.node(value)? {
            Node::Global(name) => Some(Arc::clone(name)),
            _ => None,
        }
    }

    /// Returns a key or a short name; longer texts are neither, and would be copied at each mention.
    fn string_of(&self, value: Value) -> Option<String> {
        match (value, self.node(value)) {
            (_, Some(Node::Text(text))) if text.len() <= NAME => Some(text.to_string()),
            (_, Some(Node::Bytes(Blob::Short(bytes)))) if bytes.len() <= NAME => {
                std::str::from_utf8(bytes).ok().map(str::to_owned)
            }
            (Value::Int(key), _) => Some(key.to_string()),
            _ => None,
        }
    }
}

fn unknown(name: &str, size: usize) -> Element {
    Element {
        name: name.into(),
        size,
    }
}

/// Returns the element type of a storage class or a dtype of torch; `None` if it has none of its own.
pub(in crate::run::format) fn element(class: &str) -> Option<Element> {
    let name = class.rsplit('.').next().unwrap_or(class);
    let (name, size) = match name {
        "DoubleStorage" | "float64" | "double" => ("F64", 8),
        "FloatStorage" | "float32" | "float" => ("F32", 4),
        "HalfStorage" | "float16" | "half" => ("F16", 2),
        "BFloat16Storage" | "bfloat16" => ("BF16", 2),
        "LongStorage" | "int64" | "long" => ("I64", 8),
        "IntStorage" | "int32" | "int" => ("I32", 4),
        "ShortStorage" | "int16" | "short" => ("I16", 2),
        "CharStorage" | "int8" => ("I8", 1),
        "ByteStorage" | "uint8" => ("U8", 1),
        "BoolStorage" | "bool" => ("BOOL", 1),
        "uint16" => ("U16", 2),
        "uint32" => ("U32", 4),
        "uint64" => ("U64", 8),
        "ComplexFloatStorage" | "complex64" => ("complex64", 8),
        "ComplexDoubleStorage" | "complex128" => ("complex128", 16),
        "float8_e4m3fn" | "Float8_e4m3fnStorage" => ("F8_E4M3", 1),
        "float8_e5m2" | "Float8_e5m2Storage" => ("F8_E5M2", 1),
        "float8_e4m3fnuz" => ("F8_E4M3FNUZ", 1),
        "float8_e5m2fnuz" => ("F8_E5M2FNUZ", 1),
        "QInt8Storage" | "qint8" => ("qint8", 1),
        "QUInt8Storage" | "quint8" => ("quint8", 1),
        "QInt32Storage" | "qint32" => ("qint32", 4),
        _ => return None,
    };
    Some(unknown(name, size))
}

/// Returns the element type by numpy's short name, e.g. `f4` or `<i8`.
fn numpy_element(name: &str) -> Element {
    match name.trim_start_matches(['<', '>', '=', '|']) {
        "f8" => unknown("F64", 8),
        "f4" => unknown("F32", 4),
        "f2" => unknown("F16", 2),
        "i8" => unknown("I64", 8),
        "i4" => unknown("I32", 4),
        "i2" => unknown("I16", 2),
        "i1" => unknown("I8", 1),
        "u8" => unknown("U64", 8),
        "u4" => unknown("U32", 4),
        "u2" => unknown("U16", 2),
        "u1" => unknown("U8", 1),
        "b1" => unknown("BOOL", 1),
        other => unknown(other, 1),
    }
}

/// Returns one number of little-endian bytes.
pub(in crate::run::format) fn number(name: &str, bytes: &[u8]) -> Option<Value> {
    Some(match name {
        "F64" => Value::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        "F32" => Value::Float(f64::from(f32::from_le_bytes(bytes.try_into().ok()?))),
        "I64" => Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        "I32" => Value::Int(i64::from(i32::from_le_bytes(bytes.try_into().ok()?))),
        "I16" => Value::Int(i64::from(i16::from_le_bytes(bytes.try_into().ok()?))),
        "I8" => Value::Int(i64::from(i8::from_le_bytes(bytes.try_into().ok()?))),
        "U8" => Value::Int(i64::from(u8::from_le_bytes(bytes.try_into().ok()?))),
        "BOOL" => Value::Bool(u8::from_le_bytes(bytes.try_into().ok()?) != 0),
        _ => return None,
    })
}
