use crate::args::Plan;
use crate::{progress, source};
use anyhow::Result;
use npair_recipe::{Device, Training};

pub fn run(args: &Plan, device: Option<Device>, json: bool) -> Result<()> {
    let mut draft = source::draft(&args.settings, args.data.as_deref())?;
    draft.config.device = device.unwrap_or(draft.config.device);
    draft.minutes = args.minutes;
    let bar = progress::bar(0, "features");
    let (config, plan, notes) = Training::plan_of(draft, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    if args.toml {
        say!("{}", config.to_toml()?.trim_end());
    } else if json {
        say!("{}", serde_json::json!({ "plan": plan, "settings": config, "notes": notes }));
    } else {
        print(&plan);
        notes.iter().for_each(|note| say!("note: {note}"));
    }
    Ok(())
}

/// What the data is like, and a line for every choice.
pub fn print(plan: &npair_recipe::Plan) {
    let Some(facts) = &plan.facts else { return };
    match facts.per_class {
        [1, 1, 1] => say!("{} pictures, each a class of its own", facts.examples),
        [least, median, most] => {
            let (examples, classes) = (facts.examples, facts.classes);
            say!("{examples} examples of {classes} classes, {least} to {most} a class, {median} in the middle");
        }
    }
    plan.choices.iter().for_each(|choice| say!("  {choice}"));
}
