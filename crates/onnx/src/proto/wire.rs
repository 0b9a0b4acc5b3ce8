//! Protobuf's wire format: fields one behind the other, each a key and what it announces.
//!
//! Source: "Encoding" in the documentation of Protocol Buffers.

/// What follows a key.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A message that grows at its end.
#[derive(Debug, Default)]
pub(super) struct Wire(Vec<u8>);

impl Wire {
    /// An empty message with room for so many bytes.
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Seven bits a byte, the low ones first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    /// An int32, int64 or enum; negative ones take ten bytes.
    pub(super) fn int(&mut self, field: u64, value: i64) {
        self.key(field, VARINT);
        self.varint(value as u64);
    }

    pub(super) fn float(&mut self, field: u64, value: f32) {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn text(&mut self, field: u64, value: &str) {
        self.key(field, LENGTH);
        self.varint(value.len() as u64);
        self.0.extend(value.as_bytes());
    }

    /// A field of raw bytes: numbers of N bytes each, the low byte first.
    pub(super) fn numbers<const N: usize>(&mut self, field: u64, values: impl ExactSizeIterator<Item = [u8; N]>) {
        self.key(field, LENGTH);
        self.varint((N * values.len()) as u64);
        self.0.extend(values.flatten());
    }

    /// A message within this one. Its length comes first and is known last: what was written moves up by a few bytes, which
    /// is less than a second buffer for all weights.
    pub(super) fn message(&mut self, field: u64, write: impl FnOnce(&mut Self)) {
        self.key(field, LENGTH);
        let start = self.0.len();
        write(self);
        let mut length = Self::default();
        length.varint((self.0.len() - start) as u64);
        self.0.splice(start..start, length.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(write: impl FnOnce(&mut Wire)) -> Vec<u8> {
        let mut wire = Wire::default();
        write(&mut wire);
        wire.into_bytes()
    }

    #[test]
    fn as_the_documentation_has_it() {
        // Its own examples: 150 in field 1, "testing" in field 2, the first message as field 3 of another.
        assert_eq!(bytes(|w| w.int(1, 150)), [0x08, 0x96, 0x01]);
        assert_eq!(bytes(|w| w.text(2, "testing")), [0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67]);
        assert_eq!(bytes(|w| w.message(3, |w| w.int(1, 150))), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let minus_two = [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(bytes(|w| w.int(1, -2)), minus_two);
        // Sign, exponent and fraction of 1.
        assert_eq!(bytes(|w| w.float(2, 1.)), [0x15, 0, 0, 0x80, 0x3f]);
        assert_eq!(bytes(|w| w.numbers(9, [1f32].into_iter().map(f32::to_le_bytes))), [0x4a, 4, 0, 0, 0x80, 0x3f]);
    }

    #[test]
    fn a_long_message_has_a_long_length() {
        let got = bytes(|w| w.message(1, |w| w.message(2, |w| w.text(3, &"a".repeat(300)))));
        // 300 = 0b10_0101100, in a field of 3 bytes more, in a field of 3 bytes more.
        assert_eq!(got[..9], [0x0a, 0xb2, 0x02, 0x12, 0xaf, 0x02, 0x1a, 0xac, 0x02]);
        assert_eq!((got.len(), got[9]), (309, b'a'));
    }
}
