//! A toolkit whose nvcc keeps what it compiled: that is most of a first build, and all of it is the same in the next one.

use crate::kernels::Toolkit;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder that looks like a toolkit to builds.
pub struct Quick {
    toolkit: Toolkit,
    /// What was compiled, by its content.
    kept: PathBuf,
}

/// Makes it in `place`, of the real toolkit's folders and our nvcc; `anew` forgets what was kept.
pub fn make(place: &Path, toolkit: &Toolkit, anew: bool) -> Result<Quick> {
    let (home, kept) = (place.join("toolkit"), place.join("kernels"));
    let _ = fs::remove_dir_all(&home); // of an earlier call, if there was one
    if anew {
        let _ = fs::remove_dir_all(&kept); // the same
    }
    mirror(toolkit.home(), &home, &["bin", "lib", "lib64"])?;
    let bin = home.join("bin");
    mirror(&toolkit.home().join("bin"), &bin, &["nvcc"])?;
    for name in ["lib", "lib64"] {
        let real = toolkit.home().join(name);
        if real.is_dir() {
            // Whatever a toolkit has to link against in place of a driver: ours are enough, and two kinds do not mix.
            mirror(&real, &home.join(name), &["stubs"])?;
        }
    }
    let nvcc = bin.join("nvcc");
    fs::write(&nvcc, include_str!("nvcc.sh")).with_context(|| format!("{} cannot be written", nvcc.display()))?;
    executable(&nvcc)?;
    Ok(Quick { toolkit: Toolkit::at(home), kept })
}

/// A folder whose entries are those of another one, but for some.
fn mirror(real: &Path, folder: &Path, without: &[&str]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for entry in fs::read_dir(real).with_context(|| format!("{} cannot be read", real.display()))? {
        let name = entry?.file_name();
        if !without.iter().any(|w| name == *w) {
            super::stubs::link(&real.join(&name), &folder.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn executable(file: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let rights = fs::Permissions::from_mode(0o755);
    fs::set_permissions(file, rights).with_context(|| format!("{} cannot be made a program", file.display()))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> Result<()> {
    Ok(())
}

impl Quick {
    /// Gives a build the variables of this toolkit.
    pub fn equip(&self, build: &mut Command, compute_cap: u32) {
        self.toolkit.equip(build, compute_cap);
    }

    /// Says to our nvcc which the real one is, and where it keeps things.
    pub fn keep(&self, build: &mut Command, real: &Toolkit) {
        build.env("NPAIR_NVCC", real.nvcc().get_program()).env("NPAIR_NVCC_KEPT", &self.kept).env_remove("NVCC");
    }
}
