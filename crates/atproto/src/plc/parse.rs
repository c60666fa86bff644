//! Reading an operation's JSON: exactly the fields of its type, each of its own type, within the limits.

use std::collections::BTreeMap;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json};

use super::{
    ALSO_KNOWN_AS_MAX, LegacyCreate, OPERATION_BYTES_MAX, Operation, PlcOperation, PlcOperationError,
    ROTATION_KEYS_MAX, SERVICES_MAX, Service, Tombstone, VERIFICATION_METHODS_MAX, VerificationKey,
};
use crate::{
    Cid,
    cid::Codec,
    crypto::{DidKey, SIGNATURE_BYTES},
    json::{self, Limits},
};

type Object = Map<String, Json>;

const REGULAR_FIELDS: &[&str] =
    &["type", "rotationKeys", "verificationMethods", "alsoKnownAs", "services", "prev", "sig"];
const TOMBSTONE_FIELDS: &[&str] = &["type", "prev", "sig"];
const LEGACY_CREATE_FIELDS: &[&str] = &["type", "signingKey", "recoveryKey", "handle", "service", "prev", "sig"];
const SERVICE_FIELDS: &[&str] = &["type", "endpoint"];

/// The longest JSON of an operation, in bytes: text of [`OPERATION_BYTES_MAX`] bytes may be six times as long escaped.
const OPERATION_JSON_BYTES_MAX: usize = 64 * 1024;

impl Operation {
    /// Reads a signed operation from its JSON text, as [`parse`](Self::parse) does.
    pub fn parse_text(text: &str) -> Result<Self, PlcOperationError> {
        let json = json::parse(text.as_bytes(), &Limits::bytes(OPERATION_JSON_BYTES_MAX));
        Self::parse(&json.map_err(|_| invalid("operation", "must be JSON"))?)
    }

    /// Reads a signed operation, old or new.
    ///
    /// Strict: no field more or less, `sig` in base64url without padding and with zero pad bits, `prev` a CID in
    /// base32. The signature is not verified here, and [`check_new`](Self::check_new) has the limits of new operations.
    pub fn parse(json: &Json) -> Result<Self, PlcOperationError> {
        let object = json.as_object().ok_or(invalid("operation", "must be an object"))?;
        let operation = match text(object, "type")? {
            "plc_operation" => Self::Plc(regular(object)?),
            "plc_tombstone" => Self::Tombstone(tombstone(object)?),
            "create" => Self::LegacyCreate(legacy_create(object)?),
            _ => return Err(invalid("type", "is not known")),
        };
        let bytes = operation.signed_bytes().len();
        if bytes > OPERATION_BYTES_MAX {
            return Err(PlcOperationError::TooLarge { bytes, bytes_max: OPERATION_BYTES_MAX });
        }
        Ok(operation)
    }
}

fn regular(object: &Object) -> Result<PlcOperation, PlcOperationError> {
    only_fields(object, REGULAR_FIELDS, "operation")?;
    let prev = if field(object, "prev")?.is_null() { None } else { Some(prev(object)?) };
    let methods = entries(object, "verificationMethods", VERIFICATION_METHODS_MAX)?;
    let services = entries(object, "services", SERVICES_MAX)?;
    Ok(PlcOperation {
        rotation_keys: rotation_keys(object)?,
        verification_methods: methods.iter().map(verification_method).collect::<Result<_, _>>()?,
        also_known_as: texts(object, "alsoKnownAs", ALSO_KNOWN_AS_MAX)?
            .map(|t| t.map(str::to_owned))
            .collect::<Result<_, _>>()?,
        services: services.iter().map(service).collect::<Result<BTreeMap<_, _>, _>>()?,
        prev,
        sig: signature(object)?,
    })
}

fn tombstone(object: &Object) -> Result<Tombstone, PlcOperationError> {
    only_fields(object, TOMBSTONE_FIELDS, "operation")?;
    Ok(Tombstone { prev: prev(object)?, sig: signature(object)? })
}

