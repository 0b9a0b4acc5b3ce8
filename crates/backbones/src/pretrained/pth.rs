//! PyTorch's `.pth` files: a zip with a pickle and raw storages (since 1.6), or the older row of pickles.

use super::pickle::{self, Node, Pickle};
use super::tensors::Content;
use candle_core::{DType, Device, Tensor};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Cursor, Read};

/// Where checkpoints of the field keep their state dictionary, the first choice first.
const NESTS: [&str; 5] = ["state_dict", "model", "model_state_dict", "state_dict_ema", "teacher"];

/// The first of the pickles of an old file.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The most bytes of a pickle: it holds names and shapes alone, and of large checkpoints has a few MiB.
const MAX_PICKLE: usize = 16 << 20;

/// The most tensors of a state dictionary.
const MAX_TENSORS: usize = 100_000;

/// How often a storage may be used on average: weights are tied two or three times.
const MAX_REPEATS: usize = 8;

/// Dictionaries in dictionaries, in which the one with tensors is looked for.
const DEEPEST: usize = 4;

/// Says how many of some names belong to the network that is wanted.
pub(super) type Score<'a> = &'a dyn Fn(&[&str]) -> usize;

/// Reads a file's bytes; the error says what is wrong with them. It takes at most 64 MiB and 128 times as much memory as the file
/// has bytes.
pub(super) fn read(bytes: &[u8], score: Score<'_>) -> Result<Content, String> {
    if bytes.starts_with(b"PK") { read_zip(bytes, score) } else { read_old(bytes, score) }
}

fn read_zip(bytes: &[u8], score: Score<'_>) -> Result<Content, String> {
    let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| format!("no zip ({e})"))?;
    let mut names = zip.file_names().filter_map(|name| name.ok().map(|name| name.into_owned()));
    let pickled = names.find(|name| name.ends_with("data.pkl"));
    let pickled = pickled.ok_or("a zip without data.pkl, which torch.save writes")?;
    drop(names);
    let folder = pickled.strip_suffix("data.pkl").unwrap_or_default().to_owned();
    // torch.save packs nothing; what was packed afterwards may not unpack to anything at all.
    let mut room = (64 << 20) + 16 * bytes.len() as u64;
    let mut entry = |name: &str, most: u64| -> Result<Vec<u8>, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("{name} cannot be read ({e})");
        let file = zip.by_name(name).map_err(|e| wrong(&e))?;
        let mut content = Vec::new();
        file.take(most.min(room + 1)).read_to_end(&mut content).map_err(|e| wrong(&e))?;
        let left = room.checked_sub(content.len() as u64);
        room = left.ok_or("it unpacks to more than 64 MiB and 16 times its size")?;
        Ok(content)
    };
    if entry(&format!("{folder}byteorder"), 8).is_ok_and(|order| order == b"big") {
        return Err("its numbers are big-endian".to_owned());
    }
    let pickle = read_pickle(&entry(&pickled, MAX_PICKLE as u64 + 1)?)?;
    let chosen = Chosen::of(&pickle, score)?;
    let mut storages = HashMap::new();
    for storage in chosen.storages() {
        let data = entry(&format!("{folder}data/{}", storage.key), storage.bytes()?)?;
        storages.insert(storage.key.clone(), Cow::Owned(data));
    }
    chosen.collect(&storages)
}

fn read_pickle(bytes: &[u8]) -> Result<Pickle, String> {
    // One that is cut here ends too early.
    pickle::read(&bytes[..bytes.len().min(MAX_PICKLE)]).map_err(|why| match bytes.len() > MAX_PICKLE {
        true => format!("its pickle has more than {} MiB, or {why}", MAX_PICKLE >> 20),
        false => why,
    })
}

