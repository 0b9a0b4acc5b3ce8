//! An nvcc: the machine's, or one of Python wheels in the target folder.

use crate::shell;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler, its parts and headers. PTX of a newer one may be refused by drivers that are installed.
const WHEELS: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
];
pub const VERSION: &str = "13.0.88";

#[derive(Debug, Clone)]
pub struct Toolkit {
    home: PathBuf,
}

impl Toolkit {
    /// The toolkit, or why there can be none.
    pub fn find(target: &Path) -> Result<std::result::Result<Self, String>> {
        let homes = ["CUDA_HOME", "CUDA_PATH"].iter().filter_map(std::env::var_os).map(PathBuf::from);
        if let Some(home) = homes.into_iter().find(|h| h.join("bin/nvcc").is_file()) {
            return Ok(Ok(Self { home }));
        }
        let place = target.join(format!("cuda-toolkit-{VERSION}"));
        let home = place.join("nvidia/cu13");
        if home.join("bin/nvcc").is_file() && place.join("complete").is_file() {
            return Ok(Ok(Self { home }));
        }
        if !(cfg!(target_os = "linux") && cfg!(target_arch = "x86_64")) {
            return Ok(Err("the wheels of nvcc are for Linux on x86-64; set CUDA_HOME".to_owned()));
        }
        let python = ["python3", "python"].into_iter().find(|name| {
            Command::new(name).args(["-m", "pip", "--version"]).output().is_ok_and(|o| o.status.success())
        });
        let Some(python) = python else {
            return Ok(Err("neither CUDA_HOME is set nor is there a Python with pip to fetch nvcc with".to_owned()));
        };
        println!("xtask: fetching nvcc {VERSION} as Python wheels into {} (270 MB, once)", place.display());
        let part = target.join("cuda-toolkit.part");
        // What an interrupted call may have left; that there is nothing is fine.
        let _ = std::fs::remove_dir_all(&part);
        let mut install = Command::new(python);
        install.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-cache-dir",
            "--no-compile",
        ]);
        install
            .args(["--root-user-action", "ignore", "--no-deps", "--only-binary", ":all:", "--target"])
            .arg(&part)
            .args(WHEELS);
        if let Err(error) = shell::output(&mut install) {
            return Ok(Err(format!("nvcc cannot be fetched: {error:#}")));
        }
        std::fs::write(part.join("complete"), "").context("the toolkit cannot be written")?;
        let _ = std::fs::remove_dir_all(&place);
        std::fs::rename(&part, &place).with_context(|| format!("{} cannot be made", place.display()))?;
        Ok(Ok(Self { home }))
    }

    pub fn nvcc(&self) -> Command {
        Command::new(self.home.join("bin/nvcc"))
    }

    /// What nvcc says of itself.
    pub fn version(&self) -> Result<String> {
        let text = shell::text(self.nvcc().arg("--version"))?;
        Ok(text.lines().find(|l| l.contains("release")).unwrap_or("nvcc").trim().to_owned())
    }

    /// Lines for a shell.
    pub fn variables(&self) -> String {
        let mut text = String::new();
        let home = self.home.display();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "export CUDA_HOME=\"{home}\" CUDA_PATH=\"{home}\" CUDA_COMPUTE_CAP=${{CUDA_COMPUTE_CAP:-80}}"
        );
        let _ = writeln!(text, "export PATH=\"{home}/bin:$PATH\" NVCC_APPEND_FLAGS=\"--compress-mode=size\"");
        text
    }
}
