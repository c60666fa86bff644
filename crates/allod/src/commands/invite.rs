//! `allod invite`: creates and lists invite codes, through the running server or on its data directly.

use allod_server::control::{Administration, Answer, Command, InviteList, InviteShown};

use super::{Failure, account::unexpected, administer::administer, takedown::done};
use crate::{
    cli::{Invite, Page},
    output,
};

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
        Invite::List { page: Page { limit, cursor }, target } => {
            let answer = administer(&target, &Command::InviteList { cursor, limit })?;
            let Answer::Invites(list) = answer else { return Err(unexpected()) };
            show_list(&list, target.json);
        }
        Invite::Show { code, page: Page { limit, cursor }, target } => {
            let action = Administration::InviteShow { code, cursor, limit };
            let answer = administer(&target, &Command::Administer { action })?;
            let Answer::InviteShown(shown) = answer else { return Err(unexpected()) };
            show(&shown, target.json);
        }
        Invite::Disable { codes, accounts, target } => {
            done(&target, Administration::InviteDisable { codes, accounts }, "disabled")?;
        }
    }
    Ok(())
}

fn show(shown: &InviteShown, json: bool) {
    if json {
        return output::json(shown);
    }
    let invite = &shown.invite;
    output::text(output::fields(&[
        ("code", Some(invite.code.clone())),
        ("uses", Some(format!("{} of {} left", invite.uses_left, invite.uses))),
        ("disabled", invite.disabled.then(|| "yes".to_owned())),
        ("for", Some(invite.for_account.clone())),
        ("created by", Some(invite.created_by.clone())),
        ("created", Some(invite.created_at.clone())),
    ]));
    let rows: Vec<[String; 2]> = shown.used.iter().map(|used| [used.by.clone(), used.at.clone()]).collect();
    if !rows.is_empty() {
        output::text(output::table(["USED BY", "WHEN"], &rows));
    }
    output::more(shown.cursor.as_deref());
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
    output::more(list.cursor.as_deref());
}
