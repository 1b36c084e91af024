//! Plays a tone or a sound to a parked leg, frame by frame at its own pace.

use std::time::{Duration, Instant};

use super::sound::Sound;
use super::tone::Tone;
use crate::plan::{SoundId, Source};

/// How far behind a player makes up for its frames; beyond that it skips what it missed.
const PATIENCE: Duration = Duration::from_millis(200);
/// A sound begins within so many samples: 5 ms.
const FADE: i64 = 40;

#[derive(Debug)]
enum Played {
    Tone(Box<Tone>),
    Sound { sound: Sound, at: usize },
}

/// What a parked leg hears.
#[derive(Debug)]
pub struct Player {
    source: Source,
    played: Played,
    /// Samples since the beginning.
    position: i64,
    next: Instant,
}

impl Player {
    /// Starts what is to be heard from its beginning; the first frame is due at once. A sound that is not among `sounds` is
    /// silence; of nothing there is no player.
    pub fn new(source: Source, sounds: &[Sound], now: Instant) -> Option<Self> {
        let played = match &source {
            Source::Nothing => return None,
            Source::Tone(cadence) => Played::Tone(Box::new(Tone::new(cadence.clone()))),
            Source::Sound(SoundId(id)) => {
                let sound = usize::try_from(*id).ok().and_then(|id| sounds.get(id));
                Played::Sound { sound: sound.cloned().unwrap_or_default(), at: 0 }
            }
        };
        Some(Player { source, played, position: 0, next: now })
    }

    /// Returns what is heard.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns when the next frame is due.
    pub fn due(&self) -> Instant {
        self.next
    }

    /// Writes the next frame and returns its position in samples. A player that is late by more than 200 ms skips what
    /// it missed.
    pub fn play(&mut self, frame: &mut [i16], now: Instant) -> i64 {
        let length = Duration::from_micros(frame.len() as u64 * 125);
        if now.saturating_duration_since(self.next) > PATIENCE {
            self.next = now;
        }
        self.next += length;
        match &mut self.played {
            Played::Tone(tone) => tone.fill(frame),
            Played::Sound { sound, at } => {
                *at = sound.read(*at, frame);
                let from = self.position;
                for (k, sample) in (from..FADE).zip(frame.iter_mut()) {
                    *sample = (i64::from(*sample) * k / FADE) as i16;
                }
            }
        }
        let position = self.position;
        self.position += frame.len() as i64;
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Cadence, TonePart};

    #[test]
    fn frames_are_due_one_after_the_other_and_missed_ones_are_skipped() {
        let now = Instant::now();
        let part = TonePart { hz: [425, 0], length: Duration::MAX };
        let source = Source::Tone(Cadence { parts: vec![part], level_dbm0: -10 });
        let mut player = Player::new(source, &[], now).expect("a tone");
        let mut frame = [0; 160];
        for k in 0..6 {
            assert_eq!(player.play(&mut frame, player.due()), k * 160);
        }
        assert_eq!(player.due(), now + Duration::from_millis(120));
        player.play(&mut frame, now + Duration::from_secs(5));
        assert_eq!(player.due(), now + Duration::from_millis(5020));
    }

    #[test]
    fn a_sound_begins_softly_and_goes_on_in_frames_of_any_length() {
        let sounds = [Sound::new(vec![8000; 1000])];
        let mut player = Player::new(Source::Sound(SoundId(0)), &sounds, Instant::now()).expect("a sound");
        let mut heard = Vec::new();
        for len in [80, 160, 480, 7] {
            let mut frame = vec![0; len];
            player.play(&mut frame, Instant::now());
            heard.extend(frame);
        }
        assert_eq!((heard[0], heard[20]), (0, 4000));
        assert!(heard[40..].iter().all(|s| *s == 8000));
    }
}
