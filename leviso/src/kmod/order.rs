//! Orders that depmod's output depends on: modules by `modules.order`, dependencies by topological sort, symbols by
//! the hash table kmod keeps them in.

use std::collections::HashMap;

use anyhow::ensure;

use super::Module;

/// Buckets of the symbol table in kmod's tools/depmod.c.
const BUCKETS: u32 = 2048;

/// For each module the modules it needs directly, and the order of loading.
#[derive(Debug)]
pub(super) struct Dependencies {
    /// Direct dependencies, in the order in which the symbols are met.
    direct: Vec<Vec<usize>>,
    /// Position in the topological sort: users before what they use.
    rank: Vec<usize>,
    /// Which module exports a symbol; with two, the last one.
    pub(super) owner: HashMap<String, usize>,
}

/// Sorts modules as `modules.order` lists them (paths with `.ko`), the others behind in byte order.
pub(super) fn by_order_file(modules: &mut [Module], order: &[u8]) {
    let text = String::from_utf8_lossy(order);
    let mut place: HashMap<&str, usize> = HashMap::new();
    for (i, line) in text.lines().enumerate() {
        place.entry(line).or_insert(i);
    }
    modules.sort_by_cached_key(|m| {
        let plain = m.path.rfind(".ko").map_or(&*m.path, |end| &m.path[..end + 3]);
        (place.get(plain).copied().unwrap_or(usize::MAX), m.path.clone())
    });
}

impl Dependencies {
    pub(super) fn new(modules: &[Module]) -> anyhow::Result<Self> {
        let mut owner = HashMap::new();
        for (i, module) in modules.iter().enumerate() {
            for symbol in &module.info.exports {
                owner.insert(symbol.clone(), i);
            }
        }
        let mut direct = vec![Vec::new(); modules.len()];
        let mut users = vec![0_usize; modules.len()];
        for (i, module) in modules.iter().enumerate() {
            for symbol in &module.info.needs {
                if let Some(&other) = owner.get(symbol)
                    && !direct[i].contains(&other)
                {
                    direct[i].push(other);
                    users[other] += 1;
                }
            }
        }
        // Modules nobody uses first, then whatever loses its last user: a stack, as depmod keeps it.
        let mut ready: Vec<usize> = (0..modules.len()).filter(|&i| users[i] == 0).collect();
        let mut rank = vec![usize::MAX; modules.len()];
        let mut sorted = 0;
        while let Some(i) = ready.pop() {
            rank[i] = sorted;
            sorted += 1;
            for &other in &direct[i] {
                users[other] -= 1;
                if users[other] == 0 {
                    ready.push(other);
                }
            }
        }
        let circle: Vec<_> = modules
            .iter()
            .zip(&rank)
            .filter(|(_, r)| **r == usize::MAX)
            .map(|(m, _)| &*m.name)
            .take(8)
            .collect();
        ensure!(circle.is_empty(), "kernel modules depend on each other in a circle: {}", circle.join(", "));
        Ok(Self { direct, rank, owner })
    }

    /// Everything a module needs, directly or not, in the order of `modules.dep`: to load it, go from the last to the
    /// first.
    pub(super) fn all(&self, module: usize) -> Vec<usize> {
        let mut seen = vec![false; self.direct.len()];
        let mut todo = self.direct[module].clone();
        let mut all = Vec::new();
        while let Some(i) = todo.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                all.push(i);
                todo.extend_from_slice(&self.direct[i]);
            }
        }
        all.sort_unstable_by_key(|&i| self.rank[i]);
        all
    }

    /// The exported symbols with their owners, as iterating kmod's hash table gives them: by bucket, then by name.
    pub(super) fn symbols(&self) -> Vec<(&str, usize)> {
        let mut all: Vec<_> =
            self.owner.iter().map(|(s, &i)| (hash(s.as_bytes()) % BUCKETS, &**s, i)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, symbol, i)| (symbol, i)).collect()
    }
}

/// Paul Hsieh's SuperFastHash (<http://www.azillionmonkeys.com/qed/hash.html>) as kmod computes it, for 7-bit names.
fn hash(key: &[u8]) -> u32 {
    let pair = |a: u8, b: u8| u32::from(u16::from_le_bytes([a, b]));
    let mut hash = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        hash = hash.wrapping_add(pair(word[0], word[1]));
        let mixed = (pair(word[2], word[3]) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    match *words.remainder() {
        [a, b, c] => {
            hash = hash.wrapping_add(pair(a, b));
            hash ^= hash << 16;
            hash ^= u32::from(c) << 18;
            hash = hash.wrapping_add(hash >> 11);
        }
        [a, b] => {
            hash = hash.wrapping_add(pair(a, b));
            hash ^= hash << 11;
            hash = hash.wrapping_add(hash >> 17);
        }
        [a] => {
            hash = hash.wrapping_add(u32::from(a));
            hash ^= hash << 10;
            hash = hash.wrapping_add(hash >> 1);
        }
        _ => {}
    }
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}
