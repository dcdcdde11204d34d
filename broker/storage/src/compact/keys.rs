//! The last offset of each key, in bounded memory: keys are known by a hash of 128 bits that is drawn anew for every map,
//! so that nobody can prepare two keys with the same one.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

pub(super) struct Keys {
    hashes: [RandomState; 2],
    last: HashMap<[u64; 2], i64>,
    most: usize,
}

impl Keys {
    /// For at most that many keys.
    pub(super) fn new(most: usize) -> Self {
        Self {
            hashes: [RandomState::new(), RandomState::new()],
            last: HashMap::new(),
            most: most.max(1),
        }
    }

    /// Offsets come in order. False: the map is full and this key is not in it.
    pub(super) fn note(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        if self.last.len() >= self.most && !self.last.contains_key(&hash) {
            return false;
        }
        self.last.insert(hash, offset);
        true
    }

    /// The last offset of a key, if it was noted.
    pub(super) fn last(&self, key: &[u8]) -> Option<i64> {
        if self.last.is_empty() {
            return None;
        }
        self.last.get(&self.hash(key)).copied()
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        [self.hashes[0].hash_one(key), self.hashes[1].hash_one(key)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_takes_the_keys_that_it_has() {
        let mut keys = Keys::new(2);
        assert!(keys.note(b"a", 0) && keys.note(b"b", 1));
        assert!(!keys.note(b"c", 2));
        assert!(keys.note(b"a", 3));
        assert_eq!(
            [b"a", b"b", b"c"].map(|key| keys.last(key)),
            [Some(3), Some(1), None]
        );
    }
}
