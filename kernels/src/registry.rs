//! The systems, by name and in order. The list itself is made of the `mod` lines of `systems/mod.rs`.

use mixer::{Info, MixerError, NoDecode, System};

// `FIRST` and `LAZY`, and what tests try with each of them, made of the `mod` lines of `systems/mod.rs` by the build script.
include!(concat!(env!("OUT_DIR"), "/registry.rs"));

/// Facts alone: nothing here leads to a system's code.
static INFOS: [&Info; FIRST.len() + LAZY.len()] = {
    let mut infos = [FIRST[0].info; FIRST.len() + LAZY.len()];
    let mut index = 1;
    while index < infos.len() {
        infos[index] = if index < FIRST.len() { FIRST[index].info } else { LAZY[index - FIRST.len()].info };
        index += 1;
    }
    infos
};

/// Whether each of [`INFOS`] decodes, or why not.
static DECODES: [Result<(), NoDecode>; INFOS.len()] = {
    let mut all = [Ok(()); INFOS.len()];
    let mut index = 0;
    while index < all.len() {
        let system = if index < FIRST.len() { FIRST[index] } else { LAZY[index - FIRST.len()] };
        if let Err(why) = system.decode {
            all[index] = Err(why);
        }
        index += 1;
    }
    all
};

/// The facts of all systems, in the order in which the page lists them.
pub fn infos() -> &'static [&'static Info] {
    &INFOS
}

/// The facts of all systems with whether each decodes, or why not, in the order of [`infos`]. Like the facts, they lead to
/// no system's code.
pub fn catalogue() -> impl Iterator<Item = (&'static Info, Result<(), NoDecode>)> {
    INFOS.iter().copied().zip(DECODES)
}

/// All systems, in the order of [`infos`].
pub fn systems() -> impl Iterator<Item = &'static System> {
    FIRST.iter().chain(LAZY).copied()
}

/// The system called `name`.
///
/// # Errors
/// [`MixerError::UnknownSystem`] lists the known names.
pub fn find(name: &str) -> Result<&'static System, MixerError> {
    find_in(FIRST, name).or_else(|| find_in(LAZY, name)).ok_or_else(|| unknown(name))
}

/// Trials of the system called `name`; `None` if there is no such system.
#[cfg(any(test, feature = "trials"))]
pub fn trials_of(name: &str) -> Option<&'static crate::trials::Trials> {
    let at = infos().iter().position(|info| info.id == name)?;
    FIRST_TRIALS.iter().chain(LAZY_TRIALS).nth(at).copied()
}

/// The system called `name`, where it is one of those that the browser's worker has from its start. Nothing here leads to
/// the code of the others.
pub fn find_first(name: &str) -> Option<&'static System> {
    find_in(FIRST, name)
}