fn legacy_create(object: &Object) -> Result<LegacyCreate, PlcOperationError> {
    only_fields(object, LEGACY_CREATE_FIELDS, "operation")?;
    if *field(object, "prev")? != Json::Null {
        return Err(invalid("prev", "must be null"));
    }
    let key = |name| DidKey::parse(text(object, name)?).map_err(|_| invalid(name, "must be a k256 or p256 did:key"));
    Ok(LegacyCreate {
        signing_key: key("signingKey")?,
        recovery_key: key("recoveryKey")?,
        handle: text(object, "handle")?.to_owned(),
        service: text(object, "service")?.to_owned(),
        sig: signature(object)?,
    })
}

fn rotation_keys(object: &Object) -> Result<Vec<DidKey>, PlcOperationError> {
    let parse = |text: &str| {
        DidKey::parse(text).map_err(|_| invalid("rotationKeys", "has an item that is no k256 or p256 did:key"))
    };
    texts(object, "rotationKeys", ROTATION_KEYS_MAX)?.map(|text| text.and_then(parse)).collect()
}

fn verification_method((id, key): (&String, &Json)) -> Result<(String, VerificationKey), PlcOperationError> {
    let key = key.as_str().ok_or(invalid("verificationMethods", "has a key that is not a string"))?;
    Ok((id.clone(), VerificationKey::parse(key)?))
}

fn service((id, service): (&String, &Json)) -> Result<(String, Service), PlcOperationError> {
    let service = service.as_object().ok_or(invalid("services", "has an entry that is not an object"))?;
    only_fields(service, SERVICE_FIELDS, "services")?;
    let part = |name| {
        let part = service.get(name).and_then(Json::as_str);
        part.map(str::to_owned).ok_or(invalid("services", "has an entry without a type or endpoint"))
    };
    Ok((id.clone(), Service { kind: part("type")?, endpoint: part("endpoint")? }))
}

fn signature(object: &Object) -> Result<[u8; SIGNATURE_BYTES], PlcOperationError> {
    let text = text(object, "sig")?;
    let mut sig = [0; SIGNATURE_BYTES];
    if BASE64URL_NOPAD.decode_len(text.len()) != Ok(SIGNATURE_BYTES) {
        return Err(invalid("sig", "must be 64 bytes in base64url without padding"));
    }
    match BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut sig) {
        Ok(SIGNATURE_BYTES) => Ok(sig),
        Ok(_) | Err(_) => Err(invalid("sig", "must be 64 bytes in base64url without padding, pad bits zero")),
    }
}

fn prev(object: &Object) -> Result<Cid, PlcOperationError> {
    let cid = Cid::parse(text(object, "prev")?).ok().filter(|cid| cid.codec() == Codec::DagCbor);
    cid.ok_or(invalid("prev", "must be the CID of an operation"))
}

fn only_fields(object: &Object, names: &[&str], what: &'static str) -> Result<(), PlcOperationError> {
    let known = object.keys().all(|name| names.contains(&name.as_str()));
    if known { Ok(()) } else { Err(invalid(what, "has a field that is not known")) }
}

fn field<'a>(object: &'a Object, name: &'static str) -> Result<&'a Json, PlcOperationError> {
    object.get(name).ok_or(invalid(name, "is missing"))
}

fn text<'a>(object: &'a Object, name: &'static str) -> Result<&'a str, PlcOperationError> {
    field(object, name)?.as_str().ok_or(invalid(name, "must be a string"))
}

fn texts<'a>(
    object: &'a Object,
    name: &'static str,
    items_max: usize,
) -> Result<impl Iterator<Item = Result<&'a str, PlcOperationError>>, PlcOperationError> {
    let items = field(object, name)?.as_array().ok_or(invalid(name, "must be an array"))?;
    if items.len() > items_max {
        return Err(invalid(name, "has too many items (max 10)"));
    }
    Ok(items.iter().map(move |item| item.as_str().ok_or(invalid(name, "has an item that is not a string"))))
}

fn entries<'a>(object: &'a Object, name: &'static str, entries_max: usize) -> Result<&'a Object, PlcOperationError> {
    let entries = field(object, name)?.as_object().ok_or(invalid(name, "must be an object"))?;
    if entries.len() > entries_max {
        return Err(invalid(name, "has too many entries (max 10)"));
    }
    Ok(entries)
}

fn invalid(field: &'static str, reason: &'static str) -> PlcOperationError {
    PlcOperationError::Invalid { field, reason }
}
