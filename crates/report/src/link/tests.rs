//! Links: encoding and decoding, damage, size limits, and the size of a large race.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;

use super::*;
use crate::testing::{decode_report, environment, report};
use crate::{Decoding, FullLane, LaneConfig, ParamValue, Point, Steps, Threads, Verdict, Verified, Versus};

fn large(gpu: bool, noise: &mut dyn FnMut() -> f64) -> Report {
    let systems = [
        ("attention", "Attention", 2.0),
        ("hyena", "Hyena", 1.1),
        ("monarch-mixer", "Monarch Mixer", 1.05),
        ("bigs", "BiGS", 1.2),
        ("mega", "Mega", 1.0),
        ("cfc", "CfC", 1.0),
        ("liquid-s4", "Liquid-S4", 1.15),
        ("longformer", "Longformer", 1.02),
        ("bigbird", "BigBird", 1.0),
        ("reformer", "Reformer", 1.1),
        ("linformer", "Linformer", 1.0),
    ];
    let lengths: Vec<u32> = (7..16).map(|bits| 1 << bits).collect();
    let mut report = report();
    report.config.systems = systems.iter().map(|(id, ..)| LaneConfig::Name((*id).to_owned())).collect();
    report.config.lengths.clone_from(&lengths);
    let template = report.lanes[1].clone();
    report.lanes = systems
        .iter()
        .map(|(id, title, exponent)| {
            let mut lane = template.clone();
            (lane.system, lane.title) = ((*id).to_owned(), (*title).to_owned());
            lane.backend = if gpu { "webgpu" } else { "cpu" }.to_owned();
            lane.params =
                [("order".to_owned(), ParamValue::Int(2)), ("emb_dim".to_owned(), ParamValue::Int(33))]
                    .into();
            if let Some(fit) = &mut lane.exponent {
                fit.estimate = exponent + 0.03 * noise();
                (fit.low, fit.high) = (fit.estimate - 0.02 * noise(), fit.estimate + 0.02 * noise());
                fit.log2_scale_ms = -14.0 + 5.0 * noise();
            }
            let scale = 0.01 + 0.05 * noise();
            let width = 256.0;
            lane.points = lengths
                .iter()
                .map(|&length| {
                    let l = f64::from(length);
                    let median = scale * (l / 128.0).powf(*exponent) * (1.0 + 0.06 * noise());
                    let q1 = median * (1.0 - 0.02 * noise());
                    Point {
                        length,
                        outcome: "ok".to_owned(),
                        message: None,
                        median_ms: Some(median),
                        q1_ms: Some(q1),
                        q3_ms: Some(median * (1.0 + 0.03 * noise())),
                        min_ms: Some(q1 * (1.0 - 0.02 * noise())),
                        samples: 15,
                        repeats: (200.0 / median).ceil() as u32,
                        discarded: 0,
                        device_ms: gpu.then_some(median * (0.9 + 0.05 * noise())),
                        setup_ms: Some(3.0 * scale * l / 128.0 * (1.0 + noise())),
                        first_run_ms: Some(median * (1.1 + 0.4 * noise())),
                        predicted_ms: None,
                        flops: 8.0 * l * width * width + 4.0 * l.powf(*exponent) * width * l.log2(),
                        bytes: 4.0 * (8.0 * l * width + 4.0 * width * width),
                        peak_bytes: 4.0 * (13.0 * l * width + 4.0 * width * width + 77_777.0),
                        decode_state_bytes: 8.0 * l * width,
                        verified: Some(Verified {
                            length,
                            max_abs: Some(1e-6 * (1.0 + 3.0 * noise())),
                            max_rel: Some(1e-7 * (1.0 + 3.0 * noise())),
                            pass: true,
                        }),
                        ..Point::default()
                    }
                })
                .collect();
            lane
        })
        .collect();
    report.crossovers = (1..11)
        .map(|challenger| {
            let estimate = 300.0 + 20_000.0 * noise();
            let [low, high] = [estimate * 0.9, estimate * 1.2].map(Some);
            let kind = crate::CrossoverKind::Measured;
            crate::Crossover { challenger, baseline: 0, kind, estimate: Some(estimate), low, high }
        })
        .collect();
    report.warnings.clear();
    report.validate().unwrap();
    report
}

/// Adds an interval and set-ups to every measured point and, where attention was measured, a verdict.
fn judged(mut report: Report, noise: &mut dyn FnMut() -> f64) -> Report {
    for point in report.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
        let Some(median) = point.median_ms else { continue };
        let half = 0.001 + 0.02 * noise() * noise();
        point.low_ms = Some((median / (1.0 + half * (0.7 + 0.6 * noise()))).max(1e-12));
        point.high_ms = Some((median * (1.0 + half * (0.7 + 0.6 * noise()))).min(1e12));
        point.set_ups = 2 + u32::from(noise() > 0.8);
    }
    // As for real kernels: executed operations equal to the field's count or a share more or fewer; functions per token
    // or, with attention, per pair of tokens; none for some lanes.
    for (index, lane) in report.lanes.iter_mut().enumerate() {
        let (more, of_pairs) = (1.0 + (index % 3) as f64 * 0.2 * (noise() - 0.3), index % 4 == 0);
        for point in &mut lane.points {
            let l = f64::from(point.length);
            let functions = if of_pairs { 8.0 * l * l + 16.0 * l } else { 256.0 * l };
            point.executed_flops = Some((point.flops * more).round().min(1e19));
            point.transcendentals = Some(if index % 5 == 1 { 0.0 } else { functions });
        }
    }
    for lane in 0..report.lanes.len() {
        let Some(baseline) = report.baseline_of(lane) else { continue };
        for at in 0..report.lanes[lane].points.len() {
            let own = &report.lanes[lane].points[at];
            let points = &report.lanes[baseline].points;
            let other = points.iter().find(|other| other.length == own.length).cloned();
            let speedup = other.and_then(|other| crate::compare::speedup(&other, own));
            report.lanes[lane].points[at].versus = speedup.and_then(|speedup| {
                let (low, high, verdict) = speedup.judged?;
                let baseline = u32::try_from(baseline).unwrap();
                Some(Versus { baseline, speedup: speedup.value, low, high, verdict })
            });
        }
    }
    for exponent in report.lanes.iter_mut().filter_map(|lane| lane.exponent.as_mut()) {
        let estimate = 1.0 + noise().round();
        exponent.leading = Some(crate::Leading { estimate, low: estimate - 0.02, high: estimate + 0.01 });
    }
    report
}

