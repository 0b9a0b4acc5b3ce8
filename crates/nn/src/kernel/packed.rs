//! Right factors that stay packed from one pass of evaluation to the next.

use super::Element;
use npair_simd::vectorised;
use rayon::prelude::*;
use std::any::Any;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Values that a task marks.
const BLOCK: usize = 1 << 15;

/// Independent lanes of a mark.
const LANES: usize = 32;

/// Odd, and its bits are like thrown dice (of the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The state of every lane of every block, after all its values.
///
/// A step leads different states to different ones, so that one value that changes in a lane always shows; several in one lane fall
/// together with a chance of about 2^-64.
pub(crate) type Mark = Vec<[u64; LANES]>;

/// A mark of all bits of some values.
pub(crate) fn mark<T: Element>(values: &[T]) -> Mark {
    values.par_chunks(BLOCK).map(|block| lanes(block)).collect()
}

vectorised! {
    fn lanes<T: Element>(values: &[T]) -> [u64; LANES] {
        let mut states = [0; LANES];
        let (rows, rest) = values.as_chunks::<LANES>();
        for row in rows {
            for (state, value) in states.iter_mut().zip(row) {
                *state = next(*state, value.bits());
            }
        }
        for (state, value) in states.iter_mut().zip(rest) {
            *state = next(*state, value.bits());
        }
        // A last value of 0 shows as well.
        states[rest.len()] = next(states[rest.len()], values.len() as u64);
        states
    }
}

#[inline(always)]
fn next(state: u64, bits: u64) -> u64 {
    (state ^ bits).wrapping_mul(FACTOR).rotate_left(29)
}

/// What a layer's last pass of evaluation packed of its weights, for as long as they are the same.
///
/// Weights change in place, and not by our hand alone: they are known by a [`Mark`] of all their bits, which costs one reading of them.
#[derive(Clone, Default)]
pub struct PackedOnce(Arc<Mutex<Option<Entry>>>);

struct Entry {
    marks: Vec<Mark>,
    made: Arc<dyn Any + Send + Sync>,
}

impl PackedOnce {
    /// What was made under these marks, or what `make` makes now.
    pub(crate) fn of<M: Any + Send + Sync>(&self, marks: Vec<Mark>, make: impl FnOnce() -> M) -> Arc<M> {
        let kept = self.entry().as_ref().filter(|entry| entry.marks == marks).map(|entry| entry.made.clone());
        if let Some(Ok(made)) = kept.map(Arc::downcast) {
            return made;
        }
        // Not under the lock: a thread that waits for its parts takes up other work, which may ask here, too.
        let made = Arc::new(make());
        *self.entry() = Some(Entry { marks, made: made.clone() });
        made
    }

    /// Gives the memory back: the weights are about to change.
    pub(crate) fn forget(&self) {
        *self.entry() = None;
    }

    fn entry(&self) -> MutexGuard<'_, Option<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PackedOnce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PackedOnce").field("kept", &self.entry().is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_that_changes_shows() {
        let values: Vec<f32> = (0..BLOCK + 77).map(|i| i as f32 * 0.5).collect();
        let before = mark(&values);
        assert_eq!(before, mark(&values));
        for at in [0, 31, 32, 4000, BLOCK - 1, BLOCK, BLOCK + 76] {
            let mut changed = values.clone();
            changed[at] = f32::from_bits(changed[at].to_bits() ^ 1);
            assert_ne!(before, mark(&changed), "{at}");
        }
        let mut swapped = values.clone();
        swapped.swap(3, 3 + LANES);
        assert_ne!(before, mark(&swapped));
        assert_ne!(mark(&[0f32; 5]), mark(&[0f32; 6]));
        assert_ne!(mark(&[0f32]), mark(&[-0f32]));
    }

    #[test]
    fn the_same_is_made_once() {
        let kept = PackedOnce::default();
        let make = |values: &[f64], made: i32| *kept.of(vec![mark(values)], || made);
        assert_eq!([make(&[1.], 1), make(&[1.], 2), make(&[2.], 3), make(&[2.], 4), make(&[1.], 5)], [1, 1, 3, 3, 5]);
        kept.forget();
        assert_eq!(make(&[1.], 6), 6);
    }
}
