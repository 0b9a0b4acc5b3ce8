//! Golden files: reference values made with other programs (see `golden/README.md` of this crate).

use candle_core::{DType, Device, Result, Tensor, bail};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The folder to compare with: `$NPAIR_GOLDEN` if set (this is how `cargo xtask golden --check DIR` hands it over),
/// else the project's own copy.
pub fn folder() -> PathBuf {
    match std::env::var_os("NPAIR_GOLDEN") {
        Some(dir) => PathBuf::from(dir),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("golden"),
    }
}

/// One kind of golden values: `KIND.json` (a row per case) and `KIND.safetensors` (tensors named `CASE/NAME`).
#[derive(Debug)]
pub struct Golden {
    /// The rows of the JSON file.
    pub rows: Vec<serde_json::Value>,
    tensors: HashMap<String, Tensor>,
}

impl Golden {
    /// Reads `kind` ("losses", "metrics", "backbones") from [`folder`].
    ///
    /// # Errors
    /// If a file is missing or malformed; the message names it.
    pub fn open(kind: &str) -> Result<Self> {
        let dir = folder();
        let (json, tensors) = (dir.join(format!("{kind}.json")), dir.join(format!("{kind}.safetensors")));
        let text =
            std::fs::read_to_string(&json).map_err(|e| candle_core::Error::msg(format!("{}: {e}", json.display())))?;
        let rows = match serde_json::from_str(&text) {
            Ok(serde_json::Value::Array(rows)) => rows,
            Ok(_) => bail!("{}: not a list of cases", json.display()),
            Err(e) => bail!("{}: {e}", json.display()),
        };
        Ok(Self { rows, tensors: candle_core::safetensors::load(&tensors, &Device::Cpu)? })
    }

    /// Name of a row's case.
    pub fn case(row: &serde_json::Value) -> &str {
        row["case"].as_str().unwrap_or("(case without a name)")
    }

    /// Tensor `CASE/NAME`, floats as `dtype`, integers as they are.
    ///
    /// # Errors
    /// If there is none; the message names it.
    pub fn tensor(&self, case: &str, name: &str, dtype: DType) -> Result<Tensor> {
        match self.tensors.get(&format!("{case}/{name}")) {
            Some(t) if t.dtype().is_float() => t.to_dtype(dtype),
            Some(t) => Ok(t.clone()),
            None => bail!("the golden file has no tensor {case}/{name}"),
        }
    }

    /// Integer tensor `CASE/NAME`.
    ///
    /// # Errors
    /// If there is none; the message names it.
    pub fn integers(&self, case: &str, name: &str) -> Result<Vec<i64>> {
        self.tensor(case, name, DType::F64)?.to_vec1::<i64>()
    }
}

/// Largest difference between the entries of two tensors, relative to the largest entry of `want`.
///
/// # Errors
/// If the shapes differ or an entry is not finite.
pub fn relative_error(got: &Tensor, want: &Tensor) -> Result<f64> {
    if got.shape() != want.shape() {
        bail!("shape {:?} instead of {:?}", got.shape(), want.shape());
    }
    let flat = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    let (got, want) = (flat(got)?, flat(want)?);
    if !got.iter().all(|v| v.is_finite()) {
        bail!("an entry is not finite");
    }
    let scale = want.iter().fold(0f64, |m, v| m.max(v.abs())).max(f64::MIN_POSITIVE);
    Ok(got.iter().zip(&want).fold(0f64, |m, (g, w)| m.max((g - w).abs())) / scale)
}
