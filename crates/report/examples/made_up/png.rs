//! The smallest PNG writer: stored blocks, eight bits a channel.

const SIDE: usize = 24;

/// A picture of a class: its colours in stripes of its own, a little other every time.
pub fn pattern(class: usize, which: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..SIDE {
        pixels.push(0); // no filter
        for x in 0..SIDE {
            let stripe = (x * (1 + class % 3) + y * (class / 3) + which) / 4 % 2;
            let channel = |c: usize| ((class * (67 + 40 * c) + which * 3 + 120 * stripe + 40) % 216 + 30) as u8;
            pixels.extend([channel(0), channel(1), channel(2)]);
        }
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = (SIDE as u32).to_be_bytes();
    chunk(&mut out, b"IHDR", &[&side[..], &side[..], &[8, 2, 0, 0, 0]].concat());
    let length = (pixels.len() as u16).to_le_bytes();
    let inverse = (!(pixels.len() as u16)).to_le_bytes();
    let (mut a, mut b) = (1u32, 0u32);
    for &byte in &pixels {
        a = (a + u32::from(byte)) % 65521;
        b = (b + a) % 65521;
    }
    let sum = (b << 16 | a).to_be_bytes();
    chunk(&mut out, b"IDAT", &[&[0x78, 1, 1][..], &length[..], &inverse[..], &pixels[..], &sum[..]].concat());
    chunk(&mut out, b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let body = [&kind[..], data].concat();
    let mut crc = u32::MAX;
    for &byte in &body {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    out.extend(&body);
    out.extend((!crc).to_be_bytes());
}