/// A fixed pseudo-random sequence between 0 and 1.
fn noise() -> impl FnMut() -> f64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn decoded(link: &str) -> Report {
    match decode_link(link).unwrap() {
        Linked::Report(report) => *report,
        Linked::Config(_) => panic!("a report"),
    }
}

/// Most characters of a link to eleven lanes at nine lengths; fewer than a QR code holds.
const LARGE: usize = 2500;

#[test]
fn eleven_lanes_at_nine_lengths_fit_in_2500_characters() {
    for gpu in [false, true] {
        let plain = large(gpu, &mut noise());
        let (without, link) =
            (encode_link(&plain).unwrap(), encode_link(&judged(plain, &mut noise())).unwrap());
        println!("gpu {gpu}: {} without verdicts, {} with them", without.len(), link.len());
        assert!(link.len() <= LARGE, "{} characters, gpu: {gpu}", link.len());
    }
}

#[test]
fn a_link_keeps_verdicts_and_an_interval_that_holds_the_measured_one() {
    let mut noise = noise();
    let mut report = large(false, &mut noise);
    // A copy of the attention lane, so that every verdict occurs.
    report.lanes[1].points = report.lanes[0].points.clone();
    let report = judged(report, &mut noise);
    let back = decoded(&encode_link(&report).unwrap());
    let mut verdicts = [0; 3];
    for (lane, was) in back.lanes.iter().zip(&report.lanes) {
        for (point, was) in lane.points.iter().zip(&was.points) {
            let (low, high) = point.low_ms.zip(point.high_ms).unwrap();
            assert!(low <= was.low_ms.unwrap() * 1.001 && high >= was.high_ms.unwrap() / 1.001);
            assert!(low >= was.low_ms.unwrap() * 0.995 && high <= was.high_ms.unwrap() * 1.005);
            assert_eq!(point.set_ups, was.set_ups);
            let (Some(versus), Some(was)) = (point.versus, was.versus) else {
                assert_eq!((point.versus, lane.system.as_str()), (None, "attention"));
                continue;
            };
            assert_eq!((versus.verdict, versus.baseline), (was.verdict, was.baseline));
            assert!((versus.speedup / was.speedup - 1.0).abs() < 1e-3, "{versus:?} {was:?}");
            assert!(versus.low <= was.low * 1.001 && versus.high >= was.high / 1.001, "{versus:?} {was:?}");
            assert!(versus.low >= was.low * 0.99 && versus.high <= was.high * 1.01, "{versus:?} {was:?}");
            verdicts[versus.verdict as usize] += 1;
        }
    }
    assert!(verdicts.iter().all(|count| *count > 0), "{verdicts:?}");
    assert_eq!(as_linked(&report), Ok(back));
}

#[test]
fn a_link_keeps_the_roofline_share() {
    let mut report = judged(large(true, &mut noise()), &mut noise());
    let peaks = |transcendentals_per_s| crate::Peaks {
        flops_per_s: 1e9,
        f16_flops_per_s: None,
        transcendentals_per_s,
        bytes_per_s: 1e12,
        dispatch_ms: 0.1,
    };
    let points = &mut report.lanes[2].points;
    (points[0].executed_flops, points[1].transcendentals) = (None, None);
    (points[2].executed_flops, points[3].flops) = (Some(0.0), 0.0);
    (points[4].executed_flops, points[4].transcendentals) = (Some(18_446_744_073_709_551_616.0), Some(1e19));
    report.lanes[3].backend = "cpu".to_owned();
    report.lanes[3].points.iter_mut().for_each(|point| (point.device_ms, point.versus) = (None, None));
    for (cpu, webgpu) in [(Some(3e7), Some(2.5e8)), (None, Some(2.5e8)), (Some(3e7), None), (None, None)] {
        let roofline = crate::Roofline { cpu: Some(peaks(cpu)), webgpu: Some(peaks(webgpu)) };
        report.environment.roofline = Some(roofline);
        report.validate().unwrap();
        let back = decoded(&encode_link(&report).unwrap());
        let close = |got: Option<f64>, was: Option<f64>, error: f64| match (got, was) {
            (Some(got), Some(was)) => assert!((got - was).abs() <= error * was, "{got} for {was}"),
            both => assert_eq!(both, (None, None)),
        };
        let linked = back.environment.roofline.unwrap();
        close(linked.cpu.unwrap().transcendentals_per_s, cpu, 2e-3);
        close(linked.webgpu.unwrap().transcendentals_per_s, webgpu, 2e-3);
        let shares = report.clone().with_shares();
        for (lane, was) in back.lanes.iter().zip(&shares.lanes) {
            for (point, was) in lane.points.iter().zip(&was.points) {
                close(point.executed_flops, was.executed_flops, 2e-3);
                close(point.transcendentals, was.transcendentals, 8e-3);
                close(point.roofline_share, was.roofline_share, 1.1e-2);
            }
        }
        assert_eq!(as_linked(&report), Ok(back));
    }
}

#[test]
fn executed_operations_and_peaks_of_functions_need_the_newest_version() {
    let old = without_statistics(report());
    let peaks = crate::Peaks {
        flops_per_s: 1e9,
        f16_flops_per_s: None,
        transcendentals_per_s: None,
        bytes_per_s: 1e10,
        dispatch_ms: 0.1,
    };
    let with = |transcendentals_per_s| {
        let mut report = old.clone();
        let cpu = Some(crate::Peaks { transcendentals_per_s, ..peaks });
        report.environment.roofline = Some(crate::Roofline { cpu, webgpu: None });
        report
    };
    assert!(encode_link(&with(None)).unwrap().starts_with("#r=2"));
    assert!(encode_link(&with(Some(1e8))).unwrap().starts_with("#r=4"));
    for (executed_flops, transcendentals) in [(Some(1e6), None), (None, Some(0.0))] {
        let mut report = old.clone();
        let point = &mut report.lanes[0].points[0];
        (point.executed_flops, point.transcendentals) = (executed_flops, transcendentals);
        assert!(encode_link(&report).unwrap().starts_with("#r=4"));
    }
}

