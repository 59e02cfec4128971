//! Every kind of sentence, in both languages and of both modes.

use mixer::Task;

use super::*;
use crate::lanes::looks;
use crate::samples;
use crate::words::{CHINESE, ENGLISH};

fn of(report: &Report) -> Headline {
    headline(report, &looks(report, &[], &ENGLISH), &ENGLISH).unwrap()
}

#[test]
fn a_measured_crossover_has_interval_and_final_ratio() {
    let headline = of(&samples::duel());
    assert!(headline.text.starts_with("Hyena overtakes attention at about "), "{}", headline.text);
    assert!(headline.text.contains("(95%: ") && headline.text.contains("GPU"), "{}", headline.text);
    assert!(headline.detail.starts_with("At 16,384 tokens, Hyena is ") && headline.detail.contains("faster"));
}

/// The duel with a crossover of a given kind and a given verdict at its last point.
fn with(kind: CrossoverKind, at: Option<f64>, last: Option<(f64, f64, f64, Verdict)>) -> Report {
    let mut report = samples::duel();
    let crossover = &mut report.crossovers[0];
    (crossover.kind, crossover.estimate) = (kind, at);
    if kind != CrossoverKind::Measured {
        (crossover.low, crossover.high) = (at, at);
    }
    let point = report.lanes[1].points.last_mut().unwrap();
    point.versus =
        last.map(|(speedup, low, high, verdict)| report::Versus { baseline: 0, speedup, low, high, verdict });
    report
}

const FASTER: Option<(f64, f64, f64, Verdict)> = Some((5.2, 5.0, 5.4, Verdict::Ahead));

#[test]
fn undecided_results_name_no_winner() {
    let headline = of(&with(CrossoverKind::Undecided, None, EQUAL));
    assert!(
        headline.text.starts_with("Undecided: whether Hyena overtakes attention up to 16,384 tokens"),
        "{}",
        headline.text
    );
    assert!(headline.detail.contains("is 0.97–1.04× as fast as attention"), "{}", headline.detail);
    let all = format!("{} {}", headline.text, headline.detail);
    assert!(!all.contains("faster") && !all.contains("slower"), "{all}");
}

#[test]
fn bounds_are_called_bounds() {
    let shortest = of(&with(CrossoverKind::AtMost, Some(256.0), FASTER));
    assert!(
        shortest.text.contains("ahead of attention from 256 tokens on, the shortest length raced"),
        "{}",
        shortest.text
    );
    let later = of(&with(CrossoverKind::AtMost, Some(1024.0), FASTER));
    assert!(later.text.contains("from 1,024 tokens on at the latest"), "{}", later.text);
    assert_eq!(later.detail, "At 16,384 tokens, Hyena is 5.2× faster (95%: 5.0–5.4×).");
}

const SLOWER: Option<(f64, f64, f64, Verdict)> = Some((0.97, 0.96, 0.98, Verdict::Behind));
const EQUAL: Option<(f64, f64, f64, Verdict)> = Some((1.003, 0.97, 1.04, Verdict::Undecided));

/// The report with its second lane behind at every length.
fn behind_throughout(mut report: Report) -> Report {
    for point in &mut report.lanes[1].points {
        let versus = point.versus.as_mut().unwrap();
        (versus.speedup, versus.low, versus.high, versus.verdict) = (0.97, 0.96, 0.98, Verdict::Behind);
    }
    report
}

/// The headline's sentence in English and in Chinese.
fn both(report: &Report) -> [String; 2] {
    [&ENGLISH, &CHINESE].map(|text| headline(report, &looks(report, &[], text), text).unwrap().text)
}

fn assert_both(report: &Report, english: &str, chinese: &str) {
    let [in_english, in_chinese] = both(report);
    assert_eq!(in_english, english);
    assert!(in_chinese.contains(chinese), "{in_chinese}");
}

/// The duel with one more lane like the second for each kind and interval (estimate, low, high).
fn joined(mut report: Report, others: &[(CrossoverKind, Option<[f64; 3]>)]) -> Report {
    for (n, (kind, at)) in others.iter().enumerate() {
        let mut lane = report.lanes[1].clone();
        lane.system = format!("other{n}");
        report.lanes.push(lane);
        let [estimate, low, high] = at.map_or([None; 3], |at| at.map(Some));
        report.crossovers.push(Crossover {
            challenger: report.lanes.len() as u32 - 1,
            kind: *kind,
            estimate,
            low,
            high,
            ..report.crossovers[0]
        });
    }
    report
}

