//! A system is one folder and one line: the fixture, which tests alone register, races, travels and is drawn like any
//! other, and nothing but its folder and its line names it. Parity tests of both backends find it in the registry.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use chart::lanes::looks;
use chart::words::ENGLISH;
use mixer::{Info, Task};
use report::{Linked, Report, SystemEntry};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The one folder of `kernels/src/fixture`.
fn folder() -> PathBuf {
    let folders = fs::read_dir(root().join("kernels/src/fixture")).unwrap();
    let folders: Vec<PathBuf> = folders.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    folders[0].clone()
}

/// The fixture's facts, by its folder's name.
fn info() -> &'static Info {
    let id = folder().file_name().unwrap().to_str().unwrap().replace('_', "-");
    kernels::infos().iter().find(|info| info.id == id).unwrap()
}

fn crossover(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_crossover")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The fixture with a parameter beside attention, on the CPU.
fn raced() -> Report {
    let systems = format!("attention,{}:{}=2", info().id, info().params[0].name);
    let problem = ["race", "--backend", "cpu", "--width", "16", "--heads", "2", "--lengths", "16..64"];
    let run = ["--budget-ms", "4000", "--threads", "1", "--quiet", "--json", "--systems"];
    Report::from_json(&crossover(&[&problem[..], &run, &[&systems]].concat())).unwrap()
}

#[test]
fn the_catalogue_lists_it_with_its_parameters() {
    let entries: Vec<SystemEntry> = serde_json::from_str(&crossover(&["systems", "--json"])).unwrap();
    let entry = entries.iter().find(|entry| entry.id == info().id).unwrap();
    assert_eq!((entry.title.as_str(), entry.mark), (info().title, u32::from(info().mark)));
    assert_eq!(entry.params[0].name, info().params[0].name);
}

#[test]
fn it_races_within_a_budget_is_verified_and_travels_in_links_and_files() {
    let report = raced();
    let lane = &report.lanes[1];
    assert_eq!(lane.system, info().id);
    assert_eq!(lane.points.len(), 3);
    for point in &lane.points {
        assert!(point.outcome == "ok" && point.verified.is_some_and(|verified| verified.pass), "{point:?}");
        assert!(point.flops > 0.0 && point.peak_bytes > 0.0);
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.json");
    fs::write(&file, serde_json::to_string(&report).unwrap()).unwrap();
    let link = crossover(&["link", "encode", file.to_str().unwrap()]);
    let Ok(Linked::Report(read)) = report::decode_link(link.trim()) else { panic!("{link}") };
    assert_eq!((read.lanes[1].system.as_str(), &read.lanes[1].title), (info().id, &lane.title));
    assert_eq!(read.lanes[1].params, lane.params);
    assert_eq!(read.config.systems, report.config.systems);
}

#[test]
fn its_decode_race_travels_and_a_system_without_decoder_says_why() {
    let systems = format!("reformer,{}", info().id);
    let problem = ["race", "--mode", "decode", "--backend", "cpu", "--width", "16", "--heads", "2"];
    let lengths = ["--contexts", "16..64", "--tokens", "9", "--threads", "1", "--budget-ms", "4000"];
    let run = ["--quiet", "--json", "--systems", &systems];
    let report = Report::from_json(&crossover(&[&problem[..], &lengths, &run].concat())).unwrap();
    assert_eq!(report.config.mode, Task::Decode { tokens: 9 });
    for point in &report.lanes[1].points {
        assert!(point.outcome == "ok" && point.verified.is_some_and(|verified| verified.pass), "{point:?}");
        let decode = point.decode.unwrap();
        // The state is counted, its closed form is not.
        assert_eq!(decode.state_bytes, point.decode_state_bytes);
        assert!(decode.state_bytes > 0.0 && decode.prefill_flops > point.flops, "{point:?}");
    }
    let lost = &report.lanes[0].points[0];
    let reason = lost.reason.as_ref().unwrap();
    assert_eq!((lost.outcome.as_str(), reason.code.as_str()), ("unsupported", "no-decode"));
    let entries: Vec<SystemEntry> = serde_json::from_str(&crossover(&["systems", "--json"])).unwrap();
    let entry = |id: &str| entries.iter().find(|entry| entry.id == id).unwrap();
    let why = entry("reformer").no_decode.clone().unwrap();
    assert!(lost.message.as_ref().unwrap().ends_with(&why.message), "{lost:?}");
    assert_eq!(entry(info().id).no_decode, None);
    let Ok(Linked::Report(read)) = report::decode_link(&report::encode_link(&report).unwrap()) else {
        panic!()
    };
    assert_eq!((read.schema, &read.config), (3, &report.config));
}

#[test]
fn it_is_drawn_unlike_every_other_system() {
    let entries: Vec<SystemEntry> =
        kernels::catalogue().map(|(info, decodes)| SystemEntry::new(info, decodes)).collect();
    let report = raced();
    let looks = looks(&report, &entries, &ENGLISH);
    assert_eq!(looks[1].slot, usize::from(info().mark));
    let figure = chart::paper::figure(&report, &entries);
    assert!(figure.contains(&format!(".c{} path", info().mark)) && figure.contains(info().title));
}

#[test]
fn its_golden_files_pass() {
    let golden = folder().join("golden");
    let text = crossover(&["verify", golden.to_str().unwrap()]);
    assert!(
        text.contains(info().id) && text.trim_end().ends_with("0 failed, 0 could not be verified"),
        "{text}"
    );
}

#[test]
fn nothing_but_its_folder_and_one_line_names_it() {
    let module = folder().file_name().unwrap().to_str().unwrap().to_owned();
    let names = [module.clone(), module.replace('_', "-"), module.to_uppercase()];
    let mut places = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["crates", "kernels", "www", "e2e"].iter().map(|folder| root().join(folder)).collect();
    let mut read = 0;
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let skipped = ["node_modules", "target", "dist"].iter().any(|name| path.ends_with(name));
                if !skipped && path.canonicalize().unwrap() != folder().canonicalize().unwrap() {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                read += 1;
                let lines = text.lines().filter(|line| names.iter().any(|name| line.contains(name)));
                // The line's attributes, which a system that is served does without.
                let lines = lines.filter(|line| !line.starts_with("#["));
                places.extend(lines.map(|line| format!("{}: {line}", path.display())));
            }
        }
    }
    assert!(read > 300, "{read} files");
    assert!(
        places.len() == 1 && places[0].ends_with(&format!("systems/mod.rs: pub mod {module};")),
        "{places:#?}"
    );
}
