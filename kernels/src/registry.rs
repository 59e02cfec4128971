//! The list of all systems. Adding a system takes its folder and a line here.

use mixer::{Info, MixerError, System};

use crate::definition::Definition;

/// Systems of the race with which the page opens. The browser's worker loads their code at its start.
const FIRST: &[&Definition] = &[
    &crate::systems::attention::ATTENTION,
    &crate::systems::attention_naive::ATTENTION_NAIVE,
    &crate::systems::hyena::HYENA,
];

/// Systems whose code the browser's worker loads on demand.
const LATER: &[&Definition] = &[
    &crate::systems::monarch_mixer::MONARCH_MIXER,
    &crate::systems::bigs::BIGS,
    &crate::systems::mega::MEGA,
    &crate::systems::ltc::LTC,
    &crate::systems::cfc::CFC,
    &crate::systems::liquid_s4::LIQUID_S4,
    &crate::systems::linformer::LINFORMER,
    &crate::systems::longformer::LONGFORMER,
    &crate::systems::bigbird::BIGBIRD,
    &crate::systems::reformer::REFORMER,
    &crate::systems::performer::PERFORMER,
];

/// Facts only, without a reference to any system's code.
static INFOS: [&Info; FIRST.len() + LATER.len()] = {
    let mut infos = [FIRST[0].info; FIRST.len() + LATER.len()];
    let mut index = 1;
    while index < infos.len() {
        infos[index] = if index < FIRST.len() { FIRST[index].info } else { LATER[index - FIRST.len()].info };
        index += 1;
    }
    infos
};

/// The facts of all systems, in the order of the page.
pub fn infos() -> &'static [&'static Info] {
    &INFOS
}

/// All systems, in the order of [`infos`].
pub fn systems() -> impl Iterator<Item = &'static dyn System> {
    FIRST.iter().chain(LATER).map(|&system| system as &dyn System)
}

/// The system called `name`.
///
/// # Errors
/// [`MixerError::UnknownSystem`] lists the known names.
pub fn find(name: &str) -> Result<&'static dyn System, MixerError> {
    find_in(FIRST, name).or_else(|| find_in(LATER, name)).ok_or_else(|| unknown(name))
}

/// The system called `name`, if the browser's worker has its code from its start. Contains no reference to the code of
/// other systems.
pub fn find_first(name: &str) -> Option<&'static dyn System> {
    find_in(FIRST, name)
}

fn find_in(systems: &[&'static Definition], name: &str) -> Option<&'static dyn System> {
    systems.iter().find(|system| system.info.id == name).map(|&system| system as &dyn System)
}

/// The error for an unknown system name.
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

    /// The largest problem of a race has streams of 4 GiB, which no 32-bit address space holds; the costs of a wide and
    /// long one need 64 bits.
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
        };
        for system in systems() {
            for level in [Level::Core, Level::Layer] {
                let problem = Problem { level, ..problem };
                let cost = system.cost(&problem, &Params::new()).unwrap();
                let streams = 2 * 4 * problem.sizes().stream();
                assert!(Count::new(cost.peak_bytes) >= streams, "{}: {cost:?}", system.info().id);
                assert!(cost.flops > 1 << 32, "{}: {cost:?}", system.info().id);
                #[cfg(target_pointer_width = "32")]
                {
                    let case = system.seeded_case(&problem, &Params::new());
                    let refused = matches!(case, Err(MixerError::OutOfMemory { needed_bytes, .. }) if needed_bytes > 1 << 31);
                    assert!(refused, "{}", system.info().id);
                }
                let planned = Problem { seq_len: Problem::MAX_PLANNED_SEQ_LEN, ..problem };
                assert!(
                    system.cost(&planned, &Params::new()).unwrap().flops > 1 << 40,
                    "{}",
                    system.info().id
                );
                assert!(system.seeded_case(&planned, &Params::new()).is_err());
            }
        }
    }

    /// A score of exact attention takes one product of queries and keys and one of weights and values, whose operations
    /// are compared with the references. Each score has one exponential and each row a division.
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
            };
            for id in ["attention", "attention-naive", "bigbird", "longformer"] {
                let cost = find(id).unwrap().cost(&problem, &Params::new()).unwrap();
                let (scores, rows) = (cost.flops / (4 * 16), 2 * 3 * 200);
                assert_eq!(cost.transcendentals, scores + rows, "{id}");
                assert_eq!(cost.executed_flops, cost.flops + 4 * scores, "{id}");
            }
        }
    }

    /// Executed operations are neither far fewer nor many times more than the textbook's.
    #[test]
    fn executed_operations_are_close_to_the_stated_ones() {
        for seq_len in [256, 4096, 65_536] {
            for level in [Level::Core, Level::Layer] {
                let problem =
                    Problem { batch: 1, seq_len, d_model: 256, n_heads: 4, causal: true, level, seed: 0 };
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
    fn the_page_opens_with_systems_that_need_no_loading() {
        for name in ["attention", "hyena"] {
            assert!(find_first(name).is_some());
        }
        assert!(find_first("mega").is_none() && find_first("").is_none());
    }
}
