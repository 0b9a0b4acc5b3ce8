//! How much memory decoding may take, on all threads together.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A number of bytes that those who need some share; who finds too few left waits for others to be done.
pub(super) struct Budget {
    bytes: u64,
    used: Mutex<u64>,
    returned: Condvar,
}

/// Bytes taken from a budget until dropped.
pub(super) struct Share<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) const fn new(bytes: u64) -> Self {
        Self { bytes, used: Mutex::new(0), returned: Condvar::new() }
    }

    /// Waits for so many bytes. Who needs more than there are at all takes all of them, and so is alone. Nobody takes a
    /// second share while holding one, so that nobody waits for himself.
    pub(super) fn take(&self, bytes: u64) -> Share<'_> {
        let bytes = bytes.min(self.bytes);
        let mut used = self.used();
        while *used > self.bytes - bytes {
            used = self.returned.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Share { budget: self, bytes }
    }

    // A number cannot be left half changed by a thread that panicked.
    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *self.budget.used() -= self.bytes;
        self.budget.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn shares_never_exceed_the_budget_and_the_largest_is_alone() {
        let (budget, now, most) = (Budget::new(10), AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for need in [3, 4, 9, 25, 1, 6, 10, 2] {
                let (budget, now, most) = (&budget, &now, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let share = budget.take(need);
                        let sum = now.fetch_add(share.bytes, Ordering::SeqCst) + share.bytes;
                        most.fetch_max(sum, Ordering::SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(share.bytes, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        assert_eq!(*budget.used(), 0);
    }
}
