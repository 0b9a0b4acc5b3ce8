//! Indexes for other programs.
#![allow(clippy::unwrap_used)]

use npair_index::{Export, Index, IndexSettings, NewRow, import_parquet};
use npair_similarity::Rows;
use npair_types::Measure;
use std::path::Path;

/// Names that are hard to write down.
const PATHS: [&str; 6] =
    ["a b.png", "tab\tnew\nline\r.png", "back\\slash\\.", "quote'\"", "\\N", "é\u{8}\u{b}\u{c}日本"];
const VALUES: [f32; 12] = [0., -0.5, 1e-30, 1e15, 0.1, 0.2, 3., 4., f32::MIN_POSITIVE, 1e-45, 16_777_217., -1e-7];

fn index(folder: &Path, measure: Measure) -> Index {
    let mut index = Index::create(folder, IndexSettings::new(2, measure)).unwrap();
    let class = |i: usize| [None, Some("\\N"), Some("owl\t1")][i % 3];
    let row = |(i, path): (usize, &&'static str)| NewRow { path, class: class(i), added: i as u64, thumbnail: None };
    let new: Vec<NewRow> = PATHS.iter().enumerate().map(row).collect();
    index.add(&new, Rows::new(&VALUES, 2).unwrap()).unwrap();
    index
}

#[test]
fn parquet_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir.path().join("x"), Measure::Dot);
    let to = dir.path().join("x.parquet");
    index.export(Export::Parquet, &to).unwrap();
    let back = import_parquet(&to).unwrap();
    assert_eq!((back.vectors.as_slice(), back.width), (&VALUES[..], 2));
    let mut again = Index::create(&dir.path().join("again"), IndexSettings::new(2, Measure::Dot)).unwrap();
    again.add(&back.new_rows(), back.vectors().unwrap()).unwrap();
    assert_eq!(again.rows(), index.rows());
    let said = index.export(Export::Parquet, &to).unwrap_err().to_string();
    assert!(said.contains("is there already") && said.lines().count() == 1, "{said}");
    // Damaged files are one-line errors, or hold something else.
    std::panic::set_hook(Box::new(|_| {}));
    let good = std::fs::read(&to).unwrap();
    for at in (0..good.len()).step_by(3) {
        let mut bad = good.clone();
        bad[at] ^= [0x01, 0x5a, 0xff][at / 3 % 3];
        for bytes in [&bad[..], &good[..at]] {
            std::fs::write(&to, bytes).unwrap();
            if let Err(error) = import_parquet(&to) {
                let said = error.to_string();
                assert!(said.contains("x.parquet") && said.lines().count() == 1, "{said}");
            }
        }
    }
    let _ = std::panic::take_hook();
}

/// The fields of a line of `COPY`, as PostgreSQL reads them.
fn fields(line: &str) -> Vec<Option<String>> {
    let field = |raw: &str| {
        let (mut out, mut chars) = (String::new(), raw.chars());
        while let Some(c) = chars.next() {
            let escaped = if c == '\\' { chars.next() } else { None };
            out.push(match escaped {
                None => c,
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('b') => '\u{8}',
                Some('v') => '\u{b}',
                Some('f') => '\u{c}',
                Some(other) => other,
            });
        }
        (raw != "\\N").then_some(out)
    };
    line.split('\t').map(field).collect()
}

#[test]
fn sql_says_what_the_index_holds() {
    let dir = tempfile::tempdir().unwrap();
    for (at, (measure, operator)) in
        [(Measure::Cosine, "<=>"), (Measure::Dot, "<#>"), (Measure::SquaredEuclidean, "<->")].into_iter().enumerate()
    {
        let index = index(&dir.path().join(format!("{at}")), measure);
        let to = dir.path().join(format!("{at}.sql"));
        index.export(Export::Sql { table: "my \"birds\"" }, &to).unwrap();
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(text.contains("CREATE EXTENSION IF NOT EXISTS vector;\nCREATE TABLE \"my \"\"birds\"\"\" ("), "{text}");
        assert!(text.contains("vector vector(2) NOT NULL") && text.contains(&format!("ORDER BY vector {operator} $1")));
        let (_, rows) = text.split_once("FROM stdin;\n").unwrap();
        let (rows, _) = rows.split_once("\n\\.\nCOMMIT;").unwrap();
        for (at, line) in rows.split('\n').enumerate() {
            let fields = fields(line);
            let row = &index.rows()[at];
            assert_eq!(fields[0].as_deref(), Some(row.id.to_string().as_str()));
            assert_eq!((fields[1].as_deref(), fields[2].as_deref()), (Some(&*row.path), row.class.as_deref()));
            let vector: Vec<f32> = serde_json::from_str(fields[4].as_deref().unwrap()).unwrap();
            assert_eq!(vector, index.vectors().row(at));
        }
    }
}

#[test]
fn names_and_widths_that_postgres_cannot_have_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let index = index(&dir.path().join("x"), Measure::Dot);
    for table in ["", "a\nDROP TABLE b; --", "x".repeat(60).as_str()] {
        let said = index.export(Export::Sql { table }, &dir.path().join("x.sql")).unwrap_err().to_string();
        assert!(said.contains("is no name") && said.lines().count() == 1, "{said}");
    }
    let wide = Index::create(&dir.path().join("wide"), IndexSettings::new(16_001, Measure::Dot)).unwrap();
    let said = wide.export(Export::Sql { table: "t" }, &dir.path().join("y.sql")).unwrap_err().to_string();
    assert!(said.contains("at most 16000") && !dir.path().join("y.sql").exists(), "{said}");
}
