//! Who hears whom in a call: the legs that are joined, and what each of the others hears.
//!
//! What the media threads do is a copy of this: each method that returns true is followed by one order to them. Naming a
//! leg takes it out of what it was in, and whom it leaves alone hears nothing until named again.

use crate::id::LegId;

/// What a leg hears that is joined with nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ParkSource {
    /// Silence; nothing is sent.
    #[default]
    Nothing,
    /// The other side rings.
    Ringback,
    /// The other side is busy.
    Busy,
    /// The call cannot be completed.
    Congestion,
    /// What the configuration plays to a party on hold: a tone, music, silence.
    Hold,
}

/// The legs that hear each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Joined {
    /// None.
    #[default]
    Nobody,
    /// Two legs hear each other.
    Pair(LegId, LegId),
    /// Each leg hears all others.
    Mix(Vec<LegId>),
}

/// Who hears whom. A leg that it does not name is parked on [`ParkSource::Nothing`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    joined: Joined,
    parked: Vec<(LegId, ParkSource)>,
}

impl Topology {
    /// Returns who is joined.
    pub fn joined(&self) -> &Joined {
        &self.joined
    }

    /// Returns the legs that hear this one.
    pub fn hearers(&self, leg: LegId) -> Vec<LegId> {
        let others = |all: &[LegId]| all.iter().copied().filter(|id| *id != leg).collect();
        match &self.joined {
            Joined::Pair(one, other) if *one == leg || *other == leg => others(&[*one, *other]),
            Joined::Mix(legs) if legs.contains(&leg) => others(legs),
            _ => Vec::new(),
        }
    }

    /// Returns the other leg of a pair.
    pub fn partner(&self, leg: LegId) -> Option<LegId> {
        match self.joined {
            Joined::Pair(one, other) if one == leg => Some(other),
            Joined::Pair(one, other) if other == leg => Some(one),
            _ => None,
        }
    }

    /// Returns what a leg hears that is joined with nobody.
    pub fn source(&self, leg: LegId) -> Option<ParkSource> {
        let is_joined = match &self.joined {
            Joined::Nobody => false,
            Joined::Pair(one, other) => *one == leg || *other == leg,
            Joined::Mix(legs) => legs.contains(&leg),
        };
        let parked = self.parked.iter().find(|(id, _)| *id == leg).map(|(_, source)| *source);
        (!is_joined).then(|| parked.unwrap_or_default())
    }

    /// Lets two legs hear each other; false where they do already.
    pub fn pair(&mut self, one: LegId, other: LegId) -> bool {
        if self.partner(one) == Some(other) {
            return false;
        }
        self.join(Joined::Pair(one, other), &[one, other]);
        true
    }

    /// Lets each leg hear all others; false where it does already.
    pub fn mix(&mut self, legs: &[LegId]) -> bool {
        if matches!(&self.joined, Joined::Mix(mixed) if mixed == legs) {
            return false;
        }
        self.join(Joined::Mix(legs.to_vec()), legs);
        true
    }

    /// Parks a leg; false where it hears that already.
    pub fn park(&mut self, leg: LegId, source: ParkSource) -> bool {
        if self.source(leg) == Some(source) {
            return false;
        }
        self.forget(leg);
        self.parked.push((leg, source));
        true
    }

    /// The leg is gone.
    pub fn forget(&mut self, leg: LegId) {
        self.parked.retain(|(id, _)| *id != leg);
        match &mut self.joined {
            Joined::Pair(one, other) if *one == leg || *other == leg => self.joined = Joined::Nobody,
            Joined::Mix(legs) => legs.retain(|id| *id != leg),
            Joined::Nobody | Joined::Pair(..) => {}
        }
    }

    fn join(&mut self, joined: Joined, legs: &[LegId]) {
        self.parked.retain(|(id, _)| !legs.contains(id));
        self.joined = joined;
    }
}
