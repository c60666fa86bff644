//! `allod config`: what is wrong with the configuration, what holds, and what there is to set.

use serde_json::json;

use super::{Failure, load_config};
use crate::{
    cli::Config,
    config::{
        Effective, Loaded,
        settings::{ALL, Entry, Fallback},
    },
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

fn check(loaded: Loaded, json: bool) -> Result<(), Failure> {
    let ok = loaded.settings.is_some();
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
         Settings come from one TOML file (`--config`, else `ALLOD_CONFIG`, else `./allod.toml` if it is there) and from the\n\
         environment over it. `PDS_*` names are those of the reference distribution, so that an existing pds.env works as it\n\
         is; where both are set, the `ALLOD_*` name wins. An empty environment value is no value. Lists take commas in the\n\
         environment and an array in TOML. A secret may also be given as a path to a file that holds it: add `_FILE` to the\n\
         environment name or `_file` to the key.\n\n\
         An unknown key or `ALLOD_*` name is an error. `PDS_*` names that have no effect so far are listed in a warning.\n\
         `allod config check` says what is wrong, or what holds and where it comes from.\n\n\
         `allod dev` reads none of this, except `ALLOD_LOG` and `ALLOD_LOG_FORMAT`.\n\n",
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
