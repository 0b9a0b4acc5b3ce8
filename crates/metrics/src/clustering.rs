use crate::Result;
use npair_types::Labels;
use std::collections::BTreeMap;

/// A clustering against the classes: the counts of every (cluster, class), and what is scored on them.
///
/// # Examples
/// ```
/// # use npair_metrics::Clustering;
/// # use npair_types::Labels;
/// let c = Clustering::new(&Labels::new([1, 1, 2, 2])?, &[0, 0, 0, 1])?;
/// // Pairs put together: 3, rightly: 1, to be put together: 2. P = 1/3, R = 1/2, F1 = 0.4.
/// assert!((c.f1() - 0.4).abs() < 1e-15);
/// assert_eq!(c.purity(), 0.75);
/// # Ok::<(), npair_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clustering {
    cells: BTreeMap<(usize, usize), usize>,
    clusters: Vec<usize>,
    classes: Vec<usize>,
    n: usize,
}

impl Clustering {
    /// Counts of a clustering: the cluster of every row, by any numbers.
    ///
    /// # Errors
    /// If the number of labels is not that of the assignment.
    pub fn new(labels: &Labels, assignment: &[usize]) -> Result<Self> {
        labels.expect_len(assignment.len())?;
        let (places, classes) = labels.compact();
        let mut numbers = assignment.to_vec();
        numbers.sort_unstable();
        numbers.dedup();
        let mut c = Self {
            cells: BTreeMap::new(),
            clusters: vec![0; numbers.len()],
            classes: vec![0; classes],
            n: assignment.len(),
        };
        for (cluster, &class) in assignment.iter().zip(&places) {
            let cluster = numbers.partition_point(|n| n < cluster);
            *c.cells.entry((cluster, class)).or_default() += 1;
            c.clusters[cluster] += 1;
            c.classes[class] += 1;
        }
        Ok(c)
    }

    /// Mutual information of clusters and classes, in nats.
    fn information(&self) -> f64 {
        let n = self.n as f64;
        let term = |(&(k, c), &count): (&(usize, usize), &usize)| {
            let p = count as f64 / n;
            p * (p * n / self.clusters[k] as f64 * n / self.classes[c] as f64).ln()
        };
        self.cells.iter().map(term).sum::<f64>().max(0.)
    }

    fn entropy(&self, counts: &[usize]) -> f64 {
        let share = |&c: &usize| c as f64 / self.n as f64;
        -counts.iter().map(share).map(|p| p * p.ln()).sum::<f64>()
    }

    /// NMI with the arithmetic mean of the entropies, `2 I / (H_cluster + H_class)`, the usual one of metric learning; 1 if
    /// both are a single group.
    ///
    /// # Source
    /// Song et al., CVPR 2016; Manning et al., Introduction to Information Retrieval, 16.3.
    pub fn nmi(&self) -> f64 {
        let (a, b) = (self.entropy(&self.clusters), self.entropy(&self.classes));
        if a + b == 0. { 1. } else { 2. * self.information() / (a + b) }
    }

    /// NMI with the geometric mean of the entropies, `I / sqrt(H_cluster H_class)`; 1 if both are a single group, 0 if one is.
    pub fn nmi_geometric(&self) -> f64 {
        let (a, b) = (self.entropy(&self.clusters), self.entropy(&self.classes));
        match (a == 0., b == 0.) {
            (true, true) => 1.,
            (false, false) => self.information() / (a * b).sqrt(),
            _ => 0.,
        }
    }

    /// AMI, mutual information adjusted for chance with the arithmetic mean of the entropies. Takes time in proportion to
    /// sizes of clusters times examples.
    ///
    /// # Source
    /// Vinh, Epps and Bailey, JMLR 2010.
    pub fn ami(&self) -> f64 {
        let (a, b) = (self.entropy(&self.clusters), self.entropy(&self.classes));
        if self.clusters.len() == 1 && self.classes.len() == 1
            || self.clusters.len() == self.n && self.classes.len() == self.n
        {
            return 1.;
        }
        let expected = self.expected_information();
        let (over, under) = (self.information() - expected, (a + b) / 2. - expected);
        // The same guard as others': a vanishing range is no reason to divide by zero.
        over / if under < 0. { under.min(-f64::EPSILON) } else { under.max(f64::EPSILON) }
    }

