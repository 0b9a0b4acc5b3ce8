//! A reader of ONNX files, of what the tests look at: protobuf from scratch, so that what is written is not read by its own code.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Int(u64),
    Bytes(&'a [u8]),
    Float(f32),
}

impl<'a> Field<'a> {
    fn int(self) -> u64 {
        let Self::Int(value) = self else { panic!("{self:?} is no integer") };
        value
    }

    fn bytes(self) -> &'a [u8] {
        let Self::Bytes(value) = self else { panic!("{self:?} is no message") };
        value
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for place in 0.. {
        let (&byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            break;
        }
    }
    value
}

/// The fields of a message, in their order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let length = match key & 7 {
            0 => {
                fields.push((key >> 3, Field::Int(varint(&mut bytes))));
                continue;
            }
            2 => varint(&mut bytes) as usize,
            5 => 4,
            kind => panic!("kind {kind} of field {}", key >> 3),
        };
        let (content, rest) = bytes.split_at(length);
        bytes = rest;
        let field = match key & 7 {
            5 => Field::Float(f32::from_le_bytes(content.try_into().unwrap())),
            _ => Field::Bytes(content),
        };
        fields.push((key >> 3, field));
    }
    fields
}

fn of(bytes: &[u8], number: u64) -> Vec<Field<'_>> {
    fields(bytes).into_iter().filter(|(n, _)| *n == number).map(|(_, field)| field).collect()
}

fn one(bytes: &[u8], number: u64) -> Field<'_> {
    let [field] = of(bytes, number)[..] else { panic!("field {number} is not there once") };
    field
}

#[derive(Debug)]
pub struct Node {
    pub name: String,
    pub op: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    /// Integers and floats alone.
    pub attributes: Vec<(String, Vec<f64>)>,
}

#[derive(Debug)]
pub struct Initializer {
    pub name: String,
    pub dims: Vec<usize>,
    /// None for integers.
    pub floats: Option<Vec<f32>>,
}

/// Name and shape; no extent where it is a name.
#[derive(Debug, PartialEq)]
pub struct End {
    pub name: String,
    pub dims: Vec<Option<u64>>,
}

#[derive(Debug)]
pub struct File {
    pub ir: u64,
    pub opset: u64,
    pub producer: [String; 2],
    pub facts: Vec<(String, String)>,
    pub graph: String,
    pub nodes: Vec<Node>,
    pub initializers: Vec<Initializer>,
    pub input: End,
    pub output: End,
}

pub fn read(bytes: &[u8]) -> File {
    let graph = one(bytes, 7).bytes();
    let entry = |fact: Field| (one(fact.bytes(), 1).text(), one(fact.bytes(), 2).text());
    File {
        ir: one(bytes, 1).int(),
        opset: one(one(bytes, 8).bytes(), 2).int(),
        producer: [one(bytes, 2).text(), one(bytes, 3).text()],
        facts: of(bytes, 14).into_iter().map(entry).collect(),
        graph: one(graph, 2).text(),
        nodes: of(graph, 1).into_iter().map(|field| node(field.bytes())).collect(),
        initializers: of(graph, 5).into_iter().map(|field| initializer(field.bytes())).collect(),
        input: end(one(graph, 11).bytes()),
        output: end(one(graph, 12).bytes()),
    }
}

fn texts(bytes: &[u8], number: u64) -> Vec<String> {
    of(bytes, number).into_iter().map(Field::text).collect()
}

fn node(bytes: &[u8]) -> Node {
    Node {
        inputs: texts(bytes, 1),
        outputs: texts(bytes, 2),
        name: one(bytes, 3).text(),
        op: one(bytes, 4).text(),
        attributes: of(bytes, 5).into_iter().map(|field| attribute(field.bytes())).collect(),
    }
}

fn attribute(bytes: &[u8]) -> (String, Vec<f64>) {
    let integers = |number| of(bytes, number).into_iter().map(|field| field.int() as i64 as f64).collect();
    let values = match one(bytes, 20).int() {
        1 => {
            let Field::Float(value) = one(bytes, 2) else { panic!("no float") };
            vec![f64::from(value)]
        }
        2 => integers(3),
        7 => integers(8),
        kind => panic!("an attribute of kind {kind}"),
    };
    (one(bytes, 1).text(), values)
}

fn initializer(bytes: &[u8]) -> Initializer {
    let dims: Vec<usize> = of(bytes, 1).into_iter().map(|field| field.int() as usize).collect();
    let (kind, raw, count) = (one(bytes, 2).int(), one(bytes, 9).bytes(), dims.iter().product::<usize>());
    assert_eq!(raw.len(), count * if kind == 1 { 4 } else { 8 });
    assert!(kind == 1 || kind == 7);
    let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    let floats = (kind == 1).then(|| raw.chunks(4).map(float).collect());
    Initializer { name: one(bytes, 8).text(), dims, floats }
}

fn end(bytes: &[u8]) -> End {
    let tensor = one(one(bytes, 2).bytes(), 1).bytes();
    assert_eq!(one(tensor, 1).int(), 1);
    let dims = of(one(tensor, 2).bytes(), 1);
    let dims = dims.into_iter().map(|dim| of(dim.bytes(), 1).first().map(|extent| extent.int())).collect();
    End { name: one(bytes, 1).text(), dims }
}
