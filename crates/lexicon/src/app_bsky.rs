//! The methods of `app.bsky` that a PDS answers itself. Their bodies are lists of objects that are kept as they are, so
//! the types are written by hand.

/// `app.bsky.actor.*`.
pub mod actor {
    /// `app.bsky.actor.getPreferences`: the private preferences of the account.
    pub mod get_preferences {
        use serde::{Deserialize, Serialize};

        use crate::method::{Kind, Method, NoBody, NoErrors, NoParams};

        /// The method `app.bsky.actor.getPreferences`.
        #[derive(Debug, Clone, Copy)]
        pub struct GetPreferences;

        impl Method for GetPreferences {
            const NSID: &'static str = "app.bsky.actor.getPreferences";
            const KIND: Kind = Kind::Query;
            const INPUT_ENCODING: Option<&'static str> = None;
            const OUTPUT_ENCODING: Option<&'static str> = Some("application/json");
            type Params = NoParams;
            type Input = NoBody;
            type Output = Output;
            type Error = NoErrors;
        }

        /// The answer's body.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct Output {
            /// The preferences, each an object with a `$type`.
            pub preferences: Vec<serde_json::Value>,
        }
    }

    /// `app.bsky.actor.putPreferences`: replaces the private preferences of the account.
    pub mod put_preferences {
        use serde::{Deserialize, Serialize};

        use crate::method::{Kind, Method, NoBody, NoErrors, NoParams};

        /// The method `app.bsky.actor.putPreferences`.
        #[derive(Debug, Clone, Copy)]
        pub struct PutPreferences;

        impl Method for PutPreferences {
            const NSID: &'static str = "app.bsky.actor.putPreferences";
            const KIND: Kind = Kind::Procedure;
            const INPUT_ENCODING: Option<&'static str> = Some("application/json");
            const OUTPUT_ENCODING: Option<&'static str> = None;
            type Params = NoParams;
            type Input = Input;
            type Output = NoBody;
            type Error = NoErrors;
        }

        /// The request's body.
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub struct Input {
            /// The preferences, each an object with a `$type`.
            pub preferences: Vec<serde_json::Value>,
        }
    }
}
