//! Python pickles, as far as `torch.save` needs them for a dictionary of tensors.
//!
//! A pickle is a program for a stack machine. The machine here knows the opcodes that occur in such
//! files and the few globals that they name, none of which does more than to describe a tensor.
//! Anything else is an error that names it. Nothing is imported or called: a global is a value of
//! [`Global`], and a call of it makes another [`Value`].
//!
//! Together, the limits below bound the memory that a hostile pickle may take to some fifty
//! mebibytes.
//!
//! Source: CPython's `pickletools`, PyTorch's `torch/_weights_only_unpickler.py`.

use std::collections::HashMap;

use crate::directory::weights::heap::{Global, Heap, Storage, Value, View};

/// The longest pickle that is read in bytes, enough for some ten thousand tensors.
pub(crate) const MAX_PICKLE: u64 = 2 << 20;
/// The most opcodes; a tensor takes about thirty.
const MAX_STEPS: usize = 1 << 19;
/// The most values on the stack. Python's pickler puts at most two thousand there.
const MAX_STACK: usize = 1 << 14;

/// The machine, on bytes that begin with one pickle or several in a row.
pub(crate) struct Machine<'p> {
    bytes: &'p [u8],
    position: usize,
    steps: usize,
    stack: Vec<Value<'p>>,
    /// How much was on the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'p>>,
    pub(crate) heap: Heap<'p>,
}

/// An error is what was found instead of a dictionary of tensors.
type Found<T> = Result<T, String>;

