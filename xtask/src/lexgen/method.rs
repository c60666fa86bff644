//! Writes what a query, procedure or subscription gets beside its definitions: the method type, `Params`, `Input`,
//! `Output` (or `Message`) and `Error`.

use serde_json::Value;

use super::field::{Defaults, Types};
use super::{LexgenError, documentation, names};

/// Says whether a definition is a method, and which.
pub(super) fn kind(definition: &Value) -> Option<&'static str> {
    match definition["type"].as_str()? {
        "query" => Some("Query"),
        "procedure" => Some("Procedure"),
        "subscription" => Some("Subscription"),
        _ => None,
    }
}

/// Writes a method's own items.
pub(super) fn text(nsid: &str, kind: &str, method: &Value, types: &mut Types<'_>) -> Result<String, LexgenError> {
    let name = names::pascal(names::last(nsid));
    let mut text = format!(
        "/// The method `{nsid}`.\n#[derive(Debug, Clone, Copy)]\npub struct {name};\n\n\
         impl Method for {name} {{\nconst NSID: &'static str = NSID;\nconst KIND: Kind = Kind::{kind};\n\
         const INPUT_ENCODING: Option<&'static str> = {:?};\nconst OUTPUT_ENCODING: Option<&'static str> = {:?};\n\
         type Params = Params;\ntype Input = Input;\ntype Output = Output;\ntype Error = Error;\n}}\n\n",
        method["input"]["encoding"].as_str(),
        method["output"]["encoding"].as_str(),
    );
    text += &parameters(method, types)?;
    text += &body(&method["input"], "Input", "The request's body", Defaults::Fill, types)?;
    if kind == "Subscription" {
        text += "/// What the stream carries.\npub type Output = Message;\n\n";
        types.rust_type(&method["message"]["schema"], "Message")?;
    } else {
        text += &body(&method["output"], "Output", "The answer's body", Defaults::Keep, types)?;
    }
    text += &errors(method);
    Ok(text)
}

fn parameters(method: &Value, types: &mut Types<'_>) -> Result<String, LexgenError> {
    let Some(schema) = method.get("parameters") else {
        return Ok("/// The method has no query parameters.\npub type Params = crate::method::NoParams;\n\n".to_owned());
    };
    Ok(documentation::outer(schema, "The query parameters") + &types.structure("Params", schema, Defaults::Fill)?)
}

fn body(
    body: &Value,
    name: &str,
    what: &str,
    defaults: Defaults,
    types: &mut Types<'_>,
) -> Result<String, LexgenError> {
    let Some(encoding) = body["encoding"].as_str() else {
        return Ok(format!("/// {what} is empty.\npub type {name} = crate::method::NoBody;\n\n"));
    };
    let Some(schema) = body.get("schema") else {
        return Ok(format!("/// {what} is raw bytes, `{encoding}`.\npub type {name} = crate::method::RawBody;\n\n"));
    };
    let comment = documentation::outer(schema, what);
    if schema["type"] == "object" {
        return Ok(comment + &types.structure(name, schema, defaults)?);
    }
    Ok(format!("{comment}pub type {name} = {};\n\n", types.rust_type(schema, &format!("{name}Body"))?))
}

fn errors(method: &Value) -> String {
    let Some(declared) = method["errors"].as_array().filter(|declared| !declared.is_empty()) else {
        return "/// The method declares no errors.\npub type Error = crate::method::NoErrors;\n\n".to_owned();
    };
    let mut text = "crate::method::declared_errors! {\n".to_owned();
    for error in declared {
        let name = error["name"].as_str().unwrap_or_default();
        let entry = documentation::outer(error, &format!("`{name}`")) + name + ",\n";
        text += &names::indent(&entry);
    }
    text + "}\n\n"
}
