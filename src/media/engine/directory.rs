//! Finds the slot of a leg: by id, by path, by user fragment, by port pair.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use crate::id::{LegId, PortPairId};
use crate::path::Path;

/// The maps of a worker. The fast ones hold only keys that we chose or that a peer has authenticated.
#[derive(Debug, Default)]
pub(super) struct Directory {
    legs: FxHashMap<LegId, usize>,
    paths: FxHashMap<Path, usize>,
    pairs: FxHashMap<PortPairId, usize>,
    ufrags: HashMap<String, usize>,
}

impl Directory {
    pub(super) fn leg(&self, leg: LegId) -> Option<usize> {
        self.legs.get(&leg).copied()
    }

    #[inline]
    pub(super) fn path(&self, path: &Path) -> Option<usize> {
        self.paths.get(path).copied()
    }

    #[inline]
    pub(super) fn pair(&self, pair: PortPairId) -> Option<usize> {
        self.pairs.get(&pair).copied()
    }

    pub(super) fn ufrag(&self, ufrag: &str) -> Option<usize> {
        self.ufrags.get(ufrag).copied()
    }

    pub(super) fn enter_leg(&mut self, leg: LegId, slot: usize) {
        self.legs.insert(leg, slot);
    }

    pub(super) fn enter_path(&mut self, path: Path, slot: usize) {
        self.paths.insert(path, slot);
    }

    pub(super) fn enter_pair(&mut self, pair: PortPairId, slot: usize) {
        self.pairs.insert(pair, slot);
    }

    pub(super) fn enter_ufrag(&mut self, ufrag: String, slot: usize) {
        self.ufrags.insert(ufrag, slot);
    }

    pub(super) fn forget_leg(&mut self, leg: LegId) -> Option<usize> {
        self.legs.remove(&leg)
    }

    /// Forgets a path, where it is still that leg's.
    pub(super) fn forget_path(&mut self, path: &Path, slot: usize) {
        if self.paths.get(path) == Some(&slot) {
            self.paths.remove(path);
        }
    }

    pub(super) fn forget_pair(&mut self, pair: PortPairId) {
        self.pairs.remove(&pair);
    }

    pub(super) fn forget_ufrag(&mut self, ufrag: &str, slot: usize) {
        if self.ufrags.get(ufrag) == Some(&slot) {
            self.ufrags.remove(ufrag);
        }
    }
}
