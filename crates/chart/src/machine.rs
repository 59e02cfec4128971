//! A short description of the machine of a report, for captions, names of past runs and shared results.

use report::{Environment, Gpu, Report};

use crate::words::Words;

/// The adapter's name.
pub fn gpu_name(gpu: &Gpu, text: &Words) -> String {
    let parts: Vec<&str> = [gpu.description.as_str(), &gpu.vendor, &gpu.architecture]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    // The description usually contains the vendor.
    match parts.first() {
        None => text.hw_gpu_unnamed.to_owned(),
        Some(first) if !gpu.description.is_empty() => (*first).to_owned(),
        Some(_) => parts.join(" "),
    }
}

/// The processor of a backend's lanes: `GPU nvidia ampere`, `CPU (8 threads, simd128)`.
pub fn processor(report: &Report, backend: &str, text: &Words) -> Option<String> {
    let environment = &report.environment;
    if backend == "cpu" {
        let threads = (text.hw_threads)(environment.threads.max(1));
        return Some(format!("{} ({threads}, {})", text.hw_cpu, environment.simd));
    }
    let gpu = environment.gpu.as_ref()?;
    let software = if gpu.fallback { format!(" ({})", text.figure_software) } else { String::new() };
    Some(format!("{} {}{software}", text.hw_gpu, gpu_name(gpu, text)))
}

/// The processors of the report's lanes.
pub fn processors(report: &Report, text: &Words) -> Vec<String> {
    ["webgpu", "cpu"]
        .into_iter()
        .filter(|backend| report.lanes.iter().any(|lane| lane.backend == *backend))
        .filter_map(|backend| processor(report, backend, text))
        .collect()
}

/// Processors and browser: `GPU nvidia ampere · Chrome 156`.
pub fn summary(report: &Report, text: &Words) -> String {
    let mut parts = processors(report, text);
    let program = program(&report.environment);
    if !program.is_empty() {
        parts.push(program);
    }
    parts.join(" · ")
}

/// The browser's name and major version, or the operating system for the command line.
pub fn program(environment: &Environment) -> String {
    let agent = &environment.agent;
    let version = |mark: &str| {
        let rest = agent.split_once(mark)?.1;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    };
    // Every browser's user agent contains the names of older ones, so the order matters.
    let browsers = [
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Version/", "Safari"),
    ];
    browsers
        .into_iter()
        .find_map(|(mark, name)| Some(format!("{name} {}", version(mark)?)))
        .unwrap_or_else(|| agent.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::words::{CHINESE, ENGLISH};

    #[test]
    fn browsers_are_recognised_by_name() {
        for (agent, name) in [
            ("Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36", "Chrome 156"),
            ("Mozilla/5.0 Chrome/156.0.0.0 Safari/537.36 Edg/156.0", "Edge 156"),
            ("Mozilla/5.0 (Macintosh) AppleWebKit/605 Version/26.1 Safari/605", "Safari 26"),
            ("Mozilla/5.0 (X11; rv:150.0) Gecko/20100101 Firefox/150.0", "Firefox 150"),
            ("linux x86_64", "linux x86_64"),
            ("", ""),
        ] {
            assert_eq!(program(&Environment { agent: agent.to_owned(), ..Environment::default() }), name);
        }
    }

    #[test]
    fn only_processors_that_raced_are_named() {
        let mut report = samples::duel();
        for text in [&ENGLISH, &CHINESE] {
            let all = processors(&report, text);
            assert!(all.len() == 1 && all[0].starts_with("GPU "), "{all:?}");
        }
        for lane in &mut report.lanes {
            "cpu".clone_into(&mut lane.backend);
        }
        assert!(processors(&report, &ENGLISH)[0].starts_with("CPU "));
    }
}