fn find_in(systems: &[&'static System], name: &str) -> Option<&'static System> {
    systems.iter().find(|system| system.info.id == name).copied()
}

/// That no system is called `name`.
pub fn unknown(name: &str) -> MixerError {
    MixerError::UnknownSystem {
        name: name.chars().take(64).collect(),
        known: INFOS.iter().map(|info| info.id).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use mixer::{Count, Level, Params, Problem};

    use super::*;

    #[test]
    fn finds_every_system_by_its_own_name_and_no_other() {
        assert_eq!(systems().count(), infos().len());
        for (system, info) in systems().zip(infos()) {
            assert_eq!(system.info().id, info.id);
            assert_eq!(find(info.id).map(|found| found.info().id), Ok(info.id));
        }
        for name in ["", "Attention", "constructor", "attention "] {
            assert!(matches!(find(name), Err(MixerError::UnknownSystem { .. })));
        }
    }

    #[test]
    fn the_catalogue_knows_which_systems_decode() {
        assert_eq!(catalogue().count(), infos().len());
        for (system, (info, decodes)) in systems().zip(catalogue()) {
            assert_eq!(system.info().id, info.id);
            assert_eq!(system.decode.map(|_| ()), decodes, "{}", info.id);
        }
        assert!(catalogue().any(|(_, decodes)| decodes.is_ok()));
        assert!(catalogue().any(|(_, decodes)| decodes == Err(NoDecode::OtherFunction)));
    }

    /// The largest problem of a race has streams of 4 GiB, which no 32-bit address space holds; a wide and long one has
    /// costs that only 64 bits hold.
    #[test]
    fn oversized_problems_are_refused_but_have_a_cost() {
        let problem = Problem {
            batch: 64,
            seq_len: 1 << 16,
            d_model: 256,
            n_heads: 4,
            causal: true,
            level: Level::Layer,
            seed: 0,
            task: mixer::Task::Forward,
        };
        for system in systems() {
            for level in [Level::Core, Level::Layer] {
                let problem = Problem { level, ..problem };
                let cost = system.cost(&problem, &Params::new()).unwrap();
                let streams = 2 * 4 * problem.sizes().stream();
                assert!(Count::new(cost.peak_bytes) >= streams, "{}: {cost:?}", system.info().id);
                assert!(Count::new(cost.flops) >= problem.sizes().stream(), "{}: {cost:?}", system.info().id);
                #[cfg(target_pointer_width = "32")]
                {
                    let case = system.seeded_case(&problem, &Params::new());
                    let refused = matches!(case, Err(MixerError::OutOfMemory { needed_bytes, .. }) if needed_bytes > 1 << 31);
                    assert!(refused, "{}", system.info().id);
                }
                let planned = Problem { seq_len: Problem::MAX_PLANNED_SEQ_LEN, ..problem };
                let flops = system.cost(&planned, &Params::new()).unwrap().flops;
                assert!(Count::new(flops) >= planned.sizes().stream(), "{}", system.info().id);
                assert!(system.seeded_case(&planned, &Params::new()).is_err());
            }
        }
    }

    /// A score of exact attention is one product of queries and keys and one of weights and values, whose operations are
    /// held against the references; each has one exponential, each row a division.
    #[test]
    fn exponentials_follow_from_the_counted_products() {
        for causal in [false, true] {
            let problem = Problem {
                batch: 2,
                seq_len: 200,
                d_model: 48,
                n_heads: 3,
                causal,
                level: Level::Core,
                seed: 0,
                task: mixer::Task::Forward,
            };
            for id in ["attention", "attention-naive", "bigbird", "longformer"] {
                let cost = find(id).unwrap().cost(&problem, &Params::new()).unwrap();
                let (scores, rows) = (cost.flops / (4 * 16), 2 * 3 * 200);
                assert_eq!(cost.transcendentals, scores + rows, "{id}");
                assert_eq!(cost.executed_flops, cost.flops + 4 * scores, "{id}");
            }
        }
    }

    /// No kernel executes far less than the textbook says, nor many times as much.
    #[test]
    fn executed_operations_are_close_to_the_stated_ones() {
        for seq_len in [256, 4096, 65_536] {
            for level in [Level::Core, Level::Layer] {
                let problem = Problem {
                    batch: 1,
                    seq_len,
                    d_model: 256,
                    n_heads: 4,
                    causal: true,
                    level,
                    seed: 0,
                    task: mixer::Task::Forward,
                };
                for system in systems() {
                    let cost = system.cost(&problem, &Params::new()).unwrap();
                    let ratio = cost.executed_flops as f64 / cost.flops as f64;
                    assert!((0.4..1.5).contains(&ratio), "{} {seq_len}: {ratio}", system.info().id);
                    assert!(cost.transcendentals < cost.flops, "{}", system.info().id);
                }
            }
        }
    }

    #[test]
    fn no_two_systems_have_the_same_mark() {
        let mut marks: Vec<u8> = infos().iter().map(|info| info.mark).collect();
        marks.sort_unstable();
        marks.dedup();
        assert_eq!(marks.len(), infos().len());
    }

    #[test]
    fn the_page_opens_with_systems_that_need_no_loading() {
        for name in ["attention", "hyena"] {
            assert!(find_first(name).is_some());
        }
        assert!(find_first("mega").is_none() && find_first("").is_none());
    }
}
