//! Loops so short that giving each to a thread pool would take longer than the loop: the steps of a recurrence. The threads of a
//! team stay together for many loops and wait for each other without sleeping.
//!
//! One thread leads. It publishes a loop as a ticket that says which loop it is and which of its chunks comes next;
//! every thread of the team, the leader as well, takes chunks from it. The leader goes on when all chunks are done. It never waits for
//! a thread that has not come: without helpers the leader does everything, and a cancelled or a busy pool cannot stop it.
//!
//! A team owns the recurrence's state, as several buffers. A loop writes one of them, each chunk its own range, and reads the other
//! ones; between two loops the leader has all of them to itself. Miri runs the tests (CONTRIBUTING.md).

#![expect(
    unsafe_code,
    reason = "the borrow checker cannot see that a team's loops write one buffer and read the other ones"
)]

use std::marker::PhantomData;
use std::ops::Range;
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use mixer::Parallel;

/// Operations of a loop per thread from which a thread pays off: about 2 µs, where joining and leaving a loop takes
/// about 0.3 µs.
const GRAIN: usize = 1 << 15;

/// Looks at the ticket before a helper lets other threads have its processor.
const LOOKS: u32 = if cfg!(miri) { 1 } else { 1 << 14 };

/// Most chunks of a loop.
const MAX_CHUNKS: usize = 1 << 15;

/// A separate cache line, so that threads that poll one value do not slow down threads that change another.
#[repr(align(64))]
struct Line<T>(T);

/// One chunk of a loop: `task(which, units, buffers, to)` computes the units `units` of the loop's target into `to`. In `buffers` the target
/// is empty.
pub type Task<'a, const N: usize> = dyn Fn(u32, Range<usize>, [&[f32]; N], &mut [f32]) + Sync + 'a;

/// A buffer of the state.
struct Buffer<'a> {
    start: *mut f32,
    len: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the elements of a buffer are used through `Team::chunk` and `Leader` only, under their conditions.
unsafe impl Send for Buffer<'_> {}
// SAFETY: as above.
unsafe impl Sync for Buffer<'_> {}

/// Threads that share loops over `N` buffers.
struct Team<'a, const N: usize> {
    /// Which loop (32 bits), its number of chunks (16 bits), the next chunk (16 bits).
    ticket: Line<AtomicU64>,
    /// Chunks of the current loop that helpers have finished.
    done: Line<AtomicUsize>,
    /// Index of the buffer that the present loop writes, and its number of units. They change between two loops only.
    target: AtomicUsize,
    units: AtomicUsize,
    closed: AtomicBool,
    members: usize,
    buffers: [Buffer<'a>; N],
    /// Floats in a unit.
    unit: usize,
    task: &'a Task<'a, N>,
}

/// The thread that starts a team's loops.
pub struct Leader<'t, 'a, const N: usize>(&'t Team<'a, N>);

/// Calls `lead` once, unless the pool is cancelled, with a team of up to `members` threads of `parallel`. The team's loops, which the
/// leader starts by [`Leader::each`], run `task` over units of `unit` floats of `buffers`.
pub fn run<'a, const N: usize>(
    parallel: &dyn Parallel,
    members: usize,
    buffers: [&'a mut [f32]; N],
    unit: usize,
    task: &'a Task<'a, N>,
    lead: impl FnOnce(&mut Leader<'_, 'a, N>) + Send,
) {
    let members = members.clamp(1, parallel.threads());
    let team = Team {
        ticket: Line(AtomicU64::new(0)),
        done: Line(AtomicUsize::new(0)),
        target: AtomicUsize::new(0),
        units: AtomicUsize::new(0),
        closed: AtomicBool::new(false),
        members,
        buffers: buffers.map(|buffer| Buffer {
            start: buffer.as_mut_ptr(),
            len: buffer.len(),
            borrow: PhantomData,
        }),
        unit,
        task,
    };
    let lead = Mutex::new(Some(lead));
    parallel.run(members, &|_, _| {
        // The first thread to arrive leads.
        let lead = lead.lock().unwrap_or_else(PoisonError::into_inner).take();
        match lead {
            Some(lead) => {
                let _end = OnDrop(|| team.closed.store(true, Ordering::Release));
                lead(&mut Leader(&team));
            }
            None => team.help(),
        }
    });
}

impl<const N: usize> Leader<'_, '_, N> {
    /// Loop `which` over the first `units` units of buffer `target`, which takes about `operations`, on several threads where that
    /// pays. Returns when all is done.
    ///
    /// # Panics
    /// Where there is no such buffer, or it has fewer units.
    pub fn each(&mut self, which: u32, target: usize, units: usize, operations: usize) {
        let team = self.0;
        assert!(
            units.saturating_mul(team.unit) <= team.buffers[target].len,
            "more units than the buffer has"
        );
        let worth = members(operations);
        // A long loop has more chunks than threads, because they do not all run at the same speed. In a short one taking another
        // chunk would cost more than waiting does.
        let wanted = match team.members {
            1 => 1,
            members if worth < 16 * members => members,
            members => 4 * members,
        };
        let chunks = wanted.min(worth).min(units).clamp(1, MAX_CHUNKS);
        if chunks == 1 {
            // SAFETY: no loop is on, and `self` is borrowed exclusively, so no buffer is in use; target and units were checked.
            return unsafe { team.chunk(which, target, 0..units) };
        }
        team.done.0.store(0, Ordering::Relaxed);
        team.target.store(target, Ordering::Relaxed);
        team.units.store(units, Ordering::Relaxed);
        team.ticket.0.store(u64::from(which) << 32 | (chunks as u64) << 16, Ordering::Release);
        // Also where the leader's own chunk panics, the loop ends before `self` can be used again.
        let mut end = End { team, chunks, own: 0 };
        while let Some((which, chunk, chunks)) = team.claim() {
            end.own += 1;
            // SAFETY: as for a helper's.
            unsafe { team.chunk(which, target, part(units, chunk, chunks)) };
        }
    }