#[test]
fn costs_and_peaks_that_no_machine_has_are_refused() {
    let mut report = report();
    let body = |report: &Report, peaks: Option<f64>| {
        let mut described = report.clone();
        let cpu = peaks.map(|rate| crate::Peaks {
            flops_per_s: 1e9,
            f16_flops_per_s: None,
            transcendentals_per_s: Some(rate),
            bytes_per_s: 1e10,
            dispatch_ms: 0.1,
        });
        described.environment.roofline = Some(crate::Roofline { cpu, webgpu: None });
        let body = report::Body::new(&described, true);
        let mut linked = body.report(Task::Forward).unwrap();
        LinkDevice::new(&described.environment).describe(&mut linked.environment).unwrap();
        let statistics = LinkStatistics::new(&described, &mut linked).unwrap();
        // Without a roofline in `report`, the rest of the link has none.
        let parts = (body, LinkDevice::new(&report.environment), statistics);
        framed_as(Version::Four, REPORT, &postcard::to_allocvec(&parts).unwrap())
    };
    assert!(decode_link(&body(&report, None)).is_ok());
    let error = decode_link(&body(&report, Some(1e8))).unwrap_err();
    assert!(error.to_string().contains("a peak of no backend"), "{error}");
    // Steps beyond the range of amounts, below 0, and without a number.
    for distance in [100 << 8, -(1 << 40), i64::MAX, i64::MIN] {
        let mut statistics = LinkStatistics::new(&report, &mut report.clone()).unwrap();
        statistics.shift_first_costs(distance, 0);
        let mut linked = report.clone();
        let read = statistics.describe(&mut linked).and_then(|()| Ok(linked.validate()?));
        assert!(read.is_err(), "{distance}");
        let mut statistics = LinkStatistics::new(&report, &mut report.clone()).unwrap();
        statistics.shift_first_costs(0, distance);
        let mut linked = report.clone();
        let read = statistics.describe(&mut linked).and_then(|()| Ok(linked.validate()?));
        assert!(read.is_err(), "{distance}");
    }
    report.lanes[0].points[0].executed_flops = Some(2e19);
    assert!(matches!(encode_link(&report), Err(LinkError::Report(_))));
}

#[test]
fn a_verdict_near_1_keeps_its_interval_on_its_side() {
    let mut report = report();
    for (speedup, low, high, verdict) in [
        (1.012, 1.000_01, 1.03, Verdict::Ahead),
        (1.000_2, 1.000_1, 1.03, Verdict::Ahead),
        (0.985, 0.97, 0.999_99, Verdict::Behind),
        (0.999_9, 0.97, 0.999_95, Verdict::Behind),
        (1.004, 1.001, 1.007, Verdict::Undecided),
        (1.0, 1.0, 1.0, Verdict::Undecided),
    ] {
        let other = report.lanes[0].points[0].clone();
        let own = &mut report.lanes[1].points[0];
        let median = other.median_ms.unwrap() / speedup;
        (own.median_ms, own.q1_ms, own.min_ms) = (Some(median), Some(median), Some(median));
        (own.q3_ms, own.low_ms, own.high_ms) = (Some(median), Some(median * 0.99), Some(median * 1.01));
        own.versus = Some(Versus { baseline: 0, speedup, low, high, verdict });
        report.validate().unwrap();
        let link = encode_link(&report).unwrap();
        let back = decoded(&link);
        assert_eq!(back.lanes[1].points[0].versus.unwrap().verdict, verdict);
        assert_eq!((encode_link(&back).unwrap(), as_linked(&report)), (link, Ok(back)));
    }
}

#[test]
fn every_kind_of_crossover_survives_a_link() {
    for (kind, at) in [
        (crate::CrossoverKind::AtMost, Some(256.0)),
        (crate::CrossoverKind::AtMost, Some(1024.0)),
        (crate::CrossoverKind::Measured, Some(256.0)),
        (crate::CrossoverKind::Undecided, None),
        (crate::CrossoverKind::None, None),
    ] {
        for mut report in [report(), without_statistics(report())] {
            let crossover = &mut report.crossovers[0];
            *crossover = crate::Crossover { kind, estimate: at, low: at, high: at, ..*crossover };
            report.validate().unwrap();
            let back = decoded(&encode_link(&report).unwrap());
            assert_eq!(back.crossovers, report.crossovers);
            assert_eq!(as_linked(&report), Ok(back));
        }
    }
}

#[test]
fn a_link_keeps_what_decoding_has() {
    let report = decode_report();
    let link = encode_link(&report).unwrap();
    assert!(link.starts_with("#r=5"));
    let back = decoded(&link);
    assert_eq!((&back.config, back.schema), (&report.config, 3));
    let close = |got: f64, was: f64, error: f64| {
        assert!((got - was).abs() <= error * was, "{got} for {was}");
    };
    for (lane, was) in back.lanes.iter().zip(&report.lanes) {
        for (point, was) in lane.points.iter().zip(&was.points) {
            let (Some(decode), Some(was)) = (point.decode, was.decode) else {
                assert_eq!((point.decode, was.decode, point.outcome.as_str()), (None, None, "memory"));
                continue;
            };
            close(decode.state_bytes, was.state_bytes, 2e-3);
            close(decode.prefill_ms.unwrap(), was.prefill_ms.unwrap(), 5e-4);
            close(decode.prefill_flops, was.prefill_flops, 2e-3);
            close(decode.prefill_executed_flops, was.prefill_executed_flops, 2e-3);
            close(decode.prefill_transcendentals, was.prefill_transcendentals, 8e-3);
            close(decode.prefill_bytes, was.prefill_bytes, 2e-3);
            let (steps, was) = (decode.steps.unwrap(), was.steps.unwrap());
            assert_eq!(steps.tokens, was.tokens);
            close(steps.median_ms, was.median_ms, 4.5e-3);
            close(steps.p99_ms, was.p99_ms, 4.5e-3);
            close(steps.worst_ms, was.worst_ms, 4.5e-3);
        }
    }
    assert_eq!(encode_link(&back).unwrap(), link);
    assert_eq!(as_linked(&report), Ok(back));
}

