use super::labeled;
use crate::{Result, Score, Scores};
use npair_metrics::{Embeddings, Search, identification};
use npair_types::{ClassIndex, ExampleId, Measure, Purpose, Streams};
use rand::seq::SliceRandom;

/// Identities in the gallery of the open set, as in the protocol that the paper cites.
const OPEN_SET_IDENTITIES: usize = 596;

/// Who is in the galleries of identification. The lists of the published protocol are not public; this split is our own.
///
/// * Closed set: the first image of everyone is the gallery, all other images are probes.
/// * Open set: of the people with two images or more, 596 (or half of them, if they are fewer than 1,192) are drawn by seed. Their
///   last images are genuine probes, their others the gallery; all images of everyone else are impostors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentificationSplit {
    /// Gallery and probes of the closed set.
    pub closed: [Vec<ExampleId>; 2],
    /// Gallery and probes of the open set.
    pub open: [Vec<ExampleId>; 2],
}

impl IdentificationSplit {
    /// Draws the split; examples of a class are in the order of their numbers.
    pub fn draw(index: &ClassIndex, streams: Streams) -> Self {
        let (mut closed, mut open) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        let mut several = index.with_at_least(2);
        let known = OPEN_SET_IDENTITIES.min(several.len() / 2);
        several.shuffle(&mut streams.open(Purpose::Evaluation, [6, 0]));
        let drawn = &several[..known];
        for place in 0..index.len() {
            let own = index.examples(place);
            let Some((last, others)) = own.split_last() else { continue };
            closed[0].push(own[0]);
            closed[1].extend_from_slice(&own[1..]);
            if drawn.contains(&place) {
                open[0].extend_from_slice(others);
                open[1].push(*last);
            } else {
                open[1].extend_from_slice(own);
            }
        }
        Self { closed, open }
    }
}

/// Identification on a [split of our own](IdentificationSplit): closed-set rank-1, and DIR at a false accept rate of 1 %.
///
/// # Units
/// Shares, in [0, 1].
///
/// # Errors
/// [`npair_metrics::Error::NoPositive`] if nobody has two images.
///
/// # Source
/// After Best-Rowden et al., IEEE TIFS 2014, whose lists of images are not public.
pub fn identify(set: &Embeddings, measure: Measure, streams: Streams) -> Result<Scores> {
    let split = IdentificationSplit::draw(&ClassIndex::from_labels(set.labels()), streams);
    let mut scores = Vec::new();
    let mut notes =
        vec!["identification is on a split of our own: the lists of the published protocol are not public".to_owned()];
    let [gallery, probes] = &split.closed;
    if !probes.is_empty() {
        let (gallery, probes) = (labeled(set, gallery)?, labeled(set, probes)?);
        let found = identification(&Search::between(&probes, &gallery, measure), &[1], &[])?;
        scores.extend(found.rank_at.iter().map(|(_, share)| Score::mean("rank-1", *share)));
        let (g, p) = (gallery.len(), probes.len());
        notes.push(format!("rank-1: {p} probes in a gallery of {g} people, the first image of each"));
    }
    let [gallery, probes] = &split.open;
    if gallery.is_empty() {
        notes.push("DIR left out: nobody has a second image".to_owned());
    } else {
        let (gallery, probes) = (labeled(set, gallery)?, labeled(set, probes)?);
        let found = identification(&Search::between(&probes, &gallery, measure), &[], &[0.01])?;
        scores.extend(found.open_set.iter().map(|open| Score::mean("DIR@FAR=1%", open.dir)));
        let real = found.open_set.first().map_or(0., |open| 100. * open.measured_far);
        notes.push(format!(
            "DIR: {} genuine probes and {} impostors in a gallery of {} images, measured FAR {real:.2} %",
            found.genuine,
            found.impostors,
            gallery.len()
        ));
    }
    Ok(Scores {
        set: "identification".to_owned(),
        examples: set.len(),
        classes: set.labels().classes().len(),
        measure: measure.to_string(),
        scores,
        notes,
    })
}
