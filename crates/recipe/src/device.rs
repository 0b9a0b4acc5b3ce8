use crate::{Error, Result};
use candle_core::utils::{cuda_is_available, metal_is_available};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

/// What computes: the CPU, or a GPU by its number.
///
/// ```
/// # use npair_recipe::Device;
/// assert_eq!("cuda:1".parse(), Ok(Device::Cuda(1)));
/// assert_eq!(Device::Metal(0).to_string(), "metal");
/// assert!("gpu".parse::<Device>().unwrap_err().contains("cpu, cuda"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU; cargo feature `cuda`.
    Cuda(usize),
    /// A GPU of a Mac; cargo feature `metal`.
    Metal(usize),
}

impl Device {
    /// Opens the device.
    ///
    /// # Errors
    /// [`Error::Device`] in one line: the build has no support for it, and which feature to build with; or the driver does
    /// not open it, and what it said.
    pub fn open(self) -> Result<candle_core::Device> {
        match self {
            Self::Cpu => Ok(candle_core::Device::Cpu),
            Self::Cuda(_) if !cuda_is_available() => Err(self.missing("CUDA", "cuda")),
            Self::Metal(_) if !metal_is_available() => Err(self.missing("Metal", "metal")),
            Self::Cuda(n) => self.opened(|| candle_core::Device::new_cuda(n), "check the driver with nvidia-smi"),
            Self::Metal(n) => self.opened(|| candle_core::Device::new_metal(n), "check that this Mac has a GPU"),
        }
    }

    fn missing(self, name: &str, feature: &str) -> Error {
        let why = format!("this build has no {name}: build with `cargo build --release --features {feature}`");
        Error::Device { device: self, why }
    }

    fn opened(
        self,
        open: impl FnOnce() -> candle_core::Result<candle_core::Device>,
        cure: &str,
    ) -> Result<candle_core::Device> {
        // A number that there is no device of, or a driver that is not there, is a panic in some of the libraries below.
        let why = match catch_unwind(AssertUnwindSafe(open)) {
            Ok(Ok(device)) => return Ok(device),
            Ok(Err(error)) => error.to_string().lines().next().unwrap_or_default().to_owned(),
            Err(_) => "there is no such device, or no driver for it".to_owned(),
        };
        Err(Error::Device { device: self, why: format!("cannot be opened: {why}; {cure}, or use --device cpu") })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
            Self::Metal(0) => f.write_str("metal"),
            Self::Metal(n) => write!(f, "metal:{n}"),
        }
    }
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (name, number) = text.split_once(':').map_or((text, Ok(0)), |(name, n)| (name, n.parse()));
        match (name, number) {
            ("cpu", _) if text == "cpu" => Ok(Self::Cpu),
            ("cuda", Ok(n)) => Ok(Self::Cuda(n)),
            ("metal", Ok(n)) => Ok(Self::Metal(n)),
            _ => Err(format!("`{text}` is no device; known are cpu, cuda, cuda:1 (2, ...), metal, metal:1 (2, ...)")),
        }
    }
}

impl TryFrom<String> for Device {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Kind};

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(3), Device::Metal(0), Device::Metal(1)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        assert_eq!("cuda:0".parse(), Ok(Device::Cuda(0)));
        for wrong in ["", "gpu", "cpu:1", "cuda:", "cuda:x", "cuda:-1", "metal:1:2", "CUDA"] {
            let said = wrong.parse::<Device>().unwrap_err();
            assert!(said.contains("known are cpu, cuda"), "{said}");
        }
    }

    #[test]
    fn a_setting_of_it_is_checked_where_it_is_read() {
        let config = |text: &str| Config::parse("c.toml", text, &[]);
        assert_eq!(config("").unwrap().device, Device::Cpu);
        assert_eq!(config("device = \"cuda:2\"").unwrap().device, Device::Cuda(2));
        assert!(config("device = \"cuda:2\"").unwrap().to_toml().unwrap().contains("device = \"cuda:2\""));
        let error = config("device = \"tpu\"").unwrap_err();
        assert!(error.to_string().contains("`tpu` is no device"), "{error}");
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn what_this_build_lacks_is_said_with_the_feature() {
        assert!(Device::Cpu.open().unwrap().is_cpu());
        for (device, available, feature) in [
            (Device::Cuda(0), cuda_is_available(), "--features cuda"),
            (Device::Metal(0), metal_is_available(), "--features metal"),
        ] {
            if !available {
                let error = device.open().unwrap_err();
                assert!(error.to_string().contains(feature), "{error}");
                assert_eq!((error.kind(), error.to_string().lines().count()), (Kind::Runtime, 1));
            }
        }
    }
}
