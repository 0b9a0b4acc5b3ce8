//! What every row is, as CSV.

use super::Vectors;
use std::borrow::Cow;
use std::io::{Result, Write};

impl Vectors {
    /// The list of these rows.
    pub(super) fn list(&self) -> Result<Vec<u8>> {
        let entry = |(row, name): (usize, &'_ String)| {
            let label = self.labels.as_ref().map_or(String::new(), |l| l.get(row).to_string());
            let class = self.classes.get(row).map_or("", String::as_str);
            [Cow::Owned(label), Cow::Borrowed(class), Cow::Owned(name.clone())]
        };
        let mut list = Vec::new();
        write_list(&mut list, self.names.iter().enumerate().map(entry))?;
        Ok(list)
    }
}

/// Label, class and name of every row: a line break in a name is quoted, as commas are.
pub(crate) fn write_list<'a>(to: &mut dyn Write, rows: impl Iterator<Item = [Cow<'a, str>; 3]>) -> Result<()> {
    let mut list = csv::Writer::from_writer(to);
    list.write_record(["row", "label", "class", "name"])?;
    for (row, [label, class, name]) in rows.enumerate() {
        list.write_record([&row.to_string(), &*label, &*class, &*name])?;
    }
    list.flush()
}
