//! Plots as SVG inside the page: its style colours them, so that they follow the theme.

mod axis;
mod draw;
mod figure;
mod scale;
mod series;
mod shape;
mod thin;

pub use axis::Axis;
pub use figure::{Mark, Plot, Rule};
pub use scale::Scale;
pub use series::{Dot, Look, Series};
pub use shape::{SHAPES, shape};
pub use thin::{MOST_DOTS, by_distance, by_spans};
