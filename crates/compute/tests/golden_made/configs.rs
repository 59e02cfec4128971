//! Configurations of golden files in the systems' formats, with every option that a file may have, at random sizes.

use mixer::{Level, Params, Value};

use crate::Random;

/// Generates one configuration.
pub(crate) type Make = fn(&mut Random) -> (Level, Params);

/// The shape of an output of `len` elements, whose leading dimensions the configuration states.
pub(crate) fn output_shape(config: &Params, len: usize) -> Vec<usize> {
    let stated = |name: &str| config.get(name).and_then(|_| config.count(name, 1, usize::MAX).ok());
    let mut shape = vec![stated("batch").unwrap_or(1)];
    if let Some(length) = stated("length") {
        shape.push(stated("l_max").map_or(length, |most| length.min(most)));
    }
    let leading: usize = shape.iter().product();
    shape.push(len / leading);
    assert_eq!(shape.iter().product::<usize>(), len);
    shape
}

pub(crate) fn of(system: &str) -> Vec<Make> {
    match system {
        "attention" | "attention-naive" => {
            vec![|random| attention(random, true), |random| attention(random, false)]
        }
        "hyena" => vec![hyena_core, hyena_layer],
        "monarch-mixer" => vec![monarch_core, monarch_layer, monarch_block, mlp, block_diagonal, monarch],
        "bigs" => vec![|random| bigs(random, Level::Core), |random| bigs(random, Level::Layer)],
        "mega" => vec![mega_layer, mega_ema, mega_attention],
        "ltc" => vec![|random| ltc(random, Level::Core), |random| ltc(random, Level::Layer)],
        "cfc" => vec![cfc_core, cfc_layer, cfc_wired],
        "liquid-s4" => vec![liquid_products, liquid_recurrence, liquid_plain],
        "linformer" => {
            vec![|random| linformer(random, Level::Core), |random| linformer(random, Level::Layer)]
        }
        "longformer" => vec![longformer_core, longformer_causal, longformer_layer],
        "bigbird" => vec![|random| bigbird(random, Level::Core), |random| bigbird(random, Level::Layer)],
        "reformer" => vec![reformer_lsh, reformer_local, reformer_short],
        "performer" => {
            vec![|random| performer(random, Level::Core), |random| performer(random, Level::Layer)]
        }
        _ => Vec::new(),
    }
}

fn level(random: &mut Random) -> Level {
    random.of(&[Level::Core, Level::Layer])
}

/// Sizes without heads.
fn sizes(random: &mut Random, causal: bool) -> Params {
    let mut config = Params::new();
    config.set("batch", random.count(1, 3));
    config.set("length", random.count(1, 150));
    config.set("d_model", random.count(1, 40));
    config.set("causal", causal);
    config
}

/// Sizes with heads that divide the width.
fn headed(random: &mut Random, causal: bool, level: Level) -> Params {
    let mut config = sizes(random, causal);
    let (heads, d_head) = (random.count(1, 4), random.count(1, 24));
    config.set("d_model", heads * d_head);
    config.set("heads", heads);
    config.set("head_dim", d_head);
    if level == Level::Core {
        config.set("scale", (d_head as f64).sqrt().recip());
    }
    config
}

fn get(config: &Params, name: &str) -> usize {
    config.count(name, 1, usize::MAX).unwrap()
}

fn attention(random: &mut Random, causal: bool) -> (Level, Params) {
    let level = level(random);
    let mut config = headed(random, causal, level);
    if level == Level::Layer {
        config.set("bias", random.flag());
    }
    (level, config)
}

fn hyena_core(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, true);
    config.set("order", random.count(2, 5));
    (Level::Core, config)
}

fn hyena_layer(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, true);
    // Longer than the input, shorter, or equal.
    let length = get(&config, "length");
    let least = (length / 2).max(2);
    config.set("l_max", random.count(least, 2 * length + 2));
    config.set("order", random.count(2, 4));
    config.set("filter_order", random.count(1, 40));
    config.set("emb_dim", 2 * random.count(1, 8) + 1);
    config.set("w", random.between(1.0, 14.0));
    config.set("num_inner_mlps", random.count(1, 3));
    config.set("short_filter_order", random.count(1, 6));
    config.set("modulate", random.flag());
    config.set("shift", random.of(&[0.0, 0.05]));
    config.set("normalized", random.flag());
    config.set("bias", random.flag());
    (Level::Layer, config)
}

