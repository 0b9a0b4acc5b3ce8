//! What went wrong in a run.

use crate::args::Doctor as Args;
use crate::{progress, source};
use anyhow::Result;
use npair_recipe::doctor::{Case, Finding, Grade, Seen};
use npair_recipe::{Device, Run};

pub fn run(args: &Args, device: Device, json: bool) -> Result<()> {
    let run = Run::open(&args.run)?;
    let mut case = Case::of_run(&run)?;
    let mut notes = Vec::new();
    if !args.journal_only {
        match look(args, device) {
            Ok(Some(seen)) => case = case.with(seen),
            Ok(None) => notes.push(
                "the network was not looked at: no class was learned from that has two examples and shares no label \
                 with another"
                    .to_owned(),
            ),
            Err(error) => notes.push(format!("only the journal was examined: {error:#}")),
        }
    }
    let found = case.examine();
    if json {
        let steps = case.told.last_step();
        say!("{}", serde_json::json!({ "run": args.run, "steps": steps, "findings": found, "notes": notes }));
        return Ok(());
    }
    introduce(args, &case);
    notes.iter().for_each(|note| say!("  note: {note}"));
    found.iter().for_each(tell);
    if found.iter().all(|finding| finding.grade == Grade::Advice) {
        say!("nothing wrong was found");
    }
    Ok(())
}

/// Embeds training examples by the network as the run left it.
fn look(args: &Args, device: Device) -> Result<Option<Seen>> {
    let loaded = source::load(&args.run, "last", args.data.as_deref(), &[], device)?;
    let learned = loaded.splits.learned()?;
    let bar = progress::bar(0, "embed");
    let seen = Seen::of(&loaded.config, loaded.model.as_ref(), learned.as_ref(), &mut |n| bar.set_position(n as u64));
    bar.finish_and_clear();
    Ok(seen?)
}

/// The run in two lines.
fn introduce(args: &Args, case: &Case) {
    let told = &case.told;
    let loss = match (told.steps.first(), told.steps.last()) {
        (Some(first), Some(last)) => format!(", loss {:.3} to {:.3}", first.loss, last.loss),
        _ => String::new(),
    };
    say!("{}: {} of {} steps{loss}", args.run.display(), told.last_step(), case.config.training.steps);
    if let Some(score) = told.scores.last() {
        say!("  {} {:.3} on {} ({} unseen classes)", score.name, score.value, score.set, score.classes);
    }
    if let Some(seen) = &case.seen {
        say!("  recall@1 {:.3} among {} training examples of {} classes", seen.recall, seen.examples, seen.classes);
    }
}

fn tell(finding: &Finding) {
    let mark = match finding.grade {
        Grade::Fault => "fault",
        Grade::Advice => "advice",
    };
    say!("");
    say!("{mark}: {} ({})", finding.fault.title(), finding.fault);
    say!("  seen  {}", finding.evidence);
    say!("  cure  {}", finding.cure);
    say!("  cost  {}", finding.cost);
}
