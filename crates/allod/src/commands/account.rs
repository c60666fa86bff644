//! `allod account`: creates and shows accounts, through the running server or on its data directly.

use std::io::{BufRead, BufReader, IsTerminal, Read};

use allod_server::control::{
    AccountCreated, AccountDetails, AccountPage, Administration, Answer, Command, DidWebPublish, Password,
};
use serde_json::json;

use super::{Failure, administer::administer, new_key, new_password, private_key_hex, takedown::done};
use crate::{
    cli::{Account, Page, Target},
    output,
};

/// The longest password read from standard input, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// How many accounts are listed at once.
const ACCOUNTS_PER_PAGE: u32 = 1000;

/// Carries out the command.
pub(super) fn run(command: Account) -> Result<(), Failure> {
    match command {
        Account::Create { handle, email, password_stdin, allow_reserved, target } => {
            let (password, generated) = if password_stdin { (read_password()?, None) } else { made_password() };
            let password = Password::new(password);
            let command = Command::AccountCreate { handle, email, password, allow_reserved };
            let answer = administer(&target, &command)?;
            let Answer::AccountCreated(created) = answer else { return Err(unexpected()) };
            show_created(&created, generated.as_deref(), target.json);
        }
        Account::List { page: Page { limit, cursor }, target } => {
            let answer = administer(&target, &Command::AccountList { cursor, limit })?;
            let Answer::Accounts(page) = answer else { return Err(unexpected()) };
            show_page(&page, target.json);
        }
        Account::MigrateIn(arguments) => super::migrate_in::run(*arguments)?,
        Account::Show { account, target } => {
            let answer = administer(&target, &Command::AccountShow { account })?;
            let Answer::Account(details) = answer else { return Err(unexpected()) };
            show_details(&details, target.json);
        }
        Account::RotateKey { account: Some(account), target, .. } => rotate_key(&target, account)?,
        Account::RotateKey { account: None, target, .. } => rotate_all_keys(&target)?,
        Account::AddRecoveryKey { account, key, target, .. } => add_recovery_key(&target, account, key)?,
        Account::Search { email, limit, cursor, target } => {
            let action = Administration::AccountSearch { email, cursor, limit };
            let answer = administer(&target, &Command::Administer { action })?;
            let Answer::Accounts(page) = answer else { return Err(unexpected()) };
            show_page(&page, target.json);
        }
        Account::SetPassword { account, password_stdin, target } => {
            let (password, generated) = if password_stdin { (read_password()?, None) } else { made_password() };
            set_password(account, password, generated.as_deref(), &target)?;
        }
        Account::SetEmail { account, email, target } => {
            done(&target, Administration::AccountEmail { account, email }, "e-mail address set")?;
        }
        Account::DidWeb { account, pds, signing_key, handle, reset, target } => {
            let elsewhere = pds.zip(signing_key);
            let elsewhere = elsewhere.map(|(pds, signing_key)| DidWebPublish::Elsewhere { pds, signing_key, handle });
            let publish = elsewhere.or(reset.then_some(DidWebPublish::Here));
            did_web(account, publish, &target)?;
        }
        Account::Delete { account, free_handle, yes, target } => {
            confirm(yes, &format!("Permanently delete the account {account} with its repository and blobs?"))?;
            done(&target, Administration::AccountDelete { account, free_handle }, "deleted")?;
        }
        Account::Deactivate { account, yes, target } => {
            confirm(yes, &format!("Deactivate the account {account}?"))?;
            done(&target, Administration::AccountActive { account, active: false }, "deactivated")?;
        }
        Account::Activate { account, target } => {
            done(&target, Administration::AccountActive { account, active: true }, "activated")?;
        }
        Account::DisableInvites { account, note, target } => {
            let action = Administration::AccountInvites { account, disabled: true, note };
            done(&target, action, "invites disabled")?;
        }
        Account::EnableInvites { account, note, target } => {
            let action = Administration::AccountInvites { account, disabled: false, note };
            done(&target, action, "invites enabled")?;
        }
    }
    Ok(())
}

fn set_password(account: String, password: String, shown: Option<&str>, target: &Target) -> Result<(), Failure> {
    let action = Administration::AccountPassword { account, password: Password::new(password) };
    let answer = administer(target, &Command::Administer { action })?;
    let Answer::Done(done) = answer else { return Err(unexpected()) };
    if target.json {
        let mut value = json!({ "subject": done.subject });
        if let (Some(fields), Some(password)) = (value.as_object_mut(), shown) {
            fields.insert("password".to_owned(), json!(password));
        }
        output::json(&value);
    } else {
        output::text(output::fields(&[("did", Some(done.subject)), ("password", shown.map(str::to_owned))]));
    }
    Ok(())
}

fn did_web(account: String, publish: Option<DidWebPublish>, target: &Target) -> Result<(), Failure> {
    let action = Administration::AccountDidWeb { account, publish };
    let answer = administer(target, &Command::Administer { action })?;
    let Answer::DidWeb(shown) = answer else { return Err(unexpected()) };
    if target.json {
        output::json(&shown);
        return Ok(());
    }
    let account = if shown.account { "exists" } else { "deleted" };
    output::text(output::fields(&[
        ("did", Some(shown.did)),
        ("account", Some(account.to_owned())),
        ("published", Some(shown.published)),
    ]));
    if let Some(document) = &shown.document {
        output::json(document);
    }
    Ok(())
}

