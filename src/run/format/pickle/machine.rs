//! The stack machine of pickles, protocols 0 to 5.

use std::io;
use std::sync::Arc;

use super::super::source::Source;
use super::input::Input;
use super::memo::Memo;
use super::value::{ArrayRef, Blob, Element, Node, Opaque, StorageRef, TensorRef, Value};
use super::{Pickle, escapes};

/// Bytes that the values of one pickle may take. Names and shapes of a hundred thousand tensors take a
/// tenth of it.
const BUDGET: u64 = 512 << 20;
/// `torch.save`'s own mark, the first pickle of a file of old, little-endian and in decimal digits.
const MAGIC: &[u8] = b"\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
const MAGIC_DIGITS: &str = "119547037146038801333356";
/// Bytes of a node, in a list that may be twice as long as it is full, and of the room for one thing beside it.
const NODE: u64 = 2 * size_of::<Node>() as u64 + 16;
/// Values on the stack.
const DEEPEST: usize = 8 << 20;
/// Bytes and texts longer than this stay in the file: none of them is a name.
const LONG: u64 = 4 << 10;
/// Characters of a line in protocol 0.
const LINE: usize = 64 << 20;

/// Reasons why a pickle cannot be interpreted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PickleError {
    /// Its bytes cannot be had, or end before it does.
    #[error("its pickle cannot be read: {0}")]
    Io(#[from] io::Error),
    /// An instruction that there is not, or one that finds nothing to work on.
    #[error("its pickle is damaged at byte {0}")]
    Damaged(u64),
    /// More than any checkpoint needs.
    #[error("its pickle asks for more than {} MB of memory", BUDGET >> 20)]
    Budget,
}

/// The state of the machine.
#[derive(Debug)]
pub(crate) struct Machine {
    input: Input,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: Memo,
    pub(super) nodes: Vec<Node>,
    spent: u64,
}

impl Machine {
    /// Returns a machine before the first instruction.
    pub(crate) fn new(source: &Source, at: u64) -> Self {
        Self {
            input: Input::new(source, at),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            nodes: Vec::new(),
            spent: 0,
        }
    }

    /// Follows the instructions to the end.
    ///
    /// # Errors
    /// As [`Pickle::read`].
    pub(crate) fn run(mut self) -> Result<Pickle, PickleError> {
        loop {
            let instruction = self.input.byte()?;
            if instruction == b'.' {
                let root = self.pop()?;
                return Ok(Pickle {
                    root,
                    end: self.input.position(),
                    nodes: self.nodes,
                });
            }
            self.step(instruction)?;
            if self.stack.len() > DEEPEST || self.marks.len() > DEEPEST {
                return Err(PickleError::Budget);
            }
        }
    }

