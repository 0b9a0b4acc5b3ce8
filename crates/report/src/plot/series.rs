/// One place of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dot {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// Lower end of an interval around `y`.
    pub low: Option<f64>,
    /// Upper end of an interval around `y`.
    pub high: Option<f64>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A line; a band where there are intervals; a few shapes along it tell it from others.
    Line,
    /// A line with a shape at every place, and whiskers where there are intervals.
    Shapes,
    /// An area above zero: its places are the corners of steps.
    Steps,
}

/// Values to be drawn.
#[derive(Debug, Clone)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// Its places, in order.
    pub dots: Vec<Dot>,
    /// Which colour, dashes and shape it has.
    pub style: usize,
    /// How it is drawn.
    pub look: Look,
}

impl Series {
    /// A line.
    pub fn line(name: impl Into<String>, dots: Vec<Dot>, style: usize) -> Self {
        Self { name: name.into(), dots, style, look: Look::Line }
    }
}

impl Dot {
    /// A place without an interval.
    pub fn new(x: f64, y: f64) -> Self {
        Self { x, y, low: None, high: None }
    }
}
