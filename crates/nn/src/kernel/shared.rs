use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// Memory that tasks write disjoint places of.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a, T> {
    pointer: *mut T,
    len: usize,
    memory: PhantomData<&'a mut [T]>,
}

impl<T> Shared<'_, T> {
    /// The first value; whoever writes vouches that nobody else touches the same places.
    pub(crate) fn pointer(&self) -> *mut T {
        self.pointer
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

// SAFETY: handing the pointer to another thread does nothing by itself; every use of it is unsafe and vouches for
// places of its own.
unsafe impl<T: Send> Sync for Shared<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Shared<'_, T> {}

/// Values to be written: filling them with zeros first would cost as much as half of the passes that write them.
pub(crate) struct Unwritten<T> {
    values: Vec<T>,
    len: usize,
}

impl<T: Copy> Unwritten<T> {
    pub(crate) fn new(len: usize) -> Self {
        Self { values: Vec::with_capacity(len), len }
    }

    /// The memory.
    pub(crate) fn shared(&mut self) -> Shared<'_, T> {
        Shared { pointer: self.values.as_mut_ptr(), len: self.len, memory: PhantomData }
    }

    /// The memory, value by value.
    pub(crate) fn values_mut(&mut self) -> &mut [MaybeUninit<T>] {
        &mut self.values.spare_capacity_mut()[..self.len]
    }

    /// The values.
    ///
    /// # Safety
    /// All have been written.
    pub(crate) unsafe fn written(mut self) -> Vec<T> {
        // SAFETY: within the capacity, and written as the caller vouches.
        unsafe { self.values.set_len(self.len) };
        self.values
    }
}

/// Values that have been written.
///
/// # Safety
/// All have been.
pub(crate) unsafe fn written<T: Copy>(values: &mut [MaybeUninit<T>]) -> &mut [T] {
    // SAFETY: the same layout, and written as the caller vouches.
    unsafe { &mut *(std::ptr::from_mut(values) as *mut [T]) }
}
