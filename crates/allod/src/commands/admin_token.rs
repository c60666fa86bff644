//! `allod admin-token`: tokens that open the administration methods.

use allod_server::control::{Administration, Answer, Command};

use super::{Failure, account::unexpected, administer::administer, takedown::done};
use crate::{cli::AdminToken, output};

/// Carries out the command.
pub(super) fn run(command: AdminToken) -> Result<(), Failure> {
    match command {
        AdminToken::Create { name, moderator, expires_days, target } => {
            let action = Administration::TokenCreate { name, moderator, expires_days };
            let answer = administer(&target, &Command::Administer { action })?;
            let Answer::AdminTokenCreated(created) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&created);
            } else {
                output::text(format_args!("{}\n", created.token.expose()));
            }
        }
        AdminToken::List { target } => {
            let answer = administer(&target, &Command::Administer { action: Administration::TokenList {} })?;
            let Answer::AdminTokens(list) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&list);
                return Ok(());
            }
            let never = || "never".to_owned();
            let rows: Vec<[String; 4]> = list
                .tokens
                .into_iter()
                .map(|token| [token.name, token.scope, token.created_at, token.expires_at.unwrap_or_else(never)])
                .collect();
            output::text(output::table(["NAME", "SCOPE", "CREATED", "EXPIRES"], &rows));
        }
        AdminToken::Revoke { name, target } => done(&target, Administration::TokenRevoke { name }, "revoked")?,
    }
    Ok(())
}