/// Magic number, protocol, a word on the system, the pickle, the keys of the storages, the storages.
fn read_old(bytes: &[u8], score: Score<'_>) -> Result<Content, String> {
    let begins = bytes.get(2..).is_some_and(|b| b.starts_with(&[0x8a, 10]) && b[2..].starts_with(&OLD_MAGIC));
    if !begins {
        return Err("neither a zip nor an old file of torch.save".to_owned());
    }
    let mut at = 0;
    let mut next = || -> Result<Pickle, String> {
        let pickle = read_pickle(bytes.get(at..).unwrap_or_default())?;
        at += pickle.len;
        Ok(pickle)
    };
    let (_magic, _protocol, _system) = (next()?, next()?, next()?);
    let (pickle, keys) = (next()?, next()?);
    let Node::List(order) = keys.node(keys.root) else { return Err("it has no list of storages".to_owned()) };
    let known: HashMap<String, Storage> =
        Storage::all(&pickle)?.into_iter().map(|storage| (storage.key.clone(), storage)).collect();
    let mut storages = HashMap::new();
    for &key in order {
        let key = keys.text(key).ok_or("a storage is named by something that is no text")?;
        let storage = known.get(key).ok_or_else(|| format!("nothing refers to the storage {key}"))?;
        // Before each storage stands how many values it has.
        let begin = at.checked_add(8).ok_or("it ends too early")?;
        let len = usize::try_from(storage.bytes()?).map_err(|_| "a storage is too large")?;
        let end = begin.checked_add(len).ok_or("it ends too early")?;
        let data = bytes.get(begin..end).ok_or("it ends too early")?;
        storages.insert(key.to_owned(), Cow::Borrowed(data));
        at = end;
    }
    Chosen::of(&pickle, score)?.collect(&storages)
}

/// What a pickle says of a storage.
#[derive(Debug, Clone)]
struct Storage {
    key: String,
    /// `Float`, `Long` and so on.
    kind: String,
    values: usize,
    /// Where a view of an old file begins.
    from: usize,
}

impl Storage {
    /// All that the pickle refers to.
    fn all(pickle: &Pickle) -> Result<Vec<Self>, String> {
        let references = pickle.nodes().iter().filter_map(|node| match node {
            Node::Persistent(id) => Some(*id),
            _ => None,
        });
        let mut found: BTreeMap<String, Self> = BTreeMap::new();
        for id in references {
            let storage = Self::of(pickle, id).ok_or("it refers to a storage in a way that is not known")?;
            found.entry(storage.key.clone()).or_insert(storage);
        }
        Ok(found.into_values().collect())
    }

    /// `("storage", torch.FloatStorage, key, device, values[, view])`.
    fn of(pickle: &Pickle, id: usize) -> Option<Self> {
        let [word, class, key, _device, values, view @ ..] = pickle.tuple(id)? else { return None };
        (pickle.text(*word)? == "storage").then_some(())?;
        let kind = pickle.global(*class)?.rsplit('.').next()?.strip_suffix("Storage")?.to_owned();
        let from = match view {
            [view] => pickle.tuple(*view).map_or(Some(0), |parts| pickle.size(*parts.get(1)?))?,
            _ => 0,
        };
        Some(Self { key: pickle.text(*key)?.to_owned(), kind, values: pickle.size(*values)?, from })
    }

    /// The number type of floats.
    fn dtype(&self) -> Option<DType> {
        match self.kind.as_str() {
            "Float" => Some(DType::F32),
            "Double" => Some(DType::F64),
            "Half" => Some(DType::F16),
            "BFloat16" => Some(DType::BF16),
            _ => None,
        }
    }

    fn width(&self) -> Result<usize, String> {
        Ok(match self.kind.as_str() {
            "Double" | "Long" | "ComplexFloat" => 8,
            "Float" | "Int" => 4,
            "Half" | "BFloat16" | "Short" => 2,
            "Byte" | "Char" | "Bool" => 1,
            other => return Err(format!("numbers of the kind {other} are not known")),
        })
    }

    fn bytes(&self) -> Result<u64, String> {
        self.values.checked_mul(self.width()?).map(|n| n as u64).ok_or_else(|| "a storage is too large".to_owned())
    }
}

/// The state dictionary of a pickle: its tensors, and the names of what else is called there.
struct Chosen {
    places: BTreeMap<String, Place>,
    others: Vec<String>,
}

