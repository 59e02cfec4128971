/** Name of a system, e.g. `attention` or `hyena`. */
export type SystemName = string;
export type BackendName = 'cpu' | 'webgpu' | 'auto';
export type Level = 'core' | 'layer';
/** The timed work at each length. */
export type Mode = 'forward' | 'decode';

/** One lane: a system, or a system with its backend and parameters. */
export type LaneConfig =
  | SystemName
  | { system: SystemName; backend?: BackendName; params?: Record<string, boolean | number | string> };

/** The configuration of a race. Every field has a default. */
export interface Config {
  systems?: LaneConfig[];
  /** `forward` (the default) times one forward pass over a sequence of each length, `decode` one generated token after a
      context of each length. */
  mode?: Mode;
  /** Sequence lengths, or the text of the page's field, such as `"256..16384"` (doubles) or `"256, 512, 1024"`. Not with
      `mode: 'decode'`, which has `contexts` instead. */
  lengths?: number[] | string;
  /** Lengths of contexts, written as `lengths` are. Only with `mode: 'decode'`. */
  contexts?: number[] | string;
  /** Tokens generated one by one after a context, in each run: 1 to 4096, by default 128. The state has room for the
      context and these tokens. Only with `mode: 'decode'`. */
  tokens?: number;
  /** Model width. */
  width?: number;
  /** Heads; divides the width. */
  heads?: number;
  batch?: number;
  /** True with `mode: 'decode'`. */
  causal?: boolean;
  level?: Level;
  /** Backend of lanes that do not name one. */
  backend?: BackendName;
  threads?: 'auto' | number;
  /** Time limit of the whole race, in milliseconds. */
  budgetMs?: number;
  seed?: number;
}

/** The configuration of a finished race: every field of its mode, lengths as numbers. */
export type RacedConfig = Required<Omit<Config, 'mode' | 'lengths' | 'contexts' | 'tokens'>> &
  (
    | { mode?: undefined; lengths: number[]; contexts?: undefined; tokens?: undefined }
    | { mode: 'decode'; contexts: number[]; tokens: number; lengths?: undefined }
  );

export type Outcome =
  | 'ok'
  | 'memory'
  | 'time-budget'
  | 'device-limit'
  | 'device-lost'
  | 'no-backend'
  | 'unsupported'
  | 'not-verified'
  | 'failed'
  | 'cancelled';

export interface Verified {
  length: number;
  /** Null where an output was not finite. */
  maxAbs: number | null;
  maxRel: number | null;
  pass: boolean;
}

export interface Point {
  /** Sequence length; in a decode race the length of the context. */
  length: number;
  outcome: Outcome;
  message: string | null;
  /** The reason as a code with arguments; not in links. */
  reason?: Reason;
  /** Time of one forward pass; in a decode race of one generated token, which is a step of the whole batch. Excludes
      set-up and, in a decode race, the prefill and any other filling of the state. */
  medianMs: number | null;
  q1Ms: number | null;
  q3Ms: number | null;
  minMs: number | null;
  samples: number;
  repeats: number;
  discarded: number;
  deviceMs: number | null;
  setupMs: number | null;
  firstRunMs: number | null;
  predictedMs: number | null;
  /** Operations by the field's conventions, for comparing algorithms. */
  flops: number;
  /** Operations that the CPU kernel executes; absent in older reports. */
  executedFlops?: number;
  /** Exponentials, divisions and square roots; absent in older reports. */
  transcendentals?: number;
  bytes: number;
  peakBytes: number;
  /** Bytes of the state for decoding in closed form; in a decode race with room for the generated tokens. */
  decodeStateBytes: number;
  verified: Verified | null;
  /**
   * Least time that the measured roofline allows, over the median; 1 is the machine's peak. A value above 1 means that
   * the data was in a cache, or that the probe was disturbed.
   */
  rooflineShare: number | null;
  /** 95% interval of `medianMs` over samples and set-ups; null in reports of format 1. */
  lowMs: number | null;
  highMs: number | null;
  /** Number of set-ups of the lane at this length; 0 where unknown. */
  setUps: number;
  /** Against the attention lane of the same backend; null for that lane itself, where either was not measured, and in
      reports of format 1. */
  versus: Versus | null;
  /** Present and true where the system's sparse pattern covers every pair of positions at this length. */
  fullAttention?: true;
  /** Time that the point would have needed, where the outcome is `time-budget` and the time is known. */
  neededMs: number | null;
  /** Measurements of decoding other than the time of a token. Absent in races of forward passes, and where it was not measured. */
  decode?: Decoding;
}

