//! A leg's seat in a mix: a short queue of what it says, from which one frame is taken per tick.
//!
//! What comes after its tick is made up for (the last 20 ms again, fading out) and, once there, played at the next one:
//! so the latest packet waits for one frame at most, and the others for as much longer as they came earlier. A delay that
//! nothing needs any more is taken out again by fading from one frame into the one behind it.

use std::collections::VecDeque;

use super::conceal::{Conceal, FADE, MAX_CONCEALED, blend};
use super::framer::MAX_FRAME;

/// Samples of a tick: 20 ms.
pub(super) const FRAME: usize = 160;
/// What a queue holds at most: two of the longest packets and what may be made up between them.
const CAPACITY: usize = 2 * MAX_FRAME + MAX_CONCEALED as usize + 2 * FRAME;
/// Ticks within which a surplus must have been of use: 1 s.
const WINDOW: u32 = 50;
/// What may wait beyond the last packet's length before it is taken for the end of a jam: 40 ms.
const JAM: usize = 2 * FRAME;

/// A leg's place in a mix.
#[derive(Debug)]
pub(super) struct Seat {
    /// Slot of the mix.
    pub mix: usize,
    /// What the leg says in this tick.
    pub frame: Box<[i16; FRAME]>,
    queue: VecDeque<i16>,
    past: Conceal,
    /// Samples made up since the last one that was heard.
    concealed: usize,
    /// What comes next does not follow what was heard last.
    broken: bool,
    /// Length of the last packet.
    packet: usize,
    /// What was left over at least in the ticks of the window.
    least: usize,
    ticks: u32,
    /// Nothing was sent to the leg yet.
    opening: bool,
}

impl Seat {
    /// Makes a seat; `past` is what was heard of the leg before.
    pub(super) fn new(mix: usize, past: Conceal) -> Self {
        Seat {
            mix,
            frame: Box::new([0; FRAME]),
            queue: VecDeque::with_capacity(CAPACITY),
            past,
            concealed: 0,
            broken: true,
            packet: FRAME,
            least: usize::MAX,
            ticks: 0,
            opening: true,
        }
    }

    /// Returns how much of a gap of so many samples is still to be made up: a part may have been heard as such already.
    pub(super) fn missing(&self, gap: usize) -> usize {
        if self.queue.is_empty() { gap.saturating_sub(self.concealed) } else { gap }
    }

    /// Takes what the leg says. Where it says more than anybody can wait for, the oldest is forgotten.
    pub(super) fn push(&mut self, pcm: &[i16]) {
        let pcm = &pcm[pcm.len().saturating_sub(CAPACITY)..];
        let over = (self.queue.len() + pcm.len()).saturating_sub(CAPACITY);
        self.queue.drain(..over);
        self.queue.extend(pcm);
        self.packet = pcm.len();
    }

    /// Fills the frame of the next tick.
    pub(super) fn pull(&mut self) {
        let heard = self.queue.len().min(FRAME);
        copy(&self.queue, 0, &mut self.frame[..heard]);
        self.queue.drain(..heard);
        if heard > 0 && std::mem::take(&mut self.broken) {
            self.past.lead_over(self.concealed, &mut self.frame[..heard]);
        }
        if heard > 0 {
            self.past.hear(&self.frame[..heard]);
            self.concealed = 0;
        }
        if heard < FRAME {
            self.past.fill_from(self.concealed, &mut self.frame[heard..]);
            self.broken = true;
            self.concealed = (self.concealed + FRAME - heard).min(MAX_CONCEALED as usize);
        }
        self.shorten();
    }

    /// Takes a delay out that nothing needs.
    fn shorten(&mut self) {
        let left = self.queue.len();
        self.least = self.least.min(left);
        self.ticks += 1;
        let kept = self.packet.max(FRAME);
        if left >= kept + JAM {
            self.skip(left - kept);
        } else if self.ticks >= WINDOW && self.least >= FRAME {
            self.skip(FRAME);
        }
        if self.ticks >= WINDOW {
            (self.ticks, self.least) = (0, usize::MAX);
        }
    }

    /// Skips so many samples of those that wait, at least a frame: fades from the frame into the last one of them.
    fn skip(&mut self, samples: usize) {
        let mut ahead = [0; FRAME];
        copy(&self.queue, samples - FRAME, &mut ahead);
        self.queue.drain(..samples);
        blend(&*self.frame, &mut ahead);
        *self.frame = ahead;
        self.past.hear(&ahead);
    }