    /// Mean of the information over all clusterings and classes of these sizes.
    fn expected_information(&self) -> f64 {
        let n = self.n;
        let mut ln_factorial = vec![0f64; n + 1];
        for i in 1..=n {
            ln_factorial[i] = ln_factorial[i - 1] + (i as f64).ln();
        }
        let lf = |i: usize| ln_factorial[i];
        // Groups of one size have the same terms, and there are few sizes.
        let sizes = |counts: &[usize]| {
            let mut sizes = BTreeMap::<usize, usize>::new();
            counts.iter().for_each(|&count| *sizes.entry(count).or_default() += 1);
            sizes
        };
        let (clusters, classes) = (sizes(&self.clusters), sizes(&self.classes));
        let mut sum = 0.;
        for (&a, &of_a) in &clusters {
            for (&b, &of_b) in &classes {
                let alike = of_a as f64 * of_b as f64;
                for nij in (a + b).saturating_sub(n).max(1)..=a.min(b) {
                    let information = nij as f64 / n as f64 * (n as f64 * nij as f64 / (a as f64 * b as f64)).ln();
                    let ln_chance = lf(a) + lf(b) + lf(n - a) + lf(n - b)
                        - lf(n)
                        - lf(nij)
                        - lf(a - nij)
                        - lf(b - nij)
                        - lf(n + nij - a - b);
                    sum += alike * information * ln_chance.exp();
                }
            }
        }
        sum
    }

    /// Pairwise F1: harmonic mean of precision and recall over pairs of rows put into one cluster. 0 if no pair is right.
    ///
    /// # Source
    /// Song et al., CVPR 2016.
    pub fn f1(&self) -> f64 {
        let pairs =
            |counts: &mut dyn Iterator<Item = usize>| counts.map(|c| (c * c.saturating_sub(1) / 2) as f64).sum::<f64>();
        let right = pairs(&mut self.cells.values().copied());
        let (together, wanted) = (pairs(&mut self.clusters.iter().copied()), pairs(&mut self.classes.iter().copied()));
        if right == 0. { 0. } else { 2. * right / (together + wanted) }
    }

    /// ARI, the Rand index adjusted for chance; 1 if no pair could be told apart (one group, or all alone, on both sides).
    ///
    /// ```text
    /// ARI = (t - e) / ((c + w) / 2 - e),    e = c w / C(n, 2)
    /// ```
    /// with t pairs put together rightly, c together in a cluster, w together in a class.
    ///
    /// # Source
    /// Hubert and Arabie, 1985.
    pub fn ari(&self) -> f64 {
        let pairs =
            |counts: &mut dyn Iterator<Item = usize>| counts.map(|c| (c * c.saturating_sub(1) / 2) as f64).sum::<f64>();
        let right = pairs(&mut self.cells.values().copied());
        let (together, wanted) = (pairs(&mut self.clusters.iter().copied()), pairs(&mut self.classes.iter().copied()));
        let expected = together * wanted / pairs(&mut std::iter::once(self.n)).max(1.);
        let most = (together + wanted) / 2.;
        if most == expected { 1. } else { (right - expected) / (most - expected) }
    }

    /// Share of the rows that are of their cluster's most frequent class.
    pub fn purity(&self) -> f64 {
        let mut most = vec![0usize; self.clusters.len()];
        for (&(cluster, _), &count) in &self.cells {
            most[cluster] = most[cluster].max(count);
        }
        most.iter().sum::<usize>() as f64 / self.n as f64
    }
}