    /// All buffers.
    pub fn buffers(&mut self) -> [&mut [f32]; N] {
        // SAFETY: between two loops no other thread uses them, and no loop starts while the result borrows `self`. They are
        // different buffers, exclusively borrowed when the team was made.
        self.0.buffers.each_ref().map(|buffer| unsafe { slice::from_raw_parts_mut(buffer.start, buffer.len) })
    }

    /// Buffer `index`.
    ///
    /// # Panics
    /// Where there is no such buffer.
    pub fn buffer(&mut self, index: usize) -> &mut [f32] {
        let buffer = &self.0.buffers[index];
        // SAFETY: as for all of them.
        unsafe { slice::from_raw_parts_mut(buffer.start, buffer.len) }
    }
}

/// Ends a loop: waits for its helpers.
struct End<'t, 'a, const N: usize> {
    team: &'t Team<'a, N>,
    chunks: usize,
    /// Chunks that the leader claimed.
    own: usize,
}

impl<const N: usize> Drop for End<'_, '_, N> {
    fn drop(&mut self) {
        // Chunks are left over only where one panicked.
        while self.team.claim().is_some() {
            self.own += 1;
        }
        let mut looks = 0;
        while self.team.done.0.load(Ordering::Acquire) + self.own < self.chunks {
            wait(&mut looks);
        }
    }
}

impl<const N: usize> Team<'_, N> {
    /// Runs the task on the units `units` of buffer `target`.
    ///
    /// # Safety
    /// The buffer has these units. Until this returns no other thread uses them and none writes the other buffers.
    unsafe fn chunk(&self, which: u32, target: usize, units: Range<usize>) {
        let buffers = std::array::from_fn(|index| {
            let Buffer { start, len, .. } = self.buffers[index];
            // SAFETY: nobody writes another buffer than the target.
            if index == target { &[][..] } else { unsafe { slice::from_raw_parts(start, len) } }
        });
        let (first, len) = (units.start * self.unit, units.len() * self.unit);
        // SAFETY: within the buffer, and nobody else uses these units.
        let to = unsafe { slice::from_raw_parts_mut(self.buffers[target].start.add(first), len) };
        (self.task)(which, units, buffers, to);
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
                let (target, units) =
                    (self.target.load(Ordering::Relaxed), self.units.load(Ordering::Relaxed));
                // SAFETY: a ticket gives each chunk to one thread, and chunks have no unit in common. The leader starts no other
                // loop and uses no buffer before this chunk is counted as done. Its checks, its target and its units are those of this
                // loop, since claiming a chunk acquires the ticket that it released after them.
                unsafe { self.chunk(which, target, part(units, chunk, chunks)) };
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

/// The part of `items` that is chunk `chunk` of `chunks`.
fn part(items: usize, chunk: usize, chunks: usize) -> Range<usize> {
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

    /// Repeatedly sums the squares of the previous loop's results, alternating between two buffers.
    fn iterate(parallel: &dyn Parallel, members: usize) -> Vec<f32> {
        let steps = if cfg!(miri) { 20 } else { 2000 };
        let mut state = [(0..64).map(|value| value as f32).collect::<Vec<_>>(), vec![0.0; 64]];
        let [first, second] = &mut state;
        let round = AtomicUsize::new(0);
        let task = |which: u32, units: Range<usize>, buffers: [&[f32]; 2], to: &mut [f32]| {
            let target = which as usize;
            assert!(buffers[target].is_empty() && to.len() == 4 * units.len());
            let from = buffers[1 - target];
            for (index, to) in (4 * units.start..).zip(to) {
                let (value, next) = (from[index], from[(index + 17) % from.len()]);
                *to = (value * value + next + round.load(Ordering::Relaxed) as f32) % 4093.0;
            }
        };
        run(parallel, members, [first, second], 4, &task, |team| {
            for step in 0..steps {
                round.store(step, Ordering::Relaxed);
                team.each(1, 1, 16, 1 << 20);
                // The leader alone, on the results of all threads.
                let [_, second] = team.buffers();
                second[step % 64] = second.iter().sum::<f32>() % 4093.0;
                team.each(0, 0, 16, 10);
                team.buffer(0)[step % 7] += 1.0;
            }
        });
        state.concat()
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

    #[test]
    fn a_loop_ends_before_its_panic_reaches_the_leader() {
        let (mut first, mut second) = ([0.0; 8], [0.0; 8]);
        let task = |which: u32, units: Range<usize>, _: [&[f32]; 2], to: &mut [f32]| {
            assert!(which == 0 || units.start != 3, "as intended");
            to.fill(1.0 + which as f32);
        };
        run(&Serial, 1, [&mut first, &mut second], 1, &task, |team| {
            let ends = std::panic::AssertUnwindSafe(|| team.each(1, 1, 9, 1 << 20));
            assert!(std::panic::catch_unwind(ends).is_err(), "more units than there are");
        });
        let went_on = AtomicBool::new(false);
        // A helper's panic does not end the loop, but the run of the threads.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run(&Threads(2), 2, [&mut first, &mut second], 1, &task, |team| {
                let panics = std::panic::AssertUnwindSafe(|| team.each(1, 1, 8, 1 << 20));
                let _ = std::panic::catch_unwind(panics);
                team.each(0, 0, 8, 1 << 20);
                went_on.store(team.buffer(0) == [1.0; 8], Ordering::Relaxed);
            });
        }));
        assert!(went_on.into_inner());
    }
}
