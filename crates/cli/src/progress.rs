use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Standard error, of the process that prints.
fn target() -> ProgressDrawTarget {
    if crate::out::prints() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }
}

/// A bar on standard error; nothing at all if that is no terminal.
pub fn bar(len: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(len), target());
    let template = "{prefix} {bar:30} {pos}/{len}  {msg}  {elapsed} elapsed, {eta} left";
    // The template is fixed: it parses or the tests' first run says so.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_prefix(what.to_owned());
    bar
}

/// A line on standard error that says what is under way, while it is; nothing at all if that is no terminal.
pub fn told<T>(work: impl FnOnce(&mut dyn FnMut(String)) -> T) -> T {
    let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{elapsed}  {msg}") {
        line.set_style(style);
    }
    let done = work(&mut |text| {
        line.set_message(text);
        line.tick();
    });
    line.finish_and_clear();
    done
}
