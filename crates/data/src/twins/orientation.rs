use serde::{Deserialize, Serialize};
use std::fmt;

/// One of the eight ways in which a square lies on itself: mirrored left to right or not, then turned counter-clockwise by right angles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Orientation {
    mirrored: bool,
    quarters: u8,
}

impl Orientation {
    /// As it stands.
    pub const UPRIGHT: Self = Self { mirrored: false, quarters: 0 };

    /// All eight, upright first.
    pub const ALL: [Self; 8] = {
        let mut all = [Self::UPRIGHT; 8];
        let mut at = 1;
        while at < 8 {
            all[at] = Self { mirrored: at >= 4, quarters: (at % 4) as u8 };
            at += 1;
        }
        all
    };

    /// Whether left and right change places first.
    pub fn is_mirrored(self) -> bool {
        self.mirrored
    }

    /// Right angles by which it is turned then, 0 to 3.
    pub fn quarters(self) -> u8 {
        self.quarters
    }

    /// What undoes it.
    pub fn inverse(self) -> Self {
        match self.mirrored {
            true => self,
            false => Self { quarters: (4 - self.quarters) % 4, ..self },
        }
    }

    /// The place, row and column of a square of `side` places, that comes to lie on a place.
    pub(super) fn source(self, side: usize, [row, column]: [usize; 2]) -> [usize; 2] {
        let last = side - 1;
        let [row, column] = match self.quarters {
            0 => [row, column],
            1 => [column, last - row],
            2 => [last - row, last - column],
            _ => [last - column, row],
        };
        [row, if self.mirrored { last - column } else { column }]
    }
}

impl fmt::Display for Orientation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.mirrored, self.quarters) {
            (false, 0) => "upright",
            (false, 1) => "turned left",
            (false, 2) => "upside down",
            (false, _) => "turned right",
            (true, 0) => "mirrored",
            (true, 1) => "mirrored and turned left",
            (true, 2) => "mirrored top to bottom",
            (true, _) => "mirrored and turned right",
        })
    }
}
