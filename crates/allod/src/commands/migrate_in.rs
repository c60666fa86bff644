//! `allod account migrate-in`: moves an account from another server to this one.

use std::io::IsTerminal;

use super::{Failure, account::read_password};
use crate::{
    cli::MigrateIn,
    migration::{self, Moved, Plan, Remote, State},
    output, runtime,
};

/// Carries the command out.
pub(super) fn run(arguments: MigrateIn) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        output::remark(
            "Enter the account's password at the old server, then Ctrl-D (the new server gets the same password):",
        );
    }
    let remote = |url| Remote::new(url).map_err(Failure::failed);
    let plan = Plan {
        from: remote(arguments.from)?,
        to: remote(arguments.to)?,
        identifier: arguments.account,
        password: read_password()?,
        auth_factor_code: arguments.auth_factor_code,
        handle: arguments.handle,
        email: arguments.email,
        invite_code: arguments.invite,
        plc_code: arguments.plc_code,
        is_dry_run: arguments.dry_run,
    };
    let is_json = arguments.json;
    let mut tell = |step: String| {
        if is_json {
            output::progress(&step);
        } else {
            output::remark(step);
        }
    };
    let moved = runtime::for_command().map_err(Failure::failed)?.block_on(migration::carry_out(&plan, &mut tell));
    let moved = moved.map_err(Failure::failed)?;
    show(&moved, is_json);
    if moved.state == State::Impossible {
        Err(Failure::Failed("the migration is not possible, see above".to_owned()))
    } else {
        Ok(())
    }
}

fn show(moved: &Moved, is_json: bool) {
    if is_json {
        output::progress("");
        return output::json(moved);
    }
    let state = match moved.state {
        State::Possible => "migration possible; nothing was changed",
        State::Impossible => "migration not possible; nothing was changed",
        State::WaitsForCode => "data copied; the identity change needs a code",
        State::Done => "migration complete",
    };
    output::text(output::fields(&[
        ("state", Some(state.to_owned())),
        ("handle", Some(moved.handle.clone())),
        ("did", Some(moved.did.clone())),
        ("records", Some(moved.records.to_string())),
        ("blobs", Some(moved.blobs.to_string())),
    ]));
    for remark in &moved.remarks {
        output::remark(remark);
    }
}
