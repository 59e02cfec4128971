//! Ready-made races, built from the systems that this build has.

use std::collections::BTreeMap;

use report::{BackendName, Config, FullLane, LaneConfig, SystemEntry};

use crate::text::Text;

/// A ready-made race.
#[derive(Debug, Clone, PartialEq)]
pub struct Preset {
    /// Stable name, for test ids.
    pub id: &'static str,
    /// Its display name.
    pub title: &'static str,
    /// One sentence about it.
    pub blurb: &'static str,
    /// Whether it is offered only on machines with a GPU.
    pub needs_gpu: bool,
    /// Its configuration.
    pub config: Config,
}

fn name(system: &str) -> LaneConfig {
    LaneConfig::Name(system.to_owned())
}

fn on(system: &str, backend: BackendName) -> LaneConfig {
    LaneConfig::Full(FullLane { system: system.to_owned(), backend: Some(backend), params: BTreeMap::new() })
}

fn doubling(from: u32, to: u32) -> Vec<u32> {
    std::iter::successors(Some(from), |length| length.checked_mul(2))
        .take_while(|length| *length <= to)
        .collect()
}

/// The presets that are possible with `systems`. The page opens with the first one.
pub fn presets(systems: &[SystemEntry], text: &Text) -> Vec<Preset> {
    let has = |id: &str| systems.iter().any(|entry| entry.id == id);
    // Until the catalogue is loaded, the two systems that every build has.
    let known =
        |id: &str| has(id) || (systems.is_empty() && matches!(id, "attention" | "hyena" | "attention-naive"));
    let mut presets = Vec::new();
    let mut add = |id, (title, blurb): (&'static str, &'static str), needs_gpu, config: Config| {
        if config.systems.len() >= 2 {
            presets.push(Preset { id, title, blurb, needs_gpu, config });
        }
    };
    let some =
        |ids: &[&str]| -> Vec<LaneConfig> { ids.iter().filter(|id| known(id)).map(|id| name(id)).collect() };
    add(
        "attention-hyena",
        text.preset_duel,
        false,
        Config { systems: some(&["attention", "hyena"]), ..Config::default() },
    );
    add(
        "cpu-gpu",
        text.preset_both,
        true,
        Config {
            systems: ["attention", "hyena"]
                .into_iter()
                .filter(|id| known(id))
                .flat_map(|id| [on(id, BackendName::Cpu), on(id, BackendName::Webgpu)])
                .collect(),
            ..Config::default()
        },
    );
    add(
        "memory-wall",
        text.preset_wall,
        false,
        Config {
            systems: if known("attention-naive") {
                some(&["attention", "attention-naive"])
            } else {
                Vec::new()
            },
            lengths: doubling(256, 32_768),
            ..Config::default()
        },
    );
    let challengers: Vec<LaneConfig> = systems
        .iter()
        .filter(|entry| {
            entry.id != "attention-naive"
                && (entry.id == "attention" || (entry.year >= 2022 && entry.family != "liquid"))
        })
        .map(|entry| name(&entry.id))
        .collect();
    if challengers.len() > 2 {
        add(
            "challengers",
            text.preset_challengers,
            false,
            Config { systems: challengers, ..Config::default() },
        );
    }
    let family = |family: &str| -> Vec<LaneConfig> {
        let members: Vec<_> =
            systems.iter().filter(|entry| entry.family == family).map(|entry| name(&entry.id)).collect();
        if members.is_empty() { members } else { some(&["attention"]).into_iter().chain(members).collect() }
    };
    add(
        "efficient",
        text.preset_efficient,
        false,
        Config { systems: family("efficient-attention"), ..Config::default() },
    );
    let liquid: Vec<_> = some(&["attention", "ltc", "cfc", "liquid-s4"]);
    if liquid.len() > 2 {
        add("liquid", text.preset_liquid, false, Config { systems: liquid, ..Config::default() });
    }
    if systems.len() > 3 {
        add(
            "everything",
            text.preset_everything,
            false,
            Config { systems: systems.iter().map(|entry| name(&entry.id)).collect(), ..Config::default() },
        );
        add(
            "everything-both",
            text.preset_everything_both,
            true,
            Config {
                systems: systems
                    .iter()
                    .flat_map(|entry| [on(&entry.id, BackendName::Cpu), on(&entry.id, BackendName::Webgpu)])
                    .take(crate::draft::MAX_LANES)
                    .collect(),
                ..Config::default()
            },
        );
    }
    presets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::ENGLISH;

    fn entry(id: &str, family: &str, year: u32) -> SystemEntry {
        SystemEntry {
            id: id.to_owned(),
            title: id.to_owned(),
            mark: 0,
            family: family.to_owned(),
            causality: "both".to_owned(),
            complexity: String::new(),
            exponent: 1.0,
            year,
            paper: String::new(),
            arxiv: String::new(),
            reference: String::new(),
            summary: String::new(),
            params: Vec::new(),
            no_decode: None,
        }
    }

    fn ids(systems: &[SystemEntry]) -> Vec<&'static str> {
        presets(systems, &ENGLISH).iter().map(|preset| preset.id).collect()
    }

    #[test]
    fn presets_use_only_systems_of_the_build() {
        assert_eq!(ids(&[]), ["attention-hyena", "cpu-gpu", "memory-wall"]);
        assert_eq!(presets(&[], &ENGLISH)[0].config, Config::default());
        let three = [
            entry("attention", "attention", 2017),
            entry("attention-naive", "attention", 2017),
            entry("hyena", "convolution", 2023),
        ];
        assert_eq!(ids(&three), ["attention-hyena", "cpu-gpu", "memory-wall"]);
        let mut more = three.to_vec();
        more.push(entry("performer", "efficient-attention", 2020));
        more.push(entry("mega", "state-space", 2022));
        assert_eq!(
            ids(&more),
            [
                "attention-hyena",
                "cpu-gpu",
                "memory-wall",
                "challengers",
                "efficient",
                "everything",
                "everything-both"
            ]
        );
        let both = presets(&more, &ENGLISH).pop().unwrap();
        assert_eq!((both.config.systems.len(), both.needs_gpu), (10, true));
    }
}
