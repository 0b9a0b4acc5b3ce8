use crate::Tag;

/// Room for a tag's name.
const NAME: usize = 40;

/// What a rank tells another one before it sends it something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) tag: Tag,
    /// How many bytes the other one will get.
    pub(crate) length: usize,
    /// The largest of its lengths.
    pub(crate) most: usize,
}

/// What a rank was told.
#[derive(Debug)]
pub(crate) struct Told {
    /// The other one's tag, as text.
    pub(crate) doing: String,
    pub(crate) length: usize,
    pub(crate) most: usize,
}

impl Header {
    pub(crate) const BYTES: usize = NAME + 3 * size_of::<u64>();

    /// The tag as another rank will read it.
    pub(crate) fn doing(&self) -> String {
        read(&self.bytes()).doing
    }

    pub(crate) fn bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        // Names are plain ASCII, so that one that is cut is text too.
        let name = self.tag.what.as_bytes();
        let name = &name[..name.len().min(NAME)];
        bytes[..name.len()].copy_from_slice(name);
        let numbers = [self.tag.number, self.length as u64, self.most as u64];
        for (to, number) in bytes[NAME..].chunks_exact_mut(size_of::<u64>()).zip(numbers) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// What is in the [`bytes`](Header::bytes) of a header.
pub(crate) fn read(bytes: &[u8]) -> Told {
    let (name, numbers) = bytes.split_at(NAME.min(bytes.len()));
    let name = String::from_utf8_lossy(name);
    let mut numbers = numbers
        .chunks_exact(size_of::<u64>())
        .map(|n| n.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)));
    let mut next = || numbers.next().unwrap_or(0);
    let number = next();
    Told { doing: format!("{} {number}", name.trim_end_matches('\0')), length: next() as usize, most: next() as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let tag = Tag { what: "rows", number: u64::MAX - 1 };
        let told = read(&Header { tag, length: 70_000, most: 1 << 40 }.bytes());
        assert_eq!((told.doing, told.length, told.most), (tag.to_string(), 70_000, 1 << 40));
        let long = Tag { what: "a name that is longer than there is room for it", number: 3 };
        assert_eq!(Header { tag: long, length: 0, most: 0 }.doing(), "a name that is longer than there is room 3");
    }
}
