//! What to look at: queries and what they find, what is found worst, what is confused, a map.

use super::JudgedRun;
use super::thumbs::Thumbs;
use crate::{Result, label_sets::label_sets};
use npair_metrics::{Embeddings, PairScores, QueryScores, Search, query_scores};
use npair_report::{ClassRow, ConfusedPair, EmbeddingMap, MapPoint, QueryExample, ShownNeighbour, Tsne, pca, tsne};
use npair_types::{ClassId, ExampleId, LabelSets, Labels, Purpose, Streams};
use std::collections::BTreeMap;

/// Queries that are shown, neighbours of each, worst queries, worst classes, confused pairs, pictures of a class.
const QUERIES: usize = 12;
const NEIGHBOURS: usize = 5;
const WORST: usize = 8;
const CLASSES: usize = 12;
const CONFUSED: usize = 10;
const PICTURES: usize = 3;
/// Points of a map, and those of them with a picture.
const POINTS: usize = 800;
const WITH_PICTURE: usize = 400;

/// What the queries of a run find.
pub(super) struct Found<'a> {
    set: &'a Embeddings,
    /// The rows that are queries, and the rank of the first that is right.
    queries: Vec<(usize, usize)>,
    nearest: Vec<Vec<usize>>,
    /// Where classes are sets of labels: right is what shares one.
    sets: Option<LabelSets>,
}

impl<'a> Found<'a> {
    pub(super) fn of(run: &'a JudgedRun) -> Result<Self> {
        let set = &run.set;
        let search = Search::within(set, run.config.evaluation.measure);
        let k = NEIGHBOURS.min(set.len().saturating_sub(1)).max(1);
        let nearest = search.nearest(k).map_err(npair_evaluate::Error::from)?;
        let sets = label_sets(&run.config, run.side.as_ref());
        let queries = match &sets {
            Some(sets) => {
                let right =
                    |row: usize, other: &usize| sets.shared(set.labels().get(row), set.labels().get(*other)) > 0;
                let first = |row: usize| nearest[row].iter().position(|other| right(row, other)).unwrap_or(k) + 1;
                (0..set.len()).map(|row| (row, first(row))).collect()
            }
            None => {
                let queries = query_scores(&search, &[1]).map_err(npair_evaluate::Error::from)?;
                queries.iter().map(|query: &QueryScores| (query.query, query.first)).collect()
            }
        };
        Ok(Self { queries, nearest, set, sets })
    }

    /// Whether what is found is right.
    fn right(&self, row: usize, other: usize) -> bool {
        let [a, b] = [row, other].map(|row| self.set.labels().get(row));
        self.sets.as_ref().map_or(a == b, |sets| sets.shared(a, b) > 0)
    }

    /// Queries spread over the classes.
    pub(super) fn examples(&self, run: &JudgedRun, thumbs: &mut Thumbs) -> Result<Vec<QueryExample>> {
        let n = self.queries.len().min(QUERIES);
        let rows = (0..n).map(|i| self.queries[i * self.queries.len() / n].0);
        self.shown(run, rows, thumbs)
    }

    /// Those whose first right neighbour comes last.
    pub(super) fn worst_queries(&self, run: &JudgedRun, thumbs: &mut Thumbs) -> Result<Vec<QueryExample>> {
        let mut order: Vec<(usize, usize)> = self.queries.iter().copied().filter(|(_, first)| *first > 1).collect();
        order.sort_by_key(|&(row, first)| (std::cmp::Reverse(first), row));
        self.shown(run, order.into_iter().take(WORST).map(|(row, _)| row), thumbs)
    }

    fn shown(
        &self,
        run: &JudgedRun,
        rows: impl Iterator<Item = usize>,
        thumbs: &mut Thumbs,
    ) -> Result<Vec<QueryExample>> {
        let (pictures, near) = (run.side.pictures(), PairScores::new(self.set, run.config.evaluation.measure));
        let mut shown = Vec::new();
        for row in rows {
            let class = self.class(run, row);
            let Some(picture) = thumbs.place(pictures, row, &class)? else { return Ok(Vec::new()) };
            let mut neighbours = Vec::new();
            for &other in &self.nearest[row] {
                let class = self.class(run, other);
                let Some(picture) = thumbs.place(pictures, other, &class)? else { continue };
                let right = self.right(row, other);
                neighbours.push(ShownNeighbour { picture, class, similarity: near.of(row, other), right });
            }
            let first = self.queries.iter().find(|query| query.0 == row).map(|query| query.1);
            let note = match first.filter(|&first| first > 1) {
                None => String::new(),
                Some(first) if self.sets.is_none() => format!("the first of its class is at rank {first}"),
                Some(first) if first > self.nearest[row].len() => "none of these shares a label with it".to_owned(),
                Some(first) => format!("the first that shares a label is at rank {first}"),
            };
            shown.push(QueryExample { picture, class, neighbours, note });
        }
        Ok(shown)
    }

    fn class(&self, run: &JudgedRun, row: usize) -> String {
        run.side.class_name(self.set.labels().get(row))
    }

