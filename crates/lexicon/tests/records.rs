//! Records of every known type against the embedded lexicons: one that is valid, and what each change to it makes of it.
//! Also records found in exported repositories.

#![expect(clippy::unwrap_used, reason = "a test stops where a file is not as expected")]

use std::collections::BTreeSet;
use std::path::Path;

use allod_atproto::repo::Tree;
use allod_atproto::{RecordKey, car, cbor, json};
use allod_lexicon::schema::SchemaSet;
use serde_json::{Value, json};

const CID: &str = "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua";
const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
const POST: &str = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a";
const NOW: &str = "2026-03-14T09:26:53.589Z";
/// A family emoji: one grapheme of 25 bytes and seven characters.
const FAMILY: &str = "👨‍👩‍👧‍👦";

/// A change to a valid record: where (a JSON pointer), what is put there (nothing removes it), and what is said then
/// (nothing when the record stays valid).
type Change = (&'static str, Option<Value>, Option<&'static str>);

#[test]
fn posts() {
    let post = json!({
        "$type": "app.bsky.feed.post",
        "text": "hello @alice.test",
        "createdAt": NOW,
        "langs": ["en", "pt-BR"],
        "tags": ["a"],
        "facets": [{
            "index": {"byteStart": 6, "byteEnd": 17},
            "features": [{"$type": "app.bsky.richtext.facet#mention", "did": DID}],
        }],
        "reply": {"root": {"uri": POST, "cid": CID}, "parent": {"uri": POST, "cid": CID}},
        "embed": {"$type": "app.bsky.embed.images", "images": [{"image": blob("image/png", 2_000_000), "alt": ""}]},
        "labels": {"$type": "com.atproto.label.defs#selfLabels", "values": [{"val": "porn"}]},
    });
    check(
        "3jzfcijpj2z2a",
        "self",
        &post,
        &[
            ("/text", None, Some("Missing required key \"text\" at $")),
            ("/text", Some(json!("")), None),
            ("/text", Some(json!("a".repeat(300))), None),
            ("/text", Some(json!("a".repeat(301))), Some("grapheme too big (maximum 300, got 301) at $.text")),
            ("/text", Some(json!("\r\n".repeat(300))), None),
            ("/text", Some(json!("\r\n".repeat(301))), Some("grapheme too big (maximum 300, got 301) at $.text")),
            ("/text", Some(json!("é".repeat(300))), None),
            ("/text", Some(json!("é".repeat(301))), Some("grapheme too big (maximum 300, got 301) at $.text")),
            ("/text", Some(json!(FAMILY.repeat(120))), None),
            ("/text", Some(json!(FAMILY.repeat(121))), Some("string too big (maximum 3000, got 3025) at $.text")),
            ("/text", Some(json!(null)), Some("Expected string value type (got null) at $.text")),
            ("/createdAt", Some(json!("2026-03-14")), Some("Invalid datetime (got \"2026-03-14\") at $.createdAt")),
            ("/langs", Some(json!([])), None),
            ("/langs", Some(json!(["a", "b", "c", "d"])), Some("array too big (maximum 3, got 4) at $.langs")),
            ("/langs/1", Some(json!("en_US")), Some("Invalid language (got \"en_US\") at $.langs[1]")),
            ("/tags/0", Some(json!("a".repeat(65))), Some("grapheme too big (maximum 64, got 65) at $.tags[0]")),
            (
                "/facets/0/index/byteStart",
                Some(json!(-1)),
                Some("integer too small (minimum 0, got -1) at $.facets[0].index.byteStart"),
            ),
            ("/facets/0/index", None, Some("Missing required key \"index\" at $.facets[0]")),
            (
                "/facets/0/features/0/did",
                Some(json!("alice.test")),
                Some("Invalid DID (got \"alice.test\") at $.facets[0].features[0].did"),
            ),
            ("/facets/0/features/0", Some(json!({"$type": "com.example.bold"})), None),
            (
                "/facets/0/features/0/$type",
                None,
                Some(
                    "Expected an object which includes the \"$type\" property value type (got {\"did\": ...}) at $.facets[0].features[0]",
                ),
            ),
            ("/reply/root/cid", Some(json!("x")), Some("Invalid CID string (got \"x\") at $.reply.root.cid")),
            (
                "/reply/parent/uri",
                Some(json!("https://a.test/")),
                Some("Invalid at-uri (got \"https://a.test/\") at $.reply.parent.uri"),
            ),
            ("/reply/parent", None, Some("Missing required key \"parent\" at $.reply")),
            (
                "/embed/images/0/image/mimeType",
                Some(json!("video/mp4")),
                Some("Expected \"image/*\" (got \"video/mp4\") at $.embed.images[0].image.mimeType"),
            ),
            (
                "/embed/images/0/image/size",
                Some(json!(2_000_001)),
                Some("blob too big (maximum 2000000, got 2000001) at $.embed.images[0].image"),
            ),
            (
                "/embed/images/0/image",
                Some(json!({"cid": CID, "mimeType": "image/png"})),
                Some("Expected blob value type (got {\"cid\": ..., \"mimeType\": ...}) at $.embed.images[0].image"),
            ),
            (
                "/embed/images",
                Some(json!(vec![json!({"image": blob("image/png", 1), "alt": ""}); 5])),
                Some("array too big (maximum 4, got 5) at $.embed.images"),
            ),
            ("/embed", Some(json!({"$type": "com.example.embed", "x": 1})), None),
            ("/embed", Some(json!({"$type": "app.bsky.embed.record", "record": {"uri": POST, "cid": CID}})), None),
            (
                "/embed",
                Some(json!({"$type": "app.bsky.embed.record", "record": {"uri": POST}})),
                Some("Missing required key \"cid\" at $.embed.record"),
            ),
            (
                "/embed",
                Some(
                    json!({"$type": "app.bsky.embed.external", "external": {"uri": "https://a.test", "title": "", "description": ""}}),
                ),
                None,
            ),
            (
                "/embed",
                Some(
                    json!({"$type": "app.bsky.embed.external", "external": {"uri": "a.test", "title": "", "description": ""}}),
                ),
                Some("Invalid uri (got \"a.test\") at $.embed.external.uri"),
            ),
            (
                "/embed",
                Some(json!({"$type": "app.bsky.embed.video", "video": blob("image/png", 1)})),
                Some("Expected \"video/mp4\" (got \"image/png\") at $.embed.video.mimeType"),
            ),
            (
                "/embed",
                Some(json!({
                    "$type": "app.bsky.embed.recordWithMedia",
                    "record": {"record": {"uri": POST, "cid": CID}},
                    "media": {"$type": "app.bsky.embed.images", "images": [{"image": blob("image/png", 1)}]},
                })),
                Some("Missing required key \"alt\" at $.embed.media.images[0]"),
            ),
            (
                "/embed",
                Some(json!({
                    "$type": "app.bsky.embed.gallery",
                    "items": [{"$type": "app.bsky.embed.gallery#image", "image": blob("image/png", 1), "alt": "", "aspectRatio": {"width": 0, "height": 1}}],
                })),
                Some("integer too small (minimum 1, got 0) at $.embed.items[0].aspectRatio.width"),
            ),
            (
                "/labels/values",
                Some(json!(vec![json!({"val": "a"}); 11])),
                Some("array too big (maximum 10, got 11) at $.labels.values"),
            ),
            ("/bridgyOriginalText", Some(json!({"kept": [1, null]})), None),
            ("/$type", None, Some("Missing required key \"$type\" at $")),
            (
                "/$type",
                Some(json!("app.bsky.feed.like")),
                Some("Expected \"app.bsky.feed.post\" (got \"app.bsky.feed.like\") at $.$type"),
            ),
        ],
    );
}

