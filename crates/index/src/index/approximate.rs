//! Approximate search by a graph.

use super::Index;
use super::search::{Answer, keep_best};
use crate::files::{self, Sink};
use crate::graph::{Graph, GraphReport, GraphSettings, GraphState, Placed, WIDEST, Walk};
use crate::manifest::{GraphRecord, Manifest};
use crate::{Error, Result, tensor};
use npair_similarity::Rows;
use rayon::prelude::*;

/// Rows in view of a search by default (ef).
const BREADTH: usize = 64;
/// Rows of an index that a new graph is tried on.
const SAMPLE: usize = 200;
/// A graph that has lost more than one in so many of its nodes is not walked any more.
const LOST: usize = 5;

impl Index {
    /// Makes a graph of all rows for [`search_approximate`](Self::search_approximate), keeps it with the index, and tries it: 200 rows of
    /// the index, evenly spread, are looked for in it and among all rows.
    ///
    /// The graph has no vectors of its own: 4 (2 M + 3) bytes for a row and a little more. It is the same for any number of threads.
    /// Rows added later are compared one by one until it is made again; removed ones are passed over.
    ///
    /// # Errors
    /// [`Error::Setting`] for settings out of range or an index without rows; [`Error::Locked`], [`Error::Write`].
    pub fn build_graph(&mut self, settings: GraphSettings) -> Result<GraphReport> {
        settings.check()?;
        let _lock = self.lock()?;
        if self.is_empty() {
            return Err(Error::setting("graph", "the index has no rows: add some first"));
        }
        let ids = self.rows.iter().map(|row| row.id).collect();
        let graph = Graph::build(ids, self.vectors(), self.measure(), settings);
        let parts = graph.words();
        let words = parts.iter().map(Vec::len).sum();
        let generation = self.manifest.generation + 1;
        let sink = Sink::new(&self.folder, files::name("graph", generation))?;
        let file = tensor::write(sink, "graph", &[words], parts.iter().map(Vec::as_slice))?;
        let next = Manifest { generation, graph: Some(GraphRecord { words, file }), ..self.manifest.clone() };
        self.commit(next)?;
        self.graph = Some(Placed::new(graph, &self.rows, &self.vectors, self.measure()));
        self.report()
    }

    /// Takes the graph away.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Write`].
    pub fn drop_graph(&mut self) -> Result<()> {
        let _lock = self.lock()?;
        if self.manifest.graph.is_some() {
            let generation = self.manifest.generation + 1;
            self.commit(Manifest { generation, graph: None, ..self.manifest.clone() })?;
            self.graph = None;
        }
        Ok(())
    }

    /// What the graph covers, if there is one. Make it again when many rows are new, or a tenth of its own were removed.
    pub fn graph(&self) -> Option<GraphState> {
        self.graph.as_ref().map(Placed::state)
    }

    /// Rows near every query (Q, D), nearest first: most of the nearest, found fast. Q lists of k.
    ///
    /// `breadth` is how many rows are kept in view on the way (ef); more of them find more and take longer. Without it 64, and never
    /// fewer than k. Rows that the graph does not have are compared one by one. Without a graph, with one that has lost more than a
    /// fifth of its rows, or for more than 4,096 rows in view the search is exact.
    ///
    /// # Numerics
    /// The way is found by similarity in f32; what is found is ordered, and its similarity given, as [`search`](Self::search) does.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub fn search_approximate(
        &self,
        queries: Rows<f32>,
        k: usize,
        breadth: Option<usize>,
    ) -> Result<Vec<Vec<Answer<'_>>>> {
        self.check_queries(queries, k)?;
        let found = self.near(queries, k, breadth)?;
        Ok(found.into_iter().map(|list| self.answers(&list)).collect())
    }

    fn near(&self, queries: Rows<f32>, k: usize, breadth: Option<usize>) -> Result<Vec<Vec<(usize, f32)>>> {
        let breadth = breadth.unwrap_or(BREADTH).max(k);
        let usable = |placed: &&Placed| {
            let state = placed.state();
            state.rows > 0 && state.removed * LOST <= state.rows + state.removed && breadth <= WIDEST
        };
        let Some(placed) = self.graph.as_ref().filter(usable) else { return self.nearest(queries, k) };
        let space = placed.space(&self.vectors, self.width(), self.measure());
        let one = |walk: &mut Walk, i: usize| {
            let query = queries.row(i);
            let found = walk.search(placed, space, query, breadth);
            let list = self.nearest_of(Rows::trusted(query, self.width()), k, &found)?;
            Ok(list.into_iter().next().unwrap_or_default())
        };
        let found: Result<Vec<Vec<(usize, f32)>>> =
            (0..queries.len()).into_par_iter().map_init(Walk::default, one).collect();
        let mut found = found?;
        let others = placed.others(self.len());
        if !others.is_empty() {
            for (list, more) in found.iter_mut().zip(self.nearest_of(queries, k, &others)?) {
                list.extend(more);
                keep_best(list, k);
            }
        }
        Ok(found)
    }

    fn report(&self) -> Result<GraphReport> {
        let queries = SAMPLE.min(self.len());
        let at: Vec<usize> = (0..queries).map(|i| i * self.len() / queries).collect();
        let values: Vec<f32> = at.iter().flat_map(|&at| self.vectors().row(at)).copied().collect();
        let values = Rows::trusted(&values, self.width());
        let (exact, near) = (self.nearest(values, 11)?, self.near(values, 11, None)?);
        let (mut found, mut all) = (0usize, 0usize);
        for ((exact, near), &own) in exact.iter().zip(&near).zip(&at) {
            let wanted: Vec<usize> = exact.iter().map(|near| near.0).filter(|&row| row != own).take(10).collect();
            all += wanted.len();
            found += wanted.iter().filter(|&&row| near.iter().any(|near| near.0 == row)).count();
        }
        let recall_at_10 = if all == 0 { 1. } else { found as f64 / all as f64 };
        Ok(GraphReport { rows: self.len(), queries, recall_at_10 })
    }

    /// The graph that the index has on the disk.
    pub(super) fn read_graph(&mut self) -> Result<()> {
        let Some(record) = &self.manifest.graph else { return Ok(()) };
        let mut words = Vec::new();
        tensor::read(&self.folder, &record.file, "graph", &[record.words], &mut words)?;
        let graph = Graph::of_words(&words);
        let graph = graph.map_err(|why| Error::damaged(&self.folder.join(&record.file.name), why))?;
        self.graph = Some(Placed::new(graph, &self.rows, &self.vectors, self.measure()));
        Ok(())
    }

    pub(super) fn place_graph(&mut self) {
        if let Some(placed) = &mut self.graph {
            placed.place(&self.rows);
        }
    }
}