impl Chosen {
    /// Of all dictionaries with tensors, however they are nested, that which has most of the wanted names.
    fn of(pickle: &Pickle, score: Score<'_>) -> Result<Self, String> {
        let dicts = dicts(pickle);
        let rank = |key: &str| NESTS.iter().position(|nest| *nest == key).unwrap_or(NESTS.len());
        let mut best: Option<(usize, std::cmp::Reverse<usize>, usize)> = None;
        for (at, (key, dict)) in dicts.iter().enumerate() {
            let names: Vec<&str> = dict
                .iter()
                .filter(|(_, v)| Place::of(pickle, *v).is_some())
                .filter_map(|(k, _)| pickle.text(*k))
                .collect();
            if names.is_empty() {
                continue;
            }
            let this = (score(&names), std::cmp::Reverse(rank(key)), at);
            // Of equals the first.
            if best.is_none_or(|best| (this.0, this.1) > (best.0, best.1)) {
                best = Some(this);
            }
        }
        let Some((_, _, at)) = best else {
            let keys =
                dicts.first().map(|(_, dict)| dict.iter().filter_map(|(key, _)| pickle.text(*key)).take(8).collect());
            let keys: Vec<&str> = keys.unwrap_or_default();
            let has = if keys.is_empty() { String::new() } else { format!(" (its keys are {})", keys.join(", ")) };
            return Err(format!(
                "no dictionary of tensors was found in it{has}: save it with torch.save(model.state_dict(), ...), not as a whole module"
            ));
        };
        let (mut places, mut others) = (BTreeMap::new(), Vec::new());
        for (key, value) in dicts[at].1 {
            let Some(name) = pickle.text(*key) else { continue };
            match Place::of(pickle, *value) {
                Some(place) if place.storage.dtype().is_some() => drop(places.insert(name.to_owned(), place)),
                Some(_) => others.push(name.to_owned()),
                None if matches!(pickle.node(*value), Node::Call { .. }) => others.push(name.to_owned()),
                None => {}
            }
        }
        if places.len() > MAX_TENSORS {
            return Err(format!("it has {} tensors, the limit is {MAX_TENSORS}", places.len()));
        }
        Ok(Self { places, others })
    }

    /// Every storage that is needed, once.
    fn storages(&self) -> impl Iterator<Item = &Storage> {
        let all: BTreeMap<&str, &Storage> =
            self.places.values().map(|place| (place.storage.key.as_str(), &place.storage)).collect();
        all.into_values()
    }

    fn collect(self, storages: &HashMap<String, Cow<'_, [u8]>>) -> Result<Content, String> {
        let held: usize = storages.values().map(|data| data.len()).sum();
        let mut room = held.saturating_mul(MAX_REPEATS);
        let mut content = Content { others: self.others, ..Content::default() };
        for (name, place) in self.places {
            let Some(dtype) = place.storage.dtype() else { continue };
            let tensor = place.tensor(dtype, storages).map_err(|why| format!("{name}: {why}"))?;
            let left = room.checked_sub(tensor.elem_count() * dtype.size_in_bytes());
            room = left.ok_or_else(|| format!("its tensors use its storages more than {MAX_REPEATS} times"))?;
            content.tensors.insert(name, tensor);
        }
        Ok(content)
    }
}

/// All dictionaries that are nested in the root, with the keys that they lie under; the root first, each once.
fn dicts(pickle: &Pickle) -> Vec<(&str, &[(usize, usize)])> {
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut level = vec![("", pickle.root)];
    for _ in 0..=DEEPEST {
        let mut below = Vec::new();
        for (key, id) in level {
            let Node::Dict(items) = pickle.node(id) else { continue };
            if seen.insert(id) {
                found.push((key, items.as_slice()));
                below.extend(items.iter().map(|(key, value)| (pickle.text(*key).unwrap_or_default(), *value)));
            }
        }
        level = below;
    }
    found
}

/// Where a tensor lies in its storage.
#[derive(Debug)]
struct Place {
    storage: Storage,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
}

impl Place {
    /// What a call that rebuilds a tensor says.
    fn of(pickle: &Pickle, id: usize) -> Option<Self> {
        let Node::Call { callable, args } = pickle.node(id) else { return None };
        Self::of_call(pickle, pickle.global(*callable)?, pickle.tuple(*args)?)
    }

