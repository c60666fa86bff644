//! Sign-ins from one address, as many as it can send.

use std::time::Duration;

use allod_server::domain::passwords::HashCost;
use allod_testkit::Options;
use serde_json::json;
use tokio::time::Instant;

/// How many clients of one address send one sign-in after the other.
const FLOODING: usize = 80;

/// How many honest sign-ins are tried, one a second.
const HONEST: usize = 5;

/// How long an honest sign-in may take (G19).
const SECS_MAX: u64 = 3;

#[tokio::test]
async fn honest_sign_ins_get_through_a_flood_from_one_address() {
    let cost = HashCost { memory_kib: 19 * 1024, passes: 2 };
    let options = Options::default().config(move |config| {
        config.password_hash_workers = 1;
        config.password_hash_cost = cost;
    });
    let pds = options.start().await;
    let alice = pds.account("alice").await;
    let sign_in = |address: &str, password: &str| {
        let body = json!({ "identifier": alice.handle, "password": password });
        let call = pds.xrpc_post("com.atproto.server.createSession").json(&body);
        call.header("x-forwarded-for", address)
    };
    let flood = futures_util::future::join_all((0..FLOODING).map(|_| async {
        loop {
            let status = sign_in("198.51.100.1", "wrong").send().await.status.as_u16();
            assert!([401, 503].contains(&status), "{status}");
        }
    }));
    let honest = async {
        for _ in 0..HONEST {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let began = Instant::now();
            sign_in("198.51.100.2", &alice.password).ok().await;
            let took = began.elapsed();
            assert!(took < Duration::from_secs(SECS_MAX), "{took:?}");
        }
    };
    tokio::select! {
        _ = flood => unreachable!("a flood has no end"),
        () = honest => {}
    }
}