#[test]
fn feed_records() {
    for nsid in ["app.bsky.feed.like", "app.bsky.feed.repost"] {
        check(
            "3jzfcijpj2z2a",
            "a",
            &json!({"$type": nsid, "subject": {"uri": POST, "cid": CID}, "createdAt": NOW}),
            &[
                (
                    "/subject",
                    Some(json!(POST)),
                    Some(
                        "Expected object value type (got \"at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a\") at $.subject",
                    ),
                ),
                ("/subject/uri", Some(json!("at://a")), Some("Invalid at-uri (got \"at://a\") at $.subject.uri")),
                ("/createdAt", None, Some("Missing required key \"createdAt\" at $")),
            ],
        );
    }
    check(
        "3jzfcijpj2z2a",
        "a",
        &json!({
            "$type": "app.bsky.feed.threadgate",
            "post": POST,
            "createdAt": NOW,
            "allow": [{"$type": "app.bsky.feed.threadgate#listRule", "list": POST}, {"$type": "app.bsky.feed.threadgate#mentionRule"}],
            "hiddenReplies": [POST],
        }),
        &[
            ("/allow/0/list", None, Some("Missing required key \"list\" at $.allow[0]")),
            ("/allow/0/$type", Some(json!("com.example.rule")), None),
            (
                "/allow",
                Some(json!(vec![json!({"$type": "a.b.c"}); 6])),
                Some("array too big (maximum 5, got 6) at $.allow"),
            ),
            ("/hiddenReplies/0", Some(json!(1)), Some("Expected string value type (got 1) at $.hiddenReplies[0]")),
        ],
    );
    check(
        "3jzfcijpj2z2a",
        "a",
        &json!({"$type": "app.bsky.feed.postgate", "post": POST, "createdAt": NOW, "embeddingRules": [{"$type": "app.bsky.feed.postgate#disableRule"}]}),
        &[
            (
                "/detachedEmbeddingUris",
                Some(json!(vec![POST; 51])),
                Some("array too big (maximum 50, got 51) at $.detachedEmbeddingUris"),
            ),
            (
                "/embeddingRules/0",
                Some(json!([])),
                Some(
                    "Expected an object which includes the \"$type\" property value type (got []) at $.embeddingRules[0]",
                ),
            ),
        ],
    );
    check(
        "any-key:1",
        "",
        &json!({"$type": "app.bsky.feed.generator", "did": "did:web:feeds.test", "displayName": "Cats", "createdAt": NOW, "avatar": blob("image/jpeg", 1), "contentMode": "com.example.other"}),
        &[
            ("/did", Some(json!("did:web")), Some("Invalid DID (got \"did:web\") at $.did")),
            (
                "/displayName",
                Some(json!("é".repeat(25))),
                Some("grapheme too big (maximum 24, got 25) at $.displayName"),
            ),
            (
                "/acceptsInteractions",
                Some(json!("yes")),
                Some("Expected boolean value type (got \"yes\") at $.acceptsInteractions"),
            ),
        ],
    );
}

