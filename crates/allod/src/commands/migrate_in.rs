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
            "The account's password at the old server, and its end with Ctrl-D (it becomes the one at the new server too):",
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
        Err(Failure::Failed("the account can't move like this".to_owned()))
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
        State::Possible => "nothing was done; it can move",
        State::Impossible => "nothing was done",
        State::WaitsForCode => "everything is at the new server; a code is needed",
        State::Done => "the account has moved",
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