impl<'p> Machine<'p> {
    pub(crate) fn new(bytes: &'p [u8]) -> Self {
        let heap = Heap::default();
        Self { bytes, position: 0, steps: 0, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), heap }
    }

    /// Where the next pickle begins.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Runs the next pickle and returns its value.
    ///
    /// # Errors
    /// What was found that no dictionary of tensors needs, or that makes no sense.
    pub(crate) fn run(&mut self) -> Found<Value<'p>> {
        self.stack.clear();
        self.marks.clear();
        self.memo.clear();
        loop {
            let at = self.position;
            self.steps += 1;
            let [opcode] = self.array()?;
            let result = match opcode {
                b'.' => return self.pop(),
                _ => self.step(opcode),
            };
            result.map_err(|found| format!("{found} (at byte {at} of the pickle)"))?;
            if self.steps > MAX_STEPS || self.stack.len() > MAX_STACK || self.marks.len() > MAX_STACK {
                return Err("a pickle of more values than any model has tensors".to_owned());
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Found<()> {
        match opcode {
            b'\x80' => match self.array()? {
                [2] => Ok(()),
                [version] => Err(format!("a pickle of protocol {version} (torch.save's own is 2)")),
            },
            b'N' => self.push(Value::None),
            b'\x88' => self.push(Value::Bool(true)),
            b'\x89' => self.push(Value::Bool(false)),
            b'K' => self.int::<1>(|bytes| bytes[0].into()),
            b'M' => self.int(|bytes| u16::from_le_bytes(bytes).into()),
            b'J' => self.int(|bytes| i32::from_le_bytes(bytes).into()),
            b'\x8a' => self.long(),
            b'X' => self.text(),
            b')' => self.push(Value::Tuple(0, 0)),
            b'\x85'..=b'\x87' => self.tuple_of((opcode - 0x84).into()),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b't' => {
                let count = self.stack.len() - self.mark()?;
                self.tuple_of(count)
            }
            b']' => {
                self.heap.lists.push(Vec::new());
                self.push(Value::List(self.heap.lists.len() - 1))
            }
            b'}' => self.dict(),
            b'a' => self.append(1),
            b'e' => {
                let count = self.stack.len() - self.mark()?;
                self.append(count)
            }
            b's' => self.set_items(2),
            b'u' => {
                let count = self.stack.len() - self.mark()?;
                self.set_items(count)
            }
            b'q' => self.remember::<1>(|bytes| bytes[0].into()),
            b'r' => self.remember(u32::from_le_bytes),
            b'h' => self.recall::<1>(|bytes| bytes[0].into()),
            b'j' => self.recall(u32::from_le_bytes),
            b'c' => self.global(),
            b'Q' => self.storage(),
            b'R' => self.call(),
            b'b' => self.set_state(),
            other => Err(format!("the opcode {}, which no dictionary of tensors needs", opcode_name(other))),
        }
    }

    fn take(&mut self, count: usize) -> Found<&'p [u8]> {
        let end = self.position.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| "a pickle that does not end".to_owned())?;
        let taken = &self.bytes[self.position..end];
        self.position = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Found<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn push(&mut self, value: Value<'p>) -> Found<()> {
        self.stack.push(value);
        Ok(())
    }

    /// The last value on the stack, unless a mark is in front of it.
    fn pop(&mut self) -> Found<Value<'p>> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let value = if self.stack.len() > bottom { self.stack.pop() } else { None };
        value.ok_or_else(|| "a value that is missing from the stack".to_owned())
    }

    /// The last value on the stack, which stays there.
    fn last(&mut self) -> Found<Value<'p>> {
        let value = self.pop()?;
        self.stack.push(value);
        Ok(value)
    }

    /// Removes the last mark, and returns how much was on the stack there.
    fn mark(&mut self) -> Found<usize> {
        self.marks.pop().ok_or_else(|| "a mark that is missing from the stack".to_owned())
    }

    /// Removes the last `count` values from the stack.
    fn pop_many(&mut self, count: usize) -> Found<Vec<Value<'p>>> {
        let bottom = self.marks.last().copied().unwrap_or(0);
        let first = self.stack.len().checked_sub(count).filter(|first| *first >= bottom);
        let first = first.ok_or_else(|| "a value that is missing from the stack".to_owned())?;
        Ok(self.stack.split_off(first))
    }

    fn int<const N: usize>(&mut self, decode: impl Fn([u8; N]) -> i64) -> Found<()> {
        let bytes = self.array()?;
        self.push(Value::Int(decode(bytes)))
    }

    /// An integer of any length; those of more than eight bytes do not occur.
    fn long(&mut self) -> Found<()> {
        let [length] = self.array()?;
        let digits = self.take(length.into())?;
        if digits.len() > 8 {
            return Err(format!("an integer of {length} bytes"));
        }
        let fill = if digits.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
        let mut bytes = [fill; 8];
        bytes[..digits.len()].copy_from_slice(digits);
        self.push(Value::Int(i64::from_le_bytes(bytes)))
    }

    fn text(&mut self) -> Found<()> {
        let length = u32::from_le_bytes(self.array()?);
        let text = std::str::from_utf8(self.take(length as usize)?).map_err(|_| "text that is not UTF-8")?;
        self.push(Value::Text(text))
    }

    fn tuple_of(&mut self, count: usize) -> Found<()> {
        let items = self.pop_many(count)?;
        let first = self.heap.items.len();
        self.heap.items.extend(items);
        self.push(Value::Tuple(first, count))
    }

    fn dict(&mut self) -> Found<()> {
        self.heap.dicts.push(Vec::new());
        self.push(Value::Dict(self.heap.dicts.len() - 1))
    }

    fn append(&mut self, count: usize) -> Found<()> {
        let items = self.pop_many(count)?;
        let Value::List(list) = self.last()? else {
            return Err("an append to what is not a list".to_owned());
        };
        self.heap.lists[list].extend(items);
        Ok(())
    }

    fn set_items(&mut self, count: usize) -> Found<()> {
        let items = self.pop_many(count)?;
        let (pairs, []) = items.as_chunks() else {
            return Err("a key without a value".to_owned());
        };
        let Value::Dict(dict) = self.last()? else {
            return Err("an item for what is not a dictionary".to_owned());
        };
        self.heap.dicts[dict].extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn remember<const N: usize>(&mut self, decode: impl Fn([u8; N]) -> u32) -> Found<()> {
        let place = decode(self.array()?);
        let value = self.pop()?;
        self.memo.insert(place, value);
        self.push(value)
    }

    fn recall<const N: usize>(&mut self, decode: impl Fn([u8; N]) -> u32) -> Found<()> {
        let place = decode(self.array()?);
        let value = self.memo.get(&place).copied();
        self.push(value.ok_or_else(|| format!("a use of memo {place}, which is empty"))?)
    }

    fn line(&mut self) -> Found<&'p str> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        let line = self.take(length.unwrap_or(rest.len()) + 1)?;
        std::str::from_utf8(&line[..line.len() - 1]).map_err(|_| "a name that is not UTF-8".to_owned())
    }

    fn global(&mut self) -> Found<()> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::find(module, name);
        let unknown = || format!("the global {module}.{name}, which no dictionary of tensors needs");
        self.push(Value::Global(global.ok_or_else(unknown)?))
    }

    /// `BINPERSID`: the reference to a storage. The tuple in front of it is `('storage', type, key,
    /// location, length)`; older files have a further `None`.
    fn storage(&mut self) -> Found<()> {
        let id = self.pop()?;
        let fields = self.heap.tuple(id).map(|fields| fields.strip_suffix(&[Value::None]).unwrap_or(fields));
        let storage = match fields {
            Some(
                [
                    Value::Text("storage"),
                    Value::Global(Global::Storage(dtype)),
                    Value::Text(key),
                    Value::Text(_),
                    Value::Int(length),
                ],
            ) => usize::try_from(*length).ok().map(|length| Storage { dtype: *dtype, key, length }),
            _ => None,
        };
        self.heap.storages.push(storage.ok_or("a persistent id that is not of a storage")?);
        self.push(Value::Storage(self.heap.storages.len() - 1))
    }

    fn call(&mut self) -> Found<()> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        match (callable, self.heap.tuple(arguments)) {
            (Value::Global(Global::OrderedDict), Some([])) => self.dict(),
            (
                Value::Global(Global::RebuildTensor),
                Some(&[Value::Storage(storage), Value::Int(offset), shape, strides, Value::Bool(_), Value::Dict(_)]),
            ) => {
                let view = View {
                    storage: self.heap.storages[storage],
                    offset: usize::try_from(offset).map_err(|_| "a tensor with a negative offset")?,
                    shape: self.heap.sizes(shape).ok_or("a tensor without a shape")?,
                    strides: self.heap.sizes(strides).ok_or("a tensor without strides")?,
                };
                // Sizes take memory, too, and so count as steps.
                self.steps += 4 + view.shape.len() + view.strides.len();
                self.heap.views.push(view);
                self.push(Value::Tensor(self.heap.views.len() - 1))
            }
            (
                Value::Global(Global::RebuildParameter),
                Some(&[tensor @ Value::Tensor(_), Value::Bool(_), Value::Dict(_)]),
            ) => self.push(tensor),
            (Value::Global(global), _) => Err(format!("a call of {global:?} with arguments that it does not have")),
            _ => Err("a call of what is not a function".to_owned()),
        }
    }

    /// `BUILD`: attributes of a dictionary (`_metadata`), which say nothing of tensors.
    fn set_state(&mut self) -> Found<()> {
        match (self.pop()?, self.last()?) {
            (Value::Dict(_), Value::Dict(_)) => Ok(()),
            _ => Err("attributes (BUILD) of what is not a dictionary".to_owned()),
        }
    }
}

