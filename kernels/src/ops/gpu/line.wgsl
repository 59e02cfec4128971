// Where a line of workgroups is, which continues in y after 65,535; see `line_of_groups` of elementwise.rs.

fn place_in_line(workgroup: vec3<u32>) -> u32 {
    return workgroup.y * 65535u + workgroup.x;
}
