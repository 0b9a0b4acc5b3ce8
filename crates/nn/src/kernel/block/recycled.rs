use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that steps give back and take again: fresh memory costs more to get than it takes to fill.
#[derive(Debug)]
pub(crate) struct Pool<T>(Arc<Mutex<Vec<Vec<T>>>>);

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Copy + Default> Pool<T> {
    /// Buffers that wait at most: those of a step and of one beside it.
    const MOST: usize = 2;

    /// A buffer of `len` values, whatever they are: write before you read.
    pub(crate) fn take(&self, len: usize) -> Recycled<T> {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One of the very size, else a fresh one.
        let buffer = match free.iter().position(|buffer| buffer.len() == len) {
            Some(at) => free.swap_remove(at),
            None => vec![T::default(); len],
        };
        Recycled { buffer, pool: self.clone() }
    }
}

/// A buffer that goes back to its pool.
#[derive(Debug)]
pub(crate) struct Recycled<T: Copy + Default> {
    buffer: Vec<T>,
    pool: Pool<T>,
}

impl<T: Copy + Default> Deref for Recycled<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.buffer
    }
}

impl<T: Copy + Default> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer
    }
}

impl<T: Copy + Default> Drop for Recycled<T> {
    fn drop(&mut self) {
        let mut free = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() >= Pool::<T>::MOST {
            free.remove(0);
        }
        free.push(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back() {
        let pool = Pool::<f32>::default();
        let mut first = pool.take(3);
        first[1] = 5.;
        let at = first.as_ptr();
        drop(first);
        assert_ne!(pool.take(4).len(), 3);
        let again = pool.take(3);
        assert_eq!((again.as_ptr(), &again[..]), (at, &[0., 5., 0.][..]));
        let many: Vec<_> = (1..9).map(|n| pool.take(n)).collect();
        drop(many);
        assert_eq!(pool.0.lock().unwrap().len(), 2);
    }
}
