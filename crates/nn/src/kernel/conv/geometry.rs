use super::windows::{Places, Windows};

/// Extents and steps of a convolution, along (height, width) where there are two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Geometry {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    pub image: (usize, usize),
    pub kernel: (usize, usize),
    pub stride: (usize, usize),
    pub padding: (usize, usize),
    pub dilation: (usize, usize),
    pub groups: usize,
    pub map: (usize, usize),
}

/// The windows over the output's gradient that some pixels of the input's gradient are made of.
pub(crate) struct Phase {
    pub windows: Windows,
    pub places: Places,
    /// Kernel row and column of every tap.
    pub taps: Vec<(usize, usize)>,
}

impl Geometry {
    /// Pixels of an image.
    pub(crate) fn pixels(&self) -> usize {
        self.image.0 * self.image.1
    }

    /// Pixels of a map.
    pub(crate) fn map_pixels(&self) -> usize {
        self.map.0 * self.map.1
    }

    /// Input channels of a group.
    pub(crate) fn group_inputs(&self) -> usize {
        self.inputs / self.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_outputs(&self) -> usize {
        self.outputs / self.groups
    }

    /// Entries of a window: (kernel row, kernel column, input channel of the group).
    pub(crate) fn patch(&self) -> usize {
        self.group_inputs() * self.kernel.0 * self.kernel.1
    }

    /// Whether every channel is a group of its own.
    pub(crate) fn is_depthwise(&self) -> bool {
        self.groups == self.inputs && self.groups == self.outputs && self.groups > 1
    }

    /// The windows of group `group` over the input.
    pub(crate) fn windows(&self, group: usize) -> Windows {
        let (d, p) = (self.dilation, self.padding);
        let taps = (0..self.kernel.0).flat_map(|ky| (0..self.kernel.1).map(move |kx| (ky * d.0, kx * d.1))).collect();
        let seen = (group * self.group_inputs(), self.group_inputs());
        Windows {
            batch: self.batch,
            image: self.image,
            channels: self.inputs,
            seen,
            start: (-(p.0 as isize), -(p.1 as isize)),
            step: self.stride,
            count: self.map,
            taps,
        }
    }

    /// Where the outputs of group `group` go.
    pub(crate) fn places(&self, group: usize) -> Places {
        let channel = group * self.group_outputs();
        Places { image: self.map, channels: self.outputs, channel, start: (0, 0), step: (1, 1) }
    }

    /// The input's gradient in parts: pixels whose row and column leave the same rest when divided by the strides are
    /// made of the same taps, and lie `stride` apart.
    ///
    /// Input row `y` is seen by output row `o` through kernel row `k` if `y + padding = o stride + k dilation`.
    pub(crate) fn phases(&self, group: usize) -> Vec<Phase> {
        let along = |axis: usize| {
            let pick = |pair: (usize, usize)| if axis == 0 { pair.0 } else { pair.1 };
            let (extent, s, p) = (pick(self.image), pick(self.stride), pick(self.padding));
            let (k, d) = (pick(self.kernel), pick(self.dilation));
            (0..s.min(extent)).map(move |first| {
                let rest = (first + p) % s;
                // (tap, how many outputs before the quotient (y + padding) / stride it lies)
                let taps: Vec<(usize, usize)> =
                    (0..k).filter(|k| (k * d) % s == rest).map(|k| (k, (k * d - rest) / s)).collect();
                let back = taps.iter().map(|t| t.1).max().unwrap_or(0);
                let start = ((first + p) / s) as isize - back as isize;
                // From the window's corner on: neighbours become one run.
                let taps = taps.into_iter().rev().map(move |(k, before)| (k, back - before)).collect::<Vec<_>>();
                (first, start, (extent - first).div_ceil(s), taps)
            })
        };
        let mut phases = Vec::new();
        for (top, row, rows, down) in along(0) {
            for (left, column, columns, across) in along(1) {
                let both = || down.iter().flat_map(|y| across.iter().map(move |x| (*y, *x)));
                phases.push(Phase {
                    windows: Windows {
                        batch: self.batch,
                        image: self.map,
                        channels: self.outputs,
                        seen: (group * self.group_outputs(), self.group_outputs()),
                        start: (row, column),
                        step: (1, 1),
                        count: (rows, columns),
                        taps: both().map(|(y, x)| (y.1, x.1)).collect(),
                    },
                    places: Places {
                        image: self.image,
                        channels: self.inputs,
                        channel: group * self.group_inputs(),
                        start: (top, left),
                        step: self.stride,
                    },
                    taps: both().map(|(y, x)| (y.0, x.0)).collect(),
                });
            }
        }
        phases
    }
}
