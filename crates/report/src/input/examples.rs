use serde::{Deserialize, Serialize};

/// A query and what was found for it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueryExample {
    /// The query's place in the page's pictures.
    pub picture: usize,
    /// The query's class.
    pub class: String,
    /// Its neighbours, nearest first.
    pub neighbours: Vec<ShownNeighbour>,
    /// Where the first right one was found, or whatever else there is to say.
    pub note: String,
}

/// A neighbour of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShownNeighbour {
    /// Its place in the page's pictures.
    pub picture: usize,
    /// Its class.
    pub class: String,
    /// Its similarity to the query.
    pub similarity: f64,
    /// Whether it is of the query's class.
    pub right: bool,
}

/// How well one class is found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassRow {
    /// Its name.
    pub class: String,
    /// The recall@1 of its queries, from 0 to 1.
    pub recall: f64,
    /// Number of its queries.
    pub count: usize,
    /// Some of its pictures.
    pub pictures: Vec<usize>,
}

/// Two classes that are taken for each other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConfusedPair {
    /// The queries' class.
    pub a: String,
    /// The class of their nearest neighbours.
    pub b: String,
    /// How many queries of `a` have their nearest neighbour in `b`.
    pub count: usize,
    /// Some pictures of `a`.
    pub a_pictures: Vec<usize>,
    /// Some pictures of `b`.
    pub b_pictures: Vec<usize>,
}

/// Embeddings on a plane, by [`pca`](crate::pca) or [`tsne`](crate::tsne).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingMap {
    /// How it was made: "t-SNE, perplexity 30", say.
    pub method: String,
    /// What has to be known to read it.
    pub note: String,
    /// Its points.
    pub points: Vec<MapPoint>,
}

/// One embedding on a map.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MapPoint {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Its class.
    pub class: String,
    /// Its place in the page's pictures, if it is one of them.
    pub picture: Option<usize>,
    /// Where it came from.
    pub path: String,
}