#[test]
fn predictions_and_defeats_are_named() {
    let report = behind_throughout(with(CrossoverKind::Predicted, Some(40_300.0), SLOWER));
    assert!(of(&report).text.contains("still ahead of Hyena at 16,384"), "{}", of(&report).text);
    assert!(of(&report).text.contains("the fits cross at about 40,000"), "{}", of(&report).text);
    let mut report = behind_throughout(with(CrossoverKind::None, None, SLOWER));
    assert_both(
        &report,
        "Attention stays ahead up to 16,384 tokens on this machine’s GPU.",
        "直到 16,384 个词元都保持领先",
    );
    assert!(of(&report).detail.contains("Hyena is 1.03× slower (95%: 1.02–1.04×)"), "{}", of(&report).detail);
    report.status = Status::Running;
    assert!(of(&report).text.starts_with("So far: "));
}

/// The duel's challenger is ahead at lengths before the last.
#[test]
fn a_lane_that_was_ahead_before_is_mentioned() {
    assert_both(
        &with(CrossoverKind::None, None, SLOWER),
        "Hyena is ahead at shorter lengths, but attention is ahead at 16,384 tokens on this machine’s GPU, and no \
         crossover was found beyond.",
        "Hyena 在较短长度上领先，但在 16,384 个词元处注意力领先",
    );
    assert_both(
        &with(CrossoverKind::Predicted, Some(40_300.0), SLOWER),
        "Hyena is ahead at shorter lengths, attention at 16,384 tokens; the fits cross again at about 40,000 (95%: \
         40,000).",
        "再次相交",
    );
    // A prediction without that verdict does not state which lane is ahead.
    for last in [FASTER, EQUAL, None] {
        let report = with(CrossoverKind::Predicted, Some(40_300.0), last);
        assert!(!of(&report).text.contains("ahead"), "{}", of(&report).text);
        assert!(both(&report)[1].contains("预计在那里超过注意力"), "{}", both(&report)[1]);
    }
    assert!(of(&with(CrossoverKind::None, None, FASTER)).text.contains("was not found to overtake"));
}

#[test]
fn undecided_crossovers_keep_the_final_verdict() {
    assert_both(
        &with(CrossoverKind::Undecided, None, SLOWER),
        "Attention is ahead at 16,384 tokens on this machine’s GPU; whether Hyena overtakes beyond that is undecided.",
        "注意力在 16,384 个词元处领先；Hyena 在更长的长度上是否会超过，尚无法判定。",
    );
    let ahead = with(CrossoverKind::Undecided, None, FASTER);
    assert_both(
        &ahead,
        "Hyena is ahead at 16,384 tokens on this machine’s GPU, but not clearly enough to name a crossover.",
        "Hyena 在 16,384 个词元处领先，但优势不够明确，无法给出交叉点。",
    );
    assert_both(
        &joined(ahead, &[(CrossoverKind::None, None), (CrossoverKind::None, None)]),
        "Hyena is ahead at 16,384 tokens on this machine’s GPU, but not clearly enough among 3 challengers to name a \
         crossover.",
        "但在 3 个挑战者中优势不够明确",
    );
}

#[test]
fn a_challenger_behind_at_the_end_does_not_overtake() {
    let tally = |report: &Report| {
        [&ENGLISH, &CHINESE].map(|text| headline(report, &looks(report, &[], text), text).unwrap().detail)
    };
    let open = (CrossoverKind::Undecided, None);
    let [english, chinese] = tally(&joined(with(CrossoverKind::Undecided, None, EQUAL), &[open]));
    assert!(english.ends_with("0 of 2 challengers overtake within the lengths raced; 2 are undecided."));
    assert!(chinese.ends_with("，另有 2 个未分胜负。"), "{chinese}");
    let mut report = joined(with(CrossoverKind::Undecided, None, SLOWER), &[open]);
    let [english, chinese] = tally(&report);
    assert!(english.ends_with("0 of 2 challengers overtake within the lengths raced."), "{english}");
    assert!(chinese.ends_with("2 个挑战者中有 0 个在本场长度内超过注意力。"), "{chinese}");
    // Of two undecided challengers, the headline names the one that may overtake.
    let versus = report.lanes[2].points.last_mut().unwrap().versus.as_mut().unwrap();
    (versus.speedup, versus.low, versus.high, versus.verdict) = EQUAL.unwrap();
    assert_eq!(of(&report).lane, Some(2));
    // A challenger without measurements has no sentence and does not replace the other challenger's.
    report.lanes[2].points.clear();
    assert_eq!(of(&report).lane, Some(1));
}

