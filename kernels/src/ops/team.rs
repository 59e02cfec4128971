//! Loops so short that distributing them by a thread pool would take longer than the loop, such as the steps of a
//! recurrence. The threads of a team stay together for many loops and wait for each other without sleeping.
//!
//! One thread, the leader, publishes a loop as a ticket with the loop's number and its next chunk. All present threads,
//! including the leader, take chunks from it, and the leader continues as soon as all taken chunks are done. The leader
//! never waits for a thread that has not joined: without helpers it does all chunks itself, so a cancelled or busy pool
//! cannot block it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use mixer::Parallel;

/// Operations of a loop per thread from which a thread pays off: about 2 µs, where joining and leaving a loop takes
/// about 0.3 µs.
const GRAIN: usize = 1 << 15;

/// Polls of the ticket before a helper yields its processor to other threads.
const LOOKS: u32 = 1 << 14;

/// Most chunks of a loop.
const MAX_CHUNKS: usize = 1 << 15;

/// A separate cache line, so that threads that poll one value do not slow down threads that change another.
#[repr(align(64))]
struct Line<T>(T);

/// Threads that share short loops.
pub struct Team<'a> {
    /// Number of the loop (32 bits), its number of chunks (16 bits), its next chunk (16 bits).
    ticket: Line<AtomicU64>,
    /// Chunks of the current loop that helpers have finished.
    done: Line<AtomicUsize>,
    closed: AtomicBool,
    members: usize,
    task: &'a (dyn Fn(u32, usize, usize) + Sync),
}

impl Team<'_> {
    /// Calls `lead` once, unless the pool is cancelled, with a team of up to `members` threads of `parallel`.
    /// `task(which, chunk, chunks)` runs one chunk of a loop that the leader starts by [`Team::each`].
    pub fn run(
        parallel: &dyn Parallel,
        members: usize,
        task: &(dyn Fn(u32, usize, usize) + Sync),
        lead: impl FnOnce(&Team<'_>) + Send,
    ) {
        let members = members.clamp(1, parallel.threads());
        let team = Team {
            ticket: Line(AtomicU64::new(0)),
            done: Line(AtomicUsize::new(0)),
            closed: AtomicBool::new(false),
            members,
            task,
        };
        let lead = Mutex::new(Some(lead));
        parallel.run(members, &|_, _| {
            // The first worker to arrive becomes the leader.
            let lead = lead.lock().unwrap_or_else(PoisonError::into_inner).take();
            match lead {
                Some(lead) => {
                    let _end = OnDrop(|| team.closed.store(true, Ordering::Release));
                    lead(&team);
                }
                None => team.help(),
            }
        });
    }

    /// Runs a loop over parts of `items` items with about `operations` operations: calls task `which` for each chunk,
    /// on several threads where that pays off. Returns when all chunks are done and their writes are visible.
    pub fn each(&self, which: u32, items: usize, operations: usize) {
        let worth = members(operations);
        // A long loop has more chunks than threads, because threads differ in speed. In a short one, taking a further
        // chunk would cost more than waiting.
        let wanted = match self.members {
            1 => 1,
            members if worth < 16 * members => members,
            members => 4 * members,
        };
        let chunks = wanted.min(worth).min(items).clamp(1, MAX_CHUNKS);
        if chunks == 1 {
            return (self.task)(which, 0, 1);
        }
        self.done.0.store(0, Ordering::Relaxed);
        self.ticket.0.store(u64::from(which) << 32 | (chunks as u64) << 16, Ordering::Release);
        let mut own = 0;
        while let Some((which, chunk, chunks)) = self.claim() {
            (self.task)(which, chunk, chunks);
            own += 1;
        }
        let mut looks = 0;
        while self.done.0.load(Ordering::Acquire) + own < chunks {
            wait(&mut looks);
        }
    }

    /// The next chunk, if there is one: the number of its loop, its index, the number of chunks. The loop cannot end
    /// without it.
    fn claim(&self) -> Option<(u32, usize, usize)> {
        let mut ticket = self.ticket.0.load(Ordering::Acquire);
        loop {
            let (next, chunks) = (ticket & 0xffff, ticket >> 16 & 0xffff);
            if next >= chunks {
                return None;
            }
            match self.ticket.0.compare_exchange(ticket, ticket + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(((ticket >> 32) as u32, next as usize, chunks as usize)),
                Err(present) => ticket = present,
            }
        }
    }

    fn help(&self) {
        let mut looks = 0;
        while !self.closed.load(Ordering::Acquire) {
            if let Some((which, chunk, chunks)) = self.claim() {
                // Also after a panic of the task, so that the leader does not wait forever.
                let _end = OnDrop(|| {
                    self.done.0.fetch_add(1, Ordering::Release);
                });
                (self.task)(which, chunk, chunks);
                looks = 0;
            } else {
                wait(&mut looks);
            }
        }
    }
}

/// Number of threads that pay off in a loop of `operations` operations.
pub fn members(operations: usize) -> usize {
    operations / GRAIN
}

/// The range of `items` in chunk `chunk` of `chunks`.
pub fn part(items: usize, chunk: usize, chunks: usize) -> std::ops::Range<usize> {
    items * chunk / chunks..items * (chunk + 1) / chunks
}

fn wait(looks: &mut u32) {
    *looks += 1;
    if *looks > LOOKS {
        *looks = 0;
        std::thread::yield_now();
    }
    std::hint::spin_loop();
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use mixer::Serial;

    use super::*;
    use crate::testing::Threads;

    /// Squares the results of the preceding loop repeatedly.
    fn iterate(parallel: &dyn Parallel, members: usize) -> Vec<u32> {
        let cells: Vec<AtomicUsize> = (0..64).map(AtomicUsize::new).collect();
        let round = AtomicUsize::new(0);
        let task = |which: u32, chunk: usize, chunks: usize| {
            for cell in &cells[part(cells.len(), chunk, chunks)] {
                let value = cell.load(Ordering::Relaxed);
                let next = value * value + which as usize + round.load(Ordering::Relaxed);
                cell.store(next % 65_521, Ordering::Relaxed);
            }
        };
        Team::run(parallel, members, &task, |team| {
            for step in 0..2000 {
                round.store(step, Ordering::Relaxed);
                team.each(3, cells.len(), 1 << 20);
                // The leader alone, on the results of all threads.
                let sum: usize = cells.iter().map(|cell| cell.load(Ordering::Relaxed)).sum();
                cells[step % cells.len()].store(sum % 65_521, Ordering::Relaxed);
                team.each(7, cells.len(), 10);
            }
        });
        cells.into_iter().map(|cell| cell.into_inner() as u32).collect()
    }

    #[test]
    fn any_number_of_threads_does_what_one_does() {
        let alone = iterate(&Serial, 1);
        for threads in [1, 2, 3] {
            assert_eq!(iterate(&Threads(threads), 8), alone, "{threads} threads");
        }
    }

    #[test]
    fn a_team_works_without_helpers() {
        struct Late;
        impl Parallel for Late {
            fn threads(&self) -> usize {
                2
            }
            fn run(&self, n_tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
                (0..n_tasks).for_each(|index| task(index, 0));
            }
        }
        assert_eq!(iterate(&Late, 2), iterate(&Serial, 1));
    }
}
