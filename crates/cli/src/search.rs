//! What is near in an index, and whether it is a match.

use crate::args::Search as Args;
use crate::index::model_of;
use crate::{embedded, refined, source, verifier};
use anyhow::Result;
use npair_data::sheet::{Border, contact_sheet, encode_png};
use npair_data::{Dataset, Picture};
use npair_evaluate::{Vectors, check_free, write_file};
use npair_index::{Answer, Index, QueryExpansion, Refinement, Reranking, RowFilter};
use npair_metrics::{Decision, Verifier};
use npair_recipe::Device;
use npair_similarity::Rows;
use npair_types::ExampleId;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// The longest side of a picture in a grid.
const SIDE: u32 = 96;
/// Most queries of a grid.
const GRID: usize = 50;

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    if let Some(grid) = &args.grid {
        source::expect_png(grid)?;
        check_free(std::slice::from_ref(grid), args.force)?;
    }
    let index = Index::open(&args.index)?;
    let queries = Queries::open(&index, &args.query, device)?;
    let rows = Rows::new(&queries.vectors.values, queries.vectors.width)?;
    let filter = args.class.as_deref().map_or(RowFilter::All, RowFilter::Class);
    let refinement = refinement(args);
    let found = match (args.approximate, refinement) {
        (true, _) if args.class.is_some() => {
            return Err(source::usage("--approximate", "searches all rows: leave --class out".to_owned()));
        }
        (true, _) => index.search_approximate(rows, args.k, None)?,
        (false, Some(refinement)) => index.search_refined(rows, args.k, refinement)?,
        (false, None) => index.search(rows, args.k, filter)?,
    };
    for (at, answers) in found.iter().enumerate() {
        let query = queries.vectors.names.get(at).cloned().unwrap_or_else(|| format!("row {at}"));
        let answers = answers.iter().map(|answer| said(&index, answer, args.far)).collect::<Result<Vec<_>>>()?;
        match json {
            true => say!("{}", serde_json::json!({ "query": query, "answers": answers })),
            false => print(&query, &answers),
        }
    }
    if let Some(refinement) = refinement {
        warn!("note: {}", refined::known(&index, refinement));
    }
    match &args.grid {
        Some(grid) => Ok(write_file(grid, &picture(&index, &queries, &found)?)?),
        None => Ok(()),
    }
}

/// What is done to find more, if anything is.
fn refinement(args: &Args) -> Option<Refinement> {
    let expansion = args.expand.map(|rows| Refinement::Expansion(QueryExpansion { rows, ..refined::EXPANSION }));
    expansion.or_else(|| args.rerank.then(|| Refinement::Reranking(Reranking::default())))
}

/// What is asked for.
pub struct Queries {
    /// Their embeddings.
    pub vectors: Vectors,
    pictures: Option<Arc<dyn npair_evaluate::Inputs>>,
}

impl Queries {
    /// Pictures, embedded by the index's own model, or a file of vectors.
    pub fn open(index: &Index, query: &str, device: Device) -> Result<Self> {
        let ending = Path::new(query).extension().map(|ending| ending.to_string_lossy().to_lowercase());
        if matches!(ending.as_deref(), Some("npy" | "safetensors" | "parquet")) {
            let vectors = Vectors::read(Path::new(query))?;
            return Ok(Self { vectors, pictures: None });
        }
        let loaded = source::load_all(&model_of(index)?, "best", Some(query), &[], device)?;
        let side = loaded.splits.named("all")?;
        let vectors = embedded::plain(loaded.model.as_ref(), side.as_ref())?;
        Ok(Self { vectors, pictures: Some(side.clone()) })
    }

    /// A query to be looked at.
    fn picture(&self, at: usize) -> Result<Option<Picture>> {
        let pictures: Option<&dyn Dataset> = self.pictures.as_ref().and_then(|side| side.pictures());
        Ok(pictures.map(|pictures| pictures.load(ExampleId(at))?.fitted(SIDE)).transpose()?)
    }
}

/// An answer, and what is said of it.
#[derive(Debug, Serialize)]
struct Said<'a> {
    path: &'a str,
    class: Option<&'a str>,
    similarity: f32,
    #[serde(flatten)]
    decision: Option<Decision>,
    id: u64,
}

fn said<'a>(index: &Index, answer: &Answer<'a>, far: Option<f64>) -> Result<Said<'a>> {
    let decide =
        |found: &Verifier| verifier::decide(found, f64::from(answer.similarity), far.unwrap_or(Verifier::USUAL));
    let decision = match index.verifier() {
        None if far.is_some() => return Err(no_thresholds(index)),
        found => found.map(decide).transpose()?,
    };
    let row = answer.row;
    Ok(Said { path: &row.path, class: row.class.as_deref(), similarity: answer.similarity, decision, id: row.id })
}

/// An error where an index has no thresholds.
pub fn no_thresholds(index: &Index) -> anyhow::Error {
    let why = format!(
        "{} has no thresholds, which are learned from the pairs of one class of a validation split: make it of a run that has some (one of \
         sets of labels has none)",
        index.folder().display()
    );
    source::usage("--far", why)
}

fn print(query: &str, answers: &[Said]) {
    say!("{query}");
    let width = answers.iter().filter_map(|answer| answer.class).map(|class| class.chars().count()).max().unwrap_or(0);
    for (at, answer) in answers.iter().enumerate() {
        let word = match answer.decision {
            Some(decision) if decision.matches => "match",
            Some(_) => "-",
            None => "",
        };
        let class = answer.class.unwrap_or("");
        say!("  {:>3}  {:.4}  {word:<5}  {class:<width$}  {}", at + 1, answer.similarity, answer.path);
    }
    if answers.is_empty() {
        say!("  nothing: the index has no such rows");
    }
}

/// Queries (blue) and what is near them, as a picture; matches are framed green where there are thresholds.
fn picture(index: &Index, queries: &Queries, found: &[Vec<Answer<'_>>]) -> Result<Vec<u8>> {
    let columns = 1 + found.iter().map(Vec::len).max().unwrap_or(0);
    let blank = Picture::new(1, 1, 1, vec![238])?;
    let (mut pictures, mut borders) = (Vec::new(), Vec::new());
    for (at, answers) in found.iter().enumerate().take(GRID) {
        pictures.push(queries.picture(at)?.unwrap_or_else(|| blank.clone()));
        borders.push(Border::Query);
        for answer in answers {
            let thumbnail = index.thumbnail(answer.row.id)?;
            pictures
                .push(thumbnail.map_or_else(|| Ok(blank.clone()), |bytes| Picture::decode(&bytes, &answer.row.path))?);
            let matches = said(index, answer, None)?.decision.map(|decision| decision.matches);
            borders.push(matches.map_or(Border::None, |is| if is { Border::Right } else { Border::Wrong }));
        }
        pictures.extend((answers.len() + 1..columns).map(|_| blank.clone()));
        borders.extend((answers.len() + 1..columns).map(|_| Border::None));
    }
    Ok(encode_png(&contact_sheet(&pictures, columns, &borders)?)?)
}
