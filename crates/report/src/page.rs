//! The whole file around the sections.

use crate::coded;
use crate::input::Page;
use crate::section::{Context, sections};
use crate::text::esc;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/script.js");

/// The page of a report that was checked.
pub fn html(page: &Page) -> String {
    let title = if page.title.is_empty() { "npair report" } else { &page.title };
    let context = Context::new(page);
    let mut links = String::new();
    let mut body = String::new();
    for (section, html) in sections(&context) {
        let (id, name) = (section.id, section.title);
        let _ = writeln!(links, "<li><a href=\"#{id}\">{name}</a></li>");
        let _ = writeln!(body, "<section id=\"{id}\" aria-labelledby=\"{id}-title\">");
        let _ = writeln!(body, "<h2 id=\"{id}-title\">{name}</h2>\n{html}</section>");
    }
    let title = esc(title);
    let made = if page.made.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", esc(&page.made)) };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the report</a>\n<header><h1>{title}</h1>{made}\n\
         <nav aria-label=\"Sections\"><ul>\n{links}</ul></nav></header>\n<main id=\"main\" tabindex=\"-1\">\n{body}</main>\n\
         {}<script>{SCRIPT}</script>\n</body>\n</html>\n",
        policy(),
        pictures(&context)
    )
}

/// Nothing from outside, and no script or style but those of this file, by their hashes.
fn policy() -> String {
    let hash = |text: &str| coded::encode(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; img-src data:; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Every picture that a section shows, once. They stand at the end: what is to be read comes first.
fn pictures(context: &Context) -> String {
    let mut out = String::from("<svg class=\"store\" aria-hidden=\"true\" width=\"0\" height=\"0\">\n");
    out.push_str("<symbol id=\"sign-right\" viewBox=\"0 0 16 16\"><path d=\"M3 8.5l3.5 3.5L13 4.5\"/></symbol>\n");
    out.push_str("<symbol id=\"sign-wrong\" viewBox=\"0 0 16 16\"><path d=\"M4 4l8 8M12 4l-8 8\"/></symbol>\n");
    out.push_str("<symbol id=\"sign-unclear\" viewBox=\"0 0 16 16\"><path d=\"M3 6h10M3 10h10\"/></symbol>\n");
    for index in context.used() {
        let Some(thumb) = context.page.pictures.get(index) else { continue };
        let _ = writeln!(
            out,
            "<symbol id=\"p{index}\" viewBox=\"0 0 96 96\"><image width=\"96\" height=\"96\" \
             href=\"data:image/{};base64,{}\"/></symbol>",
            thumb.kind.name(),
            coded::encode(&thumb.data)
        );
    }
    out + "</svg>\n"
}
