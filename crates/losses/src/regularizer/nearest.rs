use crate::device::to_f64;
use crate::rows::{accept, pick, unit_rows};
use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use npair_similarity::{Mask, Rows};
use npair_types::Measure;

/// Rows at length 1 in f64 and each one's nearest other row, at least two, and the number type in which a loss of them is given.
pub(crate) fn with_nearest(what: &str, rows: &Tensor) -> Result<([Tensor; 2], DType)> {
    let rows = accept("rows", rows)?;
    let (got, d) = rows.dims2()?;
    if got < 2 {
        return Err(Error::too_few(what, "rows", 2, got));
    }
    let unit = unit_rows(&to_f64(&rows)?)?;
    // From a device too, once: which row is nearest is found on the host.
    let values = unit.detach().to_device(&Device::Cpu)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
    if let Some(at) = values.iter().position(|v| !v.is_finite()) {
        return Err(npair_similarity::Error::NotFinite { side: "rows", row: at / d }.into());
    }
    let all = Rows::new(&values, d)?;
    let nearest = all.row_max(all, Measure::Dot, &Mask::OffDiagonal)?;
    // With two rows there is another one; a finite one is found.
    let places: Vec<usize> = nearest.iter().enumerate().map(|(i, n)| n.as_ref().map_or(i, |n| n.index)).collect();
    let others = pick(&unit, &places)?;
    Ok(([unit, others], rows.dtype()))
}
