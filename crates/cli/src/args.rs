//! The command line. A race's values stay text here: the validator that the page and links use checks their ranges.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Races softmax attention against subquadratic sequence mixers on this machine.
#[derive(Debug, Parser)]
#[command(name = "crossover", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Race systems against each other and find where they cross
    Race(Box<RaceArgs>),
    /// Compare this machine's results with golden files
    Verify(VerifyArgs),
    /// List the systems that can race
    Systems(SystemsArgs),
    /// Read and write share links
    Link(LinkArgs),
    /// Print the JSON Schema of reports
    Schema,
}

#[derive(Debug, ClapArgs)]
pub struct RaceArgs {
    #[allow(rustdoc::broken_intra_doc_links, reason = "clap shows the brackets as they are")]
    /// Lanes, comma separated: name[@backend][:param=value]…, e.g. attention,hyena@cpu:order=3
    #[arg(long, value_name = "LANES")]
    pub systems: Option<String>,
    /// Sequence lengths, e.g. 256,512,1024 or 256..16K, which doubles
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true)]
    pub lengths: Option<String>,
    /// The timed work: forward (one pass over a whole sequence) or decode (one token after a context)
    #[arg(long)]
    pub mode: Option<String>,
    /// Context lengths of a decode race, e.g. 256..64K, which doubles
    #[arg(long, value_name = "LENGTHS", allow_hyphen_values = true)]
    pub contexts: Option<String>,
    /// Tokens that a decode race generates after a context in one run
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub tokens: Option<String>,
    /// Backend of lanes that name none: cpu, gpu or auto (the GPU where there is one)
    #[arg(long)]
    pub backend: Option<String>,
    /// Model width
    #[arg(long, allow_hyphen_values = true)]
    pub width: Option<String>,
    /// Heads; divides the width
    #[arg(long, allow_hyphen_values = true)]
    pub heads: Option<String>,
    /// Sequences in a batch
    #[arg(long, allow_hyphen_values = true)]
    pub batch: Option<String>,
    /// Run the causal form of systems that have both (the default)
    #[arg(long, action = ArgAction::SetTrue, overrides_with = "no_causal")]
    pub causal: bool,
    /// Run the bidirectional form of systems that have both
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_causal: bool,
    /// core (the mixing alone) or layer (with all projections)
    #[arg(long)]
    pub level: Option<String>,
    /// Threads of CPU lanes: auto or a number
    #[arg(long, allow_hyphen_values = true)]
    pub threads: Option<String>,
    /// Time limit of the whole race, in milliseconds
    #[arg(long, value_name = "MS", allow_hyphen_values = true)]
    pub budget_ms: Option<String>,
    /// Seed of inputs, weights and schedule
    #[arg(long, allow_hyphen_values = true)]
    pub seed: Option<String>,
    /// Start from a configuration or a report in JSON, or from a link; other options override it
    #[arg(long, value_name = "FILE or LINK")]
    pub config: Option<String>,
    #[command(flatten)]
    pub form: Form,
    /// Print the share link of the report to standard error
    #[arg(long)]
    pub link: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// Format of a printed report; at most one of these options.
#[derive(Debug, Clone, ClapArgs)]
#[group(multiple = false)]
pub struct Form {
    /// Format of the printed report
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Print the report as JSON; short for --format json, and so on
    #[arg(long)]
    pub json: bool,
    /// Print one row per lane and length, for spreadsheets
    #[arg(long)]
    pub csv: bool,
    /// Print a table for a README
    #[arg(long)]
    pub markdown: bool,
    /// Print the chart, for a paper
    #[arg(long)]
    pub svg: bool,
    /// Print the papers of the systems that raced
    #[arg(long)]
    pub bibtex: bool,
}

impl Form {
    /// The requested format, or `or` without a request.
    pub fn or(&self, or: Format) -> Format {
        let short = [
            (self.json, Format::Json),
            (self.csv, Format::Csv),
            (self.markdown, Format::Markdown),
            (self.svg, Format::Svg),
            (self.bibtex, Format::Bibtex),
        ];
        self.format.or(short.into_iter().find_map(|(given, format)| given.then_some(format))).unwrap_or(or)
    }
}

/// Formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal
    Table,
    /// All data, as in the page's API
    Json,
    /// One row per lane and length
    Csv,
    /// A table for a README
    Markdown,
    /// The chart, for a paper
    Svg,
    /// The papers of the systems that raced
    Bibtex,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// Golden files, or folders that contain some
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Decode each file's case token by token, instead of running the forward pass over it
    #[arg(long)]
    pub decode: bool,
    /// Backend to verify on
    #[arg(long, value_enum, default_value_t = VerifyBackend::Cpu)]
    pub backend: VerifyBackend,
    /// Verify this system with the files, instead of the system that they name
    #[arg(long, value_name = "NAME")]
    pub system: Option<String>,
    /// Threads of the CPU
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum VerifyBackend {
    Cpu,
    #[value(alias = "webgpu")]
    Gpu,
}

#[derive(Debug, ClapArgs)]
pub struct SystemsArgs {
    /// Print JSON, as in the page's API
    #[arg(long)]
    pub json: bool,
    /// Print the papers as BibTeX, each after a line `% system: NAME`
    #[arg(long, conflicts_with = "json")]
    pub bibtex: bool,
    /// Print, as JSON, which inputs influence each output: computed by the f64 references, which takes a while
    #[arg(long, conflicts_with_all = ["json", "bibtex"])]
    pub patterns: bool,
}

#[derive(Debug, ClapArgs)]
pub struct LinkArgs {
    #[command(subcommand)]
    pub command: LinkCommand,
}

#[derive(Debug, Subcommand)]
pub enum LinkCommand {
    /// Print the content of a link, as JSON unless another format is requested
    Decode {
        /// The address, its fragment, or the text after `#r=`; - reads it from standard input
        #[arg(value_name = "URL")]
        url: String,
        #[command(flatten)]
        form: Form,
    },
    /// Print the link of a report or a configuration
    Encode {
        /// File with its JSON; - reads it from standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}
