//! The numbered schema files, embedded. Adding one is adding a line to [`SQLITE`].
//!
//! A file that has been released is never edited: its checksum is kept in every database it was applied to.

/// One step of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The number, counted from 1 without a gap.
    pub version: i64,
    /// The file's name without its ending, number included.
    pub name: &'static str,
    /// The SQL text; carried out in one transaction.
    pub sql: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration { version: $version, name: $name, sql: include_str!(concat!("../migrations/sqlite/", $name, ".sql")) }
    };
}

/// The `SQLite` dialect's steps, in order.
pub const SQLITE: &[Migration] = &[
    migration!(1, "0001_events"),
    migration!(2, "0002_accounts"),
    migration!(3, "0003_plc"),
    migration!(4, "0004_records"),
    migration!(5, "0005_blobs"),
    migration!(6, "0006_relays"),
    migration!(7, "0007_record_takedowns"),
    migration!(8, "0008_credentials"),
    migration!(9, "0009_mail"),
    migration!(10, "0010_preferences"),
    migration!(11, "0011_identity_changes"),
    migration!(12, "0012_administration"),
    migration!(13, "0013_phone"),
    migration!(14, "0014_sign_up_queue"),
    migration!(15, "0015_known_networks"),
    migration!(16, "0016_did_web"),
    migration!(17, "0017_checksums"),
    migration!(18, "0018_canonical_emails"),
    migration!(19, "0019_earlier_events"),
    migration!(20, "0020_account_states"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_listed_in_order() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| name.strip_suffix(".sql").unwrap().to_owned())
            .collect();
        files.sort();
        assert_eq!(files, SQLITE.iter().map(|step| step.name).collect::<Vec<_>>());
        for (index, step) in SQLITE.iter().enumerate() {
            assert_eq!(step.version, i64::try_from(index).unwrap() + 1);
            assert!(step.name.starts_with(&format!("{:04}_", step.version)), "{}", step.name);
        }
    }
}
