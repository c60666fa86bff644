//! The plain form: the corpus as it is, then mutations of it, on a small stack.

use std::{
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    thread,
};

use crate::{
    Target,
    mutation::{Numbers, mutate},
};

/// The stack that a target runs on, in bytes: much less than a worker of the server has.
const STACK_BYTES: usize = 512 * 1024;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many entries the corpus has.
    pub corpus: usize,
    /// How often the target ran.
    pub runs: u64,
    /// The first input that it panicked on.
    pub failure: Option<Vec<u8>>,
}

/// Runs a target over its folder of the corpus and then over mutations of it, which the seed decides, for as long as
/// `goes_on` says of their number.
///
/// Errors: the corpus can't be read, or is empty.
pub fn run(
    target: &Target,
    corpus: &Path,
    seed: u64,
    goes_on: impl FnMut(u64) -> bool + Send + 'static,
) -> io::Result<Outcome> {
    let corpus = read(&corpus.join(target.name))?;
    let run = target.run;
    let thread = thread::Builder::new().name(target.name.to_owned()).stack_size(STACK_BYTES);
    let working = thread.spawn(move || work(run, &corpus, seed, goes_on))?;
    working.join().map_err(|_| io::Error::other("the runner itself panicked"))
}

fn read(folder: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(fs::read).collect::<Result<_, _>>()?;
    if corpus.is_empty() { Err(io::Error::other(format!("{} is empty", folder.display()))) } else { Ok(corpus) }
}

fn work(run: fn(&[u8]), corpus: &[Vec<u8>], seed: u64, mut goes_on: impl FnMut(u64) -> bool) -> Outcome {
    let mut outcome = Outcome { corpus: corpus.len(), ..Outcome::default() };
    for entry in corpus {
        if !survives(run, entry, &mut outcome) {
            return outcome;
        }
    }
    let mut numbers = Numbers::new(seed);
    for mutation in 0.. {
        if !goes_on(mutation) {
            break;
        }
        let mut bytes = corpus[numbers.below(corpus.len())].clone();
        let other = &corpus[numbers.below(corpus.len())];
        mutate(&mut bytes, other, &mut numbers);
        if !survives(run, &bytes, &mut outcome) {
            break;
        }
    }
    outcome
}

fn survives(run: fn(&[u8]), bytes: &[u8], outcome: &mut Outcome) -> bool {
    outcome.runs += 1;
    let is_sound = catch_unwind(AssertUnwindSafe(|| run(bytes))).is_ok();
    if !is_sound {
        outcome.failure = Some(bytes.to_vec());
    }
    is_sound
}
