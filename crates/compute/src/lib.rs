//! Executors: threads and scratch on the CPU; wgpu, which alone runs plans.
