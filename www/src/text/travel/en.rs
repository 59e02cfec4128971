//! English.

use report::Seems;
use report::compare::Field;

use super::Travel;

/// English.
pub static ENGLISH: Travel = Travel {
    share: "Share",
    share_title: "Share this result",
    share_setup_title: "Share this race",
    share_intro: "The link holds the whole result: configuration, every point, hardware. It needs no server and opens offline.",
    share_setup_intro: "The link holds the race that is set up. Whoever opens it can run it on their own machine.",
    share_link: "Link",
    share_length: |n| format!("{n} characters"),
    copy: "Copy",
    copied: "Copied",
    copy_denied: "The browser does not let this page copy. The text is selected: press Ctrl+C or ⌘C.",
    system_share: "Share with…",
    qr: "QR code",
    qr_label: "QR code of the link",
    qr_too_long: "The link is too long for a QR code. Copy it instead.",
    share_too_long: "This result has too much text for a link. Export it as JSON instead.",
    shared_by: |machine| format!("A recorded result, from {machine}."),
    run_on_mine: "Run it on mine",
    description: |result, machine| format!("{result} Measured on {machine}."),

    export: "Export",
    export_title: "Export this result",
    export_intro: "For papers, spreadsheets, READMEs and programs.",
    export_png: ("PNG", "The chart as an image"),
    export_svg: ("SVG", "The chart for a paper, sharp at any size"),
    export_csv: ("CSV", "One row per lane and length, for spreadsheets"),
    export_json: ("JSON", "Everything, for programs and for opening here again"),
    export_markdown: ("Markdown", "A table for a README"),
    export_bibtex: ("BibTeX", "The papers of the systems in this race"),
    export_schema: "JSON Schema of results",
    download: "Download",
    download_of: |what| format!("Download {what}"),
    copy_of: |what| format!("Copy {what}"),
    downloaded: |name| {
        format!("{name} is being saved. If nothing arrives, downloads are blocked here: use Copy instead.")
    },
    download_failed: |why| {
        format!("The browser did not let this page save a file ({why}). Use Copy instead.")
    },
    copied_of: |what| format!("{what} copied."),
    copy_failed: |what| format!("The browser does not let this page copy {what}. Download it instead."),
    part_missing: "A part of this page could not be loaded. Check the connection; if there is a newer version, reload the page.",
    no_bibliography: "The bibliography could not be loaded. Check the connection and try again.",

    compare: "Compare",
    compare_title: "Compare results",
    compare_intro: "Drop results anywhere on this page: JSON files or links, from this machine or others.",
    compare_open: "Open files…",
    compare_paste: "Paste a link",
    compare_add: "Add",
    compare_this: "Add the result above",
    compare_clear: "Clear",
    compare_reports: "Results compared",
    compare_chart: |lanes, reports| {
        format!(
            "Log-log chart of {lanes} lanes of {reports} results. The table below holds the same numbers."
        )
    },
    compare_table: "Times, and how many times as fast",
    compare_against: |name| format!("Ratios are against {name}."),
    compare_crossovers: "Whose crossover comes first?",
    crossover_at: |name, length, interval| format!("{name} at {length} tokens {interval}"),
    crossover_predicted: |name, length| format!("{name} at {length} tokens, predicted"),
    crossover_undecided: |name| format!("{name} undecided"),
    crossover_none: |name| format!("{name} nowhere in its data"),
    comes_first: |name| format!("{name} first"),
    comes_close: "undecided",
    other_work: "These results are of different work: their times do not compare.",
    other_conditions: "Mind what else differs:",
    field: |field| match field {
        Field::Width => "Width",
        Field::Heads => "Heads",
        Field::Batch => "Batch",
        Field::Causal => "Form",
        Field::Level => "Level",
        Field::Lanes => "Lanes in common",
        Field::Lengths => "Lengths",
        Field::Backend => "Backend",
        Field::Threads => "CPU threads",
        Field::Simd => "Vector instructions",
        Field::ClockStep => "Clock step",
        Field::SoftwareGpu => "GPU",
        Field::Build => "Version",
        Field::Seed => "Seed",
        Field::Status => "State",
    },
    value: |value| match value {
        "causal" => Some("causal"),
        "bidirectional" => Some("bidirectional"),
        "core" => Some("core"),
        "layer" => Some("whole layer"),
        "cpu" => Some("CPU"),
        "webgpu" => Some("GPU"),
        "software" => Some("emulated in software"),
        "hardware" => Some("hardware"),
        "done" => Some("finished"),
        "cancelled" => Some("cancelled"),
        "running" => Some("unfinished"),
        _ => None,
    },
    open: "Open",
    open_of: |name| format!("Open {name}"),
    remove_of: |name| format!("Remove {name}"),
    mine: "This machine",
    from_link: "Link",
    drop_here: "Drop results to open or compare them",
    added: |name| format!("{name} added."),
    not_added: |name, why| format!("{name}: {why}"),
    not_opened_title: "Not opened:",
    too_many_reports: |n| format!("at most {n} results can be compared; remove one first"),
    file_too_large: |size, limit| format!("the file has {size}; results have at most {limit}"),
    file_unreadable: "the file could not be read",
    only_setup: "it holds a race that is yet to run, no result",
    no_race: |seems| match seems {
        Seems::Empty => "there is nothing in it".to_owned(),
        Seems::Csv | Seems::Markdown | Seems::Svg => {
            format!("it seems to be {}; only the report in JSON or a link can be opened again", seems.words())
        }
        _ => format!("it holds no result and no link to one; it seems to be {}", seems.words()),
    },
    racing_now: "a race is running; wait for its end or cancel it",

    history_title: "Past runs",
    history_intro: "Kept in this browser only.",
    history_empty: "Races that you run are kept here.",
    history_name: |name| format!("Name of {name}"),
    history_delete: |name| format!("Delete {name}"),
    history_delete_all: "Delete all",
    history_compare: |name| format!("Compare {name}"),
    history_damaged: "damaged entry",
    history_denied: "This browser keeps nothing here (a private window, a sandbox or blocked storage). Results can still be shared and exported.",
    history_full: "The browser’s storage is full: this run was not kept. Delete past runs, or export this one.",
    history_newer: "Past runs were kept by a newer version of this page. Reload it to see them.",
    history_failed: |why| format!("Past runs are not available: {why}"),
    history_gone: "it was deleted meanwhile",

    figure_work: |metric, level, form| format!("{metric}, median with quartiles; {level}, {form}"),
    figure_problem: |width, heads, batch, seed| {
        format!("width {width}, heads {heads}, batch {batch}, f32, seed {seed}")
    },
    figure_software: "emulated in software",
};
