use std::net::UdpSocket;

use tokio::net::UdpSocket as AsyncUdpSocket;

use super::*;

/// A nameserver that receives every query and answers none.
fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A nameserver that answers `A` queries with one address and never answers others.
async fn half_silent(address: Ipv4Addr) -> SocketAddr {
    use hickory_resolver::proto::{
        op::{Message, MessageType},
        rr::{Record, rdata},
        serialize::binary::{BinDecodable, BinEncodable},
    };
    let socket = AsyncUdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
    let bound = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 4096];
        loop {
            let (bytes, from) = socket.recv_from(&mut query).await.unwrap();
            let asked = Message::from_bytes(&query[..bytes]).unwrap();
            let question = asked.queries[0].clone();
            if question.query_type() != RecordType::A {
                continue;
            }
            let mut answer = asked;
            answer.metadata.message_type = MessageType::Response;
            let data = RData::A(rdata::A(address));
            answer.add_answer(Record::from_rdata(question.name().clone(), 60, data));
            socket.send_to(&answer.to_bytes().unwrap(), from).await.unwrap();
        }
    });
    bound
}

#[tokio::test]
async fn a_silent_nameserver_costs_no_more_than_the_deadline_and_no_thread() {
    let (_nameserver, address) = silent();
    let dns = Dns::asking(vec![address]);
    // One after the other on 16 threads, as many look-ups would take over a minute.
    let lookups = (0..200).map(|index| {
        let dns = Arc::clone(&dns);
        async move { dns.addresses_of_stranger(&format!("host{index}.example.com")).await }
    });
    let began = Instant::now();
    for result in futures_util::future::join_all(lookups).await {
        assert!(matches!(result, Err(DnsError::Timeout)), "{result:?}");
    }
    assert!(began.elapsed() < 4 * Duration::from_millis(DNS_LOOKUP_MILLIS_MAX), "{:?}", began.elapsed());
    assert!(matches!(dns.txt("_atproto.alice.example.com.").await, Err(DnsError::Timeout)));
}

#[tokio::test]
async fn hosts_and_literal_addresses_need_no_nameserver() {
    let (_nameserver, address) = silent();
    let dns = Dns::asking(vec![address]);
    for host in ["localhost", "LOCALHOST", "localhost."] {
        let found = dns.addresses(host).await.unwrap();
        assert!(!found.is_empty() && found.iter().all(IpAddr::is_loopback), "{host}: {found:?}");
    }
    assert_eq!(dns.addresses("192.0.2.7").await, Ok(vec!["192.0.2.7".parse().unwrap()]));
    assert_eq!(dns.addresses("[2001:db8::1]").await, Ok(vec!["2001:db8::1".parse().unwrap()]));
    // Whatever this machine's /etc/hosts has is found without asking.
    let hosts = fs::read_to_string(HOSTS_FILE).unwrap_or_default();
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    for line in lines {
        let mut words = line.split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words.filter(|name| Name::from_ascii(name).is_ok()) {
            let found = dns.addresses(name).await.unwrap();
            assert!(found.contains(&address), "{name}: {found:?}");
        }
    }
}

#[tokio::test]
async fn a_nameserver_that_never_answers_for_ipv6_is_not_waited_for() {
    let dns = Dns::asking(vec![half_silent(Ipv4Addr::new(192, 0, 2, 9)).await]);
    let began = Instant::now();
    assert_eq!(dns.addresses_of_stranger("a.example.com").await, Ok(vec!["192.0.2.9".parse().unwrap()]));
    assert!(began.elapsed() < Duration::from_millis(DNS_LOOKUP_MILLIS_MAX), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_is_no_name_is_not_asked_for() {
    let (nameserver, address) = silent();
    nameserver.set_nonblocking(true).unwrap();
    let dns = Dns::asking(vec![address]);
    let long = format!("{}.example.com", "a".repeat(64));
    for name in [long.as_str(), "a..example.com", "ä.example.com"] {
        assert!(matches!(dns.addresses(name).await, Err(DnsError::Name(_))), "{name}");
    }
    assert!(nameserver.recv(&mut [0; 512]).is_err(), "something was asked");
}
