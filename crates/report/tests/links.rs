//! Links of released versions stay readable forever: every file `tests/fixtures/*.link` decodes to the JSON beside it.
//! `BLESS=1 cargo test -p report --test links` writes the link of a new JSON file. An existing link is never changed.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use report::{Config, Linked, Report, decode_link, encode_config_link, encode_link};

fn fixtures(extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|found| found == extension));
    files.sort();
    files
}

#[test]
fn links_of_every_version_decode_as_before() {
    let links = fixtures("link");
    assert!(links.len() >= 3, "{links:?}");
    for path in links {
        let link = std::fs::read_to_string(&path).unwrap();
        let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let name = path.display();
        match decode_link(&link).unwrap_or_else(|error| panic!("{name}: {error}")) {
            Linked::Config(config) => assert_eq!(config, Config::from_json(&json).unwrap(), "{name}"),
            Linked::Report(report) => {
                assert_eq!(*report, Report::from_json(&json).unwrap(), "{name}");
                // The current encoder keeps the link's content, whatever its version.
                assert_eq!(decode_link(&encode_link(&report).unwrap()), Ok(Linked::Report(report)), "{name}");
            }
        }
    }
}

#[test]
fn the_current_encoder_writes_the_newest_fixtures() {
    for path in fixtures("json") {
        let link_path = path.with_extension("link");
        if std::env::var_os("BLESS").is_none() || link_path.exists() {
            continue;
        }
        let json = std::fs::read_to_string(&path).unwrap();
        let link = if path.to_string_lossy().contains("config") {
            encode_config_link(&Config::from_json(&json).unwrap()).unwrap()
        } else {
            let link = encode_link(&Report::from_json(&json).unwrap()).unwrap();
            // Links round their numbers, so the JSON contains the decoded values.
            let Linked::Report(report) = decode_link(&link).unwrap() else { panic!("a report") };
            std::fs::write(&path, serde_json::to_string_pretty(&report).unwrap() + "\n").unwrap();
            link
        };
        std::fs::write(link_path, link + "\n").unwrap();
    }
    for path in fixtures("link") {
        // A link is written in the oldest version that can store it.
        let link = std::fs::read_to_string(&path).unwrap();
        let again = match decode_link(&link).unwrap() {
            Linked::Config(config) => encode_config_link(&config).unwrap(),
            Linked::Report(report) => encode_link(&report).unwrap(),
        };
        assert_eq!(again, link.trim_end(), "{}", path.display());
    }
}

/// A real race of eleven systems at nine lengths from the command, modified to look like one in a browser with a GPU,
/// which gives the longest such links.
#[test]
fn a_real_race_of_eleven_lanes_at_nine_lengths_fits_in_2000_characters() {
    let json = include_str!("races/eleven-by-nine.json");
    let raced = Report::from_json(json).unwrap();
    let mut report = without_costs(raced.clone());
    assert_eq!(report.lanes.iter().map(|lane| lane.points.len()).sum::<usize>(), 99);
    let native = encode_link(&report).unwrap().len();
    report.environment = report::Environment {
        agent: "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) \
                Chrome/156.0.0.0 Safari/537.36"
            .to_owned(),
        host: "browser".to_owned(),
        simd: "relaxed-simd".to_owned(),
        gpu: Some(report::Gpu {
            vendor: "apple".to_owned(),
            architecture: "metal-3".to_owned(),
            api: "webgpu".to_owned(),
            max_storage_binding_bytes: 4_294_967_292.0,
            max_buffer_bytes: 4_294_967_296.0,
            max_workgroup_storage_bytes: 32_768.0,
            max_invocations_per_workgroup: 1024.0,
            timestamps: true,
            subgroups: true,
            shader_f16: true,
            kernels: [false, true]
                .map(|causal| report::ChosenKernel {
                    kernel: "attention".to_owned(),
                    d_head: 64,
                    causal,
                    variant: "tiles-8x8".to_owned(),
                    measured: true,
                })
                .to_vec(),
            ..report::Gpu::default()
        }),
        gpu_missing: None,
        roofline: Some(report::Roofline {
            cpu: Some(report::Peaks {
                flops_per_s: 1.17e11,
                f16_flops_per_s: None,
                transcendentals_per_s: None,
                bytes_per_s: 2.3e10,
                dispatch_ms: 0.0041,
            }),
            webgpu: Some(report::Peaks {
                flops_per_s: 6.1e12,
                f16_flops_per_s: Some(1.19e13),
                transcendentals_per_s: None,
                bytes_per_s: 3.4e11,
                dispatch_ms: 0.13,
            }),
        }),
        ..report.environment
    };
    let cpu = encode_link(&report).unwrap().len();
    report.config.backend = report::BackendName::Webgpu;
    for lane in &mut report.lanes {
        lane.backend = "webgpu".to_owned();
        for point in &mut lane.points {
            // Device times are slightly below the medians and scatter like the quartiles.
            point.device_ms = point.q1_ms.map(|ms| ms * 0.97);
        }
    }
    let gpu = encode_link(&report).unwrap().len();
    let (without_functions, judged) = {
        let judged = judged(report);
        (encode_link(&judged).unwrap().len(), encode_link(&with_functions(judged, &raced)).unwrap().len())
    };
    println!(
        "native {native}, in a browser {cpu}, on its GPU {gpu}, with verdicts {without_functions}, with what its \
         kernels execute {judged}"
    );
    // A QR code holds 2,953 characters.
    assert!(judged <= 2600, "{judged}");
    assert!(native.max(cpu).max(gpu) <= 2000, "native {native}, in a browser {cpu}, on its GPU {gpu}");
}

/// The race as recorded before executed operations were counted.
fn without_costs(mut report: Report) -> Report {
    for point in report.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
        (point.executed_flops, point.transcendentals) = (None, None);
    }
    report
}

/// Adds the executed operations and functions of `raced`, and peak rates of functions.
fn with_functions(mut report: Report, raced: &Report) -> Report {
    for (lane, raced) in report.lanes.iter_mut().zip(&raced.lanes) {
        for (point, raced) in lane.points.iter_mut().zip(&raced.points) {
            (point.executed_flops, point.transcendentals) = (raced.executed_flops, raced.transcendentals);
        }
    }
    let roofline = report.environment.roofline.as_mut().unwrap();
    roofline.cpu.as_mut().unwrap().transcendentals_per_s = Some(9.7e9);
    roofline.webgpu.as_mut().unwrap().transcendentals_per_s = Some(4.1e11);
    report
}

/// The race with intervals as wide as its quartiles and the resulting verdicts.
fn judged(mut report: Report) -> Report {
    for point in report.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
        (point.low_ms, point.high_ms, point.set_ups) = (point.q1_ms, point.q3_ms, 2);
    }
    for lane in 0..report.lanes.len() {
        let Some(baseline) = report.baseline_of(lane) else { continue };
        for at in 0..report.lanes[lane].points.len() {
            let own = &report.lanes[lane].points[at];
            let other = report.lanes[baseline].points.iter().find(|other| other.length == own.length);
            let speedup = other.and_then(|other| report::compare::speedup(other, own));
            report.lanes[lane].points[at].versus = speedup.and_then(|speedup| {
                let (low, high, verdict) = speedup.judged?;
                let baseline = u32::try_from(baseline).ok()?;
                Some(report::Versus { baseline, speedup: speedup.value, low, high, verdict })
            });
        }
    }
    report
}
