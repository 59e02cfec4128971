// Place of a workgroup in a line that continues in y after 65,535 workgroups; see `line_of_groups` in elementwise.rs.

fn place_in_line(workgroup: vec3<u32>) -> u32 {
    return workgroup.y * 65535u + workgroup.x;
}