#[test]
fn the_first_to_overtake_is_first_by_its_interval() {
    let mut duel = samples::duel();
    let own = &mut duel.crossovers[0];
    (own.estimate, own.low, own.high) = (Some(1000.0), Some(900.0), Some(1100.0));
    let is_first = |others: &[(CrossoverKind, Option<[f64; 3]>)]| {
        let [english, chinese] = both(&joined(duel.clone(), others));
        assert_eq!(english.contains("is the first to overtake"), chinese.contains("最先超过"));
        assert!(english.contains("overtake") && chinese.contains("超过注意力"), "{english} {chinese}");
        english.contains("first")
    };
    let later = (CrossoverKind::Measured, Some([2000.0, 1500.0, 2500.0]));
    let near = (CrossoverKind::Measured, Some([1200.0, 1050.0, 1400.0]));
    let predicted = (CrossoverKind::Predicted, Some([40_000.0, 30_000.0, 50_000.0]));
    let bound = (CrossoverKind::AtMost, Some([4096.0; 3]));
    assert!(is_first(&[later, predicted, (CrossoverKind::None, None)]));
    assert!(!is_first(&[later, near]));
    assert!(!is_first(&[later, bound]));
    // An undecided lane that is ahead at the last length may have overtaken at any length.
    assert!(!is_first(&[later, (CrossoverKind::Undecided, None)]));
    assert!(!is_first(&[]));
    duel.crossovers[0].low = None;
    let [english, _] = both(&joined(duel, &[later]));
    assert!(english.contains("overtakes attention"), "{english}");
}

#[test]
fn a_stopped_race_reports_its_completed_lengths() {
    for lane in [0, 1] {
        let mut report = samples::duel();
        report.status = Status::Cancelled;
        report.lanes[1].points.last_mut().unwrap().versus = None;
        "cancelled".clone_into(&mut report.lanes[lane].points.last_mut().unwrap().outcome);
        for (text, start) in
            [(&ENGLISH, "At 8,192 tokens, Hyena is "), (&CHINESE, "在 8,192 个词元处，Hyena 快")]
        {
            let headline = headline(&report, &looks(&report, &[], text), text).unwrap();
            assert!(headline.detail.starts_with(start), "{}", headline.detail);
        }
        report.crossovers.clear();
        "cancelled".clone_into(&mut report.lanes[1 - lane].points.last_mut().unwrap().outcome);
        assert!(of(&report).text.contains("fastest at 8,192 tokens"), "{}", of(&report).text);
    }
}

#[test]
fn a_running_race_reports_only_lengths_with_verdicts() {
    let mut report = samples::duel();
    report.status = Status::Running;
    report.lanes[1].points.last_mut().unwrap().versus = None;
    for (text, start) in [(&ENGLISH, "At 8,192 tokens, Hyena is "), (&CHINESE, "在 8,192 个词元处，Hyena 快")]
    {
        let headline = headline(&report, &looks(&report, &[], text), text).unwrap();
        assert!(headline.detail.starts_with(start), "{}", headline.detail);
    }
    // Lanes without attention wait for their intervals.
    report.crossovers.clear();
    let last = report.lanes[1].points.last_mut().unwrap();
    (last.low_ms, last.high_ms) = (None, None);
    report.lanes[0].points.pop();
    assert!(of(&report).text.contains("fastest at 8,192 tokens"), "{}", of(&report).text);
    for lane in &mut report.lanes {
        for point in &mut lane.points {
            (point.low_ms, point.high_ms) = (None, None);
        }
    }
    assert_eq!(headline(&report, &looks(&report, &[], &ENGLISH), &ENGLISH), None);
}