fn monarch_sizes(random: &mut Random, part: &str) -> Params {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    config.set("part", part);
    config.set("bidirectional", !causal);
    config.set("residual_long_conv", random.flag());
    config
}

fn monarch_core(random: &mut Random) -> (Level, Params) {
    (Level::Core, monarch_sizes(random, "sequence"))
}

fn monarch_sequence(random: &mut Random, part: &str) -> Params {
    let mut config = monarch_sizes(random, part);
    let length = get(&config, "length").max(2);
    config.set("length", length);
    config.set("l_max", random.count(length, 2 * length));
    config.set("emb_dim", 2 * random.count(1, 6) + 1);
    config.set("filter_order", random.count(1, 40));
    config.set("w", random.between(1.0, 10.0));
    config.set("w_mod", random.of(&[1_usize, 2]));
    config.set("training_additions", random.flag());
    config
}

fn monarch_layer(random: &mut Random) -> (Level, Params) {
    (Level::Layer, monarch_sequence(random, "sequence"))
}

fn mlp_sizes(random: &mut Random, config: &mut Params) {
    let blocks = random.count(1, 5);
    config.set("d_model", blocks * random.count(1, 10));
    config.set("nblocks", blocks);
    config.set("intermediate_size", random.count(1, 90));
    config.set("layer_norm_eps", 1e-12);
    config.set("glu", random.flag());
}

fn monarch_block(random: &mut Random) -> (Level, Params) {
    let mut config = monarch_sequence(random, "block");
    mlp_sizes(random, &mut config);
    // A normalisation over one channel gives only rounding errors.
    config.set("d_model", get(&config, "d_model") * 2);
    (Level::Layer, config)
}

fn mlp(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, false);
    config.set("part", "mlp");
    mlp_sizes(random, &mut config);
    config.set("d_model", get(&config, "d_model") * 2);
    config.set("hidden_size", get(&config, "d_model"));
    (Level::Layer, config)
}

fn block_diagonal(random: &mut Random) -> (Level, Params) {
    let mut config = Params::new();
    let shuffle = random.flag();
    let blocks = random.count(1, 8);
    config.set("part", "blockdiag");
    config.set("batch", random.count(1, 3));
    config.set("length", random.count(1, 40));
    config.set("nblocks", blocks);
    config.set("in_features", if shuffle { blocks * random.count(1, 12) } else { random.count(1, 90) });
    config.set("out_features", random.count(1, 90));
    config.set("shuffle", shuffle);
    (Level::Core, config)
}

fn monarch(random: &mut Random) -> (Level, Params) {
    let [k, q, p, l] = std::array::from_fn(|_| random.count(1, 9));
    // kq = lr.
    let (q, r) = (q * l, k * q);
    let s = random.count(1, 9);
    let list = |sizes: [usize; 3]| Value::List(sizes.map(Value::from).to_vec());
    let mut config = Params::new();
    config.set("part", "monarch");
    config.set("batch", random.count(1, 8));
    config.set("n", k * p);
    config.set("m", l * s);
    config.set("w1", list([k, q, p]));
    config.set("w2", list([l, s, r]));
    config.set("input_permutation", random.flag());
    config.set("complex", random.flag());
    (Level::Core, config)
}

fn bigs(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = sizes(random, false);
    let width = random.count(4, 40);
    config.set("d_model", width);
    config.set("hidden_size", width);
    config.set("num_ssm", random.count(1, 64));
    if level == Level::Layer {
        config.set("intermediate_size", random.count(1, 90));
        config.set("layer_norm_eps", 1e-12);
        config.set("pre_norm", random.flag());
        config.set("gelu", random.of(&["erf", "tanh"]));
    }
    (level, config)
}

fn mega_chunks(random: &mut Random, config: &mut Params) {
    let chunking = random.flag();
    let chunk = random.count(1, 40);
    config.set("use_chunking", chunking);
    config.set("chunk_size", if chunking { Value::from(chunk) } else { Value::Int(-1) });
    if chunking {
        config.set("length", chunk * random.count(1, 4));
    }
    let positions = if chunking { chunk } else { get(config, "length") + random.count(0, 20) };
    config.set("max_positions", positions);
    config.set("shared_representation_size", 2 * random.count(1, 16));
    config.set("intermediate_size", random.count(1, 70));
    config.set("attention_activation", random.of(&["softmax", "laplace", "relu2"]));
    config.set("relative_positional_bias", random.of(&["simple", "rotary"]));
}

