//! Work that waits for servers, done by several at the same time: all that is to be done -> what came of each, in that order.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// As much as the main thread has: the limits of recipes' code are made for that.
const STACK: usize = 8 << 20;

/// Does it, by so many threads at most. `came` is told by the calling thread, and in the order in which it comes: of which it is,
/// and what came of it.
pub fn each<T: Sync, R: Send>(
    jobs: NonZero<usize>,
    all: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut came: impl FnMut(usize, &R),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<Option<R>> = all.iter().map(|_| None).collect();
    let (send, receive) = mpsc::channel();
    let works = |send: mpsc::Sender<_>| {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = all.get(at) else { return };
            // Nobody listens any more when the program ends.
            let _ = send.send((at, work(item)));
        }
    };
    thread::scope(|scope| {
        let mut threads = 0;
        for _ in 0..jobs.get().min(all.len()) {
            let send = send.clone();
            // Where no more threads can be had, those that are there do it all.
            if thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || works(send)).is_err() {
                break;
            }
            threads += 1;
        }
        if threads == 0 {
            works(send);
        } else {
            drop(send);
        }
        for (at, result) in receive {
            came(at, &result);
            results[at] = Some(result);
        }
    });
    results.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn it_is_done_at_the_same_time_and_told_in_order() {
        let (jobs, barrier) = (NonZero::new(4).expect("some"), Barrier::new(4));
        let all: Vec<usize> = (0..8).collect();
        let mut came = Vec::new();
        // Nobody passes before four are there.
        let work = |n: &usize| {
            barrier.wait();
            n * 2
        };
        let results = each(jobs, &all, work, |at, result| came.push((at, *result)));
        assert_eq!(results, [0, 2, 4, 6, 8, 10, 12, 14]);
        came.sort_unstable();
        assert_eq!(came, all.iter().map(|n| (*n, n * 2)).collect::<Vec<_>>());
        assert!(each(jobs, &[], work, |_, _| {}).is_empty());
    }
}
