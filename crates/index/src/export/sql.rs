//! Rows with their vectors as text for PostgreSQL with pgvector.

use crate::files::Sink;
use crate::{Error, Index, Result};
use npair_types::Measure;
use std::io::Write;

/// The widest vectors of pgvector.
const WIDEST: usize = 16_000;
/// The widest that its indexes take.
const WIDEST_INDEXED: usize = 2_000;
/// The longest name in PostgreSQL, in bytes.
const LONGEST: usize = 63;

pub(super) fn check(table: &str, width: usize) -> Result<()> {
    // Control characters would end the comments in which the name stands.
    if table.is_empty() || table.len() > LONGEST - "_vector".len() || table.chars().any(char::is_control) {
        let most = LONGEST - "_vector".len();
        return Err(Error::setting(
            "table",
            format!("{table:?} is no name: give 1 to {most} bytes without control characters"),
        ));
    }
    if width > WIDEST {
        let why = format!("is {width}, but pgvector has at most {WIDEST}: export to Parquet, or train a smaller head");
        return Err(Error::setting("width", why));
    }
    Ok(())
}

pub(super) fn write(index: &Index, table: &str, sink: &mut Sink) -> std::io::Result<()> {
    let (name, width) = (quoted(table), index.width());
    writeln!(sink, "-- {} rows of npair for PostgreSQL with pgvector: psql --file THIS", index.len())?;
    writeln!(sink, "\\set ON_ERROR_STOP on\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;")?;
    writeln!(sink, "BEGIN;\nCREATE EXTENSION IF NOT EXISTS vector;")?;
    writeln!(sink, "CREATE TABLE {name} (")?;
    writeln!(sink, "    id bigint PRIMARY KEY,\n    path text NOT NULL UNIQUE,\n    class text,")?;
    writeln!(sink, "    added bigint NOT NULL,\n    vector vector({width}) NOT NULL\n);")?;
    writeln!(sink, "COPY {name} (id, path, class, added, vector) FROM stdin;")?;
    for (at, row) in index.rows().iter().enumerate() {
        let class = row.class.as_deref().map_or("\\N".to_owned(), escaped);
        let values: Vec<String> = index.vectors().row(at).iter().map(number).collect();
        writeln!(sink, "{}\t{}\t{class}\t{}\t[{}]", row.id, escaped(&row.path), row.added, values.join(","))?;
    }
    writeln!(sink, "\\.\nCOMMIT;")?;
    how_to_ask(index.measure(), width, table, sink)
}

/// Comments: a query, and the index that makes it fast.
fn how_to_ask(measure: Measure, width: usize, table: &str, sink: &mut Sink) -> std::io::Result<()> {
    let name = quoted(table);
    let (operator, class, what) = match measure {
        Measure::Cosine => ("<=>", "vector_cosine_ops", "1 - cosine"),
        Measure::Dot => ("<#>", "vector_ip_ops", "minus the inner product"),
        Measure::SquaredEuclidean => ("<->", "vector_l2_ops", "the distance, not squared"),
    };
    writeln!(sink, "\n-- The ten nearest rows of a query $1 ({operator} is {what}):")?;
    writeln!(sink, "-- SELECT id, path, class FROM {name} ORDER BY vector {operator} $1 LIMIT 10;")?;
    if width > WIDEST_INDEXED {
        return writeln!(sink, "-- Vectors of more than {WIDEST_INDEXED} values cannot be indexed.");
    }
    let index = quoted(&format!("{table}_vector"));
    writeln!(sink, "-- Faster and approximate:\n-- CREATE INDEX {index} ON {name} USING hnsw (vector {class});")
}

/// A name of a table or an index.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in the form of `COPY`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c => out.push(c),
        }
    }
    out
}

/// The shortest digits that are this number; exponents keep tiny ones short.
fn number(value: &f32) -> String {
    format!("{value:?}")
}
