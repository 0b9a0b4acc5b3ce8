//! The page's sections, in reading order.

mod about;

mod classes;
mod comparison;
mod curves;
mod headline;
mod map;
mod neighbours;
mod recall;
mod roc;
mod scores;
mod similarity;
mod verdict;

use crate::input::{Page, RunPart};
use crate::text::esc;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// A section; nothing is drawn where there is nothing to say.
pub struct Section {
    /// Its `id`.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    html: fn(&Context) -> Option<String>,
}

const SECTIONS: [Section; 14] = [
    Section { id: "headline", title: "How good is it?", html: headline::html },
    Section { id: "about", title: "What was trained on what", html: about::html },
    Section { id: "curves", title: "Training curves", html: curves::html },
    Section { id: "scores", title: "All scores", html: scores::html },
    Section { id: "recall", title: "Recall@K", html: recall::html },
    Section { id: "verification", title: "Verification: ROC and DET", html: roc::html },
    Section { id: "similarities", title: "Similarities of pairs", html: similarity::html },
    Section { id: "neighbours", title: "Queries and their neighbours", html: neighbours::examples },
    Section { id: "worst-queries", title: "Worst queries", html: neighbours::worst },
    Section { id: "worst-classes", title: "Worst classes", html: classes::worst },
    Section { id: "confused", title: "Most confused pairs of classes", html: classes::confused },
    Section { id: "map", title: "Map of the embeddings", html: map::html },
    Section { id: "comparison", title: "Differences between the runs", html: comparison::html },
    Section { id: "notes", title: "Notes", html: about::notes },
];

/// Those sections that have something to say.
pub fn sections(context: &Context) -> Vec<(&'static Section, String)> {
    const ALL: &[Section] = &SECTIONS;
    ALL.iter().filter_map(|s| Some((s, (s.html)(context)?))).collect()
}

/// The report, the ids that were given away and the pictures that were shown.
pub struct Context<'a> {
    /// The report.
    pub page: &'a Page,
    ids: Cell<usize>,
    used: RefCell<BTreeSet<usize>>,
}

impl<'a> Context<'a> {
    /// Nothing given away yet.
    pub fn new(page: &'a Page) -> Self {
        Self { page, ids: Cell::new(0), used: RefCell::default() }
    }

    /// An `id` that nothing else has.
    fn id(&self, of: &'static str) -> String {
        self.ids.set(self.ids.get() + 1);
        format!("{of}-{}", self.ids.get())
    }

    /// A picture; it is noted, so that its bytes are in the file.
    fn thumb(&self, index: usize) -> String {
        self.used.borrow_mut().insert(index);
        let alt = self.page.pictures.get(index).map_or("", |p| &p.alt);
        let alt = if alt.is_empty() { format!("Picture {index}") } else { esc(alt) };
        format!(
            "<svg class=\"thumb\" viewBox=\"0 0 96 96\" role=\"img\" aria-label=\"{alt}\"><use href=\"#p{index}\"/></svg>"
        )
    }

    /// The pictures that were shown.
    pub fn used(&self) -> BTreeSet<usize> {
        self.used.borrow().clone()
    }

    /// What `html` says of every run that has something to say, below its name if there are several runs.
    fn by_run(&self, html: impl Fn(&'a RunPart) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        for run in &self.page.runs {
            let Some(part) = html(run) else { continue };
            if self.page.runs.len() > 1 {
                out.push_str(&format!("<h3>{}</h3>\n", esc(&run.name)));
            }
            out.push_str(&part);
        }
        (!out.is_empty()).then_some(out)
    }
}

/// A run's word for its measure.
fn measure(run: &RunPart) -> &str {
    if run.measure.is_empty() { "similarity" } else { &run.measure }
}