    fn step(&mut self, instruction: u8) -> Result<(), PickleError> {
        match instruction {
            0x80 => self.input.byte().map(drop)?,
            0x95 => self.input.array::<8>().map(drop)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.discard()?,
            b'1' => self.above_mark().map(drop)?,
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
            }
            b'p' | b'q' | b'r' | 0x94 | b'g' | b'h' | b'j' => self.memory(instruction)?,
            b'N' | 0x88 | 0x89 | b'F' | b'G' | b'I' | b'J' | b'K' | b'L' | b'M' | 0x8a | 0x8b => {
                let value = self.number(instruction)?;
                self.stack.push(value);
            }
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d | b'B' | b'C' | 0x8e | 0x96 => {
                let node = self.string(instruction)?;
                self.push(node)?;
            }
            b'c' | 0x93 | b'i' | b'o' | b'R' | 0x81 | 0x92 | b'b' | 0x82..=0x84 => {
                self.object(instruction)?;
            }
            b'P' => {
                self.input.line(LINE)?;
                self.push(Node::Outside)?;
            }
            b'Q' => {
                let id = self.pop()?;
                let node = self.persistent(id);
                self.push(node)?;
            }
            0x97 => self.push(Node::Object(Box::new(opaque("pickle.PickleBuffer".into()))))?,
            0x98 => {}
            _ => self.container(instruction)?,
        }
        Ok(())
    }

    /// Runs `PUT`, `GET` and their kin.
    fn memory(&mut self, instruction: u8) -> Result<(), PickleError> {
        let index = match instruction {
            b'p' | b'g' => self.parsed()?,
            b'q' | b'h' => u64::from(self.input.byte()?),
            b'r' | b'j' => u64::from(u32::from_le_bytes(self.input.array()?)),
            _ => self.memo.len(),
        };
        if matches!(instruction, b'g' | b'h' | b'j') {
            let value = self.memo.get(index);
            let value = value.ok_or_else(|| self.damaged())?;
            self.stack.push(value);
        } else {
            let top = self.top()?;
            self.charge(self.memo.cost(index))?;
            self.memo.put(index, top);
        }
        Ok(())
    }

    fn number(&mut self, instruction: u8) -> Result<Value, PickleError> {
        Ok(match instruction {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'G' => Value::Float(f64::from_be_bytes(self.input.array()?)),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.input.array()?))),
            b'K' => Value::Int(i64::from(self.input.byte()?)),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.input.array()?))),
            b'F' => Value::Float(self.parsed()?),
            b'I' | b'L' => {
                let line = self.input.line(LINE)?;
                match line.as_slice() {
                    b"00" if instruction == b'I' => Value::Bool(false),
                    b"01" if instruction == b'I' => Value::Bool(true),
                    _ => {
                        let digits = String::from_utf8_lossy(&line);
                        match digits.trim_end_matches('L') {
                            MAGIC_DIGITS => Value::Magic,
                            digits => digits.parse().map_or(Value::None, Value::Int),
                        }
                    }
                }
            }
            _ => {
                let len = match instruction {
                    0x8a => u64::from(self.input.byte()?),
                    _ => u64::from(u32::from_le_bytes(self.input.array()?)),
                };
                if len > LONG {
                    self.input.leave(len)?;
                    return Ok(Value::None);
                }
                whole_number(&self.input.bytes(len)?)
            }
        })
    }

    fn string(&mut self, instruction: u8) -> Result<Node, PickleError> {
        let len = match instruction {
            b'S' | b'V' => {
                let line = self.input.line(LINE)?;
                self.charge(line.len() as u64)?;
                return Ok(match instruction {
                    b'V' => Node::Text(escapes::unicode(&line).into()),
                    // Python 2 kept bytes so.
                    _ => of_bytes(escapes::bytes(&unquoted(line))),
                });
            }
            b'U' | b'C' | 0x8c => u64::from(self.input.byte()?),
            b'T' | b'B' | b'X' => u64::from(u32::from_le_bytes(self.input.array()?)),
            _ => u64::from_le_bytes(self.input.array()?),
        };
        let is_text = matches!(instruction, b'X' | 0x8c | 0x8d);
        if len > LONG {
            // A part of memory is a copy.
            if self.input.is_memory() {
                self.charge(len)?;
            }
            let part = self.input.leave(len)?;
            return Ok(if is_text {
                Node::LongText(part)
            } else {
                Node::Bytes(Blob::Long(part))
            });
        }
        self.charge(len)?;
        let bytes = self.input.bytes(len)?;
        Ok(match instruction {
            _ if is_text => Node::Text(text(bytes)),
            b'U' | b'T' => of_bytes(bytes),
            _ => Node::Bytes(Blob::Short(bytes.into())),
        })
    }

    fn object(&mut self, instruction: u8) -> Result<(), PickleError> {
        match instruction {
            b'c' => {
                let name = self.class_by_lines()?;
                self.push(Node::Global(name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let name: Arc<str> = match (self.node(module), self.node(name)) {
                    (Some(Node::Text(module)), Some(Node::Text(name))) => {
                        format!("{module}.{name}").into()
                    }
                    _ => return Err(self.damaged()),
                };
                self.charge(name.len() as u64)?;
                self.push(Node::Global(name))
            }
            0x82..=0x84 => {
                let len = [1, 2, 4][usize::from(instruction - 0x82)];
                self.input.bytes(len)?;
                self.push(Node::Global("copyreg.extension".into()))
            }
            b'i' | b'o' => {
                let mut args = self.above_mark()?;
                let class = if instruction == b'i' {
                    let name = self.class_by_lines()?;
                    self.add(Node::Global(name))?
                } else if args.is_empty() {
                    return Err(self.damaged());
                } else {
                    args.remove(0)
                };
                let args = self.add(Node::Tuple(args))?;
                let made = self.made(class, args, 0)?;
                self.stack.push(made);
                Ok(())
            }
            b'b' => {
                let (state, object) = (self.pop()?, self.top()?);
                self.build(object, state);
                Ok(())
            }
            _ => {
                if instruction == 0x92 {
                    self.pop()?;
                }
                let (args, callable) = (self.pop()?, self.pop()?);
                let made = self.made(callable, args, 0)?;
                if instruction == 0x81 {
                    self.fill(made, args)?;
                }
                self.stack.push(made);
                Ok(())
            }
        }
    }

    /// Keeps the values that an unknown class was made of without a call: a named tuple is no more than these.
    fn fill(&mut self, made: Value, args: Value) -> Result<(), PickleError> {
        let values = match self.node(args) {
            Some(Node::Tuple(values)) => values.clone(),
            _ => return Ok(()),
        };
        self.charge(16 * values.len() as u64)?;
        if let Value::Node(index) = made
            && let Some(Node::Object(object)) = self.nodes.get_mut(index as usize)
        {
            object.list = values;
        }
        Ok(())
    }

    fn container(&mut self, instruction: u8) -> Result<(), PickleError> {
        match instruction {
            b']' | 0x8f => self.push(Node::List(Vec::new())),
            b')' => self.push(Node::Tuple(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            b't' | b'l' | 0x91 => {
                let values = self.above_mark()?;
                self.charge(16 * values.len() as u64)?;
                self.push(match instruction {
                    b't' => Node::Tuple(values),
                    _ => Node::List(values),
                })
            }
            0x85..=0x87 => {
                let count = usize::from(instruction - 0x84);
                let floor = self.marks.last().copied().unwrap_or_default();
                let from = self.stack.len().checked_sub(count);
                let from = from.filter(|from| *from >= floor);
                let from = from.ok_or_else(|| self.damaged())?;
                self.charge(16 * count as u64)?;
                let values = self.stack.split_off(from);
                self.push(Node::Tuple(values))
            }
            b'd' => {
                let values = self.above_mark()?;
                self.charge(32 * values.len() as u64)?;
                self.push(Node::Dict(pairs(&values)))
            }
            b'a' | b'e' | 0x90 => {
                let values = match instruction {
                    b'a' => vec![self.pop()?],
                    _ => self.above_mark()?,
                };
                self.append(&values)
            }
            b's' | b'u' => {
                let values = if instruction == b's' {
                    let (value, key) = (self.pop()?, self.pop()?);
                    vec![key, value]
                } else {
                    self.above_mark()?
                };
                self.set(&values)
            }
            _ => Err(self.damaged()),
        }
    }

    fn append(&mut self, values: &[Value]) -> Result<(), PickleError> {
        self.charge(32 * values.len() as u64)?;
        let Value::Node(index) = self.top()? else {
            return Err(self.damaged());
        };
        match self.nodes.get_mut(index as usize) {
            Some(Node::List(list)) => list.extend_from_slice(values),
            Some(Node::Object(object)) => object.list.extend_from_slice(values),
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, values: &[Value]) -> Result<(), PickleError> {
        let Value::Node(index) = self.top()? else {
            return Err(self.damaged());
        };
        let dict = match self.nodes.get_mut(index as usize) {
            Some(Node::Dict(dict)) => dict,
            Some(Node::Object(object)) => &mut object.dict,
            _ => return Ok(()),
        };
        let before = dict.capacity();
        let pairs = pairs(values);
        if dict.is_empty() {
            // Most dicts are filled at once.
            dict.reserve_exact(pairs.len());
        }
        dict.extend(pairs);
        let grown = (dict.capacity() - before) * size_of::<(Value, Value)>();
        self.charge(grown as u64)
    }

    fn class_by_lines(&mut self) -> Result<Arc<str>, PickleError> {
        let (module, name) = (self.input.line(LINE)?, self.input.line(LINE)?);
        self.charge((module.len() + name.len()) as u64)?;
        Ok(format!("{}.{}", text(module), text(name)).into())
    }

    fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, PickleError> {
        let line = self.input.line(LINE)?;
        let text = std::str::from_utf8(&line).ok();
        text.and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| self.damaged())
    }

    pub(super) fn node(&self, value: Value) -> Option<&Node> {
        match value {
            Value::Node(index) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    /// Puts a node on the list.
    pub(super) fn add(&mut self, node: Node) -> Result<Value, PickleError> {
        let parts = match &node {
            Node::Storage(storage) => size_of::<StorageRef>() + storage.key.len(),
            Node::Tensor(tensor) => size_of::<TensorRef>() + 16 * tensor.shape.len(),
            Node::Array(array) => size_of::<ArrayRef>() + 8 * array.shape.len(),
            Node::NumpyType(..) => size_of::<Element>(),
            Node::Object(_) => size_of::<Opaque>(),
            _ => 0,
        };
        self.charge(NODE + parts as u64)?;
        let index = u32::try_from(self.nodes.len()).map_err(|_| PickleError::Budget)?;
        self.nodes.push(node);
        Ok(Value::Node(index))
    }

    fn push(&mut self, node: Node) -> Result<(), PickleError> {
        let value = self.add(node)?;
        self.stack.push(value);
        Ok(())
    }

    fn top(&self) -> Result<Value, PickleError> {
        self.stack.last().copied().ok_or_else(|| self.damaged())
    }

    fn pop(&mut self) -> Result<Value, PickleError> {
        let floor = self.marks.last().copied().unwrap_or_default();
        if self.stack.len() <= floor {
            return Err(self.damaged());
        }
        self.stack.pop().ok_or_else(|| self.damaged())
    }

    /// Runs `POP`, which takes a mark where one is on top.
    fn discard(&mut self) -> Result<(), PickleError> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn above_mark(&mut self) -> Result<Vec<Value>, PickleError> {
        let mark = self.marks.pop().ok_or_else(|| self.damaged())?;
        Ok(self.stack.split_off(mark.min(self.stack.len())))
    }

    pub(super) fn damaged(&self) -> PickleError {
        PickleError::Damaged(self.input.position().saturating_sub(1))
    }

    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), PickleError> {
        self.spent = self.spent.saturating_add(bytes);
        if self.spent > BUDGET {
            return Err(PickleError::Budget);
        }
        Ok(())
    }
}

/// Returns an object of this class without a state.
pub(super) fn opaque(class: Arc<str>) -> Opaque {
    Opaque {
        class,
        state: Value::None,
        list: Vec::new(),
        dict: Vec::new(),
    }
}

fn pairs(values: &[Value]) -> Vec<(Value, Value)> {
    let (pairs, _) = values.as_chunks::<2>();
    pairs.iter().map(|[key, value]| (*key, *value)).collect()
}

fn text(bytes: Vec<u8>) -> Arc<str> {
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into(),
    }
}

/// Returns a text where the bytes are one, as those of names are.
fn of_bytes(bytes: Vec<u8>) -> Node {
    match String::from_utf8(bytes) {
        Ok(text) => Node::Text(text.into()),
        Err(error) => Node::Bytes(Blob::Short(error.into_bytes().into())),
    }
}

/// Returns the text of a line without the quotation marks of protocol 0.
fn unquoted(line: Vec<u8>) -> Vec<u8> {
    match line.as_slice() {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner.to_vec(),
        _ => line,
    }
}

/// Reads a little-endian number in two's complement; none if it does not fit.
fn whole_number(bytes: &[u8]) -> Value {
    if bytes == MAGIC {
        return Value::Magic;
    }
    if bytes.len() > 8 {
        return Value::None;
    }
    let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let mut all = [if negative { 0xff } else { 0 }; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(all))
}