#[test]
fn a_result_without_intervals_names_no_winner() {
    let headline = of(&with(CrossoverKind::None, None, None));
    assert!(headline.text.contains("was not found to overtake"), "{}", headline.text);
    assert!(headline.detail.contains("has no interval"), "{}", headline.detail);
    let mut lanes = with(CrossoverKind::None, None, None);
    lanes.crossovers.clear();
    lanes.lanes[1].points.last_mut().unwrap().low_ms = None;
    assert!(of(&lanes).text.contains("has no intervals"), "{}", of(&lanes).text);
}

#[test]
fn the_tally_separates_undecided_challengers() {
    let mut report = with(CrossoverKind::AtMost, Some(256.0), FASTER);
    for kind in [CrossoverKind::Undecided, CrossoverKind::None] {
        let mut lane = report.lanes[1].clone();
        lane.system = format!("{kind:?}").to_lowercase();
        report.lanes.push(lane);
        let challenger = report.lanes.len() as u32 - 1;
        let crossover = report.crossovers[0];
        let (estimate, low, high) = (None, None, None);
        report.crossovers.push(Crossover { challenger, kind, estimate, low, high, ..crossover });
    }
    let detail = of(&report).detail;
    assert!(
        detail.ends_with("1 of 3 challengers overtake within the lengths raced; 1 is undecided."),
        "{detail}"
    );
}

#[test]
fn two_challengers_are_compared_by_their_intervals() {
    let mut report = samples::duel();
    report.crossovers.clear();
    assert!(of(&report).text.contains("Hyena is the fastest"), "{}", of(&report).text);
    for lane in &mut report.lanes {
        let last = lane.points.last_mut().unwrap();
        (last.low_ms, last.high_ms) = (last.median_ms.map(|ms| ms / 9.0), last.median_ms.map(|ms| ms * 9.0));
    }
    assert!(of(&report).text.starts_with("Undecided between Hyena and "), "{}", of(&report).text);
}

/// The second fastest lane has a narrow interval, the third a wide one that overlaps the fastest lane's.
#[test]
fn the_fastest_lane_is_ahead_of_every_other() {
    let mut report = joined(samples::duel(), &[(CrossoverKind::None, None)]);
    report.crossovers.clear();
    for (lane, (ms, low, high)) in
        [(10.0, 9.9, 10.1), (11.0, 10.9, 11.1), (12.0, 7.0, 20.0)].iter().enumerate()
    {
        let point = report.lanes[lane].points.last_mut().unwrap();
        (point.median_ms, point.low_ms, point.high_ms) = (Some(*ms), Some(*low), Some(*high));
    }
    "Third".clone_into(&mut report.lanes[2].title);
    let [english, chinese] = both(&report);
    assert!(english.starts_with("Undecided between Attention and Third"), "{english}");
    assert!(chinese.contains("未分胜负") && chinese.contains("16,384"), "{chinese}");
    let third = report.lanes[2].points.last_mut().unwrap();
    (third.low_ms, third.high_ms) = (Some(11.9), Some(12.1));
    let [english, chinese] = both(&report);
    assert!(english.contains("is the fastest at 16,384 tokens, 1.1× faster than Hyena"), "{english}");
    assert!(chinese.contains("最快，比 Hyena"), "{chinese}");
    // Without an interval of the third lane, no lane is the fastest.
    report.lanes[2].points.last_mut().unwrap().low_ms = None;
    assert!(of(&report).text.contains("has no intervals"), "{}", of(&report).text);
}

#[test]
fn without_attention_the_headline_is_the_fastest_lane() {
    let mut report = samples::duel();
    report.crossovers.clear();
    report.lanes.remove(0);
    assert!(of(&report).text.starts_with("Hyena takes "));
    report.lanes[0].points.clear();
    assert!(headline(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).is_none());
    // Indices in foreign reports may be out of range.
    let mut foreign = samples::duel();
    foreign.crossovers[0].challenger = 99;
    assert!(of(&foreign).text.contains("fastest"));
}

