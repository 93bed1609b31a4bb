//! Contents of files, the same in every run: noise, and what compresses in places.

/// Bytes that do not compress: xorshift64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    (0..len).map(|_| (random.next() >> 32) as u8).collect()
}

/// Numbers that are the same in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 11) % end as u64) as usize
    }
}

/// Text that compresses about 3:1, in stretches that do not: clusters of all kinds and sizes.
pub(crate) fn mixture(seed: u64, len: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let words = ["alpha ", "beta ", "gamma ", "delta\n", "epsilon ", "zeta ", "eta(", "theta);\n"];
    let mut out = Vec::with_capacity(len + 20_000);
    while out.len() < len {
        match random.below(40) {
            0 => out.extend(noise(random.next(), random.0 as usize % 20_000)),
            1 => out.resize(out.len() + random.below(60_000), b'x'),
            _ => {
                for _ in 0..random.below(200) {
                    out.extend_from_slice(words[random.below(words.len())].as_bytes());
                    out.extend_from_slice(random.below(10_000).to_string().as_bytes());
                }
            }
        }
    }
    out.truncate(len);
    out
}
