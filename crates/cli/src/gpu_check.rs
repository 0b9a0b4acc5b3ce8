use crate::args;
use crate::device::check_device;
use anyhow::{Result, bail};
use npair_recipe::Device;
use serde_json::json;

/// Holds a device against the CPU, a line a check.
pub fn run(args: &args::GpuCheck, device: Device, json: bool) -> Result<()> {
    let opened = device.open()?;
    if !json {
        say!("{device} against the CPU: |device - CPU| / |CPU|, and what rounding may make of it");
    }
    let all = check_device(&opened, args.only, |check| {
        if json {
            let (apart, allowed) = (check.apart, check.allowed);
            say!("{}", json!({ "check": check.name, "apart": apart, "allowed": allowed, "passes": check.passes() }));
        } else {
            let verdict = if check.passes() { "ok" } else { "WRONG" };
            say!("  {:<78} {:>8.1e} {:>8.0e}  {verdict}", check.name, check.apart, check.allowed);
        }
    })?;
    let wrong = all.iter().filter(|c| !c.passes()).count();
    if wrong > 0 {
        bail!(
            "{device} is wrong in {wrong} of {} checks: do not train on it; report them with `npair --version` and the driver's",
            all.len()
        );
    }
    if !json {
        say!("{} checks, all within rounding", all.len());
    }
    Ok(())
}
