//! Python's pickles, as far as PyTorch's state dictionaries need them. Nothing is executed: a call stays a node that names what
//! would have been called. Every byte makes at most one node, so that a small file cannot grow large here.

use std::collections::HashMap;

/// Most dimensions of a tensor.
const MOST_SIZES: usize = 32;

/// Longest word in the name of a class.
const LONGEST_NAME: usize = 256;

/// A node of the graph that a pickle describes; children by number, so that what is filled later is filled everywhere.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// `None`, numbers with a point, bytes, sets: nothing that names or measures a tensor.
    Other,
    Bool,
    Int(i64),
    Text(String),
    /// `module.name` of a class or function.
    Global(String),
    Tuple(Vec<usize>),
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// A reference to something outside of the pickle: a storage.
    Persistent(usize),
    Call {
        callable: usize,
        args: usize,
    },
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    pub(super) root: usize,
    /// Bytes that it took: another may follow.
    pub(super) len: usize,
}

impl Pickle {
    pub(super) fn node(&self, id: usize) -> &Node {
        self.nodes.get(id).unwrap_or(&Node::Other)
    }

    /// Every node.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn text(&self, id: usize) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn size(&self, id: usize) -> Option<usize> {
        match self.node(id) {
            Node::Int(value) => usize::try_from(*value).ok(),
            _ => None,
        }
    }

    pub(super) fn tuple(&self, id: usize) -> Option<&[usize]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The sizes of a tensor; none if they are too many for one.
    pub(super) fn sizes(&self, id: usize) -> Option<Vec<usize>> {
        self.tuple(id).filter(|items| items.len() <= MOST_SIZES)?.iter().map(|&item| self.size(item)).collect()
    }

    pub(super) fn global(&self, id: usize) -> Option<&str> {
        match self.node(id) {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }
}

/// Reads the pickle that `bytes` begin with; the error says what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Pickle, String> {
    let mut machine =
        Machine { bytes, at: 0, nodes: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let root = machine.run()?;
    Ok(Pickle { nodes: machine.nodes, root, len: machine.at })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<usize>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u32, usize>,
}