/** The state, the prefill and the single tokens of a point of a decode race. Tokens per second are
    `1000 * batch / medianMs`. */
export interface Decoding {
  /** Bytes of the state of the whole batch, with room for the context and the generated tokens, as counted. */
  stateBytes: number;
  /** Time of the prefill: filling the empty state with the context by the parallel form, with the output of every token.
      Excludes set-up and is no part of `medianMs`. Null where there was no time to measure it. */
  prefillMs: number | null;
  /** Operations of the forward pass over the context, by the field's conventions. */
  prefillFlops: number;
  /** Operations that the CPU kernel executes in it. */
  prefillExecutedFlops: number;
  /** Exponentials, divisions and square roots in it. */
  prefillTranscendentals: number;
  /** Bytes that it moves. */
  prefillBytes: number;
  /** Least time that the measured roofline allows for the prefill, over `prefillMs`. */
  prefillRooflineShare: number | null;
  /** Times of single tokens of one run, each read from the clock before the next one starts: they include a reading of the
      clock and exclude set-up and prefill. Null where the clock is too coarse, or where there was no time. */
  steps: { tokens: number; medianMs: number; p99Ms: number; worstMs: number } | null;
}

export interface Versus {
  /** Index into `lanes`. */
  baseline: number;
  /** Attention's time over the lane's: above 1, the lane is faster. */
  speedup: number;
  /** Its 95% interval. */
  low: number;
  high: number;
  /** `ahead` only where `low` is above 1, `behind` only where `high` is below 1. */
  verdict: 'ahead' | 'behind' | 'undecided';
}

export interface Exponent {
  estimate: number;
  low: number;
  high: number;
  log2ScaleMs: number;
  fromLength: number;
  /** Exponent of the growth model's leading term: the growth of the time far beyond the raced lengths. */
  leading: { estimate: number; low: number; high: number } | null;
}

export interface Lane {
  system: SystemName;
  title: string;
  backend: 'cpu' | 'webgpu';
  params: Record<string, boolean | number | string>;
  causal: boolean;
  verification: Verified | null;
  points: Point[];
  exponent: Exponent | null;
}

export interface Crossover {
  /** Index into `lanes`. */
  challenger: number;
  /** Index into `lanes`. */
  baseline: number;
  /**
   * `measured`: between raced lengths. `at-most`: ahead from the raced length `estimate` on, possibly earlier; all
   * three numbers are that bound. `predicted`: beyond the raced lengths. `undecided`: the measurements do not decide.
   * `none`: behind at all raced lengths and not predicted to get ahead.
   */
  kind: 'measured' | 'at-most' | 'predicted' | 'undecided' | 'none';
  /** In tokens; null for `undecided` and `none`. */
  estimate: number | null;
  /** Its 95% interval. */
  low: number | null;
  high: number | null;
}

export interface Gpu {
  vendor: string;
  architecture: string;
  description: string;
  api: string;
  fallback: boolean;
  maxStorageBindingBytes: number;
  maxBufferBytes: number;
  maxWorkgroupStorageBytes: number;
  maxInvocationsPerWorkgroup: number;
  timestamps: boolean;
  subgroups: boolean;
  shaderF16: boolean;
  /** The kernel variants that its lanes used. */
  kernels: ChosenKernel[];
}

export interface ChosenKernel {
  kernel: 'attention';
  dHead: number;
  causal: boolean;
  /** `tiles-8x8`, `tiles-4x8` or `direct`. */
  variant: string;
  /** Whether it was the fastest of several variants measured before the race. Otherwise a rule chose it. */
  measured: boolean;
}

