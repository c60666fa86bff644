//! The private preferences of an account: objects of `app.bsky` that its apps keep here and nobody else reads.

use allod_atproto::{
    Did,
    json::{self, Limits},
};
use allod_base::clock;
use allod_store::{
    CommitError, ReadError, Txn,
    tables::{
        accounts,
        preferences::{self, Preference},
    },
};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde_json::{Value, json};

use super::{
    core::Core,
    sessions::{Scope, Session},
};

/// How many objects an account may keep.
pub const PREFERENCES_MAX: usize = 1_000;

const NAMESPACE: &str = "app.bsky.";
/// Tells when somebody was born: only for a sign-in with the account's own password.
const PERSONAL_DETAILS: &str = "app.bsky.actor.defs#personalDetailsPref";
/// Follows from the personal details and can't be set.
const DECLARED_AGE: &str = "app.bsky.actor.defs#declaredAgePref";

/// Why preferences were not kept.
#[derive(Debug, thiserror::Error)]
pub enum PreferencesError {
    /// One has no `$type`.
    #[error("Preference is missing a $type")]
    NoType,
    /// One is of another namespace.
    #[error("Some preferences are not in the app.bsky namespace")]
    Namespace,
    /// One may only be set with the account's own password.
    #[error("Do not have authorization to set preferences: {PERSONAL_DETAILS}")]
    NotAllowed,
    /// There are more than [`PREFERENCES_MAX`].
    #[error("at most {PREFERENCES_MAX} preferences can be kept")]
    TooMany,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The preferences of one server's accounts.
pub struct Preferences {
    core: Core,
}

impl Preferences {
    /// Keeps preferences in the store.
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// Reads what the session may see, and what follows from it.
    pub async fn get(&self, session: &Session) -> Result<Vec<Value>, PreferencesError> {
        let rows = preferences::of_account(&*self.core.db, &session.account.did).await?;
        let now = self.core.clock.now_micros();
        let (mut seen, mut age) = (Vec::with_capacity(rows.len() + 1), None);
        for row in rows {
            let Ok(value) = json::parse(row.json.as_bytes(), &Limits::OWN) else { continue };
            if row.kind == PERSONAL_DETAILS {
                age = declared_age(&value, now);
                if !sees_personal_details(session) {
                    continue;
                }
            }
            seen.push(value);
        }
        seen.extend(age);
        Ok(seen)
    }

    /// Replaces what the session may see.
    pub async fn put(&self, session: &Session, wanted: Vec<Value>) -> Result<(), PreferencesError> {
        if wanted.len() > PREFERENCES_MAX {
            return Err(PreferencesError::TooMany);
        }
        let mut rows = Vec::with_capacity(wanted.len());
        for (position, value) in (0..).zip(wanted) {
            let kind = value.get("$type").and_then(Value::as_str).ok_or(PreferencesError::NoType)?.to_owned();
            if !kind.starts_with(NAMESPACE) {
                return Err(PreferencesError::Namespace);
            }
            if kind == PERSONAL_DETAILS && !sees_personal_details(session) {
                return Err(PreferencesError::NotAllowed);
            }
            if kind != DECLARED_AGE {
                rows.push(Preference { kind, position, json: value.to_string() });
            }
        }
        self.replace(&session.account.did, &rows, (!sees_personal_details(session)).then_some(PERSONAL_DETAILS)).await
    }

    async fn replace(&self, did: &Did, rows: &[Preference], kept: Option<&str>) -> Result<(), PreferencesError> {
        let mut txn = Txn::new();
        accounts::assert_present(&mut txn, did);
        preferences::replace(&mut txn, did, rows, kept);
        self.core.db.commit(txn).await?;
        Ok(())
    }
}

fn sees_personal_details(session: &Session) -> bool {
    matches!(session.scope, Scope::Full | Scope::TakenDown)
}

/// Tells which ages somebody has reached, as far as they said when they were born.
fn declared_age(personal_details: &Value, now_micros: u64) -> Option<Value> {
    let born = personal_details.get("birthDate")?.as_str()?;
    let born: Date = born.get(..10)?.parse().ok()?;
    let now = Timestamp::from_microsecond(clock::to_store(now_micros)).ok()?;
    let today = now.to_zoned(TimeZone::UTC).date();
    let mut years = today.year() - born.year();
    if (today.month(), today.day()) < (born.month(), born.day()) {
        years -= 1;
    }
    Some(json!({
        "$type": DECLARED_AGE,
        "isOverAge13": years >= 13,
        "isOverAge16": years >= 16,
        "isOverAge18": years >= 18,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 14 November 2023.
    const NOW: u64 = 1_700_000_000_000_000;

    fn over(born: &str) -> Option<(bool, bool, bool)> {
        let age = declared_age(&json!({ "birthDate": born }), NOW)?;
        let is = |name: &str| age[name].as_bool().unwrap();
        Some((is("isOverAge13"), is("isOverAge16"), is("isOverAge18")))
    }

    #[test]
    fn an_age_is_reached_on_the_birthday() {
        assert_eq!(over("2005-11-14T00:00:00.000Z"), Some((true, true, true)));
        assert_eq!(over("2005-11-15T00:00:00.000Z"), Some((true, true, false)));
        assert_eq!(over("2010-11-14"), Some((true, false, false)));
        assert_eq!(over("2010-11-15"), Some((false, false, false)));
        assert_eq!(over("2000-02-29"), Some((true, true, true)));
        for nonsense in ["", "soon", "2005-13-01", "2005-1-1", "é005-11-14"] {
            assert_eq!(over(nonsense), None, "{nonsense}");
        }
    }
}