type Done<T = ()> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Done<usize> {
        loop {
            let [op] = self.fixed()?;
            if op == b'.' {
                return self.pop();
            }
            self.execute(op)?;
        }
    }

    #[allow(clippy::too_many_lines, reason = "one arm an opcode")]
    fn execute(&mut self, op: u8) -> Done {
        match op {
            0x80 => self.skip(1),
            // A frame announces its length, which the opcodes tell anyway.
            0x95 => self.skip(8),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.above_mark().map(drop),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'N' => self.push(Node::Other),
            0x88 | 0x89 => self.push(Node::Bool),
            b'G' => {
                self.skip(8)?;
                self.push(Node::Other)
            }
            b'J' | b'K' | b'M' | 0x8a | 0x8b => self.integer(op),
            b'X' | 0x8c | 0x8d | b'T' | b'U' => self.string(op),
            b'B' | b'C' | 0x8e | 0x96 => {
                let len = self.length(op)?;
                self.skip(len)?;
                self.push(Node::Other)
            }
            b')' | b't' | 0x85..=0x87 => self.make_tuple(op),
            b']' => self.push(Node::List(Vec::new())),
            b'l' => {
                let items = self.above_mark()?;
                self.push(Node::List(items))
            }
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.push(Node::Other),
            0x91 => {
                self.above_mark()?;
                self.push(Node::Other)
            }
            b'a' | b'e' | 0x90 | b's' | b'u' | b'd' => self.fill(op),
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(op),
            op => self.object(op),
        }
    }

    /// Classes, calls of them, and references to what lies in other files.
    fn object(&mut self, op: u8) -> Done {
        match op {
            b'c' => {
                let name = format!("{}.{}", self.line()?, self.line()?);
                self.push(Node::Global(name))
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                // A text may be named as often as the file likes.
                let word = |id: usize| match &self.nodes[id] {
                    Node::Text(text) if text.len() <= LONGEST_NAME => Ok(text.clone()),
                    Node::Text(text) => Err(format!("a class is named by {} letters", text.len())),
                    _ => Err("a class is named by something that is no text".to_owned()),
                };
                let name = format!("{}.{}", word(module)?, word(name)?);
                self.push(Node::Global(name))
            }
            b'R' | 0x81 => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)
            }
            0x92 => {
                self.pop()?;
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args)
            }
            // The state of an object: what torch keeps of a dictionary beside its items.
            b'b' => self.pop().map(drop),
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id))
            }
            other => Err(format!("it has the unknown operation {other:#04x}")),
        }
    }

    fn integer(&mut self, op: u8) -> Done {
        let value = match op {
            b'J' => i64::from(i32::from_le_bytes(self.fixed()?)),
            b'M' => i64::from(u16::from_le_bytes(self.fixed()?)),
            b'K' => i64::from(self.fixed::<1>()?[0]),
            _ => {
                let len = if op == 0x8a { usize::from(self.fixed::<1>()?[0]) } else { self.length(b'X')? };
                let bytes = self.take(len)?;
                // Two's complement of any width; torch's magic number has ten bytes, and only sizes matter here.
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                let mut wide = if negative { [0xff; 8] } else { [0; 8] };
                let kept = len.min(8);
                wide[..kept].copy_from_slice(&bytes[..kept]);
                if len > 8 { i64::MIN } else { i64::from_le_bytes(wide) }
            }
        };
        self.push(Node::Int(value))
    }

    fn string(&mut self, op: u8) -> Done {
        let len = self.length(op)?;
        let text = String::from_utf8_lossy(self.take(len)?).into_owned();
        self.push(Node::Text(text))
    }

    /// The length that follows an operation on bytes.
    fn length(&mut self, op: u8) -> Done<usize> {
        let len = match op {
            0x8c | b'U' | b'C' => u64::from(self.fixed::<1>()?[0]),
            0x8d | 0x8e | 0x96 => u64::from_le_bytes(self.fixed()?),
            _ => u64::from(u32::from_le_bytes(self.fixed()?)),
        };
        usize::try_from(len).map_err(|_| ended())
    }

    fn make_tuple(&mut self, op: u8) -> Done {
        let items = match op {
            b')' => Vec::new(),
            b't' => self.above_mark()?,
            _ => {
                let count = usize::from(op - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(empty)?;
                self.stack.split_off(from)
            }
        };
        self.push(Node::Tuple(items))
    }

    /// Appends to lists, sets items of dictionaries; what is neither keeps quiet: no tensor is reached through it.
    fn fill(&mut self, op: u8) -> Done {
        let items = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.above_mark()?,
        };
        if op == b'd' {
            self.push(Node::Dict(Vec::new()))?;
        }
        let target = self.top()?;
        match &mut self.nodes[target] {
            Node::List(list) if matches!(op, b'a' | b'e') => list.extend(items),
            Node::Dict(dict) => dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            _ => {}
        }
        Ok(())
    }

    fn call(&mut self, callable: usize, args: usize) -> Done {
        const DICTS: [&str; 2] = ["collections.OrderedDict", "collections.defaultdict"];
        let makes_dict = matches!(&self.nodes[callable], Node::Global(name) if DICTS.contains(&name.as_str()));
        self.push(if makes_dict { Node::Dict(Vec::new()) } else { Node::Call { callable, args } })
    }

    fn remember(&mut self, op: u8) -> Done {
        let key = match op {
            b'q' | b'h' => u32::from(self.fixed::<1>()?[0]),
            b'r' | b'j' => u32::from_le_bytes(self.fixed()?),
            _ => u32::try_from(self.memo.len()).unwrap_or(u32::MAX),
        };
        if matches!(op, b'h' | b'j') {
            let known = self.memo.get(&key);
            self.stack.push(*known.ok_or_else(|| format!("it refers to the object {key}, which it does not have"))?);
            return Ok(());
        }
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn push(&mut self, node: Node) -> Done {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
    }

    fn pop(&mut self) -> Done<usize> {
        self.stack.pop().ok_or_else(empty)
    }

    fn top(&self) -> Done<usize> {
        self.stack.last().copied().ok_or_else(empty)
    }

    fn above_mark(&mut self) -> Done<Vec<usize>> {
        let mark = self.marks.pop().ok_or_else(empty)?;
        if mark > self.stack.len() {
            return Err(empty());
        }
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, len: usize) -> Done<&'a [u8]> {
        let end = self.at.checked_add(len).ok_or_else(ended)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(ended)?;
        self.at = end;
        Ok(taken)
    }

    fn skip(&mut self, len: usize) -> Done {
        self.take(len).map(drop)
    }

    fn fixed<const N: usize>(&mut self) -> Done<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| ended())
    }

    fn line(&mut self) -> Done<String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|b| *b == b'\n').ok_or_else(ended)?;
        self.at += len + 1;
        Ok(String::from_utf8_lossy(&rest[..len]).into_owned())
    }
}

