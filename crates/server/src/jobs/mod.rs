//! Background work: each job has its own task and interval. A job that hangs holds up no other one; a job that panics
//! is logged and started again.

mod supervisor;

use std::{fmt::Display, sync::Arc};

use allod_base::{clock::MICROS_PER_SEC, randomness};
use futures_util::{FutureExt, future::BoxFuture};
use tokio::task::JoinSet;

use crate::{
    app::App,
    domain::{
        accounts::{deletion, email},
        blobs::collect,
        identity::{changes, recheck},
        phone,
        repos::{import, retired},
        scrub,
        sessions::notice,
        sign_up::{
            queue,
            reconcile::{self, PASS_EVERY_SECS},
        },
    },
    limits::JOB_JITTER_MILLIS_MAX,
};

use supervisor::supervise;

/// How often expired rows are deleted that nobody waits for, in seconds.
const EXPIRY_EVERY_SECS: u64 = 5 * 60;

/// How a run of a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    /// What the job depends on does not answer: the rest was left for the next run.
    Outage,
}

/// Work that runs at an interval.
struct Job {
    name: &'static str,
    every_secs: u64,
    run: for<'a> fn(&'a Arc<App>) -> BoxFuture<'a, Outcome>,
}

/// The jobs that one [`pass`] does. Every run is short unless something it depends on hangs.
const JOBS: [Job; 15] = [
    Job { name: "sign-ups", every_secs: PASS_EVERY_SECS, run: |app| sign_ups(app).boxed() },
    Job { name: "identity changes", every_secs: PASS_EVERY_SECS, run: |app| identity_changes(app).boxed() },
    Job { name: "sign-up queue", every_secs: queue::PASS_EVERY_SECS, run: |app| admissions(app).boxed() },
    Job {
        name: "account deletion",
        every_secs: PASS_EVERY_SECS,
        run: |app| counted("account deletion", "deleted accounts", deletion::delete_due(app)).boxed(),
    },
    Job {
        name: "event retention",
        every_secs: PASS_EVERY_SECS,
        run: |app| silent("event retention", app.firehose.trim()).boxed(),
    },
    Job {
        name: "requestCrawl",
        every_secs: PASS_EVERY_SECS,
        run: |app| silent("requestCrawl", app.firehose.ask_relays()).boxed(),
    },
    Job {
        name: "blob collection",
        every_secs: PASS_EVERY_SECS,
        run: |app| counted("blob collection", "deleted unreferenced blobs", app.blobs.collect()).boxed(),
    },
    Job {
        name: "replaced records",
        every_secs: PASS_EVERY_SECS,
        run: |app| counted("replaced records", "deleted replaced record sets", retired::delete_due(app)).boxed(),
    },
    Job {
        name: "mail expiry",
        every_secs: EXPIRY_EVERY_SECS,
        run: |app| silent("mail expiry", app.mail.forget_old()).boxed(),
    },
    Job {
        name: "known network expiry",
        every_secs: EXPIRY_EVERY_SECS,
        run: |app| silent("known network expiry", notice::forget_old(app)).boxed(),
    },
    Job {
        name: "audit log expiry",
        every_secs: EXPIRY_EVERY_SECS,
        run: |app| silent("audit log expiry", app.audit.trim()).boxed(),
    },
    Job {
        name: "phone code expiry",
        every_secs: EXPIRY_EVERY_SECS,
        run: |app| silent("phone code expiry", phone::forget_old(&app.core)).boxed(),
    },
    Job {
        name: "service token expiry",
        every_secs: EXPIRY_EVERY_SECS,
        run: |app| silent("service token expiry", app.service_auth.forget_used()).boxed(),
    },
    Job {
        name: "newest time",
        every_secs: PASS_EVERY_SECS,
        run: |app| silent("newest time", app.newest_time.keep(&*app.db)).boxed(),
    },
    Job { name: "damage audit", every_secs: PASS_EVERY_SECS, run: |app| damage(app).boxed() },
];

/// Runs all jobs until it is dropped. Dropping it loses nothing: every step is durable.
pub async fn run(app: Arc<App>) {
    let mut tasks = JoinSet::new();
    let firehose = Arc::clone(&app);
    tasks.spawn(supervise(Arc::clone(&app.clock), "firehose", move || {
        let app = Arc::clone(&firehose);
        async move { app.streams.run().await }
    }));
    spawn(&mut tasks, &app, "mail", |app| async move { app.mail.run().await });
    spawn(&mut tasks, &app, "recovery", |app| async move { recover(&app).await });
    spawn(&mut tasks, &app, "blob sweep", |app| async move { sweep(&app).await });
    spawn(&mut tasks, &app, "scrub", |app| async move { scrub::run(&app).await });
    spawn(&mut tasks, &app, "identity recheck", |app| async move { recheck(&app).await });
    for job in &JOBS {
        spawn(&mut tasks, &app, job.name, move |app| async move { repeat(&app, job).await });
    }
    while tasks.join_next().await.is_some() {}
}

