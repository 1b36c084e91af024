//! `[capture]`: calls written to files.

use std::path::PathBuf;

use serde::Deserialize;

use super::check::File;
use super::{Config, ConfigError, DnRange};

/// `[capture]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Where the files go; without it nothing can be captured.
    pub folder: Option<PathBuf>,
    /// Captures every call.
    pub always: bool,
    /// Captures the calls of these DNs.
    pub dns: Vec<DnRange>,
    /// Largest file, MB of 1,000,000 bytes.
    pub max_mb: u32,
    /// Most of all files in the folder together, MB.
    pub total_mb: u32,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig { folder: None, always: false, dns: Vec::new(), max_mb: 100, total_mb: 10_000 }
    }
}

impl Config {
    pub(super) fn check_capture(&self, file: &File) -> Result<(), ConfigError> {
        let c = &self.capture;
        let is_path = c.folder.as_ref().is_none_or(|folder| !folder.as_os_str().is_empty());
        file.must(is_path, "capture.folder", "\"\"", "a folder, or no such key")?;
        let asked = c.always || !c.dns.is_empty();
        let key = if c.always { "capture.always" } else { "capture.dns" };
        file.must(c.folder.is_some() || !asked, key, "set", "only with capture.folder")?;
        file.must((1..=100_000).contains(&c.max_mb), "capture.max_mb", c.max_mb, "1 to 100000")?;
        let allowed = "capture.max_mb to 100000000";
        file.must((c.max_mb..=100_000_000).contains(&c.total_mb), "capture.total_mb", c.total_mb, allowed)
    }
}
