//! did:plc operations that this server signs: what follows what the directory has.

use allod_atproto::{
    Cid, Did, Handle,
    plc::{Operation, PlcData, UnsignedPlcOperation},
};

use super::{
    changes::ChangeError,
    published::{Misfit, PublishedError},
};
use crate::app::App;

/// Reads what the directory has of a DID: the state, and the operation that set it.
pub(super) async fn current(app: &App, did: &Did) -> Result<(PlcData, Cid), ChangeError> {
    let last = app.resolver.last_operation(did).await.map_err(PublishedError::from)?;
    let last = last.ok_or(PublishedError::Unresolvable)?;
    let data = last.data().ok_or(ChangeError::Tombstoned)?;
    Ok((data, last.cid()))
}

/// Signs the operation that sets `data` after `prev`, if it is one that a directory takes.
pub(super) fn sign(app: &App, before: &PlcData, data: PlcData, prev: Cid) -> Result<Operation, ChangeError> {
    if !before.rotation_keys.contains(&app.rotation_key.did_key()) {
        return Err(Misfit::RotationKey.into());
    }
    let operation = UnsignedPlcOperation::from_data(data, Some(prev)).sign(&app.rotation_key);
    operation.check_new().map_err(|error| ChangeError::Operation(error.to_string()))?;
    Ok(operation)
}

/// Puts a handle in the place of the first that is claimed; other names stay.
pub(super) fn claim(also_known_as: &mut Vec<String>, handle: &Handle) {
    let name = format!("at://{handle}");
    let place = also_known_as.iter().position(|other| other.starts_with("at://")).unwrap_or(0);
    let mut names: Vec<String> = Vec::new();
    for (index, other) in also_known_as.drain(..).enumerate() {
        if index == place && other.starts_with("at://") {
            names.push(name.clone());
        } else if other != name {
            names.push(other);
        }
    }
    if !names.contains(&name) {
        names.insert(0, name);
    }
    *also_known_as = names;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_takes_the_place_of_the_first() {
        for (before, after) in [
            (&[][..], &["at://new.test"][..]),
            (&["at://old.test"], &["at://new.test"]),
            (&["at://new.test"], &["at://new.test"]),
            (&["https://me.test"], &["at://new.test", "https://me.test"]),
            (&["https://me.test", "at://old.test"], &["https://me.test", "at://new.test"]),
            (&["at://old.test", "at://new.test", "at://third.test"], &["at://new.test", "at://third.test"]),
        ] {
            let mut names: Vec<String> = before.iter().map(|&name| name.to_owned()).collect();
            claim(&mut names, &Handle::parse("new.test").unwrap());
            assert_eq!(names, after);
        }
    }
}