    /// Classes that are found worst.
    pub(super) fn worst_classes(&self, run: &JudgedRun, thumbs: &mut Thumbs) -> Result<Vec<ClassRow>> {
        let mut classes = BTreeMap::<ClassId, (usize, usize)>::new();
        for &(row, first) in &self.queries {
            let (right, all) = classes.entry(self.set.labels().get(row)).or_default();
            *right += usize::from(first == 1);
            *all += 1;
        }
        let mut order: Vec<(ClassId, f64, usize)> =
            classes.into_iter().map(|(class, (right, all))| (class, right as f64 / all as f64, all)).collect();
        order.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.2.cmp(&a.2)).then(a.0.cmp(&b.0)));
        let worst = order.into_iter().filter(|(_, recall, _)| *recall < 1.).take(CLASSES);
        worst
            .map(|(class, recall, count)| {
                let pictures = self.pictures_of(run, class, thumbs)?;
                Ok(ClassRow { class: run.side.class_name(class), recall, count, pictures })
            })
            .collect()
    }

    fn pictures_of(&self, run: &JudgedRun, class: ClassId, thumbs: &mut Thumbs) -> Result<Vec<usize>> {
        let rows = (0..self.set.len()).filter(|&row| self.set.labels().get(row) == class).take(PICTURES);
        let mut places = Vec::new();
        for row in rows {
            places.extend(thumbs.place(run.side.pictures(), row, &run.side.class_name(class))?);
        }
        Ok(places)
    }

    /// Pairs of classes most often taken for each other.
    pub(super) fn confused(&self, run: &JudgedRun, thumbs: &mut Thumbs) -> Result<Vec<ConfusedPair>> {
        let mut counts = BTreeMap::<(ClassId, ClassId), usize>::new();
        for &(row, _) in self.queries.iter().filter(|(_, first)| *first > 1) {
            let Some(&nearest) = self.nearest[row].first() else { continue };
            let (own, other) = (self.set.labels().get(row), self.set.labels().get(nearest));
            *counts.entry((own.min(other), own.max(other))).or_default() += 1;
        }
        let mut order: Vec<((ClassId, ClassId), usize)> = counts.into_iter().collect();
        order.sort_by_key(|&(pair, count)| (std::cmp::Reverse(count), pair));
        let confused = order.into_iter().take(CONFUSED);
        confused
            .map(|((a, b), count)| {
                let [a_pictures, b_pictures] = [self.pictures_of(run, a, thumbs)?, self.pictures_of(run, b, thumbs)?];
                let (a, b) = (run.side.class_name(a), run.side.class_name(b));
                Ok(ConfusedPair { a, b, count, a_pictures, b_pictures })
            })
            .collect()
    }
}

/// Two maps of the same examples, of classes spread over the set.
pub(super) fn maps(run: &JudgedRun, thumbs: &mut Thumbs) -> Result<Vec<EmbeddingMap>> {
    let set = &run.set;
    let rows = spread(set);
    if rows.len() < 4 {
        return Ok(Vec::new());
    }
    let width = set.width();
    let unit = |values: &[f64]| {
        let norm = values.iter().map(|v| v.powi(2)).sum::<f64>().sqrt().max(f64::from(f32::MIN_POSITIVE));
        values.iter().map(|v| (v / norm) as f32).collect::<Vec<_>>()
    };
    let chosen = set.select(&rows, Labels::from_ids(rows.iter().map(|&row| set.labels().get(row)).collect())?);
    let chosen = chosen.map_err(npair_evaluate::Error::from)?;
    let values: Vec<f32> = chosen.wide().chunks_exact(width).flat_map(unit).collect();
    let mut rng = Streams::new(run.config.seed).open(Purpose::Evaluation, [13, 0]);
    let by_variance = pca(&values, width)?;
    let by_neighbours = tsne(&values, width, &Tsne::fitting(rows.len()), &mut rng)?;
    let note = format!("{} of {} examples, at unit length", rows.len(), set.len());
    let mut map = |method: &str, places: &[[f32; 2]]| -> Result<EmbeddingMap> {
        let mut points = Vec::with_capacity(rows.len());
        for (at, (&row, place)) in rows.iter().zip(places).enumerate() {
            let class = run.side.class_name(set.labels().get(row));
            let picture = match at < WITH_PICTURE {
                true => thumbs.place(run.side.pictures(), row, &class)?,
                false => None,
            };
            let path = run.side.describe(ExampleId(row));
            points.push(MapPoint { x: f64::from(place[0]), y: f64::from(place[1]), class, picture, path });
        }
        Ok(EmbeddingMap { method: method.to_owned(), note: note.clone(), points })
    };
    Ok(vec![map("t-SNE", &by_neighbours)?, map("PCA", &by_variance)?])
}

/// Rows of whole classes, spread over the set.
fn spread(set: &Embeddings) -> Vec<usize> {
    let index = npair_types::ClassIndex::from_labels(set.labels());
    let classes = index.len();
    let share = (POINTS as f64 / set.len() as f64).min(1.);
    let wanted = ((classes as f64 * share).ceil() as usize).clamp(1, classes);
    let rows = (0..wanted).flat_map(|i| index.examples(i * classes / wanted).iter().map(|id| id.0));
    rows.take(POINTS).collect()
}
