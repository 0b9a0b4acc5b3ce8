use super::draw;
use super::{Axis, Series};
use crate::text::{Cell, Table, esc};

/// A plot with its title, its legend and its numbers.
pub struct Plot {
    /// Its title.
    pub title: String,
    /// What is to be seen, in a sentence, for those who do not see it.
    pub about: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// What is drawn.
    pub series: Vec<Series>,
    /// Lines across it.
    pub rules: Vec<Rule>,
    /// Single places.
    pub marks: Vec<Mark>,
    /// Its numbers, where they are not the places of the series.
    pub table: Option<Table>,
    /// A sentence below it.
    pub note: String,
}

/// A thin line across a plot.
pub enum Rule {
    /// Upright, with a word at its top.
    At(f64, String),
    /// From corner to corner, where both axes say the same, with a word for the legend.
    Diagonal(String),
}

/// A place with a word beside it.
pub struct Mark {
    /// Along the horizontal axis.
    pub x: f64,
    /// Along the vertical axis.
    pub y: f64,
    /// The word.
    pub text: String,
}

/// Where a plot is drawn, in the units of its `viewBox`.
pub struct Region {
    /// Width of the whole.
    pub width: f64,
    /// Height of the whole.
    pub height: f64,
    /// Room at the left, for the vertical axis.
    pub left: f64,
    /// Room at the right.
    pub right: f64,
    /// Room at the top.
    pub top: f64,
    /// Room at the bottom, for the horizontal axis.
    pub bottom: f64,
}

/// As wide as a phone, so that its letters are as large as the page's.
pub const REGION: Region = Region { width: 360., height: 270., left: 60., right: 20., top: 10., bottom: 44. };

impl Plot {
    /// A plot without lines, marks and notes.
    pub fn new(title: impl Into<String>, x: Axis, y: Axis, series: Vec<Series>) -> Self {
        let (title, about, note) = (title.into(), String::new(), String::new());
        Self { title, about, x, y, series, rules: Vec::new(), marks: Vec::new(), table: None, note }
    }

    /// Its HTML. `id` is this plot's alone.
    pub fn html(&self, id: &str) -> String {
        let title = esc(&self.title);
        let axes = format!("Horizontal: {}. Vertical: {}.", self.x.label, self.y.label);
        let label = esc(&format!("{}. {} {axes} The numbers follow in a table.", self.title, self.about));
        let table = self.table.as_ref().map_or_else(|| self.own_table().details(), Table::details);
        let note =
            if self.note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", esc(&self.note)) };
        format!(
            "<figure class=\"plot\" id=\"{id}\"><figcaption>{title}</figcaption>\n\
             <div class=\"canvas\">{}</div>\n{}{note}{table}</figure>\n",
            draw::svg(self, id, &label),
            draw::legend(self)
        )
    }

    /// The places of the series, one a row: the script reads what it shows from here.
    fn own_table(&self) -> Table {
        let dots = || self.series.iter().flat_map(|s| &s.dots);
        let has_interval = dots().any(|d| d.low.is_some());
        let mut head = vec!["Series", self.x.label.as_str(), self.y.label.as_str()];
        if has_interval {
            head.extend(["Lower end", "Upper end"]);
        }
        let mut table = Table::new(format!("Numbers: {}", self.title), &head);
        for series in &self.series {
            for dot in &series.dots {
                let mut row = vec![Cell::Text(series.name.clone())];
                row.extend([self.x.written(dot.x), self.y.written(dot.y)].map(Cell::Number));
                if has_interval {
                    let end = |v: Option<f64>| Cell::Number(v.map_or_else(|| "–".to_owned(), |v| self.y.written(v)));
                    row.extend([end(dot.low), end(dot.high)]);
                }
                table.rows.push(row);
            }
        }
        table
    }
}
