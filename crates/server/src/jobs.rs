//! Work that nobody asked for in a request: finishing or undoing sign-ups, removing accounts whose time is over.

use std::sync::Arc;

use crate::{
    app::App,
    domain::{
        accounts::{deletion, email},
        administration::audit,
        blobs::collect,
        clock::MICROS_PER_SEC,
        firehose,
        identity::{changes, recheck},
        integrity, mail, newest_time, phone,
        repos::{import, retired},
        scrub, service_auth,
        sessions::notice,
        sign_up::{
            queue,
            reconcile::{self, PASS_EVERY_SECS},
        },
    },
};

/// Does the work at once and then on a timer, and keeps the firehose filled, until it is dropped. Dropping it loses
/// nothing: every step is durable.
pub async fn run(app: Arc<App>) {
    tokio::join!(firehose::run(Arc::clone(&app.firehose)), mail::run(&app), on_timer(&app));
}

async fn on_timer(app: &Arc<App>) {
    match reconcile::recover(app).await {
        Ok(done) if done != reconcile::Reconciled::default() => {
            tracing::info!(done.finished, done.released, done.waiting, "took up the sign-ups of an earlier run");
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "the sign-ups of an earlier run could not be looked at"),
    }
    match changes::recover(app).await {
        Ok(done) if done != changes::Reconciled::default() => {
            tracing::info!(
                done.finished,
                done.released,
                done.waiting,
                "took up the identity changes of an earlier run"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "the identity changes of an earlier run could not be looked at"),
    }
    if let Err(error) = email::convert_stored(app).await {
        tracing::warn!(%error, "e-mail addresses of an earlier version could not be converted");
    }
    if let Err(error) = import::clean(app).await {
        tracing::warn!(%error, "what imports of an earlier run have left could not be removed");
    }
    let passes = async {
        loop {
            pass(app).await;
            app.clock.sleep(PASS_EVERY_SECS * MICROS_PER_SEC).await;
        }
    };
    tokio::join!(passes, sweeps(app), rechecks(app), queues(app), scrub::run(app));
}

/// Goes through the stored blobs at once and then once a day, until it is dropped.
async fn sweeps(app: &Arc<App>) {
    loop {
        match collect::sweep(app).await {
            Ok(swept) if swept != collect::Swept::default() => {
                tracing::info!(swept.objects, swept.counters, "put the stored blobs in order");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the stored blobs could not be gone through"),
        }
        app.clock.sleep(collect::SWEEP_EVERY_SECS * MICROS_PER_SEC).await;
    }
}

/// Lets in who waits, until it is dropped: more often than the rest, for somebody looks at a screen.
async fn queues(app: &Arc<App>) {
    while app.config.sign_up.queue.is_some() {
        app.clock.sleep(queue::PASS_EVERY_SECS * MICROS_PER_SEC).await;
        let_in(app).await;
    }
}

async fn let_in(app: &Arc<App>) {
    match queue::pass(app).await {
        Ok(0) => {}
        Ok(let_in) => tracing::info!(let_in, "let in accounts that waited"),
        Err(error) => tracing::error!(%error, "accounts that wait could not be let in"),
    }
}

/// Looks at what is published of accounts, a few at a time, until it is dropped.
async fn rechecks(app: &Arc<App>) {
    loop {
        app.clock.sleep(recheck::PASS_EVERY_SECS * MICROS_PER_SEC).await;
        if let Err(error) = recheck::pass(app).await {
            tracing::error!(%error, "what is published of accounts could not be checked");
        }
    }
}

/// Does what is due now.
pub async fn pass(app: &Arc<App>) {
    if let Err(error) = reconcile::pass(app).await {
        tracing::error!(%error, "unfinished sign-ups could not be looked at");
    }
    if let Err(error) = changes::pass(app).await {
        tracing::error!(%error, "unfinished changes of identities could not be looked at");
    }
    let_in(app).await;
    match deletion::delete_due(app).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed deactivated accounts whose time was over"),
        Err(error) => tracing::error!(%error, "deactivated accounts whose time is over could not be removed"),
    }
    if let Err(error) = firehose::retention::trim(app).await {
        tracing::error!(%error, "old events could not be dropped");
    }
    if let Err(error) = firehose::relays::pass(app).await {
        tracing::error!(%error, "relays could not be seen to");
    }
    match collect::collect(app).await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "removed blobs that no record refers to"),
        Err(error) => tracing::error!(%error, "blobs that no record refers to could not be removed"),
    }
    match retired::delete_due(app).await {
        Ok(0) => {}
        Ok(sets) => tracing::info!(sets, "deleted records that no repository has"),
        Err(error) => tracing::error!(%error, "records that no repository has could not be deleted"),
    }
    if let Err(error) = mail::forget_old(app).await {
        tracing::error!(%error, "letters and codes of yesterday could not be forgotten");
    }
    if let Err(error) = notice::forget_old(app).await {
        tracing::error!(%error, "networks that nobody signs in from any more could not be forgotten");
    }
    integrity::note(app).await;
    if let Err(error) = audit::trim(app).await {
        tracing::error!(%error, "old entries of the audit log could not be dropped");
    }
    if let Err(error) = phone::forget_old(app).await {
        tracing::error!(%error, "codes for phone numbers that are too old could not be forgotten");
    }
    if let Err(error) = service_auth::forget_used(app).await {
        tracing::error!(%error, "used tokens that have expired could not be forgotten");
    }
    if let Err(error) = newest_time::keep(app).await {
        tracing::error!(%error, "could not write down the newest time");
    }
}