fn ended() -> String {
    "it ends too early".to_owned()
}

fn empty() -> String {
    "it takes more values than it has".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dictionary_filled_after_it_was_remembered_is_full_everywhere() {
        // {"a": 258, "b": (1, -1)}, protocol 2, with a memo entry made while it was empty; then the entry, in a tuple.
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00aM\x02\x01X\x01\x00\x00\x00bK\x01\x8a\x01\xff\x86uh\x00\x86.rest";
        let pickle = read(bytes).unwrap();
        assert_eq!(pickle.len, bytes.len() - 4);
        let [first, second] = pickle.tuple(pickle.root).unwrap() else { panic!("no pair") };
        assert_eq!(first, second);
        let Node::Dict(items) = pickle.node(*first) else { panic!("no dictionary") };
        assert_eq!(pickle.text(items[0].0), Some("a"));
        assert_eq!(pickle.size(items[0].1), Some(258));
        // -1 is no size.
        assert_eq!(pickle.sizes(items[1].1), None);
    }

    #[test]
    fn nothing_is_called() {
        // os.system("x"), as an attack would have it.
        let pickle = read(b"cos\nsystem\n(X\x01\x00\x00\x00xtR.").unwrap();
        let Node::Call { callable, .. } = pickle.node(pickle.root) else { panic!("no call") };
        assert_eq!(pickle.global(*callable), Some("os.system"));
    }

    #[test]
    fn every_beginning_of_a_pickle_is_refused() {
        let whole = b"\x80\x02}q\x00(X\x01\x00\x00\x00aM\x02\x01X\x01\x00\x00\x00bK\x01\x8a\x01\xff\x86uh\x00\x86.";
        for len in 0..whole.len() {
            assert!(read(&whole[..len]).is_err(), "{len}");
        }
        for bytes in [&b"t."[..], b"R.", b".", b"h\x07.", b"\xff.", b"(0t.", b"(K\x010 0t.", b"X\xff\xff\xff\xff."] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_remembered_is_no_bomb() {
        let start = std::time::Instant::now();
        // A long text, named as a class again and again.
        let long = vec![b'x'; 1 << 20];
        let text = [&b"X"[..], &(long.len() as u32).to_le_bytes(), &long, b"q\x00"].concat();
        let names = [text, b"h\x00h\x00\x930".repeat(10_000), b"N.".to_vec()].concat();
        assert!(read(&names).unwrap_err().contains("a class is named by 1048576 letters"));
        // Keys that fall, each before all others.
        let mut keys = Vec::new();
        for key in (0..200_000u32).rev() {
            keys.extend(b"Nr");
            keys.extend(key.to_le_bytes());
        }
        keys.push(b'.');
        assert!(read(&keys).is_ok());
        // A tuple of a million sizes is none of a tensor.
        let sizes = read(&[&b"("[..], &b"K\x01".repeat(1_000_000), b"t."].concat()).unwrap();
        assert_eq!(sizes.sizes(sizes.root), None);
        assert!(start.elapsed().as_secs() < 10);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = read(&bytes);
        }
    }
}
