use crate::Result;
use npair_data::sheet::{Border, contact_sheet, encode_png};
use npair_data::{Dataset, Picture};
use npair_metrics::{Embeddings, Search};
use npair_types::{ExampleId, Labels, Measure};

/// A picture of what the embedding finds: a row per query, the query first (blue), then its nearest others, green if they are
/// of its class, red if not. Queries are the first examples of classes spread over the set. Returns a PNG.
///
/// # Errors
/// Those of decoding the pictures, or if the set has fewer rows than are to be shown.
pub fn neighbor_grid(
    data: &dyn Dataset,
    set: &Embeddings,
    measure: Measure,
    queries: usize,
    neighbours: usize,
) -> Result<Vec<u8>> {
    let index = data.class_index();
    let usable = index.with_at_least(2);
    let queries = queries.min(usable.len()).max(1);
    let shown: Vec<ExampleId> =
        (0..queries.min(usable.len())).map(|q| index.examples(usable[q * usable.len() / queries])[0]).collect();
    let near = nearest(set, &shown, measure, neighbours)?;
    let (mut pictures, mut borders) = (Vec::<Picture>::new(), Vec::new());
    for (&query, near) in shown.iter().zip(&near) {
        pictures.push(data.load(query)?);
        borders.push(Border::Query);
        for &j in near {
            pictures.push(data.load(ExampleId(j))?);
            borders.push(if set.labels().same(query.0, j) { Border::Right } else { Border::Wrong });
        }
    }
    Ok(encode_png(&contact_sheet(&pictures, 1 + neighbours, &borders)?)?)
}

/// The nearest others of some rows.
fn nearest(set: &Embeddings, rows: &[ExampleId], measure: Measure, k: usize) -> Result<Vec<Vec<usize>>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<usize> = rows.iter().map(|row| row.0).collect();
    let queries = set.select(&places, Labels::from_ids(places.iter().map(|&row| set.labels().get(row)).collect())?)?;
    let all: Vec<ExampleId> = (0..set.len()).map(ExampleId).collect();
    Ok(Search::ignoring(&queries, set, measure, rows, &all)?.nearest(k)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_rows_find_what_they_find_among_all() {
        let values: Vec<f32> = (0..60).map(|at| ((at * 37 % 41) as f32).sin()).collect();
        let set = Embeddings::owned(values, 3, Labels::new((0..20).map(|row| row / 4)).unwrap()).unwrap();
        let all = Search::within(&set, Measure::Cosine).nearest(5).unwrap();
        let some = nearest(&set, &[7, 0, 19].map(ExampleId), Measure::Cosine, 5).unwrap();
        assert_eq!(some, [all[7].clone(), all[0].clone(), all[19].clone()]);
        assert!(nearest(&set, &[], Measure::Cosine, 5).unwrap().is_empty());
    }
}
