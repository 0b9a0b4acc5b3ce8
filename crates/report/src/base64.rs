//! Base64 with padding (RFC 4648, section 4): how bytes stand in JSON and in `data:` addresses.

use serde::{Deserialize, Deserializer, Serializer, de};

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as text.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for part in bytes.chunks(3) {
        let byte = |i: usize| u32::from(part.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (word >> (18 - 6 * digit)) & 63;
            out.push(if digit > part.len() { '=' } else { DIGITS[value as usize] as char });
        }
    }
    out
}

/// Text as bytes; none if it is no base64.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let ends = text.iter().rev().take(2).take_while(|&&c| c == b'=').count();
    let digits = &text[..text.len() - ends];
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for part in digits.chunks(4) {
        let mut word = 0u32;
        for i in 0..4 {
            let value = part.get(i).map_or(Some(0), |c| DIGITS.iter().position(|d| d == c))?;
            word = word << 6 | value as u32;
        }
        // Four digits are three bytes, three are two, two are one.
        out.extend(&word.to_be_bytes()[1..part.len()]);
    }
    Some(out)
}

/// For serde's `with`.
pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&encode(bytes))
}

/// For serde's `with`.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    decode(&text).ok_or_else(|| de::Error::custom("a picture's data is no base64 with padding"))
}

#[cfg(test)]
mod tests {
    use super::{decode, encode};

    #[test]
    fn the_examples_of_the_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), Some(all));
        for wrong in ["Zg=", "Zg", "Z===", "Zm9v!A==", "===="] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