#[test]
fn actor_records() {
    check(
        "self",
        "3jzfcijpj2z2a",
        &json!({
            "$type": "app.bsky.actor.profile",
            "displayName": FAMILY.repeat(25),
            "description": "",
            "website": "https://alice.test",
            "avatar": blob("image/png", 1_000_000),
            "pinnedPost": {"uri": POST, "cid": CID},
        }),
        &[
            (
                "/displayName",
                Some(json!("é".repeat(65))),
                Some("grapheme too big (maximum 64, got 65) at $.displayName"),
            ),
            ("/avatar/size", Some(json!(1_000_001)), Some("blob too big (maximum 1000000, got 1000001) at $.avatar")),
            (
                "/avatar/mimeType",
                Some(json!("image/webp")),
                Some("Expected one of \"image/png\" or \"image/jpeg\" (got \"image/webp\") at $.avatar.mimeType"),
            ),
            ("/avatar/ref", Some(json!(CID)), Some("Expected blob value type (got blob) at $.avatar")),
            ("/banner", Some(json!("image.png")), Some("Expected blob value type (got \"image.png\") at $.banner")),
            ("/website", Some(json!("alice.test")), Some("Invalid uri (got \"alice.test\") at $.website")),
            (
                "/labels",
                Some(json!({"values": []})),
                Some(
                    "Expected an object which includes the \"$type\" property value type (got {\"values\": ...}) at $.labels",
                ),
            ),
        ],
    );
    check(
        "self",
        "a",
        &json!({"$type": "app.bsky.actor.status", "status": "app.bsky.actor.status#live", "createdAt": NOW, "durationMinutes": 1}),
        &[
            ("/durationMinutes", Some(json!(0)), Some("integer too small (minimum 1, got 0) at $.durationMinutes")),
            ("/durationMinutes", Some(json!(1.5)), Some("Expected integer value type (got 1.5) at $.durationMinutes")),
            ("/status", Some(json!("com.example.away")), None),
        ],
    );
    check(
        "self",
        "a",
        &json!({"$type": "app.bsky.actor.contentVisibilityDeclaration", "hideFromAlgorithmicRecommendations": true}),
        &[(
            "/hideFromAlgorithmicRecommendations",
            Some(json!(1)),
            Some("Expected boolean value type (got 1) at $.hideFromAlgorithmicRecommendations"),
        )],
    );
    check(
        "self",
        "a",
        &json!({"$type": "app.bsky.notification.declaration", "allowSubscriptions": "followers"}),
        &[("/allowSubscriptions", None, Some("Missing required key \"allowSubscriptions\" at $"))],
    );
    check(
        "self",
        "a",
        &json!({"$type": "chat.bsky.actor.declaration", "allowIncoming": "all"}),
        &[
            ("/allowIncoming", Some(json!("nobody at all")), None),
            ("/allowIncoming", Some(json!(true)), Some("Expected string value type (got true) at $.allowIncoming")),
            ("/allowIncoming", None, Some("Missing required key \"allowIncoming\" at $")),
        ],
    );
}

