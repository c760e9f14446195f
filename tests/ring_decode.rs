//! Ring files that are not as they should be never do harm: the fuzz target's seeds, replayed.
#![cfg(target_os = "linux")]

mod ring_bytes;

use std::path::Path;

#[test]
fn seeds_are_survived() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/ring_decode");
    let mut read = 0;
    for seed in std::fs::read_dir(seeds).unwrap() {
        let bytes = std::fs::read(seed.unwrap().path()).unwrap();
        read += u64::from(ring_bytes::are_survived(&bytes).is_some_and(|all| all.lines > 0));
    }
    assert!(read > 3, "the seeds are of another version");
}

#[test]
fn the_base_is_whole() {
    let recovered = ring_bytes::are_survived(&[0]).unwrap();
    assert_eq!((recovered.lines, recovered.torn, recovered.foreign), (20, 0, 0));
    let error = mcp_vitals::recover::decode(b"something else".to_vec(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("no ring file"), "{error}");
}
