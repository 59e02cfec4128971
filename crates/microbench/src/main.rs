//! Native workloads: `microbench NAME[@THREADS]…` prints the best and the median of interleaved rounds. The default is
//! one thread. With `--tsv` first, a line has the name, the best and the median in seconds, and the operations per run,
//! separated by tabs.

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use compute::CpuPool;
use microbench::workload::Workload;
/// Rounds; every workload runs once per round.
const ROUNDS: usize = 7;

/// Shortest duration of a sample.
const SAMPLE: Duration = Duration::from_millis(20);

struct Row {
    name: String,
    workload: Workload,
    repeats: u32,
    seconds: Vec<f64>,
}

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let tsv = names.first().is_some_and(|name| name == "--tsv");
    if tsv {
        names.remove(0);
    }
    match measure(names, tsv) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("microbench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(names: Vec<String>, tsv: bool) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for name in names {
        let (workload, threads) = name.split_once('@').unwrap_or((&name, "1"));
        let pool = CpuPool::new(threads.parse()?)?;
        let mut workload = Workload::named(workload, Rc::new(pool))?;
        let started = Instant::now();
        workload.run(1)?;
        let repeats = (SAMPLE.as_secs_f64() / started.elapsed().as_secs_f64()).ceil().max(1.0) as u32;
        rows.push(Row { name, workload, repeats, seconds: Vec::new() });
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let started = Instant::now();
            row.workload.run(row.repeats)?;
            row.seconds.push(started.elapsed().as_secs_f64() / f64::from(row.repeats));
        }
    }
    for row in &mut rows {
        row.seconds.sort_by(f64::total_cmp);
        let (best, median) = (row.seconds[0], row.seconds[ROUNDS / 2]);
        if tsv {
            println!("{}\t{best}\t{median}\t{}", row.name, row.workload.flops);
            continue;
        }
        println!(
            "{:32} {:9.3} ms  median {:9.3}  {:6.1} GFLOP/s",
            row.name,
            1e3 * best,
            1e3 * median,
            row.workload.flops / best / 1e9
        );
    }
    Ok(())
}
