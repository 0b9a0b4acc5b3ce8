//! Numbers and words as files lay them out.

use std::borrow::Cow;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl Kind {
    pub(super) fn width(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    pub(super) fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::Bf16 | Self::F32 | Self::F64)
    }

    /// What numpy calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Bool => "bool",
        }
    }
}

/// Numbers of one kind, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Numbers<'a> {
    pub(super) kind: Kind,
    /// The first byte of a number is its highest.
    pub(super) big_endian: bool,
    pub(super) bytes: Cow<'a, [u8]>,
}

impl Numbers<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.kind.width()
    }

    /// The bytes of a number, the lowest first.
    fn bytes<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes[at * N..][..N]);
        if self.big_endian {
            bytes.reverse();
        }
        bytes
    }

    /// A floating-point number; whole ones are rounded to one.
    pub(super) fn real(&self, at: usize) -> f64 {
        match self.kind {
            Kind::F16 => half::f16::from_le_bytes(self.bytes(at)).to_f64(),
            Kind::Bf16 => half::bf16::from_le_bytes(self.bytes(at)).to_f64(),
            Kind::F32 => f64::from(f32::from_le_bytes(self.bytes(at))),
            Kind::F64 => f64::from_le_bytes(self.bytes(at)),
            _ => self.whole(at).unwrap_or_default() as f64,
        }
    }

    /// A whole number; none for a floating-point one.
    pub(super) fn whole(&self, at: usize) -> Option<i128> {
        Some(match self.kind {
            Kind::I8 => i8::from_le_bytes(self.bytes(at)).into(),
            Kind::I16 => i16::from_le_bytes(self.bytes(at)).into(),
            Kind::I32 => i32::from_le_bytes(self.bytes(at)).into(),
            Kind::I64 => i64::from_le_bytes(self.bytes(at)).into(),
            Kind::U8 | Kind::Bool => self.bytes::<1>(at)[0].into(),
            Kind::U16 => u16::from_le_bytes(self.bytes(at)).into(),
            Kind::U32 => u32::from_le_bytes(self.bytes(at)).into(),
            Kind::U64 => u64::from_le_bytes(self.bytes(at)).into(),
            _ => return None,
        })
    }
}

/// What an array holds.
#[derive(Debug, Clone)]
pub(super) enum Cells<'a> {
    Numbers(Numbers<'a>),
    Words(Vec<String>),
}

/// An array of a file.
#[derive(Debug, Clone)]
pub(super) struct Array<'a> {
    pub(super) shape: Vec<usize>,
    /// Columns lie one after the other, not rows.
    pub(super) by_columns: bool,
    pub(super) cells: Cells<'a>,
}

impl Array<'_> {
    /// The rows of a matrix of floating-point numbers, and their width; the error says what it is instead.
    pub(super) fn rows(&self) -> Result<(Vec<f32>, usize), String> {
        self.rows_as(|row, value| narrow(value).map_err(|why| format!("row {row} {why}")))
    }

    /// The same as they are, if they are numbers of 64 bits.
    pub(super) fn wide_rows(&self) -> Result<Option<(Vec<f64>, usize)>, String> {
        match &self.cells {
            Cells::Numbers(numbers) if numbers.kind == Kind::F64 => self.rows_as(|_, value| Ok(value)).map(Some),
            _ => Ok(None),
        }
    }

    fn rows_as<T>(&self, of: impl Fn(usize, f64) -> Result<T, String>) -> Result<(Vec<T>, usize), String> {
        let [rows, width] = self.shape[..] else {
            return Err(format!("has shape {:?}, but a matrix (rows, D) is needed", self.shape));
        };
        let Cells::Numbers(numbers) = &self.cells else {
            return Err("holds words, but float16, float32 or float64 is needed".to_owned());
        };
        if !numbers.kind.is_float() {
            let (kind, cure) = (numbers.kind.name(), "write it with numpy.save(file, x.astype(\"float32\"))");
            return Err(format!("holds {kind}, but float16, float32 or float64 is needed: {cure}"));
        }
        if numbers.len() == 0 {
            return Ok((Vec::new(), 0));
        }
        let mut values = Vec::with_capacity(numbers.len());
        for at in 0..numbers.len() {
            let (row, column) = (at / width, at % width);
            let value = numbers.real(if self.by_columns { column * rows + row } else { at });
            values.push(of(row, value)?);
        }
        Ok((values, width))
    }

    /// Whether it is a list: one dimension, or one that all others are 1 beside.
    pub(super) fn is_list(&self) -> bool {
        self.shape.len() == 1 || (self.shape.len() == 2 && self.shape[1] == 1)
    }
}

/// A value as the engine takes it; the error says why it cannot.
pub(super) fn narrow(value: f64) -> Result<f32, String> {
    let narrowed = value as f32;
    match narrowed.is_finite() || !value.is_finite() {
        true => Ok(narrowed),
        false => {
            Err(format!("has the value {value:e}, beyond the range of 32 bits (3.4e38): divide all by a common factor"))
        }
    }
}
