//! `allod invite`: creates and lists invite codes, through the running server or on its data directly.

use allod_server::control::{Answer, Command, InviteList};

use super::{Failure, account::unexpected, administer::administer};
use crate::{cli::Invite, output};

/// Carries out the command.
pub(super) fn run(command: Invite) -> Result<(), Failure> {
    match command {
        Invite::Create { uses, count, for_account, target } => {
            let answer = administer(&target, &Command::InviteCreate { uses, count, for_account })?;
            let Answer::InvitesCreated(created) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&created);
            } else {
                output::text(format_args!("{}\n", created.codes.join("\n")));
            }
        }
        Invite::List { limit, target } => {
            let answer = administer(&target, &Command::InviteList { limit })?;
            let Answer::Invites(list) = answer else { return Err(unexpected()) };
            show_list(&list, target.json);
        }
    }
    Ok(())
}

fn show_list(list: &InviteList, json: bool) {
    if json {
        return output::json(list);
    }
    let rows: Vec<[String; 5]> = list
        .invites
        .iter()
        .map(|invite| {
            let left = if invite.disabled { "disabled".to_owned() } else { invite.uses_left.to_string() };
            [invite.code.clone(), left, invite.uses.to_string(), invite.for_account.clone(), invite.created_at.clone()]
        })
        .collect();
    output::text(output::table(["CODE", "LEFT", "USES", "FOR", "CREATED"], &rows));
}