    /// Adds the last that is heard of the leg to `tail`, fading out.
    pub(super) fn leave(&mut self, tail: &mut [i32; FRAME]) {
        self.pull();
        for (k, (tail, sample)) in tail.iter_mut().zip(self.frame.iter()).enumerate() {
            *tail += i32::from(*sample) * (FRAME - k) as i32 / FRAME as i32;
        }
    }

    /// Writes what the leg hears: the sum of all less its own, limited to 16 bits; the first frame fades in.
    pub(super) fn listen(&mut self, total: &[i32; FRAME], heard: &mut [i16]) {
        for ((heard, total), own) in heard.iter_mut().zip(total).zip(self.frame.iter()) {
            *heard = (total - i32::from(*own)).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
        if std::mem::take(&mut self.opening) {
            blend(&[0; FADE], &mut heard[..FADE]);
        }
    }
}

/// Copies samples of a queue from `from` on.
fn copy(queue: &VecDeque<i16>, from: usize, out: &mut [i16]) {
    for (out, sample) in out.iter_mut().zip(queue.range(from..)) {
        *out = *sample;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 400 Hz: a period is 20 samples, so that a frame made up goes on where the last one ended.
    fn sine(from: usize, count: usize) -> Vec<i16> {
        (from..from + count).map(|n| ((n as f64 * std::f64::consts::TAU / 20.0).sin() * 8000.0) as i16).collect()
    }

    fn steps(pcm: &[i16]) -> i32 {
        pcm.windows(2).map(|two| (i32::from(two[1]) - i32::from(two[0])).abs()).max().unwrap_or(0)
    }

    /// The greatest step within the sine itself.
    const STEP: i32 = 2520;

    fn heard(seat: &mut Seat, said: impl Fn(usize, &mut Seat), ticks: usize) -> Vec<i16> {
        let mut heard = Vec::new();
        for tick in 0..ticks {
            said(tick, seat);
            seat.pull();
            heard.extend_from_slice(&*seat.frame);
        }
        heard
    }

    #[test]
    fn a_leg_that_falls_silent_fades_out_and_comes_back_without_a_click() {
        let mut seat = Seat::new(0, Conceal::default());
        let pcm = heard(
            &mut seat,
            |tick, seat| {
                if !(10..20).contains(&tick) {
                    seat.push(&sine(tick * FRAME, FRAME));
                }
            },
            30,
        );
        assert!(steps(&pcm) <= STEP, "{}", steps(&pcm));
        assert!(pcm[14 * FRAME..20 * FRAME].iter().all(|s| *s == 0), "silence after 60 ms");
        assert_eq!(pcm[25 * FRAME..], sine(25 * FRAME, 5 * FRAME));
    }

    #[test]
    fn a_packet_after_its_tick_is_heard_at_the_next_and_the_delay_is_taken_out_again() {
        let mut seat = Seat::new(0, Conceal::default());
        // The sixth frame is late by a tick: two come at once.
        let said = |tick: usize, seat: &mut Seat| match tick {
            5 => {}
            6 => seat.push(&sine(5 * FRAME, 2 * FRAME)),
            _ => seat.push(&sine(tick * FRAME, FRAME)),
        };
        let pcm = heard(&mut seat, said, 200);
        assert!(steps(&pcm) <= STEP, "{}", steps(&pcm));
        assert_eq!(pcm[50 * FRAME - FRAME..50 * FRAME], sine(48 * FRAME, FRAME), "a frame of delay, at first");
        assert_eq!(pcm[150 * FRAME..151 * FRAME], sine(150 * FRAME, FRAME), "none a few seconds later");
    }

    #[test]
    fn a_jam_that_bursts_is_not_carried_along() {
        let mut seat = Seat::new(0, Conceal::default());
        let said = |tick: usize, seat: &mut Seat| match tick {
            5..15 => {}
            15 => (5..16).for_each(|k| seat.push(&sine(k * FRAME, FRAME))),
            _ => seat.push(&sine(tick * FRAME, FRAME)),
        };
        let pcm = heard(&mut seat, said, 17);
        assert!(steps(&pcm) <= STEP);
        assert!(seat.queue.len() <= FRAME + JAM);
    }

    #[test]
    fn a_queue_that_nobody_pulls_from_forgets_its_oldest_and_does_not_grow() {
        let mut seat = Seat::new(0, Conceal::default());
        (0..40).for_each(|k| seat.push(&sine(k * MAX_FRAME, MAX_FRAME)));
        assert_eq!((seat.queue.len(), seat.queue.capacity()), (CAPACITY, CAPACITY));
    }
}