#[test]
fn headlines_elsewhere_name_the_processor() {
    let report = samples::duel();
    let elsewhere = headline_elsewhere(&report, &looks(&report, &[], &ENGLISH), &ENGLISH).unwrap();
    assert!(elsewhere.text.contains("GPU nvidia"), "{}", elsewhere.text);
    assert!(of(&report).text.contains("this machine"));
}

/// The same result of generated tokens.
fn decoding(mut report: Report) -> Report {
    report.config.mode = Task::Decode { tokens: 128 };
    report
}

#[test]
fn a_decode_race_is_told_as_the_cost_of_the_next_token() {
    let report = samples::decode();
    assert_both(
        &report,
        "Past about 2,900 tokens of context, Hyena’s next token costs less than attention’s (95%: 2,700–3,100) on this \
         machine’s CPU.",
        "上下文超过约 2,900 个词元后 （95%：2,700–3,100），Hyena 生成下一个词元快于注意力。",
    );
    let detail = of(&report).detail;
    assert!(detail.starts_with("After 16,384 tokens of context, Hyena’s next token is "), "{detail}");
    assert!(detail.contains("faster (95%: "), "{detail}");
}

/// Every sentence of a decode race speaks of contexts, and names a winner only where the same race of forward passes does.
#[test]
fn every_sentence_of_a_decode_race_speaks_of_contexts() {
    let open = (CrossoverKind::Undecided, None);
    let mut alone = samples::duel();
    alone.crossovers.clear();
    let mut one = alone.clone();
    one.lanes.remove(0);
    let mut close = alone.clone();
    for lane in &mut close.lanes {
        let last = lane.points.last_mut().unwrap();
        (last.low_ms, last.high_ms) = (last.median_ms.map(|ms| ms / 9.0), last.median_ms.map(|ms| ms * 9.0));
    }
    let mut bare = alone.clone();
    bare.lanes[1].points.last_mut().unwrap().low_ms = None;
    let mut first = samples::duel();
    (first.crossovers[0].low, first.crossovers[0].high) = (Some(1900.0), Some(1920.0));
    let predicted = |last| with(CrossoverKind::Predicted, Some(40_300.0), last);
    let told = [
        samples::duel(),
        joined(first, &[(CrossoverKind::None, None)]),
        with(CrossoverKind::AtMost, Some(256.0), FASTER),
        with(CrossoverKind::AtMost, Some(1024.0), FASTER),
        predicted(SLOWER),
        behind_throughout(predicted(SLOWER)),
        predicted(EQUAL),
        with(CrossoverKind::None, None, SLOWER),
        behind_throughout(with(CrossoverKind::None, None, SLOWER)),
        with(CrossoverKind::None, None, FASTER),
        with(CrossoverKind::None, None, None),
        with(CrossoverKind::Undecided, None, SLOWER),
        with(CrossoverKind::Undecided, None, FASTER),
        joined(with(CrossoverKind::Undecided, None, EQUAL), &[open]),
        alone,
        one,
        close,
        bare,
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (index, report) in told.into_iter().enumerate() {
        for (text, context, tokens) in [(&ENGLISH, "context", "tokens"), (&CHINESE, "上下文", "词元")] {
            let forward = headline(&report, &looks(&report, &[], text), text).unwrap();
            let report = decoding(report.clone());
            let decode = headline(&report, &looks(&report, &[], text), text).unwrap();
            assert!(decode.text.contains(context) && decode.text.contains(tokens), "{}", decode.text);
            assert!(decode.detail.is_empty() || decode.detail.contains(context), "{}", decode.detail);
            assert!(!forward.text.contains(context), "{}", forward.text);
            assert_eq!((decode.lane, decode.detail.is_empty()), (forward.lane, forward.detail.is_empty()));
            for undecided in ["ndecided", "未分胜负", "无法判定", "(95%", "（95%"] {
                assert_eq!(
                    decode.text.contains(undecided),
                    forward.text.contains(undecided),
                    "{index}: {} {}",
                    decode.text,
                    forward.text
                );
            }
            sentences.insert(decode.text);
        }
    }
    // Two of the reports share a sentence and differ in the detail below it.
    assert_eq!(sentences.len(), 2 * 17, "{sentences:#?}");
}
