//! The single list of systems. Adding one is a folder and a line here.

use mixer::{MixerError, System};

static SYSTEMS: &[&dyn System] = &[
    &crate::attention::ATTENTION,
    &crate::attention_naive::ATTENTION_NAIVE,
    &crate::hyena::HYENA,
    &crate::monarch_mixer::MONARCH_MIXER,
    &crate::bigs::BIGS,
    &crate::mega::MEGA,
    &crate::ltc::LTC,
    &crate::cfc::CFC,
    &crate::liquid_s4::LIQUID_S4,
    &crate::linformer::LINFORMER,
    &crate::longformer::LONGFORMER,
    &crate::bigbird::BIGBIRD,
    &crate::reformer::REFORMER,
    &crate::performer::PERFORMER,
];

/// All systems, in the order in which the page lists them.
pub fn systems() -> &'static [&'static dyn System] {
    SYSTEMS
}

/// The system called `name`.
///
/// # Errors
/// [`MixerError::UnknownSystem`] lists the known names.
pub fn find(name: &str) -> Result<&'static dyn System, MixerError> {
    SYSTEMS.iter().copied().find(|system| system.info().id == name).ok_or_else(|| MixerError::UnknownSystem {
        name: name.chars().take(64).collect(),
        known: SYSTEMS.iter().map(|system| system.info().id).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_system_by_its_own_name_and_no_other() {
        for system in systems() {
            assert_eq!(find(system.info().id).map(|found| found.info().id), Ok(system.info().id));
        }
        for name in ["", "Attention", "constructor", "attention "] {
            assert!(matches!(find(name), Err(MixerError::UnknownSystem { .. })));
        }
    }
}
