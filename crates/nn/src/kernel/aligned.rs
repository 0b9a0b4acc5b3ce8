/// The first `len` values of a buffer from a cache line's border on; grows the buffer as needed. What it holds is what
/// the last use left, or 0.
pub(crate) fn aligned(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    const LINE: usize = 64;
    const VALUES: usize = LINE / size_of::<f32>();
    buffer.resize(len + VALUES, 0.);
    let border = buffer.as_ptr().align_offset(LINE).min(VALUES);
    &mut buffer[border..border + len]
}
