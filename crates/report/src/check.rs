//! Whether a report can be drawn: whatever passes has numbers that are finite and pictures that are there.

use crate::input::{BaselineScores, Page, QueryExample, RunPart, ScoreRow, SimilarityHistogram};
use crate::{Error, Result};

/// Checks the whole of it.
pub fn page(page: &Page) -> Result<()> {
    if page.runs.is_empty() {
        return Err(Error::NoRun);
    }
    for (at, run) in page.runs.iter().enumerate() {
        if page.runs[..at].iter().any(|other| other.name == run.name) {
            return Err(Error::SameName { name: run.name.clone() });
        }
    }
    for (index, thumb) in page.pictures.iter().enumerate() {
        if !thumb.data.starts_with(thumb.kind.magic()) {
            return Err(Error::Bytes { index, kind: thumb.kind.name() });
        }
    }
    for row in &page.comparison {
        let place = || format!("the difference in {} between {} and {}", row.score, row.a, row.b);
        finite(row.difference, &place)?;
        ends(row.low, row.high, &place)?;
        row.p.map_or(Ok(()), |p| share(p, &|| format!("p of {}", place())))?;
    }
    page.runs.iter().try_for_each(|run| one_run(run, page.pictures.len()))
}

fn one_run(run: &RunPart, pictures: usize) -> Result<()> {
    let name = &run.name;
    curves(run)?;
    scores(&run.scores, name)?;
    run.baselines
        .iter()
        .try_for_each(|BaselineScores { name: of, scores: all, .. }| scores(all, &format!("{name}, {of}")))?;
    for row in &run.recall_at {
        let place = || format!("recall@{} of {name}", row.k);
        if row.k == 0 {
            return Err(Error::Range { place: format!("K of {name}'s recall_at"), got: 0., range: "1 or more" });
        }
        share(row.value, &place)?;
        ends(row.low, row.high, &place)?;
    }
    roc(run)?;
    for row in &run.thresholds {
        let place = || format!("the threshold for FAR {} of {name}", row.far);
        [row.far, row.far_here.unwrap_or(row.far), row.tar]
            .into_iter()
            .try_for_each(|rate| share(rate, &|| format!("a rate of {}", place())))?;
        finite(row.threshold, &place)?;
        ends(row.low, row.high, &place)?;
    }
    run.histogram.as_ref().map_or(Ok(()), |h| histogram(h, name))?;
    shown(run, pictures)
}

fn curves(run: &RunPart) -> Result<()> {
    let curves = &run.curves;
    let named = [("loss", &curves.loss), ("rate", &curves.rate), ("gradient norm", &curves.gradient_norm)];
    let validation = curves.validation.iter().map(|(name, values)| (name.as_str(), values));
    for (what, values) in named.into_iter().chain(validation) {
        let place = || format!("the curve {what} of {}", run.name);
        values.iter().try_for_each(|(step, value)| finite(*step, &place).and_then(|()| finite(*value, &place)))?;
        if values.windows(2).any(|w| w[1].0 < w[0].0) {
            return Err(Error::Shape { place: place(), cause: "its steps have to ascend" });
        }
    }
    Ok(())
}

fn scores(all: &[ScoreRow], whose: &str) -> Result<()> {
    all.iter().try_for_each(|row| {
        let place = || format!("{} of {whose}", row.name);
        finite(row.value, &place)?;
        ends(row.low, row.high, &place)
    })
}

fn roc(run: &RunPart) -> Result<()> {
    let place = || format!("the ROC of {}", run.name);
    run.roc.iter().try_for_each(|&(far, tar)| share(far, &place).and_then(|()| share(tar, &place)))?;
    if run.roc.windows(2).any(|w| w[1].0 < w[0].0 || w[1].1 < w[0].1) {
        return Err(Error::Shape { place: place(), cause: "its rates have to ascend" });
    }
    Ok(())
}

fn histogram(histogram: &SimilarityHistogram, name: &str) -> Result<()> {
    let place = || format!("the histogram of {name}");
    histogram.edges.iter().try_for_each(|&edge| finite(edge, &place))?;
    let wrong = |cause| Err(Error::Shape { place: place(), cause });
    let bins = histogram.edges.len().saturating_sub(1);
    if histogram.same.len() != bins || histogram.different.len() != bins {
        return wrong("it needs one edge more than counts, and as many counts of either kind");
    }
    if histogram.edges.windows(2).any(|w| w[1] <= w[0]) {
        return wrong("its edges have to ascend");
    }
    Ok(())
}

/// Pictures and points.
fn shown(run: &RunPart, pictures: usize) -> Result<()> {
    let name = &run.name;
    let is_there = |index: usize, what: &str| {
        let missing = Error::NoPicture { place: format!("{what} of {name}"), index, pictures };
        if index < pictures { Ok(()) } else { Err(missing) }
    };
    let of_query = |example: &QueryExample| -> Result<()> {
        is_there(example.picture, "a query")?;
        example.neighbours.iter().try_for_each(|n| {
            is_there(n.picture, "a neighbour")?;
            finite(n.similarity, &|| format!("a neighbour's similarity of {name}"))
        })
    };
    run.examples.iter().chain(&run.worst_queries).try_for_each(of_query)?;
    for row in &run.worst_classes {
        share(row.recall, &|| format!("the recall of class {} of {name}", row.class))?;
        row.pictures.iter().try_for_each(|&index| is_there(index, "a class"))?;
    }
    let of_pairs = run.confused_pairs.iter().flat_map(|p| p.a_pictures.iter().chain(&p.b_pictures));
    of_pairs.copied().try_for_each(|index| is_there(index, "a confused pair"))?;
    for point in run.maps.iter().flat_map(|m| &m.points) {
        [point.x, point.y].into_iter().try_for_each(|v| finite(v, &|| format!("a point of a map of {name}")))?;
        point.picture.map_or(Ok(()), |index| is_there(index, "a point of a map"))?;
    }
    Ok(())
}

fn finite(value: f64, place: &dyn Fn() -> String) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::NotFinite { place: place() }) }
}

fn share(value: f64, place: &dyn Fn() -> String) -> Result<()> {
    finite(value, place)?;
    let outside = || Error::Range { place: place(), got: value, range: "from 0 to 1" };
    if (0. ..=1.).contains(&value) { Ok(()) } else { Err(outside()) }
}

/// Both ends of an interval, or none.
fn ends(low: Option<f64>, high: Option<f64>, place: &dyn Fn() -> String) -> Result<()> {
    let wrong = |cause| Err(Error::Shape { place: format!("the interval of {}", place()), cause });
    match (low, high) {
        (None, None) => Ok(()),
        (Some(low), Some(high)) => {
            finite(low, place)?;
            finite(high, place)?;
            if low <= high { Ok(()) } else { wrong("its lower end has to come first") }
        }
        _ => wrong("it needs both ends, or none"),
    }
}
