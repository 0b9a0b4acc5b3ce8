use super::affinity::joint;
use super::descent::{Descent, Plane, gradient};
use super::{centred, pca};
use crate::{Error, Result};
use nalgebra::DMatrix;
use rand::Rng;

/// The most rows that [`tsne`] takes: every step looks at every pair.
pub const MOST_ROWS: usize = 2000;
/// The fewest: less than that are no map.
const FEWEST_ROWS: usize = 4;
/// How wide the map is when it begins: so small that the points do not hold each other back.
const FIRST_SPREAD: f64 = 1e-4;

/// Settings of [`tsne`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tsne {
    /// How many neighbours of a point count, about: from 1 to below the number of the others.
    pub perplexity: f64,
    /// Number of steps, from 1.
    pub steps: usize,
    /// Steps at the beginning with attraction enlarged: fewer than there are in all.
    pub early: usize,
    /// How much it is enlarged by then, from 1.
    pub exaggeration: f64,
}

impl Tsne {
    /// The usual settings, with a perplexity that fits the number of rows: 30, or a third of the others.
    pub fn fitting(rows: usize) -> Self {
        let perplexity = (rows.saturating_sub(1) as f64 / 3.).clamp(1., 30.);
        Self { perplexity, steps: 750, early: 250, exaggeration: 12. }
    }

    fn check(&self, rows: usize) -> Result<()> {
        let most = rows as f64 - 1.;
        let wrong = |what, got, range: String| Err(Error::Setting { what, got, range });
        if !(1. ..most).contains(&self.perplexity) {
            return wrong("the perplexity", self.perplexity, format!("from 1 to below {most}, for {rows} rows"));
        }
        if self.steps == 0 {
            return wrong("the number of steps", 0., "1 or more".to_owned());
        }
        if self.early >= self.steps {
            let range = format!("below the {} steps in all", self.steps);
            return wrong("the number of early steps", self.early as f64, range);
        }
        if !(self.exaggeration >= 1. && self.exaggeration.is_finite()) {
            return wrong("the exaggeration", self.exaggeration, "1 or more".to_owned());
        }
        Ok(())
    }
}

/// Rows on a plane so that near ones stay near: exact t-SNE, one point a row, from the rows' [`pca`](crate::pca) on.
///
/// # Numerics
/// f64, on all threads; rows are added up in their order, so a seed gives the same bits on any number of them. Every step
/// looks at every pair. The learning rate is a twelfth of the number of rows or 50, whichever
/// is more (Belkina et al. 2019).
///
/// # Errors
/// [`Error::Rows`], [`Error::RowCount`], [`Error::Setting`], [`Error::NotFinite`].
///
/// # Source
/// van der Maaten and Hinton, JMLR 2008; the start: Kobak and Berens, Nature Communications 2019.
pub fn tsne(rows: &[f32], dim: usize, settings: &Tsne, rng: &mut impl Rng) -> Result<Vec<[f32; 2]>> {
    let values = centred(rows, dim)?;
    let n = values.len() / dim;
    if !(FEWEST_ROWS..=MOST_ROWS).contains(&n) {
        return Err(Error::RowCount { rows: n, most: MOST_ROWS });
    }
    settings.check(n)?;
    let p = joint(&values, dim, settings.perplexity);
    let mut at = start(&DMatrix::from_row_slice(n, dim, &values), rng);
    let mut descent = Descent::new(n, (n as f64 / 12.).max(50.));
    for step in 0..settings.steps {
        let (exaggeration, momentum) = if step < settings.early { (settings.exaggeration, 0.5) } else { (1., 0.8) };
        let slopes = gradient(&p, &at, exaggeration);
        descent.step(&mut at, &slopes, momentum);
    }
    Ok(at.x.iter().zip(&at.y).map(|(&x, &y)| [x as f32, y as f32]).collect())
}

