//! What ptxas says of kernels.

use anyhow::{Result, bail};
use std::fmt::Write;

/// A kernel for a GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub name: String,
    pub gpu: String,
    /// Of a thread.
    pub registers: u32,
    /// Bytes written to memory for want of registers.
    pub spilled: u32,
}

/// The kernels that `ptxas -v` talks of.
pub fn parse(text: &str, gpu: &str) -> Result<Vec<Kernel>> {
    let number_before = |line: &str, what: &str| -> Option<u32> {
        line[..line.find(what)?].split_whitespace().next_back()?.parse().ok()
    };
    let mut kernels: Vec<Kernel> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            let name = rest.split('\'').next().unwrap_or_default().to_owned();
            kernels.push(Kernel { name, gpu: gpu.to_owned(), registers: 0, spilled: 0 });
            open = true;
        } else if let (true, Some(kernel)) = (open, kernels.last_mut()) {
            if let Some(stores) = number_before(line, " bytes spill stores") {
                kernel.spilled = stores;
            }
            if let Some(registers) = line.split("Used ").nth(1).and_then(|l| l.split(' ').next()?.parse().ok()) {
                kernel.registers = registers;
                open = false;
            }
        }
    }
    if kernels.is_empty() || kernels.iter().any(|k| k.registers == 0) {
        bail!("ptxas said nothing of some kernels; is it of another version?");
    }
    kernels.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(kernels)
}

/// A line a kernel, for a terminal.
pub fn table(kernels: &[Kernel]) -> String {
    let mut text = String::new();
    for k in kernels {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {:<28} sm_{:<4} {:>3} registers, {} bytes spilled",
            k.name, k.gpu, k.registers, k.spilled
        );
    }
    text
}

/// The page that is kept.
pub fn page(kernels: &[Kernel], version: &str, date: &str) -> String {
    let mut text = format!(
        "# What the kernels need\n\nWritten by `cargo xtask kernels --record` on {date}; {version}. Registers of a thread, and bytes \
         that it keeps in memory for want of registers. Kernels of products run 256 threads and ask for 96 KiB of shared memory; those \
         of wgmma run 384 threads, of which a third gives registers up until the others have 232, and ask for 193 KiB.\n\n"
    );
    let gpus: Vec<&str> = kernels.iter().fold(Vec::new(), |mut all, k| {
        if !all.contains(&k.gpu.as_str()) {
            all.push(&k.gpu);
        }
        all
    });
    text += "| kernel |";
    for gpu in &gpus {
        let _ = write!(text, " sm_{gpu} registers | spilled |");
    }
    text += "\n|---|";
    text += &"---:|---:|".repeat(gpus.len());
    text += "\n";
    let mut names: Vec<&str> = kernels.iter().map(|k| k.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let _ = write!(text, "| `{name}` |");
        for gpu in &gpus {
            match kernels.iter().find(|k| k.name == name && k.gpu == *gpu) {
                Some(k) => _ = write!(text, " {} | {} |", k.registers, k.spilled),
                None => text += " | |",
            }
        }
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ptxas_says_is_read() {
        let text = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'npair_b' for 'sm_80'\n\
            ptxas info    : Function properties for npair_b\n    0 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads\n\
            ptxas info    : Used 254 registers, used 1 barriers, 488 bytes cmem[0]\n\
            ptxas info    : Compiling entry function 'npair_a' for 'sm_80'\n    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\n\
            ptxas info    : Used 32 registers\n";
        let found = parse(text, "80").unwrap();
        let kernel =
            |name: &str, registers, spilled| Kernel { name: name.into(), gpu: "80".into(), registers, spilled };
        assert_eq!(found, [kernel("npair_a", 32, 0), kernel("npair_b", 254, 12)]);
        assert!(page(&found, "nvcc", "today").contains("| `npair_b` | 254 | 12 |"));
        assert!(parse("nothing", "80").is_err());
    }
}
