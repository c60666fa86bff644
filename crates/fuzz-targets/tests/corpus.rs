//! Each target over its corpus and 10,000 mutations of it.

use std::{collections::BTreeSet, fs, path::Path};

use allod_fuzz_targets::{TARGETS, run};

const MUTATIONS: u64 = 10_000;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(name)
}

#[test]
fn each_target_survives_its_corpus_and_its_mutations() {
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            std::thread::spawn(move || {
                for target in TARGETS.iter().skip(worker).step_by(4) {
                    let outcome = run(target, &folder("corpus"), 0, |mutation| mutation < MUTATIONS).unwrap();
                    let failure = outcome.failure.map(|bytes| bytes.escape_ascii().to_string());
                    assert_eq!(failure, None, "{}: reproduce with these bytes as its corpus", target.name);
                    assert_eq!(outcome.runs, MUTATIONS + u64::try_from(outcome.corpus).unwrap());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
}

#[test]
fn each_target_is_one_of_libfuzzers() {
    let names = |name: &str| -> BTreeSet<String> {
        let entries = fs::read_dir(folder(name)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect()
    };
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    let manifest = fs::read_to_string(folder("Cargo.toml")).unwrap();
    assert!(targets.iter().all(|name| manifest.contains(&format!("name = \"{name}\""))), "each has its [[bin]]");
}