fn mega_layer(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    mega_chunks(random, &mut config);
    mega_average(random, &mut config);
    config.set("normalize_before_mega", random.flag());
    config.set("normalization_type", random.of(&["layernorm", "scalenorm"]));
    config.set("activation", "silu");
    config.set("part", "layer");
    (Level::Layer, config)
}

fn mega_average(random: &mut Random, config: &mut Params) {
    let causal = config.flag_or("causal", false).unwrap();
    let width = random.count(4, 40);
    config.set("d_model", width);
    config.set("hidden_size", width);
    config.set("ema_projection_size", random.count(1, 16));
    config.set("bidirectional", !causal);
    let truncation = random.count(1, 60);
    config.set("truncation", if random.flag() { Value::from(truncation) } else { Value::Null });
}

fn mega_ema(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    mega_average(random, &mut config);
    config.set("part", "ema");
    (Level::Core, config)
}

fn mega_attention(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    mega_chunks(random, &mut config);
    config.set("part", "attention");
    (Level::Core, config)
}

fn ltc(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = sizes(random, true);
    let units = random.count(1, 40);
    let is_layer = level == Level::Layer;
    config.set("input_size", get(&config, "d_model"));
    config.set("units", units);
    config.set("output_dim", if is_layer { random.count(1, units) } else { units });
    config.set("ode_unfolds", random.count(1, 7));
    config.set("epsilon", 1e-8);
    config.set("implicit_param_constraints", random.flag());
    config.set("mixed_memory", is_layer && random.flag());
    let mapping = if is_layer { Value::from("affine") } else { Value::Null };
    config.set("input_mapping", mapping.clone());
    config.set("output_mapping", mapping);
    config.set("timespans", is_layer && random.flag());
    (level, config)
}

fn cfc(random: &mut Random, is_layer: bool) -> Params {
    let mut config = sizes(random, true);
    let layers = random.count(0, 3);
    let width = random.count(1, 70);
    config.set("input_size", get(&config, "d_model"));
    config.set("units", random.count(1, 50));
    config.set("mode", random.of(&["default", "no_gate", "pure"]));
    config.set("activation", random.of(&["lecun_tanh", "silu", "relu", "tanh", "gelu"]));
    config.set("backbone_layers", layers);
    config.set("backbone_units", if layers == 0 { 0 } else { width });
    config.set("mixed_memory", is_layer && random.flag());
    config.set("layer_sizes", Value::List(Vec::new()));
    config.set("timespans", is_layer && random.flag());
    let outputs = random.count(1, 30);
    let projects = is_layer && random.flag();
    config.set("proj_size", if projects { Value::from(outputs) } else { Value::Null });
    config
}

fn cfc_core(random: &mut Random) -> (Level, Params) {
    (Level::Core, cfc(random, false))
}

fn cfc_layer(random: &mut Random) -> (Level, Params) {
    (Level::Layer, cfc(random, true))
}

fn cfc_wired(random: &mut Random) -> (Level, Params) {
    let mut config = cfc(random, true);
    let layers: Vec<usize> = (0..random.count(1, 3)).map(|_| random.count(1, 15)).collect();
    config.set("units", layers.iter().sum::<usize>());
    config.set("layer_sizes", Value::List(layers.into_iter().map(Value::from).collect()));
    (Level::Layer, config)
}

fn liquid(random: &mut Random, kernel: Value, causal: bool) -> Params {
    let mut config = sizes(random, causal);
    config.set("d_state", 2 * random.count(1, 16));
    config.set("mode", "diag");
    config.set("measure", "diag-lin");
    config.set("liquid_kernel", kernel);
    config.set("liquid_degree", 2_usize);
    config.set("allcombs", true);
    config.set("lcontract", Value::Null);
    config
}

fn liquid_products(random: &mut Random) -> (Level, Params) {
    let kernel = Value::from(random.of(&["polyb", "kb"]));
    let mut config = liquid(random, kernel, false);
    config.set("length", random.count(8, 150));
    config.set("mode", random.of(&["diag", "nplr"]));
    config.set("liquid_degree", random.count(2, 4));
    config.set("allcombs", random.flag());
    config.set("lcontract", random.of(&["none", "tanh", "lecun"]));
    config.set("bidirectional", random.flag());
    (level(random), config)
}