fn rotate_key(target: &Target, account: String) -> Result<(), Failure> {
    let answer = administer(target, &Command::AccountRotateKey { account })?;
    let Answer::KeyRotated(rotated) = answer else { return Err(unexpected()) };
    if target.json {
        output::json(&rotated);
    } else {
        output::text(output::fields(&[
            ("handle", Some(rotated.handle)),
            ("did", Some(rotated.did)),
            ("signing key", Some(rotated.signing_key)),
        ]));
    }
    Ok(())
}

/// Without a key makes one, and shows its private half once the directory has the public one.
fn add_recovery_key(target: &Target, account: String, key: Option<String>) -> Result<(), Failure> {
    let made = key.is_none().then(new_key);
    let private_key = made.as_ref().map(private_key_hex);
    let key = key.or_else(|| made.map(|key| key.did_key().to_string())).unwrap_or_default();
    let answer = administer(target, &Command::AccountAddRecoveryKey { account, key })?;
    let Answer::RecoveryKeyAdded(added) = answer else { return Err(unexpected()) };
    if target.json {
        let mut value = json!({ "did": added.did, "handle": added.handle, "rotation_keys": added.rotation_keys });
        if let (Some(fields), Some(private_key)) = (value.as_object_mut(), private_key) {
            fields.insert("private_key_k256_hex".to_owned(), json!(private_key));
        }
        output::json(&value);
        return Ok(());
    }
    output::text(output::fields(&[
        ("handle", Some(added.handle)),
        ("did", Some(added.did)),
        ("rotation keys", Some(added.rotation_keys.join(", "))),
        ("private key", private_key.clone()),
    ]));
    if private_key.is_some() {
        output::remark(format_args!("the private key (K-256, hexadecimal) is not stored: give it to the owner now"));
    }
    Ok(())
}

fn rotate_all_keys(target: &Target) -> Result<(), Failure> {
    let (mut cursor, mut failed) = (None, 0_usize);
    loop {
        let answer = administer(target, &Command::AccountList { cursor, limit: ACCOUNTS_PER_PAGE })?;
        let Answer::Accounts(page) = answer else { return Err(unexpected()) };
        for account in page.accounts {
            if let Err(failure) = rotate_key(target, account.did.clone()) {
                output::remark(format_args!("{}: {failure}", account.did));
                failed += 1;
            }
        }
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("the key rotation failed for {failed} accounts, see above"))),
    }
}

/// The answer to another command came back: the running server is of another version.
pub(super) fn unexpected() -> Failure {
    Failure::Failed("unexpected response from the running server; it may be another version".to_owned())
}

fn made_password() -> (String, Option<String>) {
    let password = new_password();
    (password.clone(), Some(password))
}

/// The longest answer to a question, in bytes.
const ANSWER_BYTES_MAX: u64 = 16;

/// Asks whether something that can't be undone is meant, unless that was said on the command line.
pub(super) fn confirm(is_said: bool, question: &str) -> Result<(), Failure> {
    if is_said {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage(format!("{question} Standard input is not a terminal: confirm with --yes")));
    }
    output::question(format_args!("{question} [y/N] "));
    let mut answer = String::new();
    BufReader::new(std::io::stdin().lock().take(ANSWER_BYTES_MAX)).read_line(&mut answer).map_err(Failure::failed)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Failure::Failed("cancelled; nothing was changed".to_owned())),
    }
}

/// Reads a password from standard input.
pub(super) fn read_password() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().lock().take(PASSWORD_BYTES_MAX).read_to_string(&mut text).map_err(Failure::failed)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Usage("no password on standard input".to_owned()));
    }
    Ok(password.to_owned())
}

fn show_created(created: &AccountCreated, password: Option<&str>, json: bool) {
    if created.is_reserved {
        output::remark(format_args!("{} is a reserved handle, not available at sign-up", created.handle));
    }
    if json {
        let mut value = json!({ "did": created.did, "handle": created.handle });
        if let (Some(fields), Some(password)) = (value.as_object_mut(), password) {
            fields.insert("password".to_owned(), json!(password));
        }
        return output::json(&value);
    }
    output::text(output::fields(&[
        ("handle", Some(created.handle.clone())),
        ("did", Some(created.did.clone())),
        ("password", password.map(str::to_owned)),
    ]));
}

fn show_page(page: &AccountPage, json: bool) {
    if json {
        return output::json(page);
    }
    let rows: Vec<[String; 5]> = page
        .accounts
        .iter()
        .map(|account| {
            [
                account.handle.clone(),
                account.did.clone(),
                account.status.clone(),
                account.created_at.clone(),
                account.email.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::text(output::table(["HANDLE", "DID", "STATUS", "CREATED", "EMAIL"], &rows));
    output::more(page.cursor.as_deref());
}

fn show_details(account: &AccountDetails, json: bool) {
    if json {
        return output::json(account);
    }
    let confirmed = if account.email_confirmed { "confirmed" } else { "not confirmed" };
    output::text(output::fields(&[
        ("handle", Some(account.handle.clone())),
        ("did", Some(account.did.clone())),
        ("status", Some(account.status.clone())),
        ("email", account.email.as_ref().map(|email| format!("{email} ({confirmed})"))),
        ("created", Some(account.created_at.clone())),
        ("invite code", account.invite_code.clone()),
        ("deleted after", account.delete_after.clone()),
    ]));
    for warning in &account.warnings {
        output::text(format_args!("{warning}\n"));
    }
}