/// The two strongest directions, made small, and moved a little at random: points that lie on each other or on a line could never
/// leave it otherwise.
fn start(rows: &DMatrix<f64>, rng: &mut impl Rng) -> Plane {
    let points = pca::plane(rows);
    let spread = (points.iter().map(|p| p[0] * p[0]).sum::<f64>() / points.len() as f64).sqrt();
    let scale = if spread > 0. { FIRST_SPREAD / spread } else { 0. };
    let mut axis = |axis: usize| {
        let place = |p: &[f64; 2]| p[axis] * scale + FIRST_SPREAD * 0.01 * (rng.random::<f64>() - 0.5);
        points.iter().map(place).collect::<Vec<f64>>()
    };
    Plane { x: axis(0), y: axis(1) }
}

#[cfg(test)]
mod tests {
    use super::{Tsne, tsne};
    use crate::Error;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const DIM: usize = 10;

    /// Clusters of points around three far corners.
    fn clusters(each: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        // A sum of uniform numbers is normal enough.
        let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.;
        let mut rows = Vec::new();
        for cluster in 0..3 {
            for _ in 0..each {
                rows.extend((0..DIM).map(|i| normal() + if i == cluster { 12. } else { 0. }));
            }
        }
        rows
    }

    #[test]
    fn separated_clusters_stay_separated() {
        let each = 40;
        let rows = clusters(each);
        let points = tsne(&rows, DIM, &Tsne::fitting(3 * each), &mut ChaCha8Rng::seed_from_u64(2)).expect("a map");
        let apart = |a: usize, b: usize| (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]);
        for i in 0..3 * each {
            let nearest = (0..3 * each).filter(|&j| j != i).min_by(|&a, &b| apart(i, a).total_cmp(&apart(i, b)));
            assert_eq!(nearest.map(|j| j / each), Some(i / each), "point {i}");
        }
        let centre =
            |c: usize, axis: usize| points[c * each..(c + 1) * each].iter().map(|p| p[axis]).sum::<f32>() / each as f32;
        for c in 0..3 {
            let spread = |p: &[f32; 2]| (p[0] - centre(c, 0)).hypot(p[1] - centre(c, 1));
            let widest = points[c * each..(c + 1) * each].iter().map(spread).fold(0., f32::max);
            let next =
                (0..3).filter(|&o| o != c).map(|o| (centre(c, 0) - centre(o, 0)).hypot(centre(c, 1) - centre(o, 1)));
            assert!(widest < next.fold(f32::INFINITY, f32::min), "cluster {c} reaches another's centre");
        }
    }

    #[test]
    fn the_same_bits_on_any_number_of_threads() {
        let rows = clusters(15);
        let settings = Tsne { steps: 60, early: 30, ..Tsne::fitting(45) };
        let map = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            pool.install(|| tsne(&rows, DIM, &settings, &mut ChaCha8Rng::seed_from_u64(seed)).expect("a map"))
        };
        let bits = |points: Vec<[f32; 2]>| points.iter().flatten().map(|v| v.to_bits()).collect::<Vec<u32>>();
        let one = bits(map(1, 7));
        assert_eq!(one, bits(map(3, 7)));
        assert_ne!(one, bits(map(1, 8)));
    }

    #[test]
    fn what_cannot_be_is_said() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let usual = Tsne::fitting(12);
        let mut map = |rows: &[f32], dim: usize, settings: Tsne| tsne(rows, dim, &settings, &mut rng);
        assert!(matches!(map(&[0.; 9], 3, usual), Err(Error::RowCount { rows: 3, .. })));
        assert!(matches!(map(&[0.; 2001], 1, usual), Err(Error::RowCount { rows: 2001, .. })));
        assert!(matches!(map(&[0.; 10], 3, usual), Err(Error::Rows { .. })));
        assert!(matches!(map(&[f32::NAN; 12], 1, usual), Err(Error::NotFinite { .. })));
        for wrong in [
            Tsne { perplexity: 11., ..usual },
            Tsne { perplexity: f64::NAN, ..usual },
            Tsne { steps: 0, ..usual },
            Tsne { early: 750, ..usual },
            Tsne { exaggeration: 0.5, ..usual },
        ] {
            assert!(matches!(map(&[0.; 12], 1, wrong), Err(Error::Setting { .. })), "{wrong:?}");
        }
        let points = map(&[1.; 12], 1, usual).expect("equal rows are a map too");
        assert!(points.iter().flatten().all(|v| v.is_finite()));
    }
}
