use super::esc;
use std::fmt::Write;

/// A table that scrolls inside its box where it is wider than the page.
#[derive(Default)]
pub struct Table {
    /// What it shows.
    pub caption: String,
    /// The columns' names.
    pub head: Vec<String>,
    /// Its rows; the first cell is the row's name.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone)]
pub enum Cell {
    /// Words, to be escaped.
    Text(String),
    /// A number or "-", to be escaped, at the right.
    Number(String),
    /// HTML, made here.
    Html(String),
}

impl Table {
    /// A table without rows yet.
    pub fn new(caption: impl Into<String>, head: &[&str]) -> Self {
        Self { caption: caption.into(), head: head.iter().map(|&h| h.to_owned()).collect(), rows: Vec::new() }
    }

    /// Its HTML. The box can be focused, so that arrow keys scroll it.
    pub fn html(&self) -> String {
        let caption = esc(&self.caption);
        let mut out = format!(
            "<div class=\"scroll\" role=\"group\" aria-label=\"{caption}\" tabindex=\"0\">\
             <table><caption><span>{caption}</span></caption><thead><tr>"
        );
        let numeric = |at: usize| self.rows.first().is_some_and(|r| matches!(r.get(at), Some(Cell::Number(_))));
        for (at, name) in self.head.iter().enumerate() {
            let class = if numeric(at) { " class=\"n\"" } else { "" };
            let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", esc(name));
        }
        out.push_str("</tr></thead><tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (at, cell) in row.iter().enumerate() {
                out.push_str(&cell.html(at == 0));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>");
        out
    }

    /// Its HTML, folded away until it is asked for.
    pub fn details(&self) -> String {
        format!("<details><summary>{}</summary>{}</details>\n", esc(&self.caption), self.html())
    }
}

impl Cell {
    fn html(&self, is_name: bool) -> String {
        let (open, close) = if is_name { ("th scope=\"row\"", "th") } else { ("td", "td") };
        match self {
            Self::Text(text) => format!("<{open}>{}</{close}>", esc(text)),
            Self::Number(text) => format!("<{open} class=\"n\">{}</{close}>", esc(text)),
            Self::Html(html) => format!("<{open}>{html}</{close}>"),
        }
    }
}
