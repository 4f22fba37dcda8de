// variance_none
fn keep_variance(which: u32, p: Part) {}