fn spawn<F>(
    tasks: &mut JoinSet<()>,
    app: &Arc<App>,
    name: &'static str,
    work: impl Fn(Arc<App>) -> F + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let state = Arc::clone(app);
    tasks.spawn(supervise(Arc::clone(&app.clock), name, move || work(Arc::clone(&state))));
}

/// Does one job at once and then at its interval.
async fn repeat(app: &Arc<App>, job: &Job) {
    loop {
        let outcome = (job.run)(app).await;
        let interval_micros = job.every_secs * MICROS_PER_SEC;
        let jitter_micros = match outcome {
            Outcome::Done => 0,
            // Servers that saw the same outage don't come back together.
            Outcome::Outage => {
                let chance = u64::from_be_bytes(randomness::bytes(&*app.randomness));
                chance % (JOB_JITTER_MILLIS_MAX * 1000)
            }
        };
        app.clock.sleep(interval_micros + jitter_micros).await;
    }
}

/// Does every job once, one after the other.
pub async fn pass(app: &Arc<App>) {
    for job in &JOBS {
        (job.run)(app).await;
    }
}

/// Finishes what earlier runs of the process left unfinished.
async fn recover(app: &Arc<App>) {
    match reconcile::recover(app).await {
        Ok(done) if done != reconcile::Reconciled::default() => {
            tracing::info!(done.finished, done.released, done.waiting, "resumed interrupted sign-ups");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "could not resume interrupted sign-ups"),
    }
    match changes::recover(app).await {
        Ok(done) if done != changes::Reconciled::default() => {
            tracing::info!(done.finished, done.released, done.waiting, "resumed interrupted identity changes");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "could not resume interrupted identity changes"),
    }
    if let Err(error) = email::convert_stored(app).await {
        tracing::warn!(%error, "could not convert the e-mail addresses of an earlier version");
    }
    if let Err(error) = import::clean(app).await {
        tracing::warn!(%error, "could not delete the files of interrupted imports");
    }
}

async fn sign_ups(app: &Arc<App>) -> Outcome {
    match reconcile::pass(app).await {
        Ok(done) => outage_if(done.is_outage),
        Err(error) => failed("sign-ups", &error),
    }
}

async fn identity_changes(app: &Arc<App>) -> Outcome {
    match changes::pass(app).await {
        Ok(done) => outage_if(done.is_outage),
        Err(error) => failed("identity changes", &error),
    }
}

async fn admissions(app: &Arc<App>) -> Outcome {
    if app.config.sign_up.queue.is_none() {
        return Outcome::Done;
    }
    counted("sign-up queue", "admitted accounts from the sign-up queue", queue::pass(app)).await
}

async fn damage(app: &Arc<App>) -> Outcome {
    app.integrity.note(&app.audit).await;
    Outcome::Done
}

/// Checks all stored blobs at once and then once a day.
async fn sweep(app: &Arc<App>) {
    loop {
        match app.blobs.sweep().await {
            Ok(swept) if swept != collect::Swept::default() => {
                tracing::info!(swept.objects, swept.counters, "blob sweep deleted leftovers");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "blob sweep failed"),
        }
        app.clock.sleep(collect::SWEEP_EVERY_SECS * MICROS_PER_SEC).await;
    }
}

/// Checks the published identities of a few accounts at a time.
async fn recheck(app: &Arc<App>) {
    loop {
        app.clock.sleep(recheck::PASS_EVERY_SECS * MICROS_PER_SEC).await;
        if let Err(error) = recheck::pass(app).await {
            tracing::error!(%error, "identity recheck failed");
        }
    }
}

fn outage_if(is_outage: bool) -> Outcome {
    if is_outage { Outcome::Outage } else { Outcome::Done }
}

fn failed(job: &'static str, error: &(dyn Display + Sync)) -> Outcome {
    tracing::error!(job, %error, "job failed");
    Outcome::Done
}

/// Logs how much a job did, if anything.
async fn counted<E: Display + Sync>(
    job: &'static str,
    done: &'static str,
    work: impl Future<Output = Result<usize, E>>,
) -> Outcome {
    match work.await {
        Ok(0) => Outcome::Done,
        Ok(count) => {
            tracing::info!(count, "{done}");
            Outcome::Done
        }
        Err(error) => failed(job, &error),
    }
}

async fn silent<T, E: Display + Sync>(job: &'static str, work: impl Future<Output = Result<T, E>>) -> Outcome {
    match work.await {
        Ok(_) => Outcome::Done,
        Err(error) => failed(job, &error),
    }
}