/// Python's name of an opcode that is not read here.
fn opcode_name(opcode: u8) -> String {
    // Opcodes and names in turn.
    const NAMES: &str = "0 POP 1 POP_MARK 2 DUP F FLOAT I INT L LONG P PERSID S STRING T BINSTRING U SHORT_BINSTRING \
        V UNICODE d DICT l LIST g GET i INST o OBJ p PUT G BINFLOAT B BINBYTES C SHORT_BINBYTES";
    const FROM_81: [&str; 24] = [
        "NEWOBJ",
        "EXT1",
        "EXT2",
        "EXT4",
        "",
        "",
        "",
        "",
        "",
        "",
        "LONG4",
        "SHORT_BINUNICODE",
        "BINUNICODE8",
        "BINBYTES8",
        "EMPTY_SET",
        "ADDITEMS",
        "FROZENSET",
        "NEWOBJ_EX",
        "STACK_GLOBAL",
        "MEMOIZE",
        "FRAME",
        "BYTEARRAY8",
        "NEXT_BUFFER",
        "READONLY_BUFFER",
    ];
    let mut words = NAMES.split_whitespace();
    let named = std::iter::from_fn(|| Some((words.next()?, words.next()?)));
    let from_81 = opcode.checked_sub(0x81).and_then(|i| FROM_81.get(usize::from(i)).copied());
    let name = named.into_iter().find(|(code, _)| code.as_bytes() == [opcode]).map(|(_, name)| name).or(from_81);
    name.filter(|name| !name.is_empty()).map_or(format!("{opcode:#04x}"), str::to_owned)
}

#[cfg(test)]
#[path = "tests/pickle.rs"]
mod tests;
