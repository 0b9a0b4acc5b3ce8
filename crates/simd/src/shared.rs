use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Memory that tasks write disjoint places of.
#[derive(Clone, Copy)]
pub struct Shared<'a, T> {
    pointer: *mut T,
    len: usize,
    memory: PhantomData<&'a mut [T]>,
}

impl<T> Shared<'_, T> {
    /// The first value; whoever writes vouches that nobody else touches the same places.
    pub fn pointer(&self) -> *mut T {
        self.pointer
    }

    /// Number of values.
    #[allow(clippy::len_without_is_empty, reason = "a place for results, which nobody asks whether it is empty")]
    pub fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: handing the pointer to another thread does nothing by itself; every use of it is unsafe and vouches for
// places of its own.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

/// Values to be written: filling them with zeros first would cost as much as half of the passes that write them.
pub struct Unwritten<T> {
    values: Vec<T>,
    len: usize,
}

impl<T: Copy> Unwritten<T> {
    /// Room for `len` values.
    pub fn new(len: usize) -> Self {
        Self { values: Vec::with_capacity(len), len }
    }

    /// The memory.
    pub fn shared(&mut self) -> Shared<'_, T> {
        Shared { pointer: self.values.as_mut_ptr(), len: self.len, memory: PhantomData }
    }

    /// The memory, value by value.
    pub fn values_mut(&mut self) -> &mut [MaybeUninit<T>] {
        &mut self.values.spare_capacity_mut()[..self.len]
    }

    /// The values.
    ///
    /// # Safety
    /// All have been written.
    pub unsafe fn written(mut self) -> Vec<T> {
        // SAFETY: within the capacity, and written as the caller vouches.
        unsafe { self.values.set_len(self.len) };
        self.values
    }
}

/// Values that have been written.
///
/// # Safety
/// All have been.
pub unsafe fn written<T: Copy>(values: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: the same layout, and written as the caller vouches.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [T]) }
}
