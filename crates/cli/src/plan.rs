use crate::args::Plan;
use crate::{progress, source};
use anyhow::Result;
use npair_recipe::scaling::{self, Scaling, StepOnRanks};
use npair_recipe::{Config, Device, Training};

pub fn run(args: &Plan, device: Option<Device>, json: bool) -> Result<()> {
    if let Some(most) = args.ranks.ranks {
        return on_ranks(args, most.get(), device, json);
    }
    let (config, plan, notes) = planned(args, device)?;
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

/// The settings that the data would choose, and why.
fn planned(args: &Plan, device: Option<Device>) -> Result<(Config, npair_recipe::Plan, Vec<String>)> {
    let mut draft = source::draft(&args.settings, args.data.as_deref())?;
    draft.config.device = device.unwrap_or(draft.config.device);
    draft.minutes = args.minutes;
    let bar = progress::bar(0, "features");
    let planned = Training::plan_of(draft, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    Ok(planned)
}

/// What a step costs on one rank to so many.
fn on_ranks(args: &Plan, most: usize, device: Option<Device>, json: bool) -> Result<()> {
    let given = &args.ranks;
    // The data is asked for what is not said.
    let asked = given.pairs.is_none() || given.parameters.is_none() || given.example_seconds.is_none();
    let (mut network, mut pairs) = (None, given.pairs);
    if asked {
        let config = planned(args, device)?.0;
        pairs = pairs.or(Some(config.batch.classes));
        network = Some(scaling::measured_network(config)?);
    }
    let width = given.width.or(network.map(|n| n.width)).unwrap_or(512);
    let scaling = Scaling {
        pairs: pairs.unwrap_or(0),
        width,
        parameters: given.parameters.or(network.map(|n| n.parameters)).unwrap_or(0),
        example_seconds: given.example_seconds.or(network.map(|n| n.example_seconds)).unwrap_or(0.),
        loss_flops: given.loss_gflops.map_or_else(|| scaling::measured_loss_flops(width), |rate| Ok(rate * 1e9))?,
        link: given.link_gbytes * 1e9,
        latency: given.latency_us * 1e-6,
    };
    scaling.check()?;
    let steps = scaling.steps(most);
    if json {
        say!("{}", serde_json::json!({ "given": scaling, "steps": steps, "worthwhile": scaling.worthwhile(most) }));
        return Ok(());
    }
    say!(
        "a step of {} pairs, {} wide, {} parameters; {:.2e} s an example, {:.1} GFLOP/s in the matrix, {} GB/s and {} us from rank to rank",
        scaling.pairs,
        scaling.width,
        scaling.parameters,
        scaling.example_seconds,
        scaling.loss_flops / 1e9,
        given.link_gbytes,
        given.latency_us
    );
    print_steps(&steps);
    match scaling.worthwhile(most) {
        Some(ranks) if ranks < most => {
            say!("beyond {ranks} ranks more than half of a rank's time is spent on talking, or on what others do too")
        }
        _ => say!("on {most} ranks less than half of a rank's time is spent on talking"),
    }
    Ok(())
}

/// Seconds by what they are spent on, a line for every number of ranks.
fn print_steps(steps: &[StepOnRanks]) {
    say!(
        "{:>8} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10} {:>9}",
        "ranks",
        "step s",
        "network",
        "loss",
        "rows",
        "gradients",
        "messages",
        "efficiency",
        "rows MiB"
    );
    for step in steps {
        let StepOnRanks { ranks, seconds, network, loss, rows, gradients, messages, efficiency, row_bytes } = step;
        let mib = row_bytes / f64::from(1 << 20);
        say!(
            "{ranks:>8} {seconds:>10.4} {network:>10.4} {loss:>10.4} {rows:>10.4} {gradients:>10.4} {messages:>10.4} {efficiency:>10.2} {mib:>9.1}"
        );
    }
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