#[test]
fn graph_records() {
    for nsid in ["app.bsky.graph.follow", "app.bsky.graph.block"] {
        check(
            "3jzfcijpj2z2a",
            "self",
            &json!({"$type": nsid, "subject": DID, "createdAt": NOW}),
            &[
                ("/subject", Some(json!("alice.test")), Some("Invalid DID (got \"alice.test\") at $.subject")),
                ("/subject", None, Some("Missing required key \"subject\" at $")),
                (
                    "/createdAt",
                    Some(json!("2026-02-30T00:00:00Z")),
                    Some("Invalid datetime (got \"2026-02-30T00:00:00Z\") at $.createdAt"),
                ),
            ],
        );
    }
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "app.bsky.graph.list", "name": "People", "purpose": "app.bsky.graph.defs#curatelist", "createdAt": NOW}),
        &[
            ("/name", Some(json!("")), Some("string too small (minimum 1, got 0) at $.name")),
            ("/name", Some(json!("a".repeat(65))), Some("string too big (maximum 64, got 65) at $.name")),
            ("/purpose", Some(json!(1)), Some("Expected string value type (got 1) at $.purpose")),
            ("/descriptionFacets", Some(json!([{}])), Some("Missing required key \"index\" at $.descriptionFacets[0]")),
        ],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "app.bsky.graph.listitem", "subject": DID, "list": POST, "createdAt": NOW}),
        &[("/list", Some(json!(DID)), Some("Invalid at-uri (got \"did:plc:ewvi7nxzyoun6zhxrhs64oiz\") at $.list"))],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "app.bsky.graph.listblock", "subject": POST, "createdAt": NOW}),
        &[("/subject", None, Some("Missing required key \"subject\" at $"))],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "app.bsky.graph.starterpack", "name": "Start", "list": POST, "feeds": [{"uri": POST}], "createdAt": NOW}),
        &[
            ("/feeds", Some(json!(vec![json!({"uri": POST}); 4])), Some("array too big (maximum 3, got 4) at $.feeds")),
            ("/feeds/0/uri", None, Some("Missing required key \"uri\" at $.feeds[0]")),
            ("/name", Some(json!("a".repeat(51))), Some("grapheme too big (maximum 50, got 51) at $.name")),
        ],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "app.bsky.graph.verification", "subject": DID, "handle": "alice.test", "displayName": "", "createdAt": NOW}),
        &[("/handle", Some(json!("alice")), Some("Invalid handle (got \"alice\") at $.handle"))],
    );
}

