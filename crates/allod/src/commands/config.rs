//! `allod config`: what is wrong with the configuration, what holds, and what there is to set.

use allod_atproto::crypto::{Curve, SigningKey};
use allod_server::domain::installation::Installation;
use allod_store::sqlite::{self, OpenError};
use serde_json::json;

use super::{Failure, load_config};
use crate::{
    cli::Config,
    config::{
        Effective, Loaded, Problem, Settings,
        settings::{ALL, Entry, Fallback},
    },
    data_directory::DataDirectory,
    output,
};

/// Carries out the command.
pub(super) fn run(command: &Config) -> Result<(), Failure> {
    match command {
        Config::Check { json, file } => check(load_config(file.as_path())?, *json),
        Config::List { markdown: true } => {
            output::text(markdown());
            Ok(())
        }
        Config::List { markdown: false } => {
            output::text(listing());
            Ok(())
        }
    }
}

fn check(mut loaded: Loaded, json: bool) -> Result<(), Failure> {
    if let Some(settings) = loaded.settings.take() {
        check_data(settings, &mut loaded.problems, &mut loaded.warnings);
    }
    let ok = loaded.problems.is_empty();
    if json {
        output::json(&json!({
            "ok": ok,
            "problems": loaded.problems,
            "warnings": loaded.warnings,
            "settings": loaded.effective,
        }));
        return if ok { Ok(()) } else { Err(Failure::Config(loaded.problems)) };
    }
    for warning in &loaded.warnings {
        output::remark(format_args!("warning: {warning}"));
    }
    if !ok {
        return Err(Failure::Config(loaded.problems));
    }
    output::text(effective(&loaded.effective));
    Ok(())
}

/// Looks whether the data that is there can be used with the settings. Changes nothing.
fn check_data(settings: Settings, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
    let data = DataDirectory::at(&settings.data_directory);
    let place = data.path().display().to_string();
    if let Err(error) = data.check_format() {
        problems.push(Problem::general(error.to_string()));
    }
    warnings.extend(data.permission_warning().map(Problem::general));
    if !data.database().exists() {
        return;
    }
    let (port, fixed_port) = (settings.port, settings.fixed_port());
    let config = settings.into_config(port);
    match sqlite::inspect(&data.database()) {
        Ok(seen) if seen.is_in_use => {
            let rotation_key = SigningKey::from_bytes(Curve::K256, config.secrets.plc_rotation_key.expose());
            // One that is no key is a problem of the settings.
            let Ok(rotation_key) = rotation_key else { return };
            let installation = Installation::of(&config, rotation_key.did_key().to_string(), fixed_port);
            let mismatches = installation.mismatches(&seen.facts);
            problems.extend(mismatches.iter().map(|mismatch| Problem::at(place.clone(), mismatch.to_string())));
        }
        Ok(_) => {}
        Err(error @ (OpenError::NotOurs | OpenError::SchemaNewer { .. } | OpenError::MigrationChanged { .. })) => {
            problems.push(Problem::at(place, error.to_string()));
        }
        Err(error) => {
            warnings
                .push(Problem::at(place, format!("it was not checked whether the data fits the settings: {error}")));
        }
    }
}

fn effective(settings: &[Effective]) -> String {
    let rows: Vec<[String; 3]> = settings
        .iter()
        .map(|setting| {
            [setting.key.to_owned(), setting.value.clone().unwrap_or_else(|| "-".to_owned()), setting.source.clone()]
        })
        .collect();
    output::table(["SETTING", "VALUE", "FROM"], &rows)
}

fn listing() -> String {
    ALL.iter().map(|entry| described(entry)).collect::<Vec<_>>().concat()
}

fn described(entry: &Entry) -> String {
    let Entry { key, kind, doc, .. } = entry;
    format!("{key}\n    {}\n    {kind}; default: {}\n    {}\n\n", doc.trim(), fallback(entry), names(entry))
}

fn fallback(entry: &Entry) -> String {
    match entry.fallback {
        Fallback::Literal(text) | Fallback::Computed(text) => text.to_owned(),
        Fallback::None => "none".to_owned(),
        Fallback::Required(how) => format!("none, required ({how})"),
    }
}

fn names(entry: &Entry) -> String {
    let mut names = vec![entry.allod_name()];
    names.extend(entry.pds.map(str::to_owned));
    if entry.secret {
        let files: Vec<String> = names.iter().map(|name| format!("{name}_FILE")).collect();
        names.extend(files);
    }
    names.join(", ")
}

fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         <!-- Printed by `allod config list --markdown`; a test compares them. -->\n\n\
         Settings come from one TOML file (`--config`, else `ALLOD_CONFIG`, else `./allod.toml`, else `/etc/allod/allod.toml`)\n\
         and from the environment over it. `PDS_*` names are those of the reference distribution, so that an existing pds.env works as it\n\
         is; where both are set, the `ALLOD_*` name wins. An empty environment value is no value. Lists take commas in the\n\
         environment and an array in TOML. A secret may also be given as a path to a file that holds it: add `_FILE` to the\n\
         environment name or `_file` to the key.\n\n\
         An unknown key or `ALLOD_*` name is an error. `PDS_*` names that have no effect so far are listed in a warning.\n\
         `allod config check` says what is wrong, or what holds and where it comes from, and whether the data that is there\n\
         belongs to these names and keys.\n\n\
         `allod dev` reads none of this, except `ALLOD_LOG`, `ALLOD_LOG_FORMAT`, `ALLOD_SIGN_UP_QUEUE` and\n\
         `ALLOD_SIGN_UP_QUEUE_PER_HOUR`; it names the others that are set.\n\n",
    );
    page.extend(ALL.iter().map(|entry| section(entry)));
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn section(entry: &Entry) -> String {
    let environment = names(entry).split(", ").map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    format!(
        "## {}\n\n{}\n\n- Value: {}\n- Default: {}\n- Environment: {environment}\n\n",
        entry.key,
        entry.doc.trim(),
        entry.kind,
        fallback(entry),
    )
}
