//! The configured race as a report without measurements, so that chart, lanes and table show what will run.

use std::collections::BTreeMap;

use report::{BackendName, Config, Environment, Lane, LaneConfig, Report, Status, SystemEntry};

use chart::lanes::backend_id;

/// Backend of lanes that name none: the GPU, unless it is known to be missing or emulated.
pub fn auto_backend(environment: Option<&Environment>) -> &'static str {
    match environment {
        Some(environment) if environment.gpu.as_ref().is_none_or(|gpu| gpu.fallback) => "cpu",
        _ => "webgpu",
    }
}

/// A report of `config` before its start.
pub fn report(config: &Config, environment: Option<&Environment>, systems: &[SystemEntry]) -> Report {
    let auto = auto_backend(environment);
    let lanes = config
        .systems
        .iter()
        .map(|lane| {
            let (system, backend, params) = match lane {
                LaneConfig::Name(system) => (system, None::<BackendName>, BTreeMap::new()),
                LaneConfig::Full(full) => (&full.system, full.backend, full.params.clone()),
            };
            let entry = systems.iter().find(|entry| entry.id == *system);
            let causal = match entry.map(|entry| entry.causality.as_str()) {
                Some("causal-only") => true,
                Some("bidirectional-only") => false,
                _ => config.causal,
            };
            Lane {
                system: system.clone(),
                title: entry.map_or_else(|| title(system), |entry| entry.title.clone()),
                backend: backend_id(backend.unwrap_or(config.backend), auto).to_owned(),
                params,
                causal,
                verification: None,
                points: Vec::new(),
                exponent: None,
            }
        })
        .collect();
    Report {
        schema: config.schema(),
        config: config.clone(),
        environment: environment.cloned().unwrap_or_default(),
        started_at_ms: None,
        status: Status::Done,
        lanes,
        crossovers: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A display name derived from a stable name, until the catalogue is loaded.
fn title(id: &str) -> String {
    let mut chars = id.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_show_lanes_and_backends() {
        let report = report(&Config::default(), None, &[]);
        assert_eq!(report.lanes.len(), 2);
        assert_eq!(report.lanes[1].title, "Hyena");
        assert_eq!(report.lanes[1].backend, "webgpu");
        let no_gpu = Environment::default();
        assert_eq!(super::report(&Config::default(), Some(&no_gpu), &[]).lanes[0].backend, "cpu");
    }
}
