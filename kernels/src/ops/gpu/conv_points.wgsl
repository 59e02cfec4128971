// Transforms of up to sixteen points for two channels at once; prepended to conv_step.wgsl and conv_middle.wgsl after
// complex.wgsl. A point has both real parts, then both imaginary parts.

alias Points = array<vec4<f32>, 16>;

// exp(−2πi / 16) is (COS, −SIN).
const COS: f32 = 0.9238795325112867;
const SIN: f32 = 0.3826834323650898;

fn both_times(x: vec4<f32>, w: vec2<f32>) -> vec4<f32> {
    return x * w.x + vec4<f32>(-x.zw, x.xy) * w.y;
}

// Both numbers times −i.
fn turned(x: vec4<f32>) -> vec4<f32> {
    return vec4<f32>(x.zw, -x.xy);
}

struct Four {
    a: vec4<f32>,
    b: vec4<f32>,
    c: vec4<f32>,
    d: vec4<f32>,
}

fn four(a: vec4<f32>, b: vec4<f32>, c: vec4<f32>, d: vec4<f32>) -> Four {
    let even = a + c;
    let odd = b + d;
    let apart = a - c;
    let turned_apart = turned(b - d);
    return Four(even + odd, apart + turned_apart, even - odd, apart - turned_apart);
}

fn eight(x: Points) -> Points {
    let even = four(x[0], x[2], x[4], x[6]);
    let odd = four(x[1], x[3], x[5], x[7]);
    let b = HALF_ROOT * (odd.b + turned(odd.b));
    let c = turned(odd.c);
    let d = HALF_ROOT * (turned(odd.d) - odd.d);
    var y: Points;
    y[0] = even.a + odd.a;
    y[1] = even.b + b;
    y[2] = even.c + c;
    y[3] = even.d + d;
    y[4] = even.a - odd.a;
    y[5] = even.b - b;
    y[6] = even.c - c;
    y[7] = even.d - d;
    return y;
}

fn sixteen(x: Points) -> Points {
    let a = four(x[0], x[4], x[8], x[12]);
    let b = four(x[1], x[5], x[9], x[13]);
    let c = four(x[2], x[6], x[10], x[14]);
    let d = four(x[3], x[7], x[11], x[15]);
    let w1 = vec2<f32>(COS, -SIN);
    let w2 = vec2<f32>(HALF_ROOT, -HALF_ROOT);
    let w3 = vec2<f32>(SIN, -COS);
    let w6 = vec2<f32>(-HALF_ROOT, -HALF_ROOT);
    let p = four(a.a, b.a, c.a, d.a);
    let q = four(a.b, both_times(b.b, w1), both_times(c.b, w2), both_times(d.b, w3));
    let r = four(a.c, both_times(b.c, w2), turned(c.c), both_times(d.c, w6));
    let s = four(a.d, both_times(b.d, w3), both_times(c.d, w6), both_times(d.d, -w1));
    return Points(p.a, q.a, r.a, s.a, p.b, q.b, r.b, s.b, p.c, q.c, r.c, s.c, p.d, q.d, r.d, s.d);
}
