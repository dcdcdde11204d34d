//! Small damage to bytes that are in order, as libFuzzer does it, from a seed.

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// Larger inputs are slow and find nothing else.
const MAX_BYTES: usize = 64 << 10;
const MOST_CHANGES: usize = 5;
/// Where code that counts goes wrong.
const INTERESTING: [i64; 14] = [
    0,
    1,
    -1,
    2,
    127,
    128,
    255,
    256,
    i16::MAX as i64,
    u16::MAX as i64,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
];

/// Makes inputs from other inputs; the same ones for the same seed.
#[derive(Debug)]
pub struct Mutator {
    random: SmallRng,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self {
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// One of the inputs with something changed.
    pub fn mutate(&mut self, inputs: &[Vec<u8>]) -> Vec<u8> {
        let mut input = self.pick(inputs).to_vec();
        for _ in 0..self.random.random_range(1..=MOST_CHANGES) {
            self.change(&mut input, inputs);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn pick<'a>(&mut self, inputs: &'a [Vec<u8>]) -> &'a [u8] {
        match inputs.len() {
            0 => &[],
            count => &inputs[self.random.random_range(0..count)],
        }
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[Vec<u8>]) {
        match self.random.random_range(0..9) {
            0 => self.at(input, |byte, random| *byte ^= 1 << random.random_range(0..8)),
            1 => self.at(input, |byte, random| *byte = random.random()),
            2 => self.at(input, |byte, random| {
                *byte = byte.wrapping_add_signed(random.random_range(-3..=3));
            }),
            3 | 4 => self.number(input),
            5 => {
                let piece = self.piece(input);
                input.drain(piece);
            }
            6 => {
                let at = self.random.random_range(0..=input.len());
                let count = self.random.random_range(1..8);
                let fresh: Vec<u8> = (0..count).map(|_| self.random.random()).collect();
                input.splice(at..at, fresh);
            }
            7 => {
                let piece = input[self.piece(input)].to_vec();
                let at = self.random.random_range(0..=input.len());
                input.splice(at..at, piece);
            }
            _ => {
                let other = self.pick(inputs).to_vec();
                let piece = other[self.piece(&other)].to_vec();
                let old = self.piece(input);
                input.splice(old, piece);
            }
        }
    }

    fn at(&mut self, input: &mut [u8], change: impl Fn(&mut u8, &mut SmallRng)) {
        if !input.is_empty() {
            let at = self.random.random_range(0..input.len());
            change(&mut input[at], &mut self.random);
        }
    }

    /// Writes a number that code seldom sees over whatever is there, in one of its forms.
    fn number(&mut self, input: &mut [u8]) {
        let number = INTERESTING[self.random.random_range(0..INTERESTING.len())];
        let number = number.wrapping_add(self.random.random_range(-1..=1));
        let width = [1, 2, 4, 8][self.random.random_range(0..4)];
        let mut bytes = number.to_le_bytes()[..width].to_vec();
        if self.random.random() {
            bytes.reverse();
        }
        if input.len() >= width {
            let at = self.random.random_range(0..=input.len() - width);
            input[at..at + width].copy_from_slice(&bytes);
        }
    }

    /// A range, mostly a short one.
    fn piece(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.random.random_range(0..=input.len());
        let longest = if self.random.random_range(0..4) == 0 {
            input.len()
        } else {
            16
        };
        let end = (start + self.random.random_range(0..=longest)).min(input.len());
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_inputs_and_another_makes_others() {
        let inputs = [b"one input".to_vec(), b"another input".to_vec(), Vec::new()];
        let made = |seed| {
            let mut mutator = Mutator::new(seed);
            (0..200).map(|_| mutator.mutate(&inputs)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        let changed = made(1).iter().filter(|made| !inputs.contains(made)).count();
        assert!(changed > 150, "{changed}");
    }
}
