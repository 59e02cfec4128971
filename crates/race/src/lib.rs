//! The experiment: schedule, sampling, statistics, fits, crossover; no clock and no executor of its own.
