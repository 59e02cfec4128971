//! Appearance and names of lanes: one colour and one marker shape per system, filled on the GPU and hollow on the CPU,
//! so that lanes can be distinguished without colour vision.

use mixer::Task;
use report::{Config, Lane, LaneConfig, ParamValue, Report, SystemEntry};

use crate::palette::MARKS;
use crate::words::Words;

/// A lane's identity on the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Index into the palette and the marker shapes.
    pub slot: usize,
    /// Whether its markers are filled, for lanes on the GPU.
    pub filled: bool,
    /// Name that distinguishes it from the other lanes of its race.
    pub label: String,
    /// The system's name alone.
    pub title: String,
    /// The system's stable name.
    pub system: String,
    /// The system's only form, or the form that it ran against the race's request; `None` otherwise.
    pub one_way: Option<OneWay>,
    /// The theoretical exponent of L; `None` for a decode race, where it depends on the decoder's state.
    pub theory: Option<f64>,
    /// Index of the first attention lane on the same backend, unless the lane is that lane itself.
    pub baseline: Option<usize>,
    /// Index of its report where several reports share a chart.
    pub series: usize,
}

/// The only form of a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OneWay {
    /// Only causally.
    Causal,
    /// Only bidirectionally.
    Bidirectional,
}

impl OneWay {
    /// From a catalogue entry's `causality`.
    pub fn of(causality: &str) -> Option<Self> {
        match causality {
            "causal-only" => Some(Self::Causal),
            "bidirectional-only" => Some(Self::Bidirectional),
            _ => None,
        }
    }

    /// The label of the form.
    pub fn label(self, text: &Words) -> &'static str {
        match self {
            Self::Causal => text.causal_only,
            Self::Bidirectional => text.bidirectional_only,
        }
    }
}

/// Size of a group of slots. A lane whose preferred slot is occupied tries the slots of its group first.
const ROUND: usize = 14;

/// The palette and shape slot of a system of the catalogue.
pub fn slot_of(entry: &SystemEntry) -> usize {
    entry.mark as usize % MARKS
}

/// The properties of a lane that determine its look.
struct Identity<'a> {
    system: &'a str,
    title: String,
    backend: &'a str,
    params: Vec<(String, String)>,
    one_way: Option<OneWay>,
    theory: Option<f64>,
}

/// Looks of a report's lanes, in order.
pub fn looks(report: &Report, systems: &[SystemEntry], text: &Words) -> Vec<Look> {
    let lanes: Vec<_> = report.lanes.iter().map(|lane| of_lane(lane, report, systems)).collect();
    settle(&lanes, systems, text)
}

/// Looks of a configuration's lanes before the race. `auto` is the backend of lanes that name none.
pub fn looks_of_config(config: &Config, auto: &str, systems: &[SystemEntry], text: &Words) -> Vec<Look> {
    let identities: Vec<_> = config
        .systems
        .iter()
        .map(|lane| {
            let (system, backend, params) = match lane {
                LaneConfig::Name(system) => (system.as_str(), None, Vec::new()),
                LaneConfig::Full(full) => (
                    full.system.as_str(),
                    full.backend,
                    full.params.iter().map(|(name, value)| (name.clone(), param(value))).collect(),
                ),
            };
            let entry = systems.iter().find(|entry| entry.id == system);
            Identity {
                system,
                title: entry.map_or_else(|| system.to_owned(), |entry| entry.title.clone()),
                backend: backend_id(backend.unwrap_or(config.backend), auto),
                params,
                one_way: entry.and_then(|entry| OneWay::of(&entry.causality)),
                theory: entry.filter(|_| config.mode == Task::Forward).map(|entry| entry.exponent),
            }
        })
        .collect();
    settle(&identities, systems, text)
}

/// `cpu` or `webgpu`.
pub fn backend_id(backend: report::BackendName, auto: &str) -> &str {
    match backend {
        report::BackendName::Cpu => "cpu",
        report::BackendName::Webgpu => "webgpu",
        report::BackendName::Auto => auto,
    }
}

