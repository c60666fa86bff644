//! `allod data`: which keys and names the data belongs to. The server must not run: it has read them already.

use allod_server::domain::installation::{Mismatch, Part};
use allod_store::tables::meta;
use serde_json::{Map, Value, json};

use super::{
    Failure,
    account::confirm,
    administer::{Opened, Place},
};
use crate::{
    cli::{Data, Target},
    launch, output, runtime,
};

/// What a change of the name breaks, said before it is confirmed.
const RENAMING: &str = "\
This breaks for each existing account until its DID document is updated:
  - DID documents name the old address: other servers and apps look for the account there.
  - Handles below the old name no longer resolve; accounts on a did:web below it lose their identity.
  - All sessions and all tokens for other services become invalid.
Keep the old name pointing at this server until the DID documents name the new one.
";

/// Carries out the command.
pub(super) fn run(command: &Data) -> Result<(), Failure> {
    runtime::for_command().map_err(Failure::failed)?.block_on(async {
        match command {
            Data::Show { target } => show(target).await,
            Data::Accept { hostname, rotation_key, yes, target } => {
                let names: &[Part] = if *hostname { &[Part::Hostname, Part::ServiceDid, Part::Port] } else { &[] };
                let keys: &[Part] = if *rotation_key { &[Part::RotationKey] } else { &[] };
                accept(&[names, keys].concat(), *yes, target).await
            }
        }
    })
}

async fn open(target: &Target) -> Result<Opened, Failure> {
    let mut place = Place::find(target)?;
    Opened::open(&mut place, target, async |config, data, _| launch::open_unchecked(config, data).await).await
}

async fn show(target: &Target) -> Result<(), Failure> {
    let opened = open(target).await?;
    let configured = launch::installation(&opened.app, opened.fixed_port);
    let facts = meta::facts(&*opened.app.db).await.map_err(Failure::failed);
    opened.close().await;
    let facts = facts?;
    if target.json {
        let parts = Part::ALL.into_iter().map(|part| {
            (part.fact().to_owned(), json!({ "data": part.stored(&facts), "configuration": configured.part(part) }))
        });
        output::json(&Value::Object(parts.collect::<Map<_, _>>()));
        return Ok(());
    }
    let rows = Part::ALL.map(|part| {
        let or_dash = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        [part.name().to_owned(), or_dash(part.stored(&facts)), or_dash(configured.part(part))]
    });
    output::text(output::table(["", "DATA", "CONFIGURATION"], &rows));
    Ok(())
}

async fn accept(parts: &[Part], is_confirmed: bool, target: &Target) -> Result<(), Failure> {
    let opened = open(target).await?;
    let outcome = accept_in(&opened, parts, is_confirmed).await;
    opened.close().await;
    let changed = outcome?;
    if target.json {
        let changed = changed.iter().map(
            |mismatch| json!({ "part": mismatch.part.name(), "before": mismatch.stored, "now": mismatch.configured }),
        );
        output::json(&changed.collect::<Vec<_>>());
    } else if changed.is_empty() {
        output::text("no difference\n");
    } else {
        for Mismatch { part, stored, configured } in &changed {
            output::text(format_args!("{}: changed from {stored} to {configured}\n", part.name()));
        }
    }
    Ok(())
}

async fn accept_in(opened: &Opened, parts: &[Part], is_confirmed: bool) -> Result<Vec<Mismatch>, Failure> {
    let configured = launch::installation(&opened.app, opened.fixed_port);
    let facts = meta::facts(&*opened.app.db).await.map_err(Failure::failed)?;
    let mismatches: Vec<Mismatch> =
        configured.mismatches(&facts).into_iter().filter(|mismatch| parts.contains(&mismatch.part)).collect();
    if mismatches.is_empty() {
        return Ok(mismatches);
    }
    if parts.contains(&Part::Hostname) {
        output::remark(RENAMING.trim_end());
    }
    for Mismatch { part, stored, configured } in &mismatches {
        output::remark(format_args!("{}: will change from {stored} to {configured}", part.name()));
    }
    confirm(is_confirmed, "Confirm the change?")?;
    configured.accept(&*opened.app.db, &opened.app.audit, parts).await.map_err(Failure::failed)
}
