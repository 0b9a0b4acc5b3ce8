//! Columns of Parquet, one at a time and without arrow.

use crate::{Error, Result};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Rows of a group: what is in memory at once while writing.
pub(crate) const GROUP: usize = 65_536;

/// What comes of a file's bytes, or what is wrong with them.
pub(crate) type Read<T> = std::result::Result<T, String>;
/// What comes of writing.
pub(crate) type Written<T> = std::result::Result<T, ParquetError>;

/// Writes a file of this schema, group by group.
pub(crate) fn write<W: Write + Send>(
    to: W,
    schema: &str,
    rows: usize,
    mut group: impl FnMut(&mut SerializedRowGroupWriter<W>, std::ops::Range<usize>) -> Written<()>,
) -> Written<()> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by("npair".to_owned());
    let schema = Arc::new(parse_message_type(schema)?);
    let mut writer = SerializedFileWriter::new(to, schema, Arc::new(properties.build()))?;
    for start in (0..rows).step_by(GROUP) {
        let mut of = writer.next_row_group()?;
        group(&mut of, start..rows.min(start + GROUP))?;
        of.close()?;
    }
    writer.close()?;
    Ok(())
}

/// Writes the next column of a group; values of rows that have none are left out, and their level is 0.
pub(crate) fn put<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<W>,
    values: &[T::T],
    defined: Option<&[i16]>,
    repeated: Option<&[i16]>,
) -> Written<()> {
    let column = group.next_column()?;
    let mut column = column.ok_or_else(|| ParquetError::General("the schema has fewer columns".to_owned()))?;
    column.typed::<T>().write_batch(values, defined, repeated)?;
    column.close()
}

/// A file of columns, which is looked at with suspicion: its parser is another's, and panics on some damaged files.
pub(crate) struct Columns {
    file: SerializedFileReader<Bytes>,
}

/// Values of a column in some rows, with their levels.
pub(crate) struct Column<T: DataType> {
    pub(crate) values: Vec<T::T>,
    pub(crate) defined: Vec<i16>,
    pub(crate) repeated: Vec<i16>,
}

/// Reads a file's bytes as `parse` does; what the parser of columns panics over is an error.
pub(crate) fn read<T>(path: &Path, bytes: Vec<u8>, parse: impl FnOnce(&Columns) -> Read<T>) -> Result<T> {
    let room = (64 << 20) + 16 * bytes.len() as i64;
    let read = catch_unwind(AssertUnwindSafe(|| {
        let file = SerializedFileReader::new(Bytes::from(bytes)).map_err(|e| one_line(&e))?;
        let groups = file.metadata().row_groups();
        let unpacked = groups.iter().try_fold(0i64, |sum, group| sum.checked_add(group.total_byte_size().max(0)));
        if unpacked.is_none_or(|unpacked| unpacked > room) {
            return Err("unpacks to more than 64 MiB and 16 times its size".to_owned());
        }
        parse(&Columns { file })
    }));
    let read = read.unwrap_or_else(|_| Err("is damaged inside".to_owned()));
    read.map_err(|why| Error::damaged(path, format!("is no table as it should be ({why})")))
}

fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl Columns {
    /// Number of rows that the file claims to have.
    pub(crate) fn rows(&self) -> usize {
        let groups = self.file.metadata().row_groups().iter();
        groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).fold(0, usize::saturating_add)
    }

    /// Groups of rows.
    pub(crate) fn groups(&self) -> usize {
        self.file.num_row_groups()
    }

    /// Rows of a group.
    pub(crate) fn rows_of(&self, group: usize) -> usize {
        usize::try_from(self.file.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    /// An error unless the schema is this one.
    pub(crate) fn expect(&self, schema: &str) -> Read<()> {
        let want = parse_message_type(schema).map_err(|e| one_line(&e))?;
        let found = self.file.metadata().file_metadata().schema();
        if *found == want { Ok(()) } else { Err("its columns are others".to_owned()) }
    }

    /// The place of the column, or of the list, of one of these names.
    pub(crate) fn find(&self, names: &[&str]) -> Option<usize> {
        let schema = self.file.metadata().file_metadata().schema_descr();
        names.iter().find_map(|name| {
            let is_it =
                |c: &&parquet::schema::types::ColumnDescPtr| c.path().parts().first().is_some_and(|p| p == name);
            schema.columns().iter().position(|c| is_it(&c))
        })
    }

    /// (whether its values are of this type, highest level of definition, highest level of repetition) of a column.
    pub(crate) fn kind<T: DataType>(&self, column: usize) -> (bool, i16, i16) {
        let column = self.file.metadata().file_metadata().schema_descr().column(column);
        (column.physical_type() == T::get_physical_type(), column.max_def_level(), column.max_rep_level())
    }

    /// A column of a group. At most `most` values are read, in pieces: a file cannot claim more than it should have.
    pub(crate) fn read<T: DataType>(&self, group: usize, column: usize, most: usize) -> Read<Column<T>> {
        if !self.kind::<T>(column).0 {
            return Err(format!("column {column} is of another type"));
        }
        let reader = self.file.get_row_group(group).map_err(|e| one_line(&e))?;
        let reader = reader.get_column_reader(column).map_err(|e| one_line(&e))?;
        let mut reader = get_typed_column_reader::<T>(reader);
        let mut all = Column { values: Vec::new(), defined: Vec::new(), repeated: Vec::new() };
        loop {
            let (defined, repeated) = (Some(&mut all.defined), Some(&mut all.repeated));
            let (records, ..) =
                reader.read_records(1024, defined, repeated, &mut all.values).map_err(|e| one_line(&e))?;
            if all.values.len() > most || all.defined.len() > most {
                return Err(format!("column {column} has more values than it should"));
            }
            if records == 0 {
                return Ok(all);
            }
        }
    }
}
