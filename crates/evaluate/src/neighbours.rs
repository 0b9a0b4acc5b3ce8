use crate::{Result, Vectors};
use npair_data::sheet::{Border, contact_sheet, encode_png};
use npair_data::{Dataset, Picture};
use npair_metrics::{Embeddings, Search};
use npair_types::{ExampleId, Measure};

/// A picture of what the embedding finds: a row per query, the query first (blue), then its nearest others, green if they are
/// of its class, red if not. Queries are the first examples of classes spread over the set. Returns a PNG.
///
/// # Errors
/// Those of decoding the pictures, or if the set has fewer rows than are to be shown.
pub fn neighbor_grid(
    data: &dyn Dataset,
    vectors: &Vectors,
    measure: Measure,
    queries: usize,
    neighbours: usize,
) -> Result<Vec<u8>> {
    let set: Embeddings = vectors.labeled()?;
    let index = data.class_index();
    let usable = index.with_at_least(2);
    let queries = queries.min(usable.len()).max(1);
    let near = Search::within(&set, measure).nearest(neighbours)?;
    let (mut pictures, mut borders) = (Vec::<Picture>::new(), Vec::new());
    for q in 0..queries.min(usable.len()) {
        let query = index.examples(usable[q * usable.len() / queries])[0];
        pictures.push(data.load(query)?);
        borders.push(Border::Query);
        for &j in &near[query.0] {
            pictures.push(data.load(ExampleId(j))?);
            borders.push(if set.labels().same(query.0, j) { Border::Right } else { Border::Wrong });
        }
    }
    Ok(encode_png(&contact_sheet(&pictures, 1 + neighbours, &borders)?)?)
}
