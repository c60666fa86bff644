//! What the operator wrote: TOML and environment brought to one map of raw values, with unknown names found.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use toml::de::{DeTable, DeValue};

use super::{
    problem::Problem,
    reference_names,
    settings::{self, Entry},
    value::Raw,
};

/// Environment names with the `ALLOD_` prefix that are no settings.
const OTHER_ALLOD_NAMES: &[&str] = &["ALLOD_CONFIG"];

/// The largest file a secret is read from, in bytes.
const SECRET_FILE_BYTES_MAX: usize = 4096;

/// Everything configuration is made of.
pub(crate) struct Sources<'a> {
    /// The TOML file.
    pub(crate) file: Option<ConfigFile>,
    /// The whole environment.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Reads a file that holds a secret.
    pub(crate) read_file: &'a dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
}

/// A TOML file that was read.
pub(crate) struct ConfigFile {
    /// Where it is, for messages.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) text: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A line of the file, counted from 1.
    File(PathBuf, usize),
    /// An environment name.
    Environment(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The given values by key, and what was wrong on the way.
#[derive(Default)]
pub(super) struct Given {
    /// The winning value of each key.
    pub(super) values: BTreeMap<&'static str, (Raw, Origin)>,
    /// What keeps the server from starting.
    pub(super) problems: Vec<Problem>,
    /// What does not.
    pub(super) warnings: Vec<Problem>,
}

/// Collects what the sources give.
pub(super) fn collect(sources: &Sources<'_>) -> Given {
    let mut given = Given::default();
    if let Some(file) = &sources.file {
        given.take_file(file, sources.read_file);
    }
    given.take_environment(sources);
    given
}

impl Given {
    fn take_file(&mut self, file: &ConfigFile, read_file: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>) {
        let table = match DeTable::parse(&file.text) {
            Ok(table) => table.into_inner(),
            Err(reason) => {
                let line = reason.span().map_or(1, |span| line_of(&file.text, span.start));
                let place = Origin::File(file.path.clone(), line).to_string();
                self.problems.push(Problem::at(place, format!("not valid TOML: {}", reason.message())));
                return;
            }
        };
        for (key, value) in &table {
            let origin = Origin::File(file.path.clone(), line_of(&file.text, key.span().start));
            let name = key.get_ref().as_ref();
            let Some((entry, from_file)) = by_key(name) else {
                self.problems.push(Problem::at(origin.to_string(), unknown_key(name)));
                continue;
            };
            match raw_of(value.get_ref()) {
                Some(raw) if from_file => self.take_secret_file(entry, &raw, origin, read_file),
                Some(raw) => self.put(entry, raw, origin),
                None => self.problems.push(Problem::at(origin.to_string(), format!("{name} must be {}", entry.kind))),
            }
        }
    }

    /// Goes through the environment twice: the reference's names first, ours over them.
    fn take_environment(&mut self, sources: &Sources<'_>) {
        let mut unhonoured = Vec::new();
        for prefix in ["PDS_", "ALLOD_"] {
            let mut named: Vec<(&str, &OsString)> = sources
                .environment
                .iter()
                .filter_map(|(name, value)| Some((name.to_str().filter(|name| name.starts_with(prefix))?, value)))
                .collect();
            named.sort_unstable();
            let mut seen = BTreeMap::new();
            for (name, value) in named {
                let Some(text) = value.to_str() else {
                    self.problems.push(Problem::at(name, "is not valid UTF-8"));
                    continue;
                };
                // Empty is unset, as in the reference, so that a template can leave a name blank.
                if text.is_empty() {
                    continue;
                }
                if let Some((entry, from_file)) = by_environment_name(name) {
                    if let Some(other) = seen.insert(entry.key, name) {
                        self.problems.push(Problem::at(name, format!("{other} is also set; set only one of them")));
                    }
                    let origin = Origin::Environment(name.to_owned());
                    let raw = Raw::Text(text.to_owned());
                    if from_file {
                        self.take_secret_file(entry, &raw, origin, sources.read_file);
                    } else {
                        self.put(entry, raw, origin);
                    }
                } else if prefix == "PDS_" {
                    self.take_foreign_name(name, &mut unhonoured);
                } else if !OTHER_ALLOD_NAMES.contains(&name) {
                    self.problems.push(Problem::at(name, unknown_environment_name(name, "ALLOD_")));
                }
            }
        }
        if !unhonoured.is_empty() {
            let names = unhonoured.join(", ");
            self.warnings
                .push(Problem::general(format!("these settings are not supported yet and have no effect: {names}")));
        }
    }

    fn take_foreign_name(&mut self, name: &str, unhonoured: &mut Vec<String>) {
        if let Some((_, reason)) = reference_names::REFUSED.iter().find(|(refused, _)| *refused == name) {
            self.problems.push(Problem::at(name, *reason));
        } else if reference_names::NOT_HONOURED.contains(&name) {
            unhonoured.push(name.to_owned());
        } else {
            self.warnings.push(Problem::at(name, unknown_environment_name(name, "PDS_")));
        }
    }

    fn take_secret_file(
        &mut self,
        entry: &'static Entry,
        path: &Raw,
        origin: Origin,
        read_file: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) {
        let Raw::Text(path) = path else {
            self.problems.push(Problem::at(origin.to_string(), "must be a path"));
            return;
        };
        match secret_text(read_file(Path::new(path))) {
            Ok(text) => self.put(entry, Raw::Text(text), origin),
            Err(reason) => self.problems.push(Problem::at(origin.to_string(), format!("{path}: {reason}"))),
        }
    }

    fn put(&mut self, entry: &'static Entry, raw: Raw, origin: Origin) {
        self.values.insert(entry.key, (raw, origin));
    }
}

fn secret_text(read: std::io::Result<Vec<u8>>) -> Result<String, String> {
    let bytes = read.map_err(|reason| format!("can't be read: {reason}"))?;
    if bytes.len() > SECRET_FILE_BYTES_MAX {
        return Err(format!("is longer than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8".to_owned())?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// Finds a TOML key; true when it is the `_file` form of a secret.
fn by_key(name: &str) -> Option<(&'static Entry, bool)> {
    settings::ALL.iter().find_map(|entry| {
        let rest = name.strip_prefix(entry.key)?;
        match rest {
            "" => Some((*entry, false)),
            "_file" if entry.secret => Some((*entry, true)),
            _ => None,
        }
    })
}

/// Finds an environment name of either prefix; true when it is the `_FILE` form of a secret.
fn by_environment_name(name: &str) -> Option<(&'static Entry, bool)> {
    settings::ALL.iter().find_map(|entry| {
        let own = entry.allod_name();
        [Some(own.as_str()), entry.pds].into_iter().flatten().find_map(|known| match name.strip_prefix(known)? {
            "" => Some((*entry, false)),
            "_FILE" if entry.secret => Some((*entry, true)),
            _ => None,
        })
    })
}

fn unknown_key(name: &str) -> String {
    let known: Vec<String> = settings::ALL
        .iter()
        .flat_map(|entry| [Some(entry.key.to_owned()), entry.secret.then(|| format!("{}_file", entry.key))])
        .flatten()
        .collect();
    let hint = nearest(name, known.iter().map(String::as_str));
    with_hint(&format!("unknown key {name:?}"), hint)
}

fn unknown_environment_name(name: &str, prefix: &str) -> String {
    let known: Vec<String> = settings::ALL
        .iter()
        .flat_map(|entry| [Some(entry.allod_name()), entry.pds.map(str::to_owned)])
        .flatten()
        .chain(reference_names::NOT_HONOURED.iter().map(|&name| name.to_owned()))
        .chain(reference_names::REFUSED.iter().map(|(name, _)| (*name).to_owned()))
        .chain(OTHER_ALLOD_NAMES.iter().map(|&name| name.to_owned()))
        .filter(|known| known.starts_with(prefix))
        .collect();
    with_hint("unknown name", nearest(name, known.iter().map(String::as_str)))
}

/// The known name that takes the fewest edits, when they are few enough for a typing mistake.
fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits_max = (typed.chars().count() / 3).clamp(2, 6);
    known
        .map(|name| (strsim::osa_distance(typed, name), name))
        .filter(|(edits, _)| *edits <= edits_max)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, name)| name)
}

fn with_hint(message: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{message}; did you mean {hint}?"),
        None => format!("{message}; `allod config list` names every setting"),
    }
}

fn raw_of(value: &DeValue<'_>) -> Option<Raw> {
    match value {
        DeValue::String(text) => Some(Raw::Text(text.clone().into_owned())),
        DeValue::Boolean(value) => Some(Raw::Boolean(*value)),
        DeValue::Integer(value) => {
            i64::from_str_radix(&value.as_str().replace('_', ""), value.radix()).ok().map(Raw::Integer)
        }
        DeValue::Array(items) => items
            .iter()
            .map(|item| item.get_ref().as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
            .map(Raw::List),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => None,
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_or_nothing() {
        let known = ["hostname", "port", "jwt_secret"];
        let near = |typed| nearest(typed, known.into_iter());
        assert_eq!(near("hostnam"), Some("hostname"));
        assert_eq!(near("prot"), Some("port"));
        assert_eq!(near("entirely_else"), None);
        // Swapped neighbours are one edit; two are always tolerated, and more in longer names.
        assert_eq!((near("prto"), near("xyz")), (Some("port"), None));
        assert_eq!((near("jwtsercet"), near("jwt_secret_x")), (Some("jwt_secret"), Some("jwt_secret")));
    }
}
