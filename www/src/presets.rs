//! Ready-made races, built from the systems that this build has.

use std::collections::BTreeMap;

use mixer::Task;
use report::{BackendName, Config, FullLane, LaneConfig, ParamValue, SystemEntry};

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

/// Attention whose query heads share this many heads of keys and values.
fn grouped(kv_heads: i64) -> LaneConfig {
    LaneConfig::Full(FullLane {
        system: "attention".to_owned(),
        backend: None,
        params: [(KV_HEADS.to_owned(), ParamValue::Int(kv_heads))].into(),
    })
}

/// Attention's parameter for grouped heads.
const KV_HEADS: &str = "kv_heads";

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
    let decodes = |id: &str| systems.iter().any(|entry| entry.id == id && entry.no_decode.is_none());
    let generating = |ids: &[&str]| -> Vec<LaneConfig> {
        ids.iter().filter(|id| decodes(id)).map(|id| name(id)).collect()
    };
    let decode = Config { mode: Task::Decode { tokens: Config::DEFAULT_TOKENS }, ..Config::default() };
    let constant = generating(&["attention", "performer", "mega", "cfc", "ltc", "liquid-s4", "hyena"]);
    if decodes("attention") && constant.len() > 2 {
        add(
            "decode-states",
            text.preset_decode_states,
            false,
            Config { systems: constant, ..decode.clone() },
        );
    }
    let groups = systems
        .iter()
        .any(|entry| entry.id == "attention" && entry.params.iter().any(|param| param.name == KV_HEADS));
    if groups && decodes("attention") {
        let [all, one, performer] = [name("attention"), grouped(1), name("performer")];
        add(
            "decode-wall",
            text.preset_decode_wall,
            false,
            Config {
                systems: [all, one].into_iter().chain(decodes("performer").then_some(performer)).collect(),
                lengths: doubling(256, 65_536),
                ..decode.clone()
            },
        );
        add(
            "decode-groups",
            text.preset_decode_groups,
            false,
            Config { systems: [8, 4, 2, 1].map(grouped).into(), heads: 8, ..decode.clone() },
        );
    }
    let batched = generating(&["attention", "hyena", "mega"]);
    if decodes("attention") && batched.len() > 1 {
        add(
            "decode-batch",
            text.preset_decode_batch,
            false,
            Config { systems: batched, lengths: doubling(64, 4096), batch: 16, ..decode },
        );
    }
    presets
}

#[cfg(test)]
mod tests {
    use report::{NoDecoding, ParamEntry};

    use super::*;
    use crate::draft::Draft;
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
        assert_eq!(ids(&three), ["attention-hyena", "cpu-gpu", "memory-wall", "decode-batch"]);
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
                "everything-both",
                "decode-states",
                "decode-batch"
            ]
        );
        let all = presets(&more, &ENGLISH);
        let both = all.iter().find(|preset| preset.id == "everything-both").unwrap();
        assert_eq!((both.config.systems.len(), both.needs_gpu), (10, true));
    }

    #[test]
    fn decode_presets_use_only_systems_that_decode_and_survive_the_form() {
        let mut systems: Vec<SystemEntry> =
            ["attention", "hyena", "performer", "mega", "cfc", "ltc", "liquid-s4", "reformer"]
                .map(|id| entry(id, "attention", 2020))
                .into();
        systems[0].params.push(ParamEntry {
            name: KV_HEADS.to_owned(),
            help: String::new(),
            kind: "count".to_owned(),
            default: ParamValue::Int(0),
            low: Some(0.0),
            high: Some(4096.0),
            choices: Vec::new(),
        });
        let decode = |systems: &[SystemEntry]| -> Vec<Preset> {
            presets(systems, &ENGLISH).into_iter().filter(|preset| preset.id.starts_with("decode-")).collect()
        };
        let all = decode(&systems);
        let ids: Vec<_> = all.iter().map(|preset| (preset.id, preset.config.systems.len())).collect();
        assert_eq!(
            ids,
            [("decode-states", 7), ("decode-wall", 3), ("decode-groups", 4), ("decode-batch", 3)]
        );
        for preset in &all {
            assert_eq!(preset.config.mode, Task::Decode { tokens: Config::DEFAULT_TOKENS });
            let draft = Draft::new(&preset.config);
            assert_eq!(draft.check(&systems, &ENGLISH).as_ref(), Ok(&preset.config), "{}", preset.id);
        }
        let refuse = |entry: &mut SystemEntry| {
            let (code, message) = ("decode-whole-sequence".to_owned(), String::new());
            entry.no_decode = Some(NoDecoding { code, message });
        };
        refuse(&mut systems[1]);
        let names = |preset: &Preset| format!("{:?}", preset.config.systems);
        assert!(decode(&systems).iter().all(|preset| !names(preset).contains("hyena")));
        refuse(&mut systems[0]);
        assert_eq!(decode(&systems), []);
    }
}
