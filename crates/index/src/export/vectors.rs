//! Rows with their vectors as Parquet.

use crate::Index;
use crate::files::Sink;
use crate::parquet_file::{self as file, Written};
use crate::table::some;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};

const SCHEMA: &str = "message index {
    REQUIRED INT64 id (INTEGER(64,true));
    REQUIRED BYTE_ARRAY path (STRING);
    OPTIONAL BYTE_ARRAY class (STRING);
    REQUIRED INT64 added;
    REQUIRED group vector (LIST) {
        REPEATED group list {
            REQUIRED FLOAT element;
        }
    }
}";

pub(super) fn write(index: &Index, sink: &mut Sink) -> Written<()> {
    let width = index.width();
    file::write(sink, SCHEMA, index.len(), |group, range| {
        let rows = &index.rows()[range.clone()];
        let text = |text: &str| ByteArray::from(text.as_bytes().to_vec());
        let ids: Vec<i64> = rows.iter().map(|row| row.id as i64).collect();
        file::put::<Int64Type, _>(group, &ids, None, None)?;
        let paths: Vec<ByteArray> = rows.iter().map(|row| text(&row.path)).collect();
        file::put::<ByteArrayType, _>(group, &paths, None, None)?;
        let (classes, named) = some(rows, |row| row.class.as_deref().map(text));
        file::put::<ByteArrayType, _>(group, &classes, Some(&named), None)?;
        let added: Vec<i64> = rows.iter().map(|row| row.added as i64).collect();
        file::put::<Int64Type, _>(group, &added, None, None)?;
        let values = &index.vectors().as_slice()[range.start * width..range.end * width];
        // A list begins where the level is 0.
        let repeated: Vec<i16> = (0..values.len()).map(|i| i16::from(i % width != 0)).collect();
        file::put::<FloatType, _>(group, values, Some(&vec![1; values.len()]), Some(&repeated))
    })
}
