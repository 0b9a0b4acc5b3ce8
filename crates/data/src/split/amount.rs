use serde::{Deserialize, Serialize};

/// How many: a whole number, or a fraction of all.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// This part of all, at least 0 and less than 1, rounded to the nearest number.
    Fraction(f64),
}

impl Default for Amount {
    fn default() -> Self {
        Self::Count(0)
    }
}

impl Amount {
    /// Whether nothing is asked for.
    pub(crate) fn is_none(self) -> bool {
        self == Self::Count(0) || self == Self::Fraction(0.0)
    }

    /// The number meant, of `all`; why not otherwise.
    pub(crate) fn of(self, all: usize) -> Result<usize, String> {
        match self {
            Self::Count(n) if n <= all => Ok(n),
            Self::Count(n) => Err(format!("{n} is more than the {all} there are")),
            Self::Fraction(part) if !(0.0..1.0).contains(&part) => {
                Err(format!("the fraction {part} is not from 0 to less than 1"))
            }
            Self::Fraction(part) => match (all as f64 * part).round() as usize {
                0 if part > 0.0 => Err(format!("{part} of {all} is none; ask for more")),
                n => Ok(n),
            },
        }
    }

    /// As [`of`](Self::of), but a fraction above 0 is at least 1.
    pub(crate) fn at_least_one_of(self, all: usize) -> Result<usize, String> {
        match self {
            Self::Fraction(part) if part > 0.0 && part < 1.0 => Ok(((all as f64 * part).round() as usize).max(1)),
            other => other.of(all),
        }
    }
}