fn of_lane<'a>(lane: &'a Lane, report: &Report, systems: &[SystemEntry]) -> Identity<'a> {
    let entry = systems.iter().find(|entry| entry.id == lane.system);
    let known = entry.and_then(|entry| OneWay::of(&entry.causality));
    // Reports of other versions may contain systems that this page does not know.
    let told = match (report.config.causal, lane.causal) {
        (false, true) => Some(OneWay::Causal),
        (true, false) => Some(OneWay::Bidirectional),
        _ => None,
    };
    Identity {
        system: &lane.system,
        title: lane.title.clone(),
        backend: &lane.backend,
        params: lane.params.iter().map(|(name, value)| (name.clone(), param(value))).collect(),
        one_way: told.or(known),
        theory: entry.filter(|_| report.config.mode == Task::Forward).map(|entry| entry.exponent),
    }
}

fn param(value: &ParamValue) -> String {
    match value {
        ParamValue::Bool(value) => value.to_string(),
        ParamValue::Int(value) => value.to_string(),
        ParamValue::Float(value) => value.to_string(),
        ParamValue::Text(value) => value.clone(),
    }
}

/// The preferred slots of the lanes of `systems`, before conflicts within a race are resolved. A system that is not in
/// the catalogue, or any system before the catalogue is loaded, prefers the first slot that no other system prefers.
pub fn slots(systems: &[&str], catalogue: &[SystemEntry]) -> Vec<usize> {
    let entry = |system: &str| catalogue.iter().find(|entry| entry.id == system);
    let mut known: Vec<(&str, usize)> =
        systems.iter().filter_map(|system| Some((*system, slot_of(entry(system)?)))).collect();
    let slot = |system| {
        let own = known.iter().find(|(other, _)| *other == system).map(|(_, slot)| *slot);
        own.unwrap_or_else(|| {
            let free = (0..MARKS).find(|slot| known.iter().all(|(_, other)| other != slot)).unwrap_or(0);
            known.push((system, free));
            free
        })
    };
    systems.iter().copied().map(slot).collect()
}

