use crate::{Error, Mean, Result, Search};
use npair_types::ClassId;
use serde::Serialize;

/// Identification of probes in a gallery of known identities, of one image each or more.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identification {
    /// Closed set: share of the probes whose identity is in the gallery that have it among the K first; (K, score).
    pub rank_at: Vec<(usize, Mean)>,
    /// Open set: detection and identification at false accept rates.
    pub open_set: Vec<OpenSet>,
    /// Probes whose identity is in the gallery.
    pub genuine: usize,
    /// Probes whose identity is not.
    pub impostors: usize,
}

/// DIR@FAR: the share of genuine probes that are accepted and whose own identity is first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OpenSet {
    /// The false accept rate that was asked for.
    pub far: f64,
    /// The share of impostors that the threshold really accepts: ties may put it above the one asked for.
    pub measured_far: f64,
    /// Probes are accepted from this score of their nearest identity on.
    pub threshold: f64,
    /// Detection and identification rate.
    pub dir: Mean,
}

/// What is known of a probe.
struct Probe {
    /// The best score of any identity.
    best: f64,
    /// The place of its own identity, from 1 on, and that identity's score.
    own: Option<(usize, f64)>,
}

/// Closed-set rank-K and open-set DIR@FAR.
///
/// An identity scores what its nearest image scores. A probe's identity comes after all others that score as much or more: a tie is
/// a failure. Within a set, every example is a probe in a gallery of the others.
///
/// ```text
/// t        = the round(FAR n)-th largest best score of the n impostors (just above the largest if that is 0)
/// DIR@FAR  = 1/g  #{genuine probes: best score >= t and own identity first}
/// ```
/// # Units
/// Shares, in [0, 1].
///
/// # Errors
/// [`Error::NoPositive`] if no probe's identity is in the gallery, [`Error::NoImpostor`] if a false accept rate is asked for and
/// all are, [`Error::Setting`] if a K is 0, [`Error::Rate`] for a rate outside [0, 1].
///
/// # Source
/// Phillips, Grother and Micheals, Handbook of Face Recognition, chapter 14 (2005); open-set protocol and threshold as in Best-Rowden et
/// al., IEEE TIFS 2014.
///
/// # Examples
/// ```
/// # use npair_metrics::{Embeddings, Search, identification};
/// # use npair_types::{Labels, Measure};
/// let gallery = Embeddings::new(&[0f64, 10., 12., 30.], 1, Labels::new([1, 2, 2, 3])?)?;
/// // Near its own image; nearer to another's; two impostors, at distances 1 and 20.
/// let probes = Embeddings::new(&[0.5, 4., 31., 50.], 1, Labels::new([1, 2, 7, 8])?)?;
/// let found = identification(&Search::between(&probes, &gallery, Measure::SquaredEuclidean), &[1, 2], &[0., 0.5])?;
/// assert_eq!((found.rank_at[0].1.value, found.rank_at[1].1.value), (0.5, 1.)); // 4 is at 4 from 1, at 6 from 2
/// assert_eq!((found.open_set[0].dir.value, found.open_set[0].measured_far), (0.5, 0.)); // -0.25 is above -1
/// assert_eq!((found.open_set[1].threshold, found.open_set[1].measured_far), (-1., 0.5));
/// # Ok::<(), npair_metrics::Error>(())
/// ```
pub fn identification(search: &Search, ranks: &[usize], fars: &[f64]) -> Result<Identification> {
    if ranks.contains(&0) {
        return Err(Error::Setting { what: "K of rank-K", got: 0, range: "at least 1".to_owned() });
    }
    if let Some(&got) = fars.iter().find(|far| !(0. ..=1.).contains(*far)) {
        return Err(Error::Rate { what: "a false accept rate", got });
    }
    let probes = probes(search)?;
    let genuine: Vec<(usize, f64, f64)> =
        probes.iter().filter_map(|p| p.own.map(|(rank, score)| (rank, score, p.best))).collect();
    let mut impostors: Vec<f64> = probes.iter().filter(|p| p.own.is_none()).map(|p| p.best).collect();
    impostors.sort_unstable_by(|a, b| b.total_cmp(a));
    if impostors.is_empty() && !fars.is_empty() {
        return Err(Error::NoImpostor { probes: probes.len() });
    }
    let share = |right: &dyn Fn(&(usize, f64, f64)) -> bool| {
        let values: Vec<f64> = genuine.iter().map(|p| f64::from(u8::from(right(p)))).collect();
        Mean::of(&values).ok_or(Error::NoPositive { queries: probes.len() })
    };
    let at = |far: f64| -> Result<OpenSet> {
        let threshold = match (far * impostors.len() as f64).round() as usize {
            0 => impostors[0].next_up(),
            n => impostors[n.min(impostors.len()) - 1],
        };
        let accepted = impostors.partition_point(|&score| score >= threshold);
        let measured_far = accepted as f64 / impostors.len() as f64;
        Ok(OpenSet { far, measured_far, threshold, dir: share(&|p| p.0 == 1 && p.2 >= threshold)? })
    };
    Ok(Identification {
        rank_at: ranks.iter().map(|&k| Ok((k, share(&|p| p.0 <= k)?))).collect::<Result<_>>()?,
        open_set: fars.iter().map(|&far| at(far)).collect::<Result<_>>()?,
        genuine: genuine.len(),
        impostors: impostors.len(),
    })
}

fn probes(search: &Search) -> Result<Vec<Probe>> {
    let (places, identities) = search.gallery.labels().compact();
    let classes: Vec<ClassId> = {
        let mut classes = vec![None; identities];
        places.iter().zip(search.gallery.labels().as_slice()).for_each(|(&at, &class)| classes[at] = Some(class));
        classes.into_iter().flatten().collect()
    };
    search.map_lines(|probe, line| {
        let mut scores = vec![f64::NEG_INFINITY; identities];
        for (column, (&score, &identity)) in line.iter().zip(&places).enumerate() {
            if !search.hides(probe, column) {
                scores[identity] = scores[identity].max(score);
            }
        }
        let own = search.queries.labels().get(probe);
        let place = classes.iter().position(|&class| class == own).filter(|&at| scores[at] > f64::NEG_INFINITY);
        let rank = |at: usize| {
            (1 + scores.iter().enumerate().filter(|&(i, &s)| i != at && s >= scores[at]).count(), scores[at])
        };
        Probe { best: scores.iter().copied().fold(f64::NEG_INFINITY, f64::max), own: place.map(rank) }
    })
}
