use serde::{Deserialize, Serialize};

/// A picture, small enough for a page that holds hundreds: 64 to 96 pixels wide.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thumb {
    /// What it shows, for those who do not see it: its class and its file, say.
    #[serde(default)]
    pub alt: String,
    /// What its bytes are.
    pub kind: ThumbKind,
    /// The bytes of the file; base64 in JSON.
    #[serde(with = "crate::coded")]
    pub data: Vec<u8>,
}

/// Encodings that every browser shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThumbKind {
    /// PNG.
    #[default]
    Png,
    /// JPEG.
    Jpeg,
}

impl ThumbKind {
    /// The media type's second half.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        }
    }

    /// What a file of it begins with.
    pub(crate) fn magic(self) -> &'static [u8] {
        match self {
            Self::Png => b"\x89PNG\r\n\x1a\n",
            Self::Jpeg => b"\xff\xd8\xff",
        }
    }
}
