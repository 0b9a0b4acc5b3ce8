use crate::Result;
use npair_similarity::{Closest, Element, Rows};
use npair_types::Measure;

const MEASURE: Measure = Measure::SquaredEuclidean;

/// Rows with their nearest centres. A round compares rows with the centres that moved: the others are as far as they were.
pub(super) struct Lloyd<'a, T> {
    rows: Rows<'a, T>,
    /// (K, D)
    centres: Vec<T>,
    /// Of every row its centre, its similarity, and what no other centre is nearer than.
    nearest: Vec<Closest>,
    /// Clusters whose rows are not those that the centre is the mean of.
    changed: Vec<bool>,
}

impl<'a, T: Element> Lloyd<'a, T> {
    /// Every row with the nearest of these rows.
    pub(super) fn new(rows: Rows<'a, T>, starts: &[usize]) -> Result<Self> {
        let centres: Vec<T> = starts.iter().flat_map(|&i| rows.row(i)).copied().collect();
        let nearest = rows.closest(Rows::trusted(&centres, rows.width()), MEASURE)?;
        Ok(Self { rows, centres, nearest, changed: vec![true; starts.len()] })
    }

    /// Sum of squared distances to the nearest centres.
    pub(super) fn sse(&self) -> f64 {
        -self.nearest.iter().map(|near| near.similarity).sum::<f64>()
    }

    pub(super) fn into_assignment(self) -> Vec<usize> {
        self.nearest.into_iter().map(|near| near.index).collect()
    }

    /// Centres become means, then every row goes to the nearest; how many went to another.
    pub(super) fn step(&mut self) -> Result<usize> {
        let moved = self.move_centers();
        if moved.is_empty() {
            return Ok(0);
        }
        let width = self.rows.width();
        let all = Rows::trusted(&self.centres, width);
        let some: Vec<T> = moved.iter().flat_map(|&c| all.row(c)).copied().collect();
        let found = self.rows.closest(Rows::trusted(&some, width), MEASURE)?;
        drop(some);
        let mut has_moved = vec![false; self.changed.len()];
        moved.iter().for_each(|&c| has_moved[c] = true);
        let (mut next, mut open) = (Vec::with_capacity(found.len()), Vec::new());
        for (row, (old, found)) in self.nearest.iter().zip(found).enumerate() {
            let found = Closest { index: moved[found.index], ..found };
            let near = if has_moved[old.index] { of_moved(old, found) } else { Some(of_unmoved(old, found)) };
            if near.is_none() {
                open.push(row);
            }
            next.push(near.unwrap_or(found));
        }
        // Their centre went away, and another one that did not move may be nearer now.
        if !open.is_empty() {
            let some: Vec<T> = open.iter().flat_map(|&row| self.rows.row(row)).copied().collect();
            let again = Rows::trusted(&some, width).closest(all, MEASURE)?;
            open.iter().zip(again).for_each(|(&row, near)| next[row] = near);
        }
        let mut count = 0;
        for (old, new) in self.nearest.iter().zip(&next).filter(|(old, new)| old.index != new.index) {
            (self.changed[old.index], self.changed[new.index]) = (true, true);
            count += 1;
        }
        self.nearest = next;
        Ok(count)
    }

    /// The centres of changed clusters become means, or zeros without a row; those that are other values now.
    fn move_centers(&mut self) -> Vec<usize> {
        let (k, width) = (self.changed.len(), self.rows.width());
        // The rows of every changed cluster, in their order.
        let mut members = vec![Vec::new(); k];
        for (row, near) in self.nearest.iter().enumerate().filter(|(_, near)| self.changed[near.index]) {
            members[near.index].push(row);
        }
        let mut moved = Vec::new();
        let mut sum = vec![0f64; width];
        for cluster in (0..k).filter(|&cluster| self.changed[cluster]) {
            sum.fill(0.);
            for &row in &members[cluster] {
                sum.iter_mut().zip(self.rows.row(row)).for_each(|(s, v)| *s += v.wide());
            }
            let count = members[cluster].len().max(1) as f64;
            let mut differs = false;
            for (c, &s) in self.centres[cluster * width..][..width].iter_mut().zip(&sum) {
                let mean = T::narrow(s / count);
                differs |= *c != mean;
                *c = mean;
            }
            if differs {
                moved.push(cluster);
            }
        }
        self.changed.fill(false);
        moved
    }
}

/// The nearest centre of a row whose own did not move: it is as near as it was, and only one that moved may be nearer.
fn of_unmoved(old: &Closest, found: Closest) -> Closest {
    let beaten = found.similarity > old.similarity || found.similarity == old.similarity && found.index < old.index;
    if beaten {
        Closest { next: found.next.max(old.next).max(old.similarity), ..found }
    } else {
        Closest { next: old.next.max(found.similarity), ..*old }
    }
}

/// The nearest centre of a row whose own moved, if it is sure to be the best of those that moved.
fn of_moved(old: &Closest, found: Closest) -> Option<Closest> {
    (found.similarity > old.next).then(|| Closest { next: found.next.max(old.next), ..found })
}
