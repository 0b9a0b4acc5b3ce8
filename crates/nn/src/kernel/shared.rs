use std::marker::PhantomData;

/// A slice that tasks write disjoint places of.
pub(crate) struct Shared<'a, T> {
    pointer: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self { pointer: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

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