fn liquid_recurrence(random: &mut Random) -> (Level, Params) {
    (level(random), liquid(random, Value::from("recurrence"), true))
}

fn liquid_plain(random: &mut Random) -> (Level, Params) {
    let bidirectional = random.flag();
    let mut config = liquid(random, Value::Null, !bidirectional);
    config.set("mode", random.of(&["diag", "nplr"]));
    config.set("bidirectional", bidirectional);
    (level(random), config)
}

fn linformer(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = headed(random, false, Level::Layer);
    let length = get(&config, "length");
    config.set("max_length", length + random.count(0, 30));
    config.set("rank", random.count(1, 60));
    config.set("one_kv_head", level == Level::Layer && random.flag());
    config.set("share_kv", level == Level::Layer && random.flag());
    if level == Level::Layer {
        let d_head = random.count(1, 24);
        config.set("head_dim", d_head);
        config.set("inner", d_head * get(&config, "heads"));
    }
    (level, config)
}

fn longformer_window(random: &mut Random, config: &mut Params) {
    config.set("window", 2 * random.count(1, 40));
    config.set("dilation", 1_usize);
}

fn longformer_core(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, false, Level::Core);
    longformer_window(random, &mut config);
    (Level::Core, config)
}

fn longformer_causal(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, true, Level::Core);
    longformer_window(random, &mut config);
    if random.flag() {
        let dilations = (0..get(&config, "heads")).map(|_| Value::from(random.count(1, 4)));
        config.set("dilation", Value::List(dilations.collect()));
    }
    (Level::Core, config)
}

fn longformer_layer(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, false, Level::Layer);
    longformer_window(random, &mut config);
    (Level::Layer, config)
}

fn bigbird(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = headed(random, false, level);
    let (block, blocks) = (random.count(1, 20), random.count(5, 14));
    config.set("block_size", block);
    config.set("num_blocks", blocks);
    config.set("num_random_blocks", random.count(1, 3));
    // The last block may be partly padding.
    config.set("length", block * (blocks - 1) + random.count(1, block));
    (level, config)
}

fn reformer(random: &mut Random, kind: &str, is_short: bool) -> Params {
    let causal = random.flag();
    // Reformer's core files have no scale.
    let mut config = headed(random, causal, Level::Layer);
    let (length, chunk) = if is_short {
        let length = random.count(1, 60);
        (length, length + random.count(0, 20))
    } else {
        let chunk = random.count(1, 32);
        (chunk + random.count(1, 120), chunk)
    };
    config.set("kind", kind);
    config.set("length", length);
    config.set("chunk_length", chunk);
    config.set("padded_length", if is_short { length } else { length.next_multiple_of(chunk) });
    config.set("chunks_before", random.count(0, 2));
    config.set("chunks_after", random.count(0, 1));
    config
}

fn reformer_lsh(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    let mut config = reformer(random, "lsh", false);
    config.set("num_hashes", random.count(1, 4));
    let factors = (0..random.count(1, 2)).map(|_| Value::from(2 * random.count(1, 6)));
    config.set("num_buckets", Value::List(factors.collect()));
    (level, config)
}

fn reformer_local(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    (level, reformer(random, "local", false))
}

fn reformer_short(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    let kind = random.of(&["lsh", "local"]);
    let mut config = reformer(random, kind, true);
    if kind == "lsh" {
        config.set("num_hashes", 2_usize);
        config.set("num_buckets", Value::List(vec![Value::from(2_usize)]));
    }
    (level, config)
}

fn performer(random: &mut Random, level: Level) -> (Level, Params) {
    let causal = random.flag();
    let mut config = headed(random, causal, Level::Layer);
    config.set("nb_features", random.count(1, 80));
    config.set("ortho_scaling", random.count(0, 1));
    config.set("kernel_eps", 1e-4);
    config.set("denominator_eps", if causal { 1e-6 } else { 0.0 });
    if level == Level::Layer {
        let d_head = random.count(1, 32);
        config.set("head_dim", d_head);
        config.set("inner", d_head * get(&config, "heads"));
        config.set("qkv_bias", random.flag());
    }
    (level, config)
}