export interface Environment {
  build: string;
  host: string;
  agent: string;
  cores: number;
  threads: number;
  simd: string;
  isolated: boolean;
  tickMs: number;
  cpuMemoryBytes: number;
  gpu: Gpu | null;
  gpuMissing: string | null;
  /** Peak rates of the machine, measured after the race on the backends that raced. */
  roofline: { cpu: Peaks | null; webgpu: Peaks | null } | null;
}

export interface Peaks {
  /** f32 operations per second, a multiply-add counting as two. */
  flopsPerS: number;
  /** f16 operations per second, where shaders may use them. */
  f16FlopsPerS: number | null;
  /** Exponentials per second; absent in older reports and in links. */
  transcendentalsPerS?: number;
  /** Bytes per second of a copy that exceeds the caches; bytes read and bytes written both count. */
  bytesPerS: number;
  /** Milliseconds from the start of an empty dispatch to the notification of its end. */
  dispatchMs: number;
}

export interface Report {
  /** Format: 2, in decode races 3. Reports of format 1 are converted to 2 when they are read. */
  schema: number;
  config: RacedConfig;
  environment: Environment;
  startedAtMs: number | null;
  status: 'running' | 'done' | 'cancelled';
  lanes: Lane[];
  crossovers: Crossover[];
  warnings: { code: string; message: string; lane: number | null; args?: Record<string, ReasonArg> }[];
}

export interface SystemEntry {
  id: SystemName;
  title: string;
  /** Number of its colour and marker shape in charts. */
  mark: number;
  family: string;
  causality: 'both' | 'causal-only' | 'bidirectional-only';
  complexity: string;
  exponent: number;
  year: number;
  paper: string;
  arxiv: string;
  reference: string;
  summary: string;
  params: {
    name: string;
    help: string;
    kind: 'count' | 'flag' | 'number' | 'choice';
    default: boolean | number | string;
    low: number | null;
    high: number | null;
    choices: string[];
  }[];
  /** Why no form of the system decodes; null where some form does. A lane that cannot decode ends as `unsupported`. */
  noDecode: { code: string; message: string } | null;
}

export type RaceEvent =
  | { type: 'report'; report: Report }
  | { type: 'progress'; fraction: number; remainingMs: number; lane: number; length: number; activity: string }
  | { type: 'done'; report: Report };

export interface VerifyResult {
  system: SystemName;
  case: string;
  level: Level;
  backend: 'cpu' | 'webgpu';
  maxAbs: number | null;
  maxRel: number | null;
  /** Whether every |Δ| is at most `tolerance.abs + tolerance.rel · |y|`. */
  pass: boolean;
  /** The file's own tolerance. */
  tolerance: { abs: number; rel: number };
  /**
   * Unread keys of the file's configuration, then its unread tensors. With any of these, the file may describe another
   * computation.
   */
  unread: string[];
}

/** An argument of a reason, with its unit. */
export type ReasonArg = number | string | { bytes: number } | { ns: number } | Reason;

/** A reason as data, for translation. */
export interface Reason {
  code: string;
  args?: Record<string, ReasonArg>;
}

/** An error with a stable code. `report` has the points measured before it, if there are any. */
export class CrossoverError extends Error {
  code: string;
  /** Arguments of the message. */
  args: Record<string, ReasonArg>;
  field?: string;
  report?: Report;
}

/**
 * Runs a race. Races are queued, and one runs at a time. An aborted signal rejects with its reason, whose `report` has
 * the points measured so far.
 */
export function race(
  config?: Config,
  options?: { signal?: AbortSignal; onEvent?: (event: RaceEvent) => void },
): Promise<Report>;

/** Verifies a golden safetensors file of any supported system, shape and configuration. */
export function verify(
  bytes: ArrayBuffer | ArrayBufferView,
  options?: { backend?: BackendName; signal?: AbortSignal },
): Promise<VerifyResult>;

