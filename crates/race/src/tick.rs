//! Measures the clock's step, which browsers coarsen to between 5 µs and 100 ms.

use mixer::Executor;

use crate::Clock;
use crate::state::{Halt, Race};
use crate::{Watch, stats};

/// Number of steps that distinguishes a regular step from an interruption.
const STEPS: usize = 32;
/// Number of steps of a coarse clock, for which [`STEPS`] would take too long.
const FEW_STEPS: usize = 3;
const LONG_NS: f64 = 50_000_000.0;
/// Readings between two turns of the event loop.
const CHUNK: u64 = 100_000;
/// Readings after which an unmoved clock is taken as stopped: about a second in a browser, ten times the coarsest known
/// step.
const MAX_READS: u64 = 10_000_000;

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Measures the step: the median of the nonzero differences between successive readings. The minimum would follow
    /// the jitter that some browsers add, and the mean would follow interruptions.
    pub(crate) async fn measure_tick(&mut self) -> Result<f64, Halt> {
        let started_ns = self.now_ns();
        let mut previous_ns = started_ns;
        let mut steps = Vec::with_capacity(STEPS);
        let mut reads = 0;
        while reads < MAX_READS {
            for _ in 0..CHUNK {
                reads += 1;
                let now_ns = self.now_ns();
                if now_ns > previous_ns {
                    steps.push(now_ns - previous_ns);
                    let long = steps.len() >= FEW_STEPS && now_ns - started_ns > LONG_NS;
                    if steps.len() >= STEPS || long {
                        return stats::median(&steps).ok_or(Halt::ClockStopped { reads });
                    }
                }
                previous_ns = now_ns;
            }
            self.pause().await?;
            previous_ns = self.now_ns();
        }
        // Fewer steps than required above, but better than none.
        stats::median(&steps).ok_or(Halt::ClockStopped { reads })
    }
}
