//! Sounds out of files, for the media threads.

use std::path::Path;
use std::sync::Arc;

use super::StartError;
use crate::config::Config;
use crate::media::Sound;

/// Longest file that is read: half an hour in stereo of 48 kHz.
const MAX_BYTES: u64 = 400 * 1024 * 1024;

/// Loads the sounds of `[sounds]`, in order of name.
pub(in crate::app) fn sounds(config: &Config) -> Result<Arc<[Sound]>, StartError> {
    let load = |(name, sound): (&String, &crate::config::SoundConfig)| {
        read(&sound.file)
            .and_then(|bytes| Sound::from_wav(&bytes, sound.gain_db).map_err(|error| error.to_string()))
            .map_err(|why| StartError::Sound { name: name.clone(), file: sound.file.clone(), why })
    };
    config.sounds.iter().map(load).collect()
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let about = std::fs::metadata(file).map_err(|error| error.to_string())?;
    if !about.is_file() || about.len() > MAX_BYTES {
        return Err(format!("allowed: a file of at most {} MiB", MAX_BYTES >> 20));
    }
    std::fs::read(file).map_err(|error| error.to_string())
}
