//! A graph under construction: its inputs, its nodes, and the tensors that it comes with.
//!
//! This file knows the shape of ONNX's graphs. It must not know what an encoder is.

use simcse_tensor::{Layout, Parameter, Params, Slot};

use crate::onnx::messages::{
    AttributeProto, AttributeType, Dimension, ElementType, Extent, GraphProto, NodeProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto,
};

/// Something that an input, an initializer or a node provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(usize);

/// A graph. Initializers borrow the weights, so a graph takes little memory.
pub(super) struct Graph<'a> {
    params: &'a Params,
    /// The name of every value.
    names: Vec<String>,
    inputs: Vec<Value>,
    nodes: Vec<Node>,
    initializers: Vec<Initializer<'a>>,
    /// The part of the network that the next nodes belong to.
    scope: String,
}

struct Node {
    name: String,
    operator: &'static str,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
    attributes: Vec<AttributeProto>,
}

/// A tensor that is part of the model.
pub(super) struct Initializer<'a> {
    value: Value,
    data_type: ElementType,
    dims: Vec<i64>,
    pub(super) data: Data<'a>,
}

/// The values of an initializer.
#[derive(PartialEq)]
pub(super) enum Data<'a> {
    /// A parameter's.
    Weights(&'a [f32]),
    /// Those of a parameter of so many columns, transposed.
    Transposed(&'a [f32], usize),
    /// Little-endian.
    Constant(Vec<u8>),
}

/// The name and the value of an attribute.
pub(super) enum Attribute<'a> {
    Int(&'static str, i64),
    Ints(&'static str, &'a [i64]),
    Float(&'static str, f32),
}

impl<'a> Graph<'a> {
    pub(super) fn new(params: &'a Params) -> Self {
        Self {
            params,
            names: Vec::new(),
            inputs: Vec::new(),
            nodes: Vec::new(),
            initializers: Vec::new(),
            scope: String::new(),
        }
    }

    /// Names the part of the network that the next nodes belong to.
    pub(super) fn enter(&mut self, scope: impl Into<String>) {
        self.scope = scope.into();
    }

    /// An input of integers, (batch_size, sequence_length).
    pub(super) fn input(&mut self, name: &str) -> Value {
        let value = self.name(name.to_owned());
        self.inputs.push(value);
        value
    }

    /// The table of the parameters.
    pub(super) fn layout(&self) -> &'a Layout {
        self.params.layout()
    }

    /// One parameter as it is.
    pub(super) fn weights(&mut self, slot: Slot) -> Value {
        let parameter = self.layout().within(slot).next().expect("a parameter");
        self.parameter(parameter)
    }

    /// A parameter as it is.
    pub(super) fn parameter(&mut self, parameter: &Parameter) -> Value {
        let dims = parameter.shape.iter().map(|&size| size as i64).collect();
        let data = Data::Weights(&self.params.values()[parameter.range()]);
        self.initializer(parameter.name.clone(), ElementType::Float, dims, data)
    }

    /// A matrix, transposed. It is stored that way because tools that quantize a model, or merge
    /// its nodes, look for products whose second operand is an initializer.
    pub(super) fn transposed(&mut self, parameter: &Parameter) -> Value {
        let &[rows, cols] = &parameter.shape[..] else { panic!("{}: not a matrix", parameter.name) };
        let data = Data::Transposed(&self.params.values()[parameter.range()], cols);
        let name = format!("{}.transposed", parameter.name);
        self.initializer(name, ElementType::Float, vec![cols as i64, rows as i64], data)
    }

    /// A constant vector.
    pub(super) fn ints(&mut self, values: &[i64]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(ElementType::Int64, vec![values.len() as i64], bytes)
    }

    /// A constant scalar.
    pub(super) fn int(&mut self, value: i64) -> Value {
        self.constant(ElementType::Int64, Vec::new(), value.to_le_bytes().to_vec())
    }

    /// A constant vector.
    pub(super) fn floats(&mut self, values: &[f32]) -> Value {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(ElementType::Float, vec![values.len() as i64], bytes)
    }

    /// A constant scalar.
    pub(super) fn float(&mut self, value: f32) -> Value {
        self.constant(ElementType::Float, Vec::new(), value.to_le_bytes().to_vec())
    }

    /// A constant; equal ones are one.
    fn constant(&mut self, data_type: ElementType, dims: Vec<i64>, bytes: Vec<u8>) -> Value {
        let data = Data::Constant(bytes);
        let same = |of: &&Initializer| of.data_type == data_type && of.dims == dims && of.data == data;
        if let Some(known) = self.initializers.iter().find(same) {
            return known.value;
        }
        let name = format!("constant_{}", self.initializers.len());
        self.initializer(name, data_type, dims, data)
    }

    fn initializer(&mut self, name: String, data_type: ElementType, dims: Vec<i64>, data: Data<'a>) -> Value {
        let value = self.name(name);
        self.initializers.push(Initializer { value, data_type, dims, data });
        value
    }

    /// The result of an operator.
    pub(super) fn op<const N: usize>(&mut self, operator: &'static str, inputs: [Value; N]) -> Value {
        self.op_with(operator, &inputs, &[])
    }

    /// The result of an operator with attributes.
    pub(super) fn op_with(&mut self, operator: &'static str, inputs: &[Value], attributes: &[Attribute]) -> Value {
        self.node(operator, inputs, attributes, 1)[0]
    }

    /// The same values in another type.
    pub(super) fn cast(&mut self, x: Value, to: ElementType) -> Value {
        self.op_with("Cast", &[x], &[Attribute::Int("to", i32::from(to).into())])
    }

    /// `x` with its dimensions in another order.
    pub(super) fn transpose(&mut self, x: Value, order: &[i64]) -> Value {
        self.op_with("Transpose", &[x], &[Attribute::Ints("perm", order)])
    }

    /// Tensors one after another along the last dimension.
    pub(super) fn concat<const N: usize>(&mut self, parts: [Value; N]) -> Value {
        self.op_with("Concat", &parts, &[Attribute::Int("axis", -1)])
    }

    /// The second dimension of an input, as a vector of one value: sequence_length.
    pub(super) fn length(&mut self, input: Value) -> Value {
        self.op_with("Shape", &[input], &[Attribute::Int("start", 1), Attribute::Int("end", 2)])
    }

    /// Equal parts of the last dimension.
    pub(super) fn split<const N: usize>(&mut self, x: Value) -> [Value; N] {
        let attributes = [Attribute::Int("axis", -1), Attribute::Int("num_outputs", N as i64)];
        self.node("Split", &[x], &attributes, N).try_into().expect("N parts")
    }

    fn node(
        &mut self,
        operator: &'static str,
        inputs: &[Value],
        attributes: &[Attribute],
        outputs: usize,
    ) -> Vec<Value> {
        let name = format!("{}/{operator}_{}", self.scope, self.nodes.len());
        let outputs: Vec<_> = match outputs {
            1 => vec![self.name(name.clone())],
            _ => (0..outputs).map(|output| self.name(format!("{name}:{output}"))).collect(),
        };
        let attributes = attributes.iter().map(Attribute::message).collect();
        self.nodes.push(Node { name, operator, inputs: inputs.to_vec(), outputs: outputs.clone(), attributes });
        outputs
    }

    fn name(&mut self, name: String) -> Value {
        self.names.push(name);
        Value(self.names.len() - 1)
    }

    /// The graph whose output is `value`, (batch_size, sequence_length, `width`), under another
    /// name: everything but the initializers, and these.
    pub(super) fn finish(
        mut self,
        value: Value,
        name: &str,
        width: usize,
    ) -> (GraphProto, Vec<(TensorProto, Data<'a>)>) {
        self.names[value.0] = name.to_owned();
        let names = &self.names;
        let names_of = |values: &[Value]| values.iter().map(|value| names[value.0].clone()).collect();
        let node = self.nodes.into_iter().map(|node| NodeProto {
            input: names_of(&node.inputs),
            output: names_of(&node.outputs),
            name: node.name,
            op_type: node.operator.to_owned(),
            attribute: node.attributes,
        });
        let tokens = || ["batch_size", "sequence_length"].map(|name| Extent::DimParam(name.to_owned()));
        let input = self.inputs.iter().map(|value| value_info(&names[value.0], ElementType::Int64, tokens()));
        let hidden = tokens().into_iter().chain([Extent::DimValue(width as i64)]);
        let graph = GraphProto {
            node: node.collect(),
            name: "encoder".to_owned(),
            initializer: Vec::new(),
            input: input.collect(),
            output: vec![value_info(name, ElementType::Float, hidden)],
        };
        let tensors = self.initializers.into_iter().map(|Initializer { value, data_type, dims, data }| {
            let name = names[value.0].clone();
            (TensorProto { dims, data_type: data_type.into(), name, ..TensorProto::default() }, data)
        });
        (graph, tensors.collect())
    }
}

impl Attribute<'_> {
    fn message(&self) -> AttributeProto {
        let of = |name: &str, kind: AttributeType| AttributeProto {
            name: name.to_owned(),
            r#type: kind.into(),
            ..AttributeProto::default()
        };
        match *self {
            Self::Int(name, value) => AttributeProto { i: Some(value), ..of(name, AttributeType::Int) },
            Self::Ints(name, values) => AttributeProto { ints: values.to_vec(), ..of(name, AttributeType::Ints) },
            Self::Float(name, value) => AttributeProto { f: Some(value), ..of(name, AttributeType::Float) },
        }
    }
}

fn value_info(name: &str, elements: ElementType, extents: impl IntoIterator<Item = Extent>) -> ValueInfoProto {
    let dim = extents.into_iter().map(|extent| Dimension { value: Some(extent) }).collect();
    let tensor = TensorType { elem_type: elements.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