#[test]
fn links_of_decode_races_stay_short() {
    let mut noise = noise();
    let forward = judged(large(false, &mut noise), &mut noise);
    let mut report = forward.clone();
    (report.config.mode, report.schema) = (Task::Decode { tokens: 128 }, 3);
    for point in report.lanes.iter_mut().flat_map(|lane| &mut lane.points) {
        let (l, median) = (f64::from(point.length), point.median_ms.unwrap());
        point.decode = Some(Decoding {
            state_bytes: point.decode_state_bytes,
            prefill_ms: Some(median * l * (0.1 + 0.03 * noise())),
            prefill_flops: 8.0 * l * 65_536.0 + 1024.0 * l * l,
            prefill_executed_flops: 8.0 * l * 65_536.0 + 1040.0 * l * l,
            prefill_transcendentals: 8.0 * l * l + 16.0 * l,
            prefill_bytes: 4.0 * (8.0 * l * 256.0 + 262_144.0),
            prefill_roofline_share: None,
            steps: Some(Steps {
                tokens: 128,
                median_ms: median * (1.0 + 0.02 * noise()),
                p99_ms: median * (1.1 + 0.3 * noise()),
                worst_ms: median * (1.5 + 2.0 * noise()),
            }),
        });
    }
    report.validate().unwrap();
    let (link, without) = (encode_link(&report).unwrap().len(), encode_link(&forward).unwrap().len());
    println!("{link} characters, {without} without decoding");
    // A QR code holds 2,953 characters.
    assert!(link <= 2900, "{link}");
}

#[test]
fn decoding_that_no_race_has_is_refused_in_a_link() {
    let report = decode_report();
    let mode = LinkMode::new(&report.config).unwrap();
    let parts = |mode: LinkMode, decoding: &LinkDecoding| {
        let body = report::Body::new(&report, true);
        let device = LinkDevice::new(&report.environment);
        let statistics = LinkStatistics::new(&report, &mut body.report(report.config.mode).unwrap()).unwrap();
        let body = postcard::to_allocvec(&(mode, body, device, statistics, decoding)).unwrap();
        decode_link(&framed_as(Version::Five, REPORT, &body))
    };
    assert!(parts(mode, &LinkDecoding::new(&report)).is_ok());
    for tokens in [0, 4097, u32::MAX] {
        let error = parts(LinkMode { tokens }, &LinkDecoding::new(&report)).unwrap_err();
        assert_eq!(error.field(), Some("tokens"), "{error}");
    }
    for (index, change) in LinkDecoding::HOSTILE.into_iter().enumerate() {
        let mut decoding = LinkDecoding::new(&report);
        change(&mut decoding);
        assert!(parts(mode, &decoding).is_err(), "{index}");
    }
    // Version 4 has no decoding, and versions 2 to 4 no configurations.
    let body = postcard::to_allocvec(&(mode, config::Body::new(&report.config))).unwrap();
    assert!(decode_link(&framed_as(Version::Five, 0, &body)).is_ok());
    for version in [Version::One, Version::Two, Version::Three, Version::Four] {
        assert!(decode_link(&framed_as(version, 0, &body)).is_err());
    }
}

#[test]
fn a_decode_configuration_keeps_its_tokens() {
    let config = Config { mode: Task::Decode { tokens: 7 }, lengths: vec![64, 32], ..Config::default() };
    let link = encode_config_link(&config).unwrap();
    assert!(link.starts_with("#r=5") && link.len() < 60, "{link}");
    assert_eq!(decode_link(&link), Ok(Linked::Config(config.clone())));
    // Repaired like any other link.
    assert_eq!(
        decode_link(&format!("see <https://x.org/%23r%3D{}>.", &link[3..])),
        Ok(Linked::Config(config))
    );
    assert!(encode_config_link(&Config::default()).unwrap().starts_with("#r=1"));
}

/// The report in format 1.
fn without_statistics(mut report: Report) -> Report {
    for lane in &mut report.lanes {
        for point in &mut lane.points {
            *point = Point {
                low_ms: None,
                high_ms: None,
                set_ups: 0,
                versus: None,
                full_attention: false,
                needed_ms: None,
                executed_flops: None,
                transcendentals: None,
                ..point.clone()
            };
        }
        if let Some(exponent) = &mut lane.exponent {
            exponent.leading = None;
        }
    }
    report
}

#[test]
fn a_report_without_verdicts_is_written_for_older_readers() {
    assert!(encode_link(&report()).unwrap().starts_with("#r=4"));
    let mut old = without_statistics(report());
    assert!(encode_link(&old).unwrap().starts_with("#r=1"));
    // Older readers read a bound at the shortest length correctly.
    let at = Some(256.0);
    let crossover = &mut old.crossovers[0];
    (crossover.kind, crossover.estimate, crossover.low, crossover.high) =
        (crate::CrossoverKind::AtMost, at, at, at);
    assert!(encode_link(&old).unwrap().starts_with("#r=1"));
    // A measured crossover of format 1 there is the same bound, and is converted to it.
    let mut older = old.clone();
    (older.schema, older.crossovers[0].kind) = (1, crate::CrossoverKind::Measured);
    assert_eq!(decoded(&encode_link(&older).unwrap()).crossovers, old.crossovers);
    // Older readers have no undecided crossovers.
    let crossover = &mut old.crossovers[0];
    (crossover.kind, crossover.estimate, crossover.low, crossover.high) =
        (crate::CrossoverKind::Undecided, None, None, None);
    assert!(encode_link(&old).unwrap().starts_with("#r=4"));
    let body = postcard::to_allocvec(&report::Body::new(&old, true)).unwrap();
    let error = decode_link(&framed(REPORT, &body)).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn a_report_keeps_every_word_and_three_digits() {
    let report = report();
    let link = encode_link(&report).unwrap();
    let back = decoded(&link);
    assert_eq!(
        (&back.config, back.started_at_ms, back.status),
        (&report.config, report.started_at_ms, report.status)
    );
    // Links carry messages without arguments.
    assert_eq!(back.clone().with_reasons_of(&report).warnings, report.warnings);
    assert_eq!(back.environment.gpu.as_ref().unwrap().max_storage_binding_bytes, 2_147_483_648.0);
    let close = |a: Option<f64>, b: Option<f64>, digits: f64| match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= digits * b, "{a} for {b}"),
        other => assert_eq!(other, (None, None)),
    };
    for (lane, was) in back.lanes.iter().zip(&report.lanes) {
        assert_eq!((&lane.system, &lane.title, &lane.params), (&was.system, &was.title, &was.params));
        for (point, was) in lane.points.iter().zip(&was.points) {
            assert_eq!(
                (point.length, &point.outcome, &point.message),
                (was.length, &was.outcome, &was.message)
            );
            assert_eq!((point.samples, point.repeats), (was.samples, was.repeats));
            close(point.median_ms, was.median_ms, 5e-4);
            close(point.q1_ms, was.q1_ms, 4.5e-3);
            close(point.predicted_ms, was.predicted_ms, 5e-4);
            close(point.setup_ms, was.setup_ms, 6.3e-2);
            close(Some(point.peak_bytes), Some(was.peak_bytes), 2e-3);
        }
    }
    assert_eq!(encode_link(&back).unwrap(), link);
}

