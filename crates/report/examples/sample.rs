//! A page with every section, of a made-up run: written to the standard output.
//!
//! ```text
//! cargo run -p npair-report --example sample > sample.html            # one run
//! cargo run -p npair-report --example sample -- two > sample.html     # two runs side by side
//! cargo run -p npair-report --example sample -- json > sample.json    # what a page is made of
//! ```
#![allow(clippy::print_stdout)] // an example prints

#[path = "made_up/mod.rs"]
mod made_up;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = std::env::args().nth(1);
    let page = made_up::page(if argument.as_deref() == Some("two") { 2 } else { 1 })?;
    match argument.as_deref() {
        Some("json") => println!("{}", serde_json::to_string(&page)?),
        _ => print!("{}", page.html()?),
    }
    Ok(())
}