fn settle(lanes: &[Identity<'_>], catalogue: &[SystemEntry], text: &Words) -> Vec<Look> {
    let backends_differ = lanes.windows(2).any(|pair| pair[0].backend != pair[1].backend);
    let mut taken = [[false; 2]; MARKS];
    let systems: Vec<&str> = lanes.iter().map(|lane| lane.system).collect();
    let wanted = slots(&systems, catalogue);
    let mut looks = Vec::with_capacity(lanes.len());
    for (index, (lane, wanted)) in lanes.iter().zip(wanted).enumerate() {
        let filled = lane.backend != "cpu";
        // A second lane of the same system and backend takes the next free shape.
        let round = wanted / ROUND * ROUND;
        let slot = (0..ROUND)
            .map(|step| round + (wanted + step) % ROUND)
            .chain(0..MARKS)
            .find(|&slot| !taken[slot][usize::from(filled)])
            .unwrap_or(wanted);
        taken[slot][usize::from(filled)] = true;

        let mut label = lane.title.clone();
        let twins: Vec<_> = lanes
            .iter()
            .enumerate()
            .filter(|(other, twin)| {
                *other != index && twin.system == lane.system && twin.backend == lane.backend
            })
            .map(|(_, twin)| twin)
            .collect();
        if !twins.is_empty() {
            let differing: Vec<_> = lane
                .params
                .iter()
                .filter(|(name, value)| {
                    twins.iter().any(|twin| !twin.params.iter().any(|(n, v)| n == name && v == value))
                })
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            if differing.is_empty() {
                let earlier = lanes[..index]
                    .iter()
                    .filter(|twin| twin.system == lane.system && twin.backend == lane.backend)
                    .count();
                if earlier > 0 {
                    label = format!("{label} {}", earlier + 1);
                }
            } else {
                label = format!("{label} {}", differing.join(", "));
            }
        }
        if backends_differ {
            label = format!("{label} · {}", text.backend(lane.backend));
        }
        let baseline = lanes
            .iter()
            .position(|other| other.system == "attention" && other.backend == lane.backend)
            .filter(|&other| other != index);
        looks.push(Look {
            slot,
            filled,
            label,
            title: lane.title.clone(),
            system: lane.system.to_owned(),
            one_way: lane.one_way,
            theory: lane.theory,
            baseline,
            series: 0,
        });
    }
    looks
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use report::{BackendName, FullLane};

    use super::*;
    use crate::words::ENGLISH;

    fn lane(system: &str, backend: BackendName) -> LaneConfig {
        LaneConfig::Full(FullLane {
            system: system.to_owned(),
            backend: Some(backend),
            params: BTreeMap::new(),
        })
    }

    fn settle_config(systems: Vec<LaneConfig>) -> Vec<Look> {
        looks_of_config(&Config { systems, ..Config::default() }, "webgpu", &[], &ENGLISH)
    }

    fn entry(id: &str, mark: u32) -> SystemEntry {
        SystemEntry {
            id: id.to_owned(),
            title: id.to_owned(),
            mark,
            family: "convolution".to_owned(),
            causality: "both".to_owned(),
            complexity: String::new(),
            exponent: 1.0,
            year: 2023,
            paper: String::new(),
            arxiv: String::new(),
            reference: String::new(),
            summary: String::new(),
            params: Vec::new(),
            no_decode: None,
        }
    }

    #[test]
    fn lanes_up_to_the_number_of_marks_have_different_looks() {
        let entries: Vec<_> = (0..MARKS).map(|mark| entry(&format!("system{mark}"), mark as u32)).collect();
        let systems = entries
            .iter()
            .flat_map(|entry| [lane(&entry.id, BackendName::Cpu), lane(&entry.id, BackendName::Webgpu)])
            .collect();
        let looks = looks_of_config(&Config { systems, ..Config::default() }, "webgpu", &entries, &ENGLISH);
        let distinct: HashSet<_> = looks.iter().map(|look| (look.slot, look.filled)).collect();
        assert_eq!(distinct.len(), 2 * MARKS);
        let labels: HashSet<_> = looks.iter().map(|look| look.label.clone()).collect();
        assert_eq!(labels.len(), 2 * MARKS);
        assert!(looks.iter().enumerate().all(|(index, look)| look.slot == index / 2));
    }

    #[test]
    fn unknown_systems_have_looks_of_their_own() {
        let entries = [entry("attention", 0), entry("known", 1)];
        let systems = vec![
            lane("new", BackendName::Cpu),
            lane("known", BackendName::Cpu),
            lane("newer", BackendName::Cpu),
            lane("new", BackendName::Webgpu),
        ];
        let looks = looks_of_config(&Config { systems, ..Config::default() }, "webgpu", &entries, &ENGLISH);
        assert_eq!(looks.iter().map(|look| look.slot).collect::<Vec<_>>(), [0, 1, 2, 0]);
    }

    #[test]
    fn lanes_are_named_by_their_differences() {
        let same = settle_config(vec![
            LaneConfig::Name("attention".to_owned()),
            LaneConfig::Name("hyena".to_owned()),
        ]);
        assert_eq!(same[1].label, "hyena");
        assert_eq!(same[1].baseline, Some(0));
        assert_eq!(same[0].baseline, None);
        let both = settle_config(vec![lane("hyena", BackendName::Cpu), lane("hyena", BackendName::Webgpu)]);
        assert_eq!(both[0].label, "hyena · CPU");
        assert_eq!(both[1].label, "hyena · GPU");
        let twins = settle_config(vec![
            LaneConfig::Full(FullLane {
                system: "hyena".to_owned(),
                backend: None,
                params: [("order".to_owned(), ParamValue::Int(2))].into(),
            }),
            LaneConfig::Full(FullLane {
                system: "hyena".to_owned(),
                backend: None,
                params: [("order".to_owned(), ParamValue::Int(3))].into(),
            }),
            LaneConfig::Name("hyena".to_owned()),
        ]);
        assert_eq!(twins[0].label, "hyena order 2");
        assert_eq!(twins[1].label, "hyena order 3");
        assert!(twins[0].slot != twins[1].slot && twins[1].slot != twins[2].slot);
    }
}