#[test]
fn labeler_services() {
    check(
        "self",
        "a",
        &json!({
            "$type": "app.bsky.labeler.service",
            "createdAt": NOW,
            "policies": {
                "labelValues": ["spam"],
                "labelValueDefinitions": [{
                    "identifier": "spam", "severity": "inform", "blurs": "none",
                    "locales": [{"lang": "en", "name": "Spam", "description": "Unwanted"}],
                }],
            },
            "reasonTypes": ["com.atproto.moderation.defs#reasonSpam"],
            "subjectTypes": ["record"],
            "subjectCollections": ["app.bsky.feed.post"],
        }),
        &[
            ("/policies", None, Some("Missing required key \"policies\" at $")),
            (
                "/policies/labelValueDefinitions/0/locales/0/lang",
                Some(json!("")),
                Some("Invalid language (got \"\") at $.policies.labelValueDefinitions[0].locales[0].lang"),
            ),
            (
                "/policies/labelValueDefinitions/0/identifier",
                Some(json!("a".repeat(101))),
                Some("string too big (maximum 100, got 101) at $.policies.labelValueDefinitions[0].identifier"),
            ),
            (
                "/subjectCollections/0",
                Some(json!("post")),
                Some("Invalid NSID (got \"post\") at $.subjectCollections[0]"),
            ),
        ],
    );
}

#[test]
fn lexicon_schemas() {
    check(
        "com.example.record",
        "self",
        &json!({"$type": "com.atproto.lexicon.schema", "lexicon": 1, "id": "com.example.record", "defs": {}}),
        &[
            ("/lexicon", Some(json!("1")), Some("Expected integer value type (got \"1\") at $.lexicon")),
            ("/lexicon", None, Some("Missing required key \"lexicon\" at $")),
        ],
    );
}

#[test]
fn records_of_others() {
    check(
        "self",
        "a",
        &json!({
            "$type": "com.germnetwork.declaration",
            "version": "1.0.0",
            "currentKey": {"$bytes": "AAAA"},
            "messageMe": {"messageMeUrl": "https://a.test", "showButtonTo": "everyone"},
            "continuityProofs": [{"$bytes": ""}],
        }),
        &[
            ("/version", Some(json!("1.0")), Some("string too small (minimum 5, got 3) at $.version")),
            ("/currentKey", Some(json!("AAAA")), Some("Expected bytes value type (got \"AAAA\") at $.currentKey")),
            ("/messageMe/messageMeUrl", Some(json!("a")), Some("Invalid uri (got \"a\") at $.messageMe.messageMeUrl")),
            (
                "/continuityProofs/0",
                Some(json!({"$link": CID})),
                Some("Expected bytes value type (got cid) at $.continuityProofs[0]"),
            ),
        ],
    );
    let rgb = json!({"$type": "site.standard.theme.color#rgb", "r": 0, "g": 128, "b": 255});
    let theme = json!({"$type": "site.standard.theme.basic", "background": rgb, "foreground": rgb, "accent": rgb, "accentForeground": rgb});
    check(
        "3jzfcijpj2z2a",
        "self",
        &theme,
        &[("/accent/r", Some(json!(256)), Some("integer too big (maximum 255, got 256) at $.accent.r"))],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "site.standard.publication", "url": "https://a.test", "name": "A", "basicTheme": theme, "icon": blob("image/svg+xml", 1), "preferences": {}}),
        &[
            ("/basicTheme/foreground", None, Some("Missing required key \"foreground\" at $.basicTheme")),
            (
                "/preferences/showInDiscover",
                Some(json!(0)),
                Some("Expected boolean value type (got 0) at $.preferences.showInDiscover"),
            ),
            ("/url", Some(json!("a b")), Some("Invalid uri (got \"a b\") at $.url")),
        ],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "site.standard.document", "site": "https://a.test", "title": "T", "publishedAt": NOW, "content": {"$type": "com.example.text"}, "contributors": [{"did": DID}]}),
        &[
            (
                "/content/$type",
                None,
                Some("Expected an object which includes the \"$type\" property value type (got {}) at $.content"),
            ),
            ("/contributors/0/did", None, Some("Missing required key \"did\" at $.contributors[0]")),
            ("/publishedAt", None, Some("Missing required key \"publishedAt\" at $")),
        ],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "site.standard.graph.recommend", "document": POST, "createdAt": NOW}),
        &[("/document", Some(json!("x")), Some("Invalid at-uri (got \"x\") at $.document"))],
    );
    check(
        "3jzfcijpj2z2a",
        "self",
        &json!({"$type": "site.standard.graph.subscription", "publication": POST}),
        &[("/publication", None, Some("Missing required key \"publication\" at $"))],
    );
}

