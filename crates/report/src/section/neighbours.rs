use super::{Context, measure};
use crate::input::{QueryExample, RunPart, ShownNeighbour};
use crate::text::{esc, score};
use std::fmt::Write;

/// Queries with their neighbours.
pub fn examples(context: &Context) -> Option<String> {
    context.by_run(|run| queries(context, run, &run.examples))
}

/// Queries that were answered worst.
pub fn worst(context: &Context) -> Option<String> {
    context.by_run(|run| queries(context, run, &run.worst_queries))
}

fn queries(context: &Context, run: &RunPart, all: &[QueryExample]) -> Option<String> {
    if all.is_empty() {
        return None;
    }
    let mut out = format!(
        "<p class=\"note\">The query first, then its neighbours, nearest first, with their {}. {}</p>\n",
        esc(measure(run)),
        "Solid frame and check mark: of the query's class. Dashed frame and cross: of another."
    );
    out.push_str("<ul class=\"queries\">\n");
    for example in all {
        let _ = write!(
            out,
            "<li><div class=\"row\"><figure class=\"shown query\">{}<figcaption><b>query</b><br>{}</figcaption></figure>",
            context.thumb(example.picture),
            esc(&example.class)
        );
        out.push_str("<ol>");
        example.neighbours.iter().for_each(|n| out.push_str(&neighbour(context, n)));
        out.push_str("</ol></div>");
        if !example.note.is_empty() {
            let _ = write!(out, "<p class=\"note\">{}</p>", esc(&example.note));
        }
        out.push_str("</li>\n");
    }
    out.push_str("</ul>\n");
    Some(out)
}

fn neighbour(context: &Context, one: &ShownNeighbour) -> String {
    let word = if one.right { "right" } else { "wrong" };
    format!(
        "<li><figure class=\"shown {word}\">{}<figcaption><span class=\"said\"><svg class=\"sign\" viewBox=\"0 0 16 16\" \
         role=\"img\" aria-label=\"{word}\"><use href=\"#sign-{word}\"/></svg>{}</span><br>{}</figcaption></figure></li>",
        context.thumb(one.picture),
        score(one.similarity),
        esc(&one.class)
    )
}
