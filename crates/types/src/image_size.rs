use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Height and width of images in pixels. In settings, and where it is shown, one number for a square or `[height, width]`, as PyTorch
/// orders them.
///
/// ```
/// # use npair_types::ImageSize;
/// let body: ImageSize = serde_json::from_str("[256, 128]")?;
/// assert_eq!((body, body.to_string().as_str()), (ImageSize { height: 256, width: 128 }, "[256, 128]"));
/// assert_eq!(serde_json::from_str::<ImageSize>("28")?, ImageSize::square(28));
/// assert_eq!(serde_json::to_string(&ImageSize::square(28))?, "28");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ImageSize {
    /// Rows of pixels.
    pub height: u32,
    /// Pixels of a row.
    pub width: u32,
}

impl ImageSize {
    /// As high as wide.
    pub const fn square(side: u32) -> Self {
        Self { height: side, width: side }
    }

    /// Height and width, as the extents of a tensor have them.
    pub const fn dims(self) -> [usize; 2] {
        [self.height as usize, self.width as usize]
    }

    /// Number of pixels.
    pub const fn area(self) -> u64 {
        self.height as u64 * self.width as u64
    }

    /// The shorter side.
    pub fn shorter(self) -> u32 {
        self.height.min(self.width)
    }

    /// The longer side.
    pub fn longer(self) -> u32 {
        self.height.max(self.width)
    }

    /// Whether both sides are the same.
    pub const fn is_square(self) -> bool {
        self.height == self.width
    }

    /// Both sides changed alike.
    #[must_use]
    pub fn map(self, of: impl Fn(u32) -> u32) -> Self {
        Self { height: of(self.height), width: of(self.width) }
    }
}

impl From<u32> for ImageSize {
    fn from(side: u32) -> Self {
        Self::square(side)
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_square() {
            true => write!(f, "{}", self.height),
            false => write!(f, "[{}, {}]", self.height, self.width),
        }
    }
}

impl Serialize for ImageSize {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.is_square() {
            true => self.height.serialize(to),
            false => [self.height, self.width].serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for ImageSize {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written)
    }
}

/// Either way in which a size is written.
struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = ImageSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of pixels a side, or [height, width]")
    }

    fn visit_u64<E: serde::de::Error>(self, side: u64) -> Result<ImageSize, E> {
        let fault = || E::custom(format_args!("{side} pixels a side are more than there can be"));
        u32::try_from(side).map(ImageSize::square).map_err(|_| fault())
    }

    fn visit_i64<E: serde::de::Error>(self, side: i64) -> Result<ImageSize, E> {
        match u64::try_from(side) {
            Ok(side) => self.visit_u64(side),
            Err(_) => Err(E::custom(format_args!("{side} pixels a side are less than none"))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sides: A) -> Result<ImageSize, A::Error> {
        let mut next = |at| sides.next_element()?.ok_or_else(|| A::Error::invalid_length(at, &self));
        let (height, width) = (next(0)?, next(1)?);
        match sides.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(ImageSize { height, width }),
            Some(_) => Err(A::Error::invalid_length(3, &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_size_is_said_so() {
        let fault = |text: &str| serde_json::from_str::<ImageSize>(text).unwrap_err().to_string();
        for text in ["\"28\"", "[28]", "[1, 2, 3]", "2.5"] {
            assert!(fault(text).contains("a number of pixels a side, or [height, width]"), "{text}: {}", fault(text));
        }
        assert!(fault("-3").starts_with("-3 pixels a side"), "{}", fault("-3"));
        assert!(fault("5000000000").contains("more than there can be"));
        assert!(serde_json::from_str::<ImageSize>("[-1, 4]").is_err());
    }
}
