//! The command as seen by users and scripts: exit codes, messages, output streams.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use report::{Linked, Report, SystemEntry};

fn crossover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crossover")).args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Refused with status 2, a code and a message on standard error, and no standard output.
#[track_caller]
fn refused(arguments: &[&str], code: &str, words: &str) {
    let output = crossover(arguments);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
    assert!(
        message.contains(&format!("error[{code}]")) && message.contains(words),
        "{arguments:?}: {message}"
    );
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

const SMALL: [&str; 15] = [
    "race",
    "--backend",
    "cpu",
    "--width",
    "16",
    "--heads",
    "2",
    "--lengths",
    "16..64",
    "--budget-ms",
    "3000",
    "--threads",
    "1",
    "--quiet",
    "--systems",
];

fn small<'a>(systems: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [SMALL.as_slice(), &[systems], more].concat()
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/golden").join(name)
}

#[test]
fn a_race_ends_with_a_report() {
    let output =
        crossover(&small("attention,hyena", &["--json", "--no-causal", "--level", "core", "--seed", "9"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
    let report = Report::from_json(&stdout(&output)).unwrap();
    assert_eq!(report.config.sorted_lengths(), [16, 32, 64]);
    assert_eq!((report.config.seed, report.config.causal), (9, false));
    assert_eq!(report.environment.host, "native");
    for lane in &report.lanes {
        let lengths: Vec<u32> = lane.points.iter().map(|point| point.length).collect();
        assert_eq!(lengths, [16, 32, 64], "{}", lane.system);
        for point in &lane.points {
            assert_eq!(point.outcome, "ok", "{point:?}");
            assert!(point.verified.is_some_and(|verified| verified.pass), "{point:?}");
            assert!(point.flops > 0.0 && point.peak_bytes > 0.0);
        }
    }
    // Hyena has a causal form only and is marked as such.
    assert!(!report.lanes[0].causal && report.lanes[1].causal);
    // The link decodes to the report.
    let link = report::encode_link(&report).unwrap();
    let decoded = crossover(&["link", "decode", &format!("https://example.org/{link}")]);
    let back = Report::from_json(&stdout(&decoded)).unwrap();
    assert_eq!(report::decode_link(&link), Ok(Linked::Report(Box::new(back))));
}

#[test]
fn opening_a_gpu_prints_nothing_without_a_window_system() {
    let output = Command::new(env!("CARGO_BIN_EXE_crossover"))
        .args(["race", "--systems", "attention", "--backend", "gpu", "--width", "16", "--heads", "2"])
        .args(["--lengths", "16", "--budget-ms", "100", "--quiet"])
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("DISPLAY")
        .output()
        .unwrap();
    // A machine without a GPU, or without time to race on it, reports that in a message of the product.
    let message = stderr(&output);
    let own = |line: &str| ["no GPU: ", "error[nothing-measured]: "].iter().any(|own| line.starts_with(own));
    assert!(message.lines().all(own), "{message}");
}

#[test]
fn an_unmeasured_race_states_its_need_and_fails() {
    // Attention takes 10¹² operations at this length.
    let output = crossover(&[
        "race",
        "--systems",
        "attention",
        "--backend",
        "cpu",
        "--lengths",
        "65536",
        "--budget-ms",
        "100",
        "--threads",
        "1",
        "--quiet",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let report = Report::from_json(&stdout(&output)).unwrap();
    let point = &report.lanes[0].points[0];
    assert_eq!(point.outcome, "time-budget");
    assert!(point.needed_ms.is_some_and(|ms| ms > 100.0), "{point:?}");
    let message = stderr(&output);
    assert!(message.starts_with("error[nothing-measured]: ") && message.contains("needs about"), "{message}");
}

#[test]
fn a_table_names_lanes_lengths_and_ratios() {
    let output = crossover(&small("attention,hyena:order=3", &["--link"]));
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for word in ["Attention", "Hyena", "exponent", "crossover", "×"] {
        assert!(text.contains(word), "{word} in\n{text}");
    }
    let link = stderr(&output);
    assert!(matches!(report::decode_link(&link), Ok(Linked::Report(_))), "{link}");
}

#[test]
fn a_report_is_printed_for_spreadsheets_and_for_readmes() {
    let csv = stdout(&crossover(&small("attention", &["--format", "csv"])));
    assert!(csv.starts_with("system,backend,") && csv.lines().count() == 4, "{csv}");
    let markdown = stdout(&crossover(&small("attention", &["--format", "markdown"])));
    assert!(markdown.starts_with("| length | Attention (cpu) |\n| ---: | ---: |\n| 16 |"), "{markdown}");
}

#[test]
fn configurations_out_of_range_are_refused_by_name() {
    refused(
        &small("attention,hyenna", &[]),
        "unknown-system",
        "systems[1]: unknown system `hyenna`; known systems: attention",
    );
    refused(&small("attention,attention", &[]), "duplicate-lane", "systems[1]");
    refused(
        &small(&vec!["attention"; 29].join(","), &[]),
        "too-many",
        "systems: at most 28 are accepted, got 29",
    );
    refused(
        &small("hyena:order=99", &[]),
        "invalid-field",
        "systems[0].params.order: must be a whole number from 2",
    );
    refused(&small("hyena:odor=2", &[]), "unknown-param", "systems[0].params.odor");
    refused(&small("hyena:order", &[]), "lane-syntax", "name[@backend]");
    let race =
        |more: &[&'static str]| [&["race", "--systems", "attention", "--backend", "cpu"], more].concat();
    for length in ["0", "NaN", "-1", "1e99", "99999999999999999999", "1.5", "", "inf", "0..8"] {
        refused(
            &race(&["--lengths", length]),
            "invalid-field",
            "lengths: must be a whole number from 1 to 1048576",
        );
    }
    refused(&race(&["--lengths", "8..4"]), "invalid-field", "lengths: a range goes from short to long: 4..8");
    for (typed, meant) in
        [("16,384", "16384"), ("1,024", "1024"), ("1,024, 2,048", "1024"), ("16 384", "16384")]
    {
        let words = format!("lengths: did you mean {meant}?");
        refused(&race(&["--lengths", typed]), "invalid-field", &words);
    }
    refused(
        &race(&["--lengths", "1..1048576,3,5,7,9,11,13,15,17,19,21,23,25"]),
        "too-many",
        "lengths: at most 32",
    );
    refused(
        &race(&["--lengths", "1048576", "--width", "4096"]),
        "invalid-field",
        "lengths: must be at most 262144",
    );
    refused(
        &race(&["--width", "100", "--heads", "3"]),
        "invalid-field",
        "heads: must be a divisor of the width (100), got 3",
    );
    refused(
        &race(&["--width", "wide"]),
        "invalid-field",
        "width: must be a whole number from 1 to 4096, got \"wide\"",
    );
    refused(&race(&["--threads", "0"]), "invalid-field", "threads");
    refused(&race(&["--budget-ms", "nan"]), "invalid-field", "budgetMs");
    refused(&race(&["--level", "deep"]), "invalid-field", "level: must be \"core\" or \"layer\"");
    refused(&["race", "--backend", "tpu"], "invalid-field", "backend");
    refused(&race(&["--seed", "-1"]), "invalid-field", "seed");
    refused(&["race", "--config", "no-such-file.json"], "file", "no-such-file.json");
    refused(&["race", "--config", "#r=1AAAA"], "link-damaged", "copy it again");
}

#[test]
fn unknown_options_and_commands_are_usage_errors() {
    for arguments in
        [vec!["rase"], vec!["race", "--lenghts", "1"], vec!["verify"], vec!["link", "encode"], vec![]]
    {
        assert_eq!(crossover(&arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert_eq!(crossover(&["--help"]).status.code(), Some(0));
}

#[test]
fn golden_files_and_folders_pass() {
    let file = golden("hyena/core_o2_L64_D32.safetensors");
    let output = crossover(&["verify", golden("attention").to_str().unwrap(), file.to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().count() > 10 && text.contains("hyena core_o2_L64_D32 core on cpu"), "{text}");
    assert!(text.lines().last().unwrap().ends_with("passed, 0 failed, 0 could not be verified"), "{text}");
}

#[test]
fn damaged_golden_files_are_named_and_fail() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(golden("hyena/core_o2_L64_D32.safetensors")).unwrap();
    let path = folder.path().join("golden.safetensors");
    let name = path.to_str().unwrap();
    let verify = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let output =
            crossover(&["verify", name, golden("attention/core_L1_D32_H2.safetensors").to_str().unwrap()]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        // The other file is still verified.
        assert!(text.contains("ok    attention"), "{text}");
        text
    };
    for cut in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        let text = verify(&whole[..cut]);
        assert!(text.contains("error[golden-format]") && text.contains(name), "cut at {cut}: {text}");
    }
    let mut changed = whole.clone();
    let last = changed.len() - 400;
    changed[last..].fill(0x42);
    let text = verify(&changed);
    assert!(text.contains("FAIL") && text.contains("1 failed"), "{text}");
}

#[test]
fn verify_reports_missing_files() {
    let file = golden("attention/core_L1_D32_H2.safetensors");
    refused(&["verify", file.to_str().unwrap(), "--system", "atention"], "unknown-system", "known systems");
    refused(&["verify", file.to_str().unwrap(), "--threads", "0"], "invalid-field", "threads");
}

/// Verifies `paths` beside a good file: the status is 1, and the good file passes.
#[track_caller]
fn fails_beside_a_good_file(paths: &[&str]) -> String {
    let good = golden("attention/core_L1_D32_H2.safetensors");
    let output = crossover(&[&["verify"], paths, &[good.to_str().unwrap()]].concat());
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", stderr(&output));
    assert!(text.contains("ok    attention") && text.contains("1 passed, 0 failed"), "{text}");
    text
}

#[test]
fn a_path_that_is_not_there_fails_alone() {
    let empty = tempfile::tempdir().unwrap();
    let text = fails_beside_a_good_file(&["no-such-folder", empty.path().to_str().unwrap()]);
    assert!(text.contains("error[file]  no-such-folder") && text.contains("error[no-golden]"), "{text}");
    assert!(text.contains("2 could not be verified"), "{text}");
}

#[cfg(unix)]
#[test]
fn dangling_links_pipes_and_devices_fail_immediately() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    std::os::unix::fs::symlink("gone", inside("dangling.safetensors")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", inside("endless.safetensors")).unwrap();
    assert!(Command::new("mkfifo").arg(inside("pipe.safetensors")).status().unwrap().success());
    let text = fails_beside_a_good_file(&[folder.path().to_str().unwrap(), "/dev/zero"]);
    assert_eq!(text.matches("not a regular file").count(), 3, "{text}");
    assert!(text.contains("4 could not be verified") && text.contains("dangling.safetensors"), "{text}");
}

#[cfg(unix)]
#[test]
fn fault_25_control_characters_of_file_names_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("\u{1b}[2Jcleared\u{7}.safetensors");
    std::fs::write(&name, b"nothing").unwrap();
    let good = folder.path().join("\u{1b}]0;title\u{7}.safetensors");
    std::fs::copy(golden("attention/core_L1_D32_H2.safetensors"), good).unwrap();
    let output = crossover(&["verify", folder.path().to_str().unwrap(), "gone\u{1b}[2J"]);
    let text = stdout(&output) + &stderr(&crossover(&["race", "--config", "gone\u{1b}[2J"]));
    assert!(text.contains("cleared") && text.contains("title") && text.contains("gone"), "{text}");
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
}

/// A golden file with `from` replaced by `to` in its header.
fn changed(from: &str, to: &str) -> tempfile::NamedTempFile {
    let bytes = std::fs::read(golden("attention/core_L1_D32_H2.safetensors")).unwrap();
    let length = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    assert!(header.contains(from), "{header}");
    let header = header.replace(from, to);
    let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes[8 + length..]].concat();
    let file = tempfile::NamedTempFile::with_suffix(".safetensors").unwrap();
    std::fs::write(file.path(), whole).unwrap();
    file
}

#[test]
fn a_golden_files_tolerance_is_limited() {
    let file = changed("1e-05", "1e9");
    let text = fails_beside_a_good_file(&[file.path().to_str().unwrap()]);
    assert!(
        text.contains("error[golden-tolerance]") && text.contains("for attention, 0 to 1e-3 is accepted"),
        "{text}"
    );
    let file = changed("1e-05", "NaN");
    let text = fails_beside_a_good_file(&[file.path().to_str().unwrap()]);
    assert!(text.contains("error[golden-header]") && text.contains("`tolerance`"), "{text}");
    assert!(text.contains("within 1e-5 + 1e-4·|y|"), "{text}");
}

#[test]
fn a_contradictory_golden_file_is_refused_with_the_reason() {
    let check = |from, to, code: &str, words: &str| {
        let file = changed(from, to);
        let text = fails_beside_a_good_file(&[file.path().to_str().unwrap()]);
        assert!(text.contains(&format!("error[{code}]")) && text.contains(words), "{from} {to}: {text}");
    };
    check(r#"\"scale\": 0.25"#, r#"\"scale\": 0.5"#, "invalid-field", "scale: must be 1/√16");
    check(r#"\"head_dim\": 16"#, r#"\"head_dim\": 8"#, "invalid-field", "head_dim");
    check(r#"\"causal\": false"#, r#"\"causal\": 0"#, "invalid-field", "causal");
    check(r#""attention""#, r#""hyena""#, "invalid-field", "causal: must be true");
    check(
        r#""y":{"dtype":"F32","shape":[2,1,32]"#,
        r#""y":{"dtype":"F32","shape":[1,2,32]"#,
        "golden-tensor",
        "[2, 1, …]",
    );
    check(
        r#""y":{"dtype":"F32","shape":[2,1,32]"#,
        r#""y":{"dtype":"I32","shape":[2,1,32]"#,
        "golden-tensor",
        "integers, not floats",
    );
    check(r#""q":{"dtype":"F32""#, r#""q":{"dtype":"I32""#, "tensor-kind", "`q` must hold floats");
}

#[test]
fn unread_configuration_keys_are_reported() {
    let file = changed(r#"\"causal\": false"#, r#"\"causal\": false, \"alibi\": true"#);
    let output = crossover(&["verify", file.path().to_str().unwrap()]);
    let text = stdout(&output);
    assert!(text.contains("not read: alibi"), "{text}");
}

#[test]
fn systems_are_listed_as_the_page_lists_them() {
    let output = crossover(&["systems", "--json"]);
    let entries: Vec<SystemEntry> = serde_json::from_str(&stdout(&output)).unwrap();
    let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let known: Vec<&str> = kernels::infos().iter().map(|info| info.id).collect();
    assert_eq!(ids, known);
    let text = stdout(&crossover(&["systems"]));
    assert!(ids.iter().all(|id| text.contains(id)) && text.contains("order=2 (2 to"), "{text}");
}

#[test]
fn links_are_written_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let name = path.to_str().unwrap();
    std::fs::write(&path, r#"{"systems": ["hyena"], "lengths": [64], "heads": 2}"#).unwrap();
    let output = crossover(&["link", "encode", name]);
    let link = stdout(&output).trim().to_owned();
    assert!(output.status.success() && link.starts_with("#r=1"), "{}", stderr(&output));
    let decoded = stdout(&crossover(&["link", "decode", &link]));
    assert!(decoded.contains("\"hyena\"") && decoded.contains("\"heads\": 2"), "{decoded}");
    std::fs::write(&path, r#"{"heads": 0}"#).unwrap();
    refused(&["link", "encode", name], "invalid-field", "heads");
    std::fs::write(&path, r#"{"schema": 1}"#).unwrap();
    refused(&["link", "encode", name], "report-syntax", "missing field");
    for (link, code) in
        [("", "link-empty"), ("#r=9A", "link-newer"), ("#r=0A", "link-version"), (&link[..9], "link-damaged")]
    {
        refused(&["link", "decode", link], code, "");
    }
}

#[test]
fn an_altered_link_is_repaired_and_not_read_as_a_file() {
    let link = report::encode_config_link(&report::Config { seed: 77, ..report::Config::default() }).unwrap();
    let data = link.strip_prefix("#r=").unwrap();
    for changed in [
        format!("https://example.org/%23r={data}"),
        format!("https://example.org/%23r%3D{data}."),
        format!("<https://example.org/#r={data}>"),
        format!("https://example.org/#r={}\n> {})", &data[..20], &data[20..]),
    ] {
        let decoded = crossover(&["link", "decode", &changed]);
        assert!(stdout(&decoded).contains("\"seed\": 77"), "{changed}: {}", stderr(&decoded));
        // Refused for its width, not for a missing file.
        refused(&["race", "--config", &changed, "--width", "0"], "invalid-field", "width");
    }
    refused(&["race", "--config", "https://example.org/%23r=1AAAA"], "link-damaged", "copy it again");
}

#[test]
fn utf16_files_are_read_and_other_exports_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.json");
    let name = path.to_str().unwrap();
    let json = include_str!("../../report/tests/fixtures/v1-report.json");
    let report = Report::from_json(json).unwrap();
    let link = report::encode_link(&report).unwrap();
    let wide: Vec<u8> =
        std::iter::once(0xfeff).chain(json.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    for bytes in [json.as_bytes().to_vec(), [b"\xef\xbb\xbf", json.as_bytes()].concat(), wide] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(stdout(&crossover(&["link", "encode", name])).trim(), link);
        // The report's race with another width.
        refused(&["race", "--config", name, "--width", "0"], "invalid-field", "width");
    }
    std::fs::write(&path, format!("See https://example.org/{link}.")).unwrap();
    refused(&["race", "--config", name, "--width", "0"], "invalid-field", "width");
    for (text, words) in [
        (report.to_csv(), "seems to be a table of results in CSV"),
        (report.to_markdown(), "seems to be a table of results in Markdown"),
        (String::new(), "seems to be empty"),
    ] {
        std::fs::write(&path, text).unwrap();
        refused(&["race", "--config", name], "file-no-race", words);
        refused(&["link", "encode", name], "file-no-race", words);
    }
    std::fs::write(&path, [0x89, b'P', b'N', b'G', 0xff]).unwrap();
    refused(&["race", "--config", name], "file", "neither UTF-8 nor UTF-16");
}

/// Ctrl-C ends a race early and prints the points measured.
#[cfg(unix)]
#[test]
fn fault_17_ctrl_c_prints_what_was_measured() {
    let arguments = [
        "race",
        "--systems",
        "attention",
        "--backend",
        "cpu",
        "--lengths",
        "16,131072,262144",
        "--width",
        "64",
        "--threads",
        "1",
        "--json",
        "--budget-ms",
        "3600000",
    ];
    let child = Command::new(env!("CARGO_BIN_EXE_crossover"))
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let interrupted = std::time::Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(interrupted.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(output.status.code(), Some(0));
    let report = Report::from_json(&stdout(&output)).unwrap();
    assert_eq!(report.status, report::Status::Cancelled);
    assert_eq!(report.lanes[0].points[0].outcome, "ok");
}

/// A small real race.
fn raced() -> String {
    let output = crossover(&small("attention,hyena", &["--json"]));
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output)
}

fn validator() -> jsonschema::Validator {
    let output = crossover(&["schema"]);
    assert!(output.status.success());
    let schema: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn the_schema_takes_real_reports_and_refuses_broken_ones() {
    let validator = validator();
    let fresh: serde_json::Value = serde_json::from_str(&raced()).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut real = vec![("a race just run".to_owned(), fresh.clone())];
    for file in [
        "report/tests/fixtures/v1-report.json",
        "report/tests/fixtures/v4-report.json",
        "report/tests/fixtures/v5-report.json",
        "report/tests/races/eleven-by-nine.json",
        "chart/tests/fixtures/wall.json",
    ] {
        let text = std::fs::read_to_string(folder.join("..").join(file)).unwrap();
        real.push((file.to_owned(), serde_json::from_str(&text).unwrap()));
    }
    for (name, report) in &real {
        let errors: Vec<String> = validator
            .iter_errors(report)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    for (pointer, value) in [
        ("/schema", serde_json::json!(4)),
        ("/status", serde_json::json!("won")),
        ("/lanes", serde_json::json!([])),
        ("/lanes/0/backend", serde_json::json!("tpu")),
        ("/lanes/0/system", serde_json::json!("<b>")),
        ("/lanes/0/points/0/outcome", serde_json::json!("first")),
        ("/lanes/0/points/0/medianMs", serde_json::json!(-1)),
        ("/lanes/0/points/0/medianMs", serde_json::json!("1")),
        ("/lanes/0/points/0/length", serde_json::json!(0)),
        ("/lanes/0/points/0/samples", serde_json::json!(1.5)),
        ("/lanes/0/points/0/flops", serde_json::json!(1e30)),
        ("/lanes/0/title", serde_json::json!("x".repeat(81))),
        ("/crossovers/0/kind", serde_json::json!("maybe")),
        ("/lanes/0/points/0/lowMs", serde_json::json!("1")),
        ("/lanes/0/points/0/setUps", serde_json::json!(-1)),
        (
            "/lanes/1/points/0/versus",
            serde_json::json!({"baseline": 0, "speedup": 2, "low": 1.5, "high": 3, "verdict": "won"}),
        ),
        ("/environment/tickMs", serde_json::json!(-1)),
        ("/config/threads", serde_json::json!(0)),
        ("/config/systems", serde_json::json!([1])),
        ("/config/lengths", serde_json::json!(null)),
    ] {
        let mut broken = fresh.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
        assert!(Report::from_value(broken).is_err(), "{pointer}");
    }
    let decode = std::fs::read_to_string(folder.join("../report/tests/fixtures/v5-report.json")).unwrap();
    let decode: serde_json::Value = serde_json::from_str(&decode).unwrap();
    for (pointer, value) in [
        ("/config/mode", serde_json::json!("chat")),
        ("/config/tokens", serde_json::json!(0)),
        ("/config/contexts", serde_json::json!([])),
        ("/lanes/0/points/0/decode/stateBytes", serde_json::json!(-1)),
        ("/lanes/0/points/0/decode/prefillMs", serde_json::json!(0)),
        ("/lanes/0/points/0/decode/steps/tokens", serde_json::json!(5000)),
        ("/lanes/0/points/0/decode/steps/worstMs", serde_json::json!("1")),
    ] {
        let mut broken = decode.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
        assert!(Report::from_value(broken).is_err(), "{pointer}");
    }
    for field in ["schema", "config", "environment", "lanes", "crossovers", "warnings", "status"] {
        let mut broken = fresh.clone();
        broken.as_object_mut().unwrap().remove(field);
        assert!(!validator.is_valid(&broken), "{field}");
    }
}

#[test]
fn a_report_is_printed_in_every_form_and_a_link_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), raced()).unwrap();
    let link = stdout(&crossover(&["link", "encode", file.path().to_str().unwrap()])).trim().to_owned();
    let decode = |form: &str| {
        let output = crossover(&["link", "decode", &link, form]);
        assert!(output.status.success(), "{form}: {}", stderr(&output));
        stdout(&output)
    };
    assert!(Report::from_json(&decode("--json")).is_ok());
    assert!(decode("--csv").starts_with("system,backend,"));
    assert!(decode("--markdown").starts_with("| length | Attention (cpu) | Hyena (cpu) |"));
    assert!(decode("--bibtex").contains("@inproceedings{vaswani2017attention,"));
    assert!(decode("--bibtex").contains("yena"));
    let svg = decode("--svg");
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"), "{svg}");
    assert!(svg.contains("Hyena") && svg.contains("Crossover 0."));
    // One format at a time, and only JSON for a configuration.
    assert_eq!(crossover(&["link", "decode", &link, "--svg", "--csv"]).status.code(), Some(2));
    let config = report::encode_config_link(&report::Config::default()).unwrap();
    refused(&["link", "decode", &config, "--svg"], "no-report", "without a result");
}

#[test]
fn every_system_has_a_paper() {
    let bibliography = stdout(&crossover(&["systems", "--bibtex"]));
    for system in kernels::systems() {
        let id = system.info().id;
        let own = report::bibliography(&bibliography, [id]);
        assert!(own.starts_with('@') && own.contains("title") && own.contains("author"), "{id}: {own}");
    }
}
