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

    /// A toolkit that is known to be there.
    pub fn at(home: PathBuf) -> Self {
        Self { home }
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    pub fn nvcc(&self) -> Command {
        Command::new(self.home.join("bin/nvcc"))
    }

    /// What nvcc says of itself.
    pub fn version(&self) -> Result<String> {
        let text = shell::text(self.nvcc().arg("--version"))?;
        Ok(text.lines().find(|l| l.contains("release")).unwrap_or("nvcc").trim().to_owned())
    }

    /// Where its libraries are.
    pub fn libraries(&self) -> PathBuf {
        let wide = self.home.join("lib64");
        if wide.is_dir() { wide } else { self.home.join("lib") }
    }

    /// The variables that builds of CUDA code read: the place of nvcc, the GPU (of `compute_cap`), small files. What the user has
    /// set of nvcc's flags stays.
    fn settings(&self, compute_cap: &str) -> [(&'static str, String); 4] {
        let home = self.home.display().to_string();
        let flags = std::env::var("NVCC_APPEND_FLAGS").unwrap_or_else(|_| "--compress-mode=size".to_owned());
        [
            ("CUDA_HOME", home.clone()),
            ("CUDA_PATH", home),
            ("CUDA_COMPUTE_CAP", compute_cap.to_owned()),
            ("NVCC_APPEND_FLAGS", flags),
        ]
    }

    /// Lines for a shell.
    pub fn variables(&self, compute_cap: &str) -> String {
        let mut text = String::new();
        for (name, value) in self.settings(compute_cap) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "export {name}=\"{value}\"");
        }
        let _ = writeln!(text, "export PATH=\"{}/bin:$PATH\"", self.home.display());
        text
    }

    /// Gives a command the variables, and nvcc on its path.
    pub fn equip(&self, command: &mut Command, compute_cap: u32) {
        command.envs(self.settings(&compute_cap.to_string()));
        let old = std::env::var_os("PATH").unwrap_or_default();
        let all = std::iter::once(self.home.join("bin")).chain(std::env::split_paths(&old));
        // A path with a colon in its name is none to add.
        if let Ok(path) = std::env::join_paths(all) {
            command.env("PATH", path);
        }
    }
}