/** The systems that can race. Also available outside of browsers, like links: see `docs/embed.md`. */
export function systems(): Promise<SystemEntry[]>;
export function environment(): Promise<Environment>;
/** A link to the playground that contains the whole report. */
export function encodeLink(report: Report): Promise<string>;
/** The content of a link. Rejects with a `CrossoverError` where the link is invalid. */
export function decodeLink(url: string): Promise<{ config: RacedConfig; report?: Report }>;
/** The worker modules that this browser can run, best first. */
export function variants(): string[];
/** The running variant, once it runs. */
export function variant(): Promise<string>;

/** Low-level client for user interfaces; the messages are those of the project's protocol crate. */
export function connect(onEvent: (json: string) => void): {
  send(json: string, bytes?: Uint8Array): void;
  cancel(id: number): void;
  restart(): void;
  close(): void;
};
/**
 * For code that stores races: calls `listener` with every report of a race, closed as if the race had been stopped
 * there. `race` is the race's number, `over` whether it has ended.
 */
export function watchRaces(listener: (snapshot: { race: number; report: Report; over: boolean }) => void): void;
/** For code that shows a race on a part of a page: whether that part is in view. A race out of view pauses. */
export function setOnScreen(onScreen: boolean): void;

/** For code that shows a race in a frame: requests a turn where the browser has no locks for it. */
export function setTurns(ask: (signal: AbortSignal) => Promise<void>): void;

/**
 * Sets the folder of this module's files, where it is not the module's own: bundlers move the module, but not the
 * files. Must be called before all other functions. `base` is the folder's address, relative to the page.
 */
export function configure(options?: { base?: string | URL }): void;

/** State of an embedded race. */
export type RaceState = 'still' | 'loading' | 'idle' | 'running' | 'done';

/** Detail of the element's `progress` event. */
export interface RaceProgress {
  /** Done fraction of the expected time, between 0 and 1. */
  fraction: number;
  remainingMs: number;
  /** Index of the current lane. */
  lane: number;
  /** Current sequence length. */
  length: number;
  /** The activity, e.g. `sampling`; `waiting` while another race of this browser runs. */
  activity: string;
}

export interface CrossoverRaceEventMap {
  progress: CustomEvent<RaceProgress>;
  report: CustomEvent<Report>;
  error: CustomEvent<{ code: string; message: string }>;
}

/**
 * `<crossover-race>`: a race in a frame that adapts its height. Properties reflect attributes; an empty one means the
 * default. Importing this module defines the element.
 */
export interface CrossoverRaceElement extends HTMLElement {
  /** Names of systems, separated by blanks. An array may be assigned. */
  systems: string;
  /** `forward` or `decode`. */
  mode: string;
  /** `512..16384` doubles, `512, 1024` is a list. An array may be assigned. */
  lengths: string;
  /** With `mode="decode"` in place of `lengths`. */
  contexts: string;
  /** Generated tokens, with `mode="decode"`. */
  tokens: string;
  width: string;
  heads: string;
  batch: string;
  /** `true` or `false`. */
  causal: string;
  level: string;
  backend: string;
  threads: string;
  /** Attribute `budgetms`. */
  budgetMs: string;
  seed: string;
  /** `auto`, `light` or `dark`. */
  theme: string;
  /**
   * `visible` starts the race once it is in view. Readers who prefer less motion or less data still have to press it.
   */
  autoplay: string;
  /** A link to a report to show, or to a configuration to race. */
  report: string;
  readonly state: RaceState;
  readonly result: Report | null;
  /** Starts the race and returns its report, or the report of the race under way. */
  start(): Promise<Report>;
  /** Stops the race. The points measured so far are in its report. */
  cancel(): void;
  addEventListener<K extends keyof CrossoverRaceEventMap>(
    type: K,
    listener: (this: CrossoverRaceElement, event: CrossoverRaceEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof CrossoverRaceEventMap>(
    type: K,
    listener: (this: CrossoverRaceElement, event: CrossoverRaceEventMap[K]) => unknown,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    'crossover-race': CrossoverRaceElement;
  }
}

/** Makes the worker lose its GPU device, for tests only. */
export function loseDevice(): void;
export const protocol: number;