#[test]
fn a_whole_address_a_fragment_and_bare_data_are_read() {
    let fragment = encode_config_link(&Config::default()).unwrap();
    let bare = fragment.strip_prefix("#r=").unwrap();
    for link in [
        fragment.clone(),
        bare.to_owned(),
        format!("r={bare}"),
        format!("https://example.org/crossover/?x=1{fragment}"),
        format!("  https://example.org/embed.html{fragment}&theme=dark\n"),
        format!("https://example.org/%23r%3D{bare}"),
    ] {
        assert_eq!(decode_link(&link), Ok(Linked::Config(Config::default())), "{link}");
    }
    assert!(fragment.len() < 60, "{fragment}");
}

#[test]
fn fault_21_text_without_a_link_is_refused() {
    for (link, code) in [
        ("", "link-empty"),
        ("#", "link-empty"),
        ("  ", "link-empty"),
        ("#r=", "link-empty"),
        ("https://example.org/", "link-no-race"),
        ("hello world", "link-no-race"),
        ("hello", "link-no-race"),
        ("9AAAA", "link-newer"),
        ("#r=1", "link-damaged"),
        ("#r=1AAAA", "link-damaged"),
        ("#r=1a b", "link-damaged"),
        ("#r=1AA==", "link-damaged"),
        ("#r=!abc", "link-no-race"),
        ("#r=é", "link-no-race"),
        ("#r=0AAAAAAAA", "link-version"),
        ("#r=6AAAAAAAA", "link-newer"),
        ("#r=zAAAAAAAA", "link-newer"),
    ] {
        assert_eq!(decode_link(link).unwrap_err().code(), code, "{link:?}");
    }
    let fragment = encode_config_link(&Config::default()).unwrap();
    for junk in ["A", "1", "AAAA", "abc.", "x)"] {
        assert!(decode_link(&format!("{fragment}{junk}")).is_err(), "{junk:?}");
    }
    // Unused bits must be zero.
    let free = encode_config_link(&Config { lengths: vec![1], ..Config::default() }).unwrap();
    assert!(decode_link(&free).is_ok());
}

#[test]
fn fault_21_any_cut_and_any_flipped_bit_is_an_error() {
    let decode = Config { mode: Task::Decode { tokens: 9 }, ..Config::default() };
    for link in [
        encode_config_link(&Config::default()).unwrap(),
        encode_config_link(&decode).unwrap(),
        encode_link(&report()).unwrap(),
    ] {
        for cut in 0..link.len() {
            assert!(decode_link(&link[..cut]).is_err(), "cut at {cut}");
        }
        for position in 3..link.len() {
            for bit in 0..7 {
                let mut bytes = link.clone().into_bytes();
                bytes[position] ^= 1 << bit;
                let text = String::from_utf8(bytes).unwrap();
                // Text after `&` is not part of the link, so the link is cut. Trailing white space is ignored.
                assert!(decode_link(&text).is_err(), "bit {bit} at {position}");
            }
        }
    }
}

#[test]
fn fault_22_bombs_and_long_links_are_refused_quickly() {
    let long = format!("#r=1{}", "A".repeat(MAX_LINK_BYTES));
    assert_eq!(decode_link(&long).unwrap_err().code(), "link-too-long");
    // 32 MiB of zeros in about 32 kB.
    let packed = miniz_oxide::deflate::compress_to_vec(&vec![0; 32 << 20], 10);
    for kind in [DEFLATED, DEFLATED | REPORT] {
        assert_eq!(decode_link(&framed(kind, &packed)).unwrap_err().code(), "link-too-large");
    }
}

/// A link of version 1 with a valid checksum around any body.
fn framed(kind: u8, body: &[u8]) -> String {
    framed_as(Version::One, kind, body)
}

fn framed_as(version: Version, kind: u8, body: &[u8]) -> String {
    let mut data = vec![kind];
    data.extend(body);
    data.extend(checksum(version, &data).to_le_bytes());
    format!("#r={}{}", version.character(), BASE64URL_NOPAD.encode(&data))
}

#[test]
fn fault_22_oversized_bodies_and_nested_streams_are_refused() {
    for kind in [DEFLATED, DEFLATED | REPORT] {
        let at_cap = miniz_oxide::deflate::compress_to_vec(&vec![0; MAX_BODY_BYTES], 10);
        assert_eq!(decode_link(&framed(kind, &at_cap)).unwrap_err().code(), "link-malformed");
        let over = miniz_oxide::deflate::compress_to_vec(&vec![0; MAX_BODY_BYTES + 1], 10);
        assert_eq!(decode_link(&framed(kind, &over)).unwrap_err().code(), "link-too-large");
        // A nested stream is not inflated again, and a second stream after the first one is an error.
        let nested = miniz_oxide::deflate::compress_to_vec(&over, 10);
        assert!(decode_link(&framed(kind, &nested)).is_err());
    }
    let body = postcard::to_allocvec(&config::Body::new(&Config::default())).unwrap();
    assert!(decode_link(&framed(0, &body)).is_ok());
    assert_eq!(decode_link(&framed(0, &[body.clone(), body].concat())).unwrap_err().code(), "link-malformed");
}