#[test]
fn what_is_no_record_is_not_known_as_one() {
    let schemas = SchemaSet::built_in();
    for nsid in ["com.example.unknown", "app.bsky.authFullApp", "app.bsky.richtext.facet", "com.atproto.repo.getRecord"]
    {
        assert!(schemas.record_key(nsid).is_none(), "{nsid}");
        assert!(schemas.validate_record(nsid, &json!({"$type": nsid})).is_err(), "{nsid}");
    }
}

/// Records written years ago. Of those that no longer fit, each says why.
#[test]
fn records_found_in_the_wild() {
    let schemas = SchemaSet::built_in();
    let (mut valid, mut invalid) = (0, BTreeSet::new());
    for name in ["greenground.repo.car", "fakermaker.repo.car", "paul_staging.repo.car", "divy.repo"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../atproto/tests/vectors/indigo/testing/testdata");
        let file = std::fs::read(folder.join(name)).unwrap();
        let blocks = car::read(&file, &car::Limits::REPOSITORY).unwrap();
        let head = cbor::decode(blocks.get(&blocks.root().unwrap()).unwrap()).unwrap();
        let tree = Tree::from_blocks(&head.get("data").unwrap().as_cid().unwrap(), |cid| blocks.get(cid)).unwrap();
        for (path, cid) in tree.entries() {
            let record = json::from_value(&cbor::decode(blocks.get(&cid).unwrap()).unwrap());
            let (nsid, key) = path.split_once('/').unwrap();
            let Some(rule) = schemas.record_key(nsid) else {
                invalid.insert(format!("{nsid} is not known"));
                continue;
            };
            assert!(rule.accepts(&RecordKey::parse(key).unwrap()), "{path}");
            match schemas.validate_record(nsid, &record) {
                Ok(()) => valid += 1,
                Err(error) => drop(invalid.insert(format!("{nsid}: {error}"))),
            }
        }
    }
    let reasons = [
        "app.bsky.actor.profile: Expected blob value type (got {\"cid\": ..., \"mimeType\": ...}) at $.avatar",
        "app.bsky.feed.post: Expected blob value type (got {\"cid\": ..., \"mimeType\": ...}) at $.embed.external.thumb",
        "app.bsky.feed.post: Expected blob value type (got {\"cid\": ..., \"mimeType\": ...}) at $.embed.images[0].image",
        "app.bsky.graph.follow: Expected string value type (got {\"did\": ..., \"declarationCid\": ...}) at $.subject",
        "app.bsky.system.declaration is not known",
    ];
    assert_eq!((valid, invalid), (279, reasons.map(str::to_owned).into()));
}

fn blob(media_type: &str, size: u64) -> Value {
    let link = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
    json!({"$type": "blob", "ref": {"$link": link}, "mimeType": media_type, "size": size})
}

/// Checks the record, its key against one that fits and one that does not (if not empty), and the record's changes.
fn check(key: &str, wrong_key: &str, record: &Value, changes: &[Change]) {
    let nsid = record["$type"].as_str().unwrap();
    let schemas = SchemaSet::built_in();
    let rule = schemas.record_key(nsid).unwrap();
    assert!(rule.accepts(&RecordKey::parse(key).unwrap()), "{nsid}: {key}");
    assert!(RecordKey::parse(wrong_key).is_ok_and(|key| !rule.accepts(&key)) || wrong_key.is_empty(), "{nsid}");
    let validate = |record: &Value| schemas.validate_record(nsid, record).err().map(|invalid| invalid.to_string());
    assert_eq!(validate(record), None, "{nsid}");
    for (pointer, value, message) in changes {
        let mut changed = record.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        match (changed.pointer_mut(parent).unwrap(), value) {
            (Value::Object(map), Some(value)) => drop(map.insert(name.to_owned(), value.clone())),
            (Value::Object(map), None) => drop(map.shift_remove(name).unwrap()),
            (Value::Array(list), Some(value)) => *list.get_mut(name.parse::<usize>().unwrap()).unwrap() = value.clone(),
            (other, _) => panic!("{nsid}: nothing to change at {pointer} in {other}"),
        }
        assert_eq!(validate(&changed).as_deref(), *message, "{nsid}: {pointer} {value:?}");
    }
}
