//! Packet index estimate (RFC 3711 3.3.1) and replay window (3.3.2).

/// Packets that may arrive behind the newest one.
pub(super) const WINDOW: u64 = 128;

/// The newest index of one SSRC and which of the 128 up to it were seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    newest: u64,
    /// Bit n: index `newest - n` was seen.
    seen: u128,
}

impl Window {
    /// Starts at the first authentic packet.
    pub(super) fn new(first: u64) -> Self {
        Window { newest: first, seen: 1 }
    }

    /// Returns the 48-bit index that is nearest to the newest one and ends in `seq`; `None` below index 0.
    #[inline]
    pub(super) fn estimate(&self, seq: u16) -> Option<u64> {
        // The difference of two 16-bit numbers, taken as the shorter way round.
        let step = i64::from(seq.wrapping_sub(self.newest as u16) as i16);
        self.newest.checked_add_signed(step)
    }

    /// Tells whether `index` is neither seen nor behind the window.
    #[inline]
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(age) => age < WINDOW && self.seen & (1 << age) == 0,
        }
    }

    /// Marks `index` as seen; only for authentic packets.
    #[inline]
    pub(super) fn mark(&mut self, index: u64) {
        match self.newest.checked_sub(index) {
            None => {
                let step = index - self.newest;
                self.seen = if step < WINDOW { self.seen << step } else { 0 } | 1;
                self.newest = index;
            }
            Some(age) if age < WINDOW => self.seen |= 1 << age,
            Some(_) => {}
        }
    }
}
