//! A name server on loopback whose records a test may change.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, NAPTR, SRV};
use hickory_proto::rr::{Name, RData, Record};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// How long its answers may be believed, seconds.
const TTL: u32 = 60;

/// The running server; dropped, it answers nobody.
pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Mutex<Vec<Record>>>,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

impl Dns {
    pub async fn start() -> Dns {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("bound");
        let address = socket.local_addr().expect("bound");
        let (zone, asked) = (Arc::<Mutex<Vec<Record>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let task = tokio::spawn(serve(socket, zone.clone(), asked.clone()));
        Dns { address, zone, asked, task }
    }

    fn add(&self, owner: &str, data: RData) {
        self.zone.lock().expect("lock").push(Record::from_rdata(name(owner), TTL, data));
    }

    pub fn a(&self, owner: &str, address: Ipv4Addr) {
        self.add(owner, RData::A(A(address)));
    }

    pub fn srv(&self, owner: &str, priority: u16, port: u16, target: &str) {
        self.add(owner, RData::SRV(SRV::new(priority, 10, port, name(target))));
    }

    pub fn naptr(&self, owner: &str, order: u16, service: &str, replacement: &str) {
        let naptr =
            NAPTR::new(order, 10, b"s"[..].into(), service.as_bytes().into(), b""[..].into(), name(replacement));
        self.add(owner, RData::NAPTR(naptr));
    }

    /// What it was asked, `TYPE name.`
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("lock").clone()
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Vec<Record>>>, asked: Arc<Mutex<Vec<String>>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).await.expect("received");
        let Ok(question) = Message::from_vec(&buffer[..length]) else { continue };
        assert!(matches!(from.ip(), IpAddr::V4(ip) if ip.is_loopback()));
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_available = true;
        for query in &question.queries {
            asked.lock().expect("lock").push(format!("{} {}", query.query_type(), query.name().to_lowercase()));
            let zone = zone.lock().expect("lock");
            let of_name = || zone.iter().filter(|record| record.name == *query.name());
            if of_name().next().is_none() {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
            answer.add_query(query.clone());
            answer.add_answers(of_name().filter(|record| record.record_type() == query.query_type()).cloned());
        }
        socket.send_to(&answer.to_vec().expect("written"), from).await.expect("sent");
    }
}
