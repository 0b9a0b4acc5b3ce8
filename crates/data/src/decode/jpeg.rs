//! Whether a JPEG is all there: the decoder fills what is missing with grey and says nothing.

/// Whether the picture's scan is followed by an end marker. Segments before the scan are stepped over, so a whole
/// thumbnail in them does not count; inside a scan, bytes 0xff are stuffed, so the marker cannot occur by chance.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let (Some(&marker), Some(length)) = (bytes.get(at + 1), bytes.get(at + 2..at + 4)) {
        if bytes[at] != 0xff {
            // Not a marker where one is due: the decoder has the better words for that.
            return true;
        }
        match marker {
            // Fill byte.
            0xff => at += 1,
            // Start of scan.
            0xda => return bytes[at..].windows(2).any(|pair| pair == [0xff, 0xd9]),
            // Markers without a length.
            0x01 | 0xd0..=0xd7 => at += 2,
            _ => at += 2 + usize::from(u16::from_be_bytes([length[0], length[1]])),
        }
    }
    false
}
