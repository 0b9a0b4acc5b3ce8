//! For tests: the composed operations on the CPU, and how often values were read there.

use std::cell::Cell;

thread_local! {
    static FORCED: Cell<bool> = const { Cell::new(false) };
    static READ: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn forced() -> bool {
    FORCED.get()
}

/// A tensor's values are read on the host.
pub(crate) fn read() {
    READ.set(READ.get() + 1);
}

/// Runs `f` with layers that compute on the CPU as they do on a device; returns how often the values of a tensor were
/// read on the host meanwhile.
pub fn composed<R>(f: impl FnOnce() -> R) -> (R, u64) {
    let (before, read) = (FORCED.replace(true), READ.get());
    let result = f();
    FORCED.set(before);
    (result, READ.get() - read)
}
