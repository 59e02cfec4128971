// Complex FFTs in workgroup memory; prepended to conv_*.wgsl after complex.wgsl. 256 threads hold 2048 numbers, eight
// each, as 2^(11 − log_size) interleaved transforms of 2^log_size: element e of transform p is number e · transforms +
// p. Stockham's algorithm with radix 8, after one step of radix 2 or 4 where the size is no power of eight. Thread t
// starts with numbers t, t + 256, …, and ends with the frequencies of these numbers in natural order.

// Real and imaginary parts are separate, so that neighbouring threads use neighbouring banks.
var<workgroup> re: array<f32, 2048>;
var<workgroup> im: array<f32, 2048>;

// Numbers t, t + 256, … of thread t.
struct Eight {
    a: vec2<f32>,
    b: vec2<f32>,
    c: vec2<f32>,
    d: vec2<f32>,
    e: vec2<f32>,
    f: vec2<f32>,
    g: vec2<f32>,
    h: vec2<f32>,
}

// Distributes the strides 2, 4, 8, … of the steps over the banks.
fn slot(number: u32) -> u32 {
    return number ^ ((number >> 5u) & 7u) ^ (((number >> 6u) & 3u) << 3u);
}

fn put(number: u32, value: vec2<f32>) {
    let at = slot(number);
    re[at] = value.x;
    im[at] = value.y;
}

fn fetch(number: u32) -> vec2<f32> {
    let at = slot(number);
    return vec2<f32>(re[at], im[at]);
}

// x · (−i).
fn turned(x: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(x.y, -x.x);
}

fn read_eight(t: u32) -> Eight {
    return Eight(
        fetch(t), fetch(t + 256u), fetch(t + 512u), fetch(t + 768u),
        fetch(t + 1024u), fetch(t + 1280u), fetch(t + 1536u), fetch(t + 1792u),
    );
}

fn write_eight(t: u32, x: Eight) {
    put(t, x.a);
    put(t + 256u, x.b);
    put(t + 512u, x.c);
    put(t + 768u, x.d);
    put(t + 1024u, x.e);
    put(t + 1280u, x.f);
    put(t + 1536u, x.g);
    put(t + 1792u, x.h);
}

// Real and imaginary parts swapped: turns the transform into the unscaled inverse.
fn swapped(x: Eight) -> Eight {
    return Eight(x.a.yx, x.b.yx, x.c.yx, x.d.yx, x.e.yx, x.f.yx, x.g.yx, x.h.yx);
}

// exp(−2πi k / 2048).
fn root(k: u32) -> vec2<f32> {
    return tables[k];
}

fn butterfly8(x: Eight) -> Eight {
    let ae = x.a + x.e;
    let a_e = x.a - x.e;
    let cg = x.c + x.g;
    let c_g = turned(x.c - x.g);
    let bf = x.b + x.f;
    let b_f = x.b - x.f;
    let dh = x.d + x.h;
    let d_h = turned(x.d - x.h);
    // Transforms of the even and of the odd elements.
    let even0 = ae + cg;
    let even1 = a_e + c_g;
    let even2 = ae - cg;
    let even3 = a_e - c_g;
    let odd0 = bf + dh;
    let odd1 = b_f + d_h;
    let odd2 = turned(bf - dh);
    let odd3 = b_f - d_h;
    let w_odd1 = HALF_ROOT * vec2<f32>(odd1.x + odd1.y, odd1.y - odd1.x);
    let w_odd3 = HALF_ROOT * vec2<f32>(odd3.y - odd3.x, -odd3.x - odd3.y);
    return Eight(
        even0 + odd0, even1 + w_odd1, even2 + odd2, even3 + w_odd3,
        even0 - odd0, even1 - w_odd1, even2 - odd2, even3 - w_odd3,
    );
}

// One step of radix 2: four butterflies of numbers 1024 apart, for `s` interleaved transforms.
fn step2(x: Eight, t: u32, s: u32) {
    let mask = ~(s - 1u);
    let k0 = t & mask;
    let k1 = (t + 256u) & mask;
    let k2 = (t + 512u) & mask;
    let k3 = (t + 768u) & mask;
    put(t + k0, x.a + x.e);
    put(t + k0 + s, times(x.a - x.e, root(k0)));
    put(t + 256u + k1, x.b + x.f);
    put(t + 256u + k1 + s, times(x.b - x.f, root(k1)));
    put(t + 512u + k2, x.c + x.g);
    put(t + 512u + k2 + s, times(x.c - x.g, root(k2)));
    put(t + 768u + k3, x.d + x.h);
    put(t + 768u + k3 + s, times(x.d - x.h, root(k3)));
}

fn put4(a: vec2<f32>, b: vec2<f32>, c: vec2<f32>, d: vec2<f32>, index: u32, s: u32) {
    let k = index & ~(s - 1u);
    let ac = a + c;
    let a_c = a - c;
    let bd = b + d;
    let b_d = turned(b - d);
    let w1 = root(k);
    let w2 = times(w1, w1);
    let to = index + 3u * k;
    put(to, ac + bd);
    put(to + s, times(a_c + b_d, w1));
    put(to + 2u * s, times(ac - bd, w2));
    put(to + 3u * s, times(a_c - b_d, times(w2, w1)));
}

// One step of radix 4: two butterflies of numbers 512 apart.
fn step4(x: Eight, t: u32, s: u32) {
    put4(x.a, x.c, x.e, x.g, t, s);
    put4(x.b, x.d, x.f, x.h, t + 256u, s);
}

// One step of radix 8 that is not the last.
fn step8(x: Eight, t: u32, s: u32) {
    let y = butterfly8(x);
    let k = t & ~(s - 1u);
    let w1 = root(k);
    let w2 = times(w1, w1);
    let w3 = times(w2, w1);
    let w4 = times(w2, w2);
    let to = t + 7u * k;
    put(to, y.a);
    put(to + s, times(y.b, w1));
    put(to + 2u * s, times(y.c, w2));
    put(to + 3u * s, times(y.d, w3));
    put(to + 4u * s, times(y.e, w4));
    put(to + 5u * s, times(y.f, times(w4, w1)));
    put(to + 6u * s, times(y.g, times(w4, w2)));
    put(to + 7u * s, times(y.h, times(w4, w3)));
}

// Unscaled forward transform. After its return, workgroup memory may be written only after a barrier.
fn transform(input: Eight, t: u32) -> Eight {
    var x = input;
    var s = 1u << (11u - sizes.log_size);
    if (sizes.log_size % 3u == 1u) {
        step2(x, t, s);
        s = s << 1u;
        workgroupBarrier();
        x = read_eight(t);
        workgroupBarrier();
    }
    if (sizes.log_size % 3u == 2u) {
        step4(x, t, s);
        s = s << 2u;
        workgroupBarrier();
        x = read_eight(t);
        workgroupBarrier();
    }
    for (; s < 256u; s = s << 3u) {
        step8(x, t, s);
        workgroupBarrier();
        x = read_eight(t);
        workgroupBarrier();
    }
    return butterfly8(x);
}
