//! The values of a pickle that describes tensors.
//!
//! Values are small and [`Copy`]; what they consist of is in the [`Heap`]. So there is no depth to
//! which they could be nested that would matter to the stack of this process, and a value that is
//! used many times takes no more memory.

use safetensors::Dtype;

/// What the machine computes with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'p> {
    None,
    Bool(bool),
    Int(i64),
    Text(&'p str),
    Global(Global),
    /// The first of the items in [`Heap::items`], and their number.
    Tuple(usize, usize),
    /// A place in [`Heap::lists`].
    List(usize),
    /// A place in [`Heap::dicts`].
    Dict(usize),
    /// A place in [`Heap::storages`].
    Storage(usize),
    /// A place in [`Heap::views`].
    Tensor(usize),
}

/// The functions and classes that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Global {
    /// `collections.OrderedDict`, which is made empty.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`: a view of a storage.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`: the tensor that it is called with.
    RebuildParameter,
    /// `torch.FloatStorage` and its siblings, which only name a type.
    Storage(Dtype),
}

impl Global {
    /// The global `name` of the Python module `module`, if a dictionary of tensors may need it.
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "DoubleStorage") => Self::Storage(Dtype::F64),
            ("torch", "FloatStorage") => Self::Storage(Dtype::F32),
            ("torch", "HalfStorage") => Self::Storage(Dtype::F16),
            ("torch", "BFloat16Storage") => Self::Storage(Dtype::BF16),
            ("torch", "LongStorage") => Self::Storage(Dtype::I64),
            ("torch", "IntStorage") => Self::Storage(Dtype::I32),
            ("torch", "ShortStorage") => Self::Storage(Dtype::I16),
            ("torch", "CharStorage") => Self::Storage(Dtype::I8),
            ("torch", "ByteStorage") => Self::Storage(Dtype::U8),
            ("torch", "BoolStorage") => Self::Storage(Dtype::BOOL),
            _ => return None,
        };
        Some(global)
    }
}

/// A storage: values in a row, which are not in the pickle but elsewhere in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Storage<'p> {
    pub(crate) dtype: Dtype,
    /// Its name in the file.
    pub(crate) key: &'p str,
    /// The number of its values.
    pub(crate) length: usize,
}

/// A tensor, as a view of a storage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct View<'p> {
    pub(crate) storage: Storage<'p>,
    /// Its first value in the storage.
    pub(crate) offset: usize,
    pub(crate) shape: Vec<usize>,
    /// The distance between neighbors, in values, for each dimension.
    pub(crate) strides: Vec<usize>,
}

/// What values consist of.
#[derive(Debug, Default)]
pub(crate) struct Heap<'p> {
    pub(crate) items: Vec<Value<'p>>,
    pub(crate) lists: Vec<Vec<Value<'p>>>,
    pub(crate) dicts: Vec<Vec<(Value<'p>, Value<'p>)>>,
    pub(crate) storages: Vec<Storage<'p>>,
    pub(crate) views: Vec<View<'p>>,
}

impl<'p> Heap<'p> {
    /// The items of a tuple.
    pub(crate) fn tuple(&self, value: Value) -> Option<&[Value<'p>]> {
        match value {
            Value::Tuple(first, count) => Some(&self.items[first..first + count]),
            _ => None,
        }
    }

    /// The sizes in a tuple. No tensor of PyTorch has more than 64 dimensions.
    pub(crate) fn sizes(&self, value: Value) -> Option<Vec<usize>> {
        let size = |item: &Value| match item {
            Value::Int(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        self.tuple(value).filter(|items| items.len() <= 64)?.iter().map(size).collect()
    }
}