    fn of_call(pickle: &Pickle, function: &str, args: &[usize]) -> Option<Self> {
        match (function, args) {
            (
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor",
                [storage, offset, size, stride, ..],
            ) => {
                let Node::Persistent(reference) = pickle.node(*storage) else { return None };
                let storage = Storage::of(pickle, *reference)?;
                let offset = pickle.size(*offset)?.checked_add(storage.from)?;
                Some(Self { storage, offset, size: pickle.sizes(*size)?, stride: pickle.sizes(*stride)? })
            }
            // A parameter wraps a call that rebuilds a tensor; it comes from an earlier byte, so this ends.
            ("torch._utils._rebuild_parameter", [inner, ..]) => match pickle.node(*inner) {
                Node::Call { callable, args } => match pickle.global(*callable)? {
                    function if function.starts_with("torch._utils._rebuild_tensor") => {
                        Self::of_call(pickle, function, pickle.tuple(*args)?)
                    }
                    _ => None,
                },
                _ => None,
            },
            // A subclass: the function that would have been called, its class, its arguments.
            ("torch._tensor._rebuild_from_type_v2", [function, _class, inner, ..]) => match pickle.global(*function)? {
                function if function.starts_with("torch._utils.") => {
                    Self::of_call(pickle, function, pickle.tuple(*inner)?)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn tensor(&self, dtype: DType, storages: &HashMap<String, Cow<'_, [u8]>>) -> Result<Tensor, String> {
        let width = self.storage.width()?;
        let data = storages.get(&self.storage.key).ok_or("its storage is missing")?;
        let beyond = || format!("shape {:?} reaches beyond its storage", self.size);
        if self.size.len() != self.stride.len() {
            return Err("it has not as many strides as dimensions".to_owned());
        }
        let count = self.size.iter().try_fold(1usize, |n, s| n.checked_mul(*s)).ok_or_else(beyond)?;
        // What a file claims may be more than it has.
        if count > self.storage.values || count.checked_mul(width).is_none_or(|bytes| bytes > data.len()) {
            return Err(beyond());
        }
        let mut packed = Vec::with_capacity(count * width);
        let mut index = vec![0; self.size.len()];
        for _ in 0..count {
            let mut steps = index.iter().zip(&self.stride);
            let at = steps.try_fold(self.offset, |sum, (i, stride)| sum.checked_add(usize::checked_mul(*i, *stride)?));
            let begin = at.and_then(|at| at.checked_mul(width)).ok_or_else(beyond)?;
            let value = data.get(begin..begin.saturating_add(width)).ok_or_else(beyond)?;
            packed.extend_from_slice(value);
            for (i, size) in index.iter_mut().zip(&self.size).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        Tensor::from_raw_buffer(&packed, dtype, &self.size, &Device::Cpu).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A text of a pickle.
    fn text(word: &str) -> Vec<u8> {
        [&b"X"[..], &(word.len() as u32).to_le_bytes(), word.as_bytes()].concat()
    }

    fn int(value: u32) -> Vec<u8> {
        [&b"J"[..], &value.to_le_bytes()].concat()
    }

    /// A call that rebuilds a tensor of one dimension from the storage `0`, which claims to have `values`.
    fn tensor(values: u32, size: u32) -> Vec<u8> {
        let storage = [
            b"(".to_vec(),
            text("storage"),
            b"ctorch\nFloatStorage\n".to_vec(),
            text("0"),
            text("cpu"),
            int(values),
            b"tQ".to_vec(),
        ];
        let shape = [int(0), int(size), b"\x85".to_vec(), int(1), b"\x85".to_vec()];
        let call = [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), storage.concat(), shape.concat(), b"tR".to_vec()];
        call.concat()
    }

    /// A file of `torch.save` with that many names for the tensor and that storage, packed or not.
    fn file(names: usize, tensor: &[u8], storage: &[u8], method: zip::CompressionMethod) -> Vec<u8> {
        let mut pickle = b"}(".to_vec();
        for name in 0..names {
            pickle.extend(text(&format!("w{name}")));
            pickle.extend(if name == 0 { [tensor, b"q\x00"].concat() } else { b"h\x00".to_vec() });
        }
        pickle.extend(b"u.");
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in [("a/data.pkl", pickle.as_slice()), ("a/data/0", storage)] {
            zip.start_file(name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn what_a_file_claims_is_bounded_by_what_it_has() {
        use zip::CompressionMethod::{Deflated, Stored};
        let said = |bytes: &[u8]| read(bytes, &|names: &[&str]| names.len()).unwrap_err();
        let sixteen = [0; 64];
        assert_eq!(read(&file(1, &tensor(16, 16), &sixteen, Stored), &|_: &[&str]| 0).unwrap().tensors.len(), 1);
        // Eight gigabytes.
        assert!(
            said(&file(1, &tensor(i32::MAX as u32, i32::MAX as u32), &sixteen, Stored)).contains("beyond its storage")
        );
        // One storage under many names.
        assert!(said(&file(9, &tensor(16, 16), &sixteen, Stored)).contains("use its storages more than 8 times"));
        assert!(read(&file(8, &tensor(16, 16), &sixteen, Stored), &|_: &[&str]| 0).is_ok());
        // 256 MiB of nothing in 256 KiB.
        let zeros = vec![0; 256 << 20];
        let bomb = file(1, &tensor(64 << 20, 64 << 20), &zeros, Deflated);
        assert!(said(&bomb).contains("unpacks to more than 64 MiB and 16 times its size"));
    }
}
