use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The use of random numbers. Each purpose has streams of its own, so that a change in one (another
/// augmentation, say) leaves all others as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u64)]
pub enum Purpose {
    /// First values of weights.
    Initialization = 1,
    /// Which classes and examples form a batch.
    Sampling = 2,
    /// Candidates, starts and ties of class mining.
    Mining = 3,
    /// Random changes of images.
    Augmentation = 4,
    /// Dropout masks.
    Dropout = 5,
    /// Splits of a data set.
    Split = 6,
    /// Trials, k-means starts and resampling in evaluation.
    Evaluation = 7,
    /// Made-up data: the glyph set, test inputs.
    Synthesis = 8,
    /// Changed views of a picture in evaluation.
    View = 9,
}

/// The random streams of one run: one seed, a stream per purpose and place.
///
/// A stream depends on nothing but (seed, purpose, place), so it does not matter on which thread or in which order
/// streams are opened, and a resumed run opens the same ones.
///
/// ```
/// # use npair_types::{Purpose, Streams};
/// use rand::Rng;
/// let draw = |place| Streams::new(7).open(Purpose::Sampling, place).random::<u64>();
/// assert_eq!(draw([0, 1]), draw([0, 1]));
/// assert_ne!(draw([0, 1]), draw([1, 0]));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams(u64);

impl Streams {
    /// Streams of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The seed.
    pub fn seed(self) -> u64 {
        self.0
    }

    /// The stream of `purpose` at `place` (step and layer, epoch and example, ...).
    pub fn open(self, purpose: Purpose, place: [u64; 2]) -> ChaCha8Rng {
        let mut key = [0u8; 32];
        for (bytes, word) in key.chunks_exact_mut(8).zip([self.0, purpose as u64, place[0], place[1]]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(key)
    }
}
