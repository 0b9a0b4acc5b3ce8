//! Rows with their vectors as Parquet.

use crate::Index;
use crate::files::Sink;
use crate::parquet_file::{self as file, Written};
use crate::table::put_rows;
use parquet::data_type::FloatType;

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
        put_rows(group, &index.rows()[range.clone()])?;
        let values = &index.vectors().as_slice()[range.start * width..range.end * width];
        // A list begins where the level is 0.
        let repeated: Vec<i16> = (0..values.len()).map(|i| i16::from(i % width != 0)).collect();
        file::put::<FloatType, _>(group, values, Some(&vec![1; values.len()]), Some(&repeated))
    })
}