#[test]
fn fault_23_unknown_versions_are_named() {
    let data = encode_link(&report()).unwrap().split_off(4);
    for (version, code, says) in [
        ('0', "link-version", "version 0"),
        ('6', "link-newer", "newer Crossover"),
        ('Z', "link-newer", "(format Z)"),
    ] {
        let error = decode_link(&format!("https://example.org/#r={version}{data}")).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn fault_25_hostile_text_in_a_link_is_refused_or_stays_text() {
    for bad in ["a\0b", "\u{202e}gnp.exe", "\u{2066}x", &"x".repeat(10_000)] {
        let mut evil = report();
        bad.clone_into(&mut evil.lanes[0].title);
        let body = postcard::to_allocvec(&report::Body::new(&evil, false)).unwrap();
        let error = decode_link(&framed(REPORT, &body)).unwrap_err();
        assert!(error.field() == Some("lanes[0].title") || error.code() == "link-malformed", "{error}");
    }
    // Harmless text is unchanged.
    for text in ["<script>alert(1)</script>", "javascript:alert(1)", "=1+1", "}*{background:red", "</script>"]
    {
        let mut odd = report();
        text.clone_into(&mut odd.lanes[0].title);
        assert_eq!(decoded(&encode_link(&odd).unwrap()).lanes[0].title, text);
    }
}

#[test]
fn fault_21_links_that_chat_programs_escaped_are_read() {
    let link = encode_link(&report()).unwrap();
    let data = link.strip_prefix("#r=").unwrap();
    for escaped in
        [format!("https://x.org/%23r={data}"), format!("https://x.org/%23r%3d{data}"), format!("<{link}")]
    {
        assert_eq!(decoded(&escaped), decoded(&link));
    }
    // Another alphabet, or unused bits in the last character, would be alternative spellings, which are refused.
    // Padding is ignored like any text after a link.
    for other in [link.replace('-', "+"), link.replace('_', "/")] {
        assert!(other == link || decode_link(&other).is_err(), "{other}");
    }
    assert_eq!(decoded(&format!("{link}==")), decoded(&link));
    let bare = encode_config_link(&Config { lengths: vec![1], ..Config::default() }).unwrap();
    if !(bare.len() - 4).is_multiple_of(4) {
        let (head, last) = bare.split_at(bare.len() - 1);
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let twins = alphabet.chars().filter(|c| decode_link(&format!("{head}{c}")).is_ok()).count();
        assert_eq!(twins, 1, "{last}");
    }
}

#[test]
fn fault_24_links_obey_the_pages_limits() {
    let bad = [
        Config { heads: 0, ..Config::default() },
        Config { lengths: vec![1 << 31], ..Config::default() },
        Config { lengths: vec![256; 10_000], ..Config::default() },
        Config { budget_ms: f64::NAN, ..Config::default() },
        Config { threads: Threads::Count(100_000), ..Config::default() },
        Config { systems: vec![LaneConfig::Name("<script>".into())], ..Config::default() },
    ];
    for config in bad {
        let wanted = config.check().unwrap_err();
        assert_eq!(encode_config_link(&config), Err(LinkError::Config(wanted.clone())));
        let body = postcard::to_allocvec(&config::Body::new(&config)).unwrap();
        // A list that is too long is refused before it is allocated; all other errors name the field.
        let error = decode_link(&framed(0, &body)).unwrap_err();
        let early = config.lengths.len() > 32 && error.code() == "link-malformed";
        assert!(early || error == LinkError::Config(wanted), "{error}");
    }
    let mut report = report();
    let mut many = report.clone();
    many.lanes[0].points = vec![report.lanes[0].points[0].clone(); 1000];
    let body = postcard::to_allocvec(&report::Body::new(&many, false)).unwrap();
    assert_eq!(decode_link(&framed(REPORT, &body)).unwrap_err().code(), "link-malformed");
    report.lanes[0].points[0].message = Some("\u{202e}".into());
    let body = postcard::to_allocvec(&report::Body::new(&report, false)).unwrap();
    assert!(matches!(decode_link(&framed(REPORT, &body)), Err(LinkError::Report(_))));
    assert!(matches!(encode_link(&report), Err(LinkError::Report(_))));
}

fn any_config() -> impl Strategy<Value = Config> {
    let value = prop_oneof![
        any::<bool>().prop_map(ParamValue::Bool),
        any::<i64>().prop_map(ParamValue::Int),
        (-1e9..1e9_f64).prop_map(ParamValue::Float),
        "[a-zA-Zé ]{0,10}".prop_map(ParamValue::Text),
    ];
    let backend = prop::sample::select(vec![
        crate::BackendName::Cpu,
        crate::BackendName::Webgpu,
        crate::BackendName::Auto,
    ]);
    let lane = (
        // Long enough that all lanes differ.
        "[a-z][a-z0-9-]{8,12}",
        prop::option::of(backend.clone()),
        prop::collection::btree_map("[a-z_]{1,12}", value, 0..4),
        any::<bool>(),
    )
        .prop_map(|(system, backend, params, short)| {
            if short {
                LaneConfig::Name(system)
            } else {
                LaneConfig::Full(FullLane { system, backend, params })
            }
        });
    (
        prop::collection::vec(lane, 1..6),
        prop::collection::vec(1..=4096_u32, 1..8),
        (1..=8_u32, 1..=16_u32, 1..=4_u32, any::<bool>(), any::<bool>(), backend),
        prop::option::of(1..=256_u32),
        100.0..86_400_000.0_f64,
        any::<u32>(),
        prop::option::of(1..=4096_usize),
    )
        .prop_map(|(systems, lengths, sizes, threads, budget, seed, tokens)| {
            let (heads, per_head, batch, causal, core, backend) = sizes;
            Config {
                systems,
                mode: tokens.map_or(Task::Forward, |tokens| Task::Decode { tokens }),
                lengths,
                width: heads * per_head,
                heads,
                batch,
                causal: causal || tokens.is_some(),
                level: if core { crate::LevelName::Core } else { crate::LevelName::Layer },
                backend,
                threads: threads.map_or(Threads::Auto, Threads::Count),
                budget_ms: if seed % 2 == 0 { budget.round() } else { budget },
                seed,
            }
        })
}

fn any_decoding() -> impl Strategy<Value = Decoding> {
    let steps = (0.0..=1.0_f64, prop::array::uniform3(1e-12..1e12_f64));
    (
        prop::array::uniform5(prop_oneof![Just(0.0), 0.0..1e19_f64]),
        prop::option::of(1e-12..1e12_f64),
        prop::option::of(steps),
    )
        .prop_map(|([state_bytes, flops, executed, functions, bytes], prefill_ms, steps)| Decoding {
            state_bytes,
            prefill_ms,
            prefill_flops: flops,
            prefill_executed_flops: executed,
            prefill_transcendentals: functions,
            prefill_bytes: bytes,
            prefill_roofline_share: None,
            steps: steps.map(|(share, mut times)| {
                times.sort_by(f64::total_cmp);
                let [median_ms, p99_ms, worst_ms] = times;
                // The tokens of a race are known later.
                Steps { tokens: (share * 4096.0) as u32, median_ms, p99_ms, worst_ms }
            }),
        })
}

/// Index of `not-verified` among the outcomes.
const NOT_VERIFIED: usize = 7;

fn any_report() -> impl Strategy<Value = Report> {
    let time = || prop::option::of(1e-9..1e9_f64);
    let verified = || {
        let abs = || prop::option::of(0.0..1e3_f64);
        prop::option::of((1..=4096_u32, abs(), abs(), any::<bool>())).prop_map(|all| {
            all.map(|(length, max_abs, max_rel, pass)| Verified {
                length,
                max_abs,
                max_rel,
                pass: pass && max_abs.is_some(),
            })
        })
    };
    let costs = prop::array::uniform2(prop::option::of(prop_oneof![Just(0.0), 0.0..1e19_f64]));
    let point = (
        0..crate::validate::OUTCOMES.len(),
        prop::option::of("[a-zé \"<]{0,30}"),
        prop::array::uniform4(1e-12..1e12_f64),
        any::<bool>(),
        (1..=1_000_000_u32, 1..=1_000_000_u32, 0..=9_u32),
        (time(), time(), time(), time()),
        (prop::array::uniform4(0.0..1e19_f64), costs),
        verified(),
        prop::option::of(any_decoding()),
    )
        .prop_map(
            |(outcome, message, mut times, timed, counts, extra, (amounts, costs), verified, decode)| {
                times.sort_by(f64::total_cmp);
                // No race reports a wrong output as `ok`.
                let wrong = verified.is_some_and(|verified: Verified| !verified.pass);
                let outcome = if wrong && outcome == 0 { NOT_VERIFIED } else { outcome };
                let [min_ms, q1_ms, median_ms, q3_ms] =
                    times.map(|time| (timed || outcome == 0).then_some(time));
                let [flops, bytes, peak_bytes, decode_state_bytes] = amounts;
                let [executed_flops, transcendentals] = costs;
                Point {
                    length: 0,
                    outcome: crate::validate::OUTCOMES[outcome].to_owned(),
                    message,
                    median_ms,
                    q1_ms,
                    q3_ms,
                    min_ms,
                    samples: counts.0,
                    repeats: counts.1,
                    discarded: counts.2,
                    device_ms: extra.0,
                    setup_ms: extra.1,
                    first_run_ms: extra.2,
                    predicted_ms: extra.3,
                    flops,
                    executed_flops,
                    transcendentals,
                    bytes,
                    peak_bytes,
                    decode_state_bytes,
                    verified,
                    decode: decode.filter(|_| outcome == 0),
                    ..Point::default()
                }
            },
        );
    let lane = (
        prop::collection::vec((any::<prop::sample::Index>(), point), 0..9),
        (any::<bool>(), any::<bool>(), verified(), "[A-Z][a-z]{0,9}"),
        prop::option::of((-3.0..3.0_f64, 0.0..1.0_f64, 0.0..1.0_f64, -40.0..40.0_f64)),
    );
    let peaks = || {
        let any = (1.0..1e19_f64, 1.0..1e19_f64, 0.0..1e12_f64);
        prop::option::of(any.prop_map(|(flops_per_s, bytes_per_s, dispatch_ms)| crate::Peaks {
            flops_per_s,
            transcendentals_per_s: None,
            f16_flops_per_s: None,
            bytes_per_s,
            dispatch_ms,
        }))
    };
    let rates = prop::array::uniform3(prop::option::of(1.0..1e19_f64));
    let roofline =
        (peaks(), peaks(), rates).prop_map(|(cpu, webgpu, [f16, on_cpu, on_gpu])| crate::Roofline {
            cpu: cpu.map(|peaks| crate::Peaks { transcendentals_per_s: on_cpu, ..peaks }),
            webgpu: webgpu.map(|peaks| crate::Peaks {
                f16_flops_per_s: f16,
                transcendentals_per_s: on_gpu,
                ..peaks
            }),
        });
    let kernel = ("[a-z]{1,9}", 0..1_000_000_000_u32, any::<bool>(), "[a-z0-9-]{1,9}", any::<bool>());
    let kernel = kernel.prop_map(|(kernel, d_head, causal, variant, measured)| crate::ChosenKernel {
        kernel,
        d_head,
        causal,
        variant,
        measured,
    });
    let measured = (prop::option::of(roofline), prop::collection::vec(kernel, 0..4));
    (any_config(), prop::collection::vec(lane, 6), prop::option::of(0.0..2e13_f64), measured).prop_map(
        |(config, lanes, started_at_ms, (roofline, kernels))| {
            let lanes = config.systems.iter().zip(lanes).map(
                |(asked, (points, (gpu, causal, verification, title), fit))| {
                    let lengths = &config.lengths;
                    let mut points: Vec<Point> = points
                        .into_iter()
                        .map(|(at, point)| Point { length: lengths[at.index(lengths.len())], ..point })
                        .collect();
                    if verification.is_some_and(|verified| !verified.pass) {
                        points.retain(|point| point.outcome != "ok");
                    }
                    let gpu = match asked.backend().unwrap_or(config.backend) {
                        crate::BackendName::Auto => gpu,
                        backend => backend == crate::BackendName::Webgpu,
                    };
                    points.sort_by_key(|point| point.length);
                    points.dedup_by_key(|point| point.length);
                    for point in &mut points {
                        let Task::Decode { tokens } = config.mode else {
                            point.decode = None;
                            continue;
                        };
                        if let Some(steps) = point.decode.as_mut().and_then(|decode| decode.steps.as_mut()) {
                            steps.tokens = steps.tokens.clamp(1, tokens as u32);
                        }
                    }
                    if !gpu {
                        points.iter_mut().for_each(|point| point.device_ms = None);
                    }
                    let fitted: Vec<u32> = points
                        .iter()
                        .filter(|point| point.outcome == "ok")
                        .map(|point| point.length)
                        .collect();
                    let fit = fit.filter(|_| fitted.len() >= 3);
                    crate::Lane {
                        system: asked.system().to_owned(),
                        title,
                        backend: if gpu { "webgpu" } else { "cpu" }.to_owned(),
                        params: asked.params().cloned().unwrap_or_default(),
                        causal,
                        verification,
                        points,
                        exponent: fit.map(|(estimate, below, above, log2_scale_ms)| crate::Exponent {
                            estimate,
                            low: estimate - below,
                            high: estimate + above,
                            log2_scale_ms,
                            from_length: fitted[0],
                            leading: None,
                        }),
                    }
                },
            );
            Report {
                schema: config.schema(),
                lanes: lanes.collect(),
                environment: crate::Environment {
                    roofline,
                    gpu: environment().gpu.map(|gpu| crate::Gpu { kernels, ..gpu }),
                    ..environment()
                },
                started_at_ms,
                status: crate::Status::Cancelled,
                crossovers: vec![],
                warnings: report()
                    .warnings
                    .into_iter()
                    .map(|warning| crate::Warning { lane: None, ..warning })
                    .collect(),
                config,
            }
        },
    )
}

proptest! {
    #[test]
    fn a_configuration_comes_back_as_it_was(config in any_config()) {
        let link = encode_config_link(&config).unwrap();
        prop_assert_eq!(decode_link(&link), Ok(Linked::Config(config)));
    }

    #[test]
    fn encoding_a_decoded_report_gives_an_equal_link(report in any_report()) {
        prop_assert_eq!(report.validate(), Ok(()));
        for report in [judged(report.clone(), &mut noise()), report] {
            prop_assert_eq!(report.validate(), Ok(()));
            let link = encode_link(&report).unwrap();
            let back = decoded(&link);
            prop_assert_eq!(&encode_link(&back).unwrap(), &link);
            prop_assert_eq!(as_linked(&report), Ok(back.clone()));
            prop_assert_eq!(decoded(&link), back);
        }
    }

    #[test]
    fn any_text_is_refused(text in "(#r=)?1?[A-Za-z0-9_-]{0,200}") {
        prop_assert!(decode_link(&text).is_err());
    }

    #[test]
    fn letters_are_refused_where_another_reader_refuses_them(text in "[A-Za-z0-9_-]{0,40}[.!~*+=]{0,1}[AQgw]{0,3}") {
        let position = match decode_link(&format!("#r=1{text}")) {
            Err(LinkError::Alphabet { position }) => Some(position - 1),
            _ => None,
        };
        let theirs = BASE64URL_NOPAD.decode(text.as_bytes()).err();
        prop_assert_eq!(position.is_some(), theirs.is_some());
        if let Some(error) = theirs.filter(|error| error.kind == data_encoding::DecodeKind::Symbol) {
            prop_assert_eq!(position, Some(error.position));
        }
    }

    #[test]
    fn any_body_under_a_right_checksum_is_read_or_refused(
        kind in 0..=5_u8,
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = decode_link(&framed(kind, &body));
    }

    #[test]
    fn changed_statistics_under_a_right_checksum_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let report = report();
        let body = report::Body::new(&report, true);
        let statistics = LinkStatistics::new(&report, &mut body.report(Task::Forward).unwrap()).unwrap();
        let mut bytes = postcard::to_allocvec(&statistics).unwrap();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let body = postcard::to_allocvec(&(body, LinkDevice::new(&report.environment))).unwrap();
        let link = framed_as(Version::Four, REPORT, &[body, bytes].concat());
        if let Ok(Linked::Report(report)) = decode_link(&link) {
            prop_assert_eq!(report.validate(), Ok(()));
            let link = encode_link(&report).unwrap();
            prop_assert_eq!(decoded(&link), *report);
        }
    }

    #[test]
    fn changed_decoding_under_a_right_checksum_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let report = decode_report();
        let mode = LinkMode::new(&report.config).unwrap();
        let body = report::Body::new(&report, true);
        let statistics = LinkStatistics::new(&report, &mut body.report(report.config.mode).unwrap()).unwrap();
        let mut bytes = postcard::to_allocvec(&LinkDecoding::new(&report)).unwrap();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let parts = (mode, body, LinkDevice::new(&report.environment), statistics);
        let body = postcard::to_allocvec(&parts).unwrap();
        let link = framed_as(Version::Five, REPORT, &[body, bytes].concat());
        if let Ok(Linked::Report(report)) = decode_link(&link) {
            prop_assert_eq!(report.validate(), Ok(()));
            let link = encode_link(&report).unwrap();
            prop_assert_eq!(decoded(&link), *report);
        }
    }

    #[test]
    fn a_changed_body_under_a_right_checksum_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut body = postcard::to_allocvec(&report::Body::new(&report(), false)).unwrap();
        for (index, byte) in changes {
            let index = index.index(body.len());
            body[index] = byte;
        }
        if let Ok(Linked::Report(report)) = decode_link(&framed(REPORT, &body)) {
            prop_assert_eq!(report.validate(), Ok(()));
            let link = encode_link(&report).unwrap();
            prop_assert_eq!(encode_link(&decoded(&link)).unwrap(), link);
        }
    }
}
