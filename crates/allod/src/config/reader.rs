//! Reads settings out of what was given, keeping note of problems and of what holds in the end.

use serde::Serialize;

use super::{
    given::{Given, Origin},
    problem::Problem,
    settings::{Fallback, Setting},
    value::{FromRaw, Raw},
};

/// What holds for one setting in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Effective {
    /// The TOML key.
    pub(crate) key: &'static str,
    /// The value, secrets redacted; nothing when there is none.
    pub(crate) value: Option<String>,
    /// Where it was set: a name, a file and line, or `default`.
    pub(crate) source: String,
}

/// Reads settings one by one.
pub(super) struct Reader {
    given: Given,
    effective: Vec<Effective>,
}

impl Reader {
    pub(super) fn new(given: Given) -> Self {
        Self { given, effective: Vec::new() }
    }

    /// Reads a setting that may be missing; a required one that is missing is a problem.
    pub(super) fn read<T: FromRaw>(&mut self, setting: &Setting<T>) -> Option<T> {
        let (value, origin) = match self.given(setting) {
            Some(found) => found,
            None => match setting.entry.fallback {
                Fallback::Literal(text) => {
                    (self.parse(setting, &Raw::Text(text.to_owned()), &Origin::Default), Origin::Default)
                }
                Fallback::Required(how) => {
                    self.problem(Problem::general(missing(setting, how)));
                    (None, Origin::Default)
                }
                Fallback::Computed(_) | Fallback::None => (None, Origin::Default),
            },
        };
        self.note(setting, value.as_ref(), &origin);
        value
    }

    /// Whether a setting was given at all, well or badly.
    pub(super) fn is_given<T>(&self, setting: &Setting<T>) -> bool {
        self.given.values.contains_key(setting.entry.key)
    }

    /// Reads a setting whose default follows from others.
    pub(super) fn read_or<T: FromRaw>(
        &mut self,
        setting: &Setting<T>,
        otherwise: impl FnOnce() -> Option<T>,
    ) -> Option<T> {
        let (value, origin) = self.given(setting).unwrap_or_else(|| (otherwise(), Origin::Default));
        self.note(setting, value.as_ref(), &origin);
        value
    }

    /// Keeps a problem.
    pub(super) fn problem(&mut self, problem: Problem) {
        self.given.problems.push(problem);
    }

    /// Keeps a warning.
    pub(super) fn warning(&mut self, warning: Problem) {
        self.given.warnings.push(warning);
    }

    /// The name under which a setting was given, for messages about it; its TOML key when nobody set it.
    pub(super) fn place<T>(&self, setting: &Setting<T>) -> String {
        self.given
            .values
            .get(setting.entry.key)
            .map_or_else(|| setting.entry.key.to_owned(), |(_, origin)| origin.to_string())
    }

    /// Gives back problems, warnings and what holds.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>, Vec<Effective>) {
        (self.given.problems, self.given.warnings, self.effective)
    }

    fn given<T: FromRaw>(&mut self, setting: &Setting<T>) -> Option<(Option<T>, Origin)> {
        let (raw, origin) = self.given.values.get(setting.entry.key)?.clone();
        let value = self.parse(setting, &raw, &origin);
        Some((value, origin))
    }

    fn parse<T: FromRaw>(&mut self, setting: &Setting<T>, raw: &Raw, origin: &Origin) -> Option<T> {
        match T::from_raw(raw) {
            Ok(value) => Some(value),
            Err(reason) => {
                let message = match origin {
                    Origin::Environment(_) => reason,
                    Origin::File(..) | Origin::Default => format!("{} {reason}", setting.entry.key),
                };
                self.problem(Problem::at(origin.to_string(), message));
                None
            }
        }
    }

    fn note<T: FromRaw>(&mut self, setting: &Setting<T>, value: Option<&T>, origin: &Origin) {
        self.effective.push(Effective {
            key: setting.entry.key,
            value: value.map(FromRaw::show),
            source: origin.to_string(),
        });
    }
}

fn missing<T>(setting: &Setting<T>, how: &str) -> String {
    let entry = &setting.entry;
    let mut names = vec![entry.allod_name()];
    names.extend(entry.pds.map(str::to_owned));
    format!(
        "{} is not set: set {} ({}, or {} in the file, or a path to a file as {}_FILE). `allod secrets generate` creates one.",
        entry.key,
        how,
        names.join(" or "),
        entry.key,
        names.first().map_or("", String::as_str),
    )
}
