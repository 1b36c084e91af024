use super::*;
use std::net::SocketAddr;

const MINUTE: Duration = Duration::from_secs(60);

fn path(flow: u64) -> Path {
    Path::Tcp { flow: FlowId(flow), remote: SocketAddr::from(([198, 51, 100, 7], 40_000)) }
}

fn contact(uri: &str) -> Contact {
    Contact { uri: uri.to_owned(), ..Contact::default() }
}

fn instance(uri: &str, urn: &str) -> Contact {
    Contact { instance: Some(urn.to_owned()), reg_id: Some(1), ..contact(uri) }
}

fn register(call_id: &str, cseq: u32, flow: u64, contacts: Vec<Contact>) -> Register {
    Register {
        aor: "5001".to_owned(),
        contacts: Contacts::List(contacts),
        expires: Some(600),
        call_id: call_id.to_owned(),
        cseq,
        path: path(flow),
    }
}

fn registrar() -> (Registrar, Instant) {
    (Registrar::new(RegistrarConfig::default()), Instant::now())
}

#[test]
fn a_contact_is_found_until_it_expires() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![contact("sip:k3@x1.invalid;transport=ws")]), now).unwrap();
    assert_eq!(r.lookup("5001", now).len(), 1);
    assert_eq!(r.poll_timeout(), Some(now + 10 * MINUTE));
    assert_eq!(r.lookup("5001", now + 10 * MINUTE).len(), 0, "not a moment longer, swept or not");
    assert_eq!(r.handle_timeout(now + 10 * MINUTE).len(), 1);
    assert_eq!((r.poll_timeout(), r.iter().count()), (None, 0));
}

#[test]
fn a_reloaded_page_replaces_the_binding_of_its_instance() {
    let (mut r, now) = registrar();
    let urn = "<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>";
    r.register(register("a", 1, 1, vec![instance("sip:k3@x1.invalid", urn)]), now).unwrap();
    let done = r.register(register("b", 1, 2, vec![instance("sip:q9@x2.invalid", urn)]), now + MINUTE).unwrap();
    assert_eq!(done.bindings.len(), 1);
    assert_eq!(done.bindings[0].path, path(2));
    assert_eq!(done.removed[0].path, path(1));
}

#[test]
fn another_reg_id_of_the_same_instance_is_another_binding() {
    let (mut r, now) = registrar();
    let mut second = instance("sip:k3@x1.invalid", "<urn:uuid:1>");
    second.reg_id = Some(2);
    r.register(register("a", 1, 1, vec![instance("sip:k3@x1.invalid", "<urn:uuid:1>")]), now).unwrap();
    assert_eq!(r.register(register("b", 1, 2, vec![second]), now).unwrap().bindings.len(), 2);
}

#[test]
fn two_browsers_of_one_dn_are_both_found_the_latest_first() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![instance("sip:k3@x1.invalid", "<urn:uuid:1>")]), now).unwrap();
    r.register(register("b", 1, 2, vec![instance("sip:k4@x2.invalid", "<urn:uuid:2>")]), now + MINUTE).unwrap();
    let paths: Vec<Path> = r.lookup("5001", now + MINUTE).iter().map(|b| b.path).collect();
    assert_eq!(paths, [path(2), path(1)]);
}

#[test]
fn a_dn_keeps_a_bounded_number_of_bindings_and_loses_the_oldest() {
    let (mut r, now) = registrar();
    let mut gone = Vec::new();
    for n in 0..12_u64 {
        let at = now + Duration::from_secs(n);
        let one = register(&n.to_string(), 1, n, vec![contact(&format!("sip:k{n}@x.invalid"))]);
        gone.extend(r.register(one, at).unwrap().removed);
    }
    assert_eq!(r.lookup("5001", now + MINUTE).len(), 10);
    assert_eq!(gone.iter().map(|b| b.path).collect::<Vec<_>>(), [path(0), path(1)]);
}

#[test]
fn a_brief_expiry_is_refused_with_the_least_one() {
    let (mut r, now) = registrar();
    let mut brief = register("a", 1, 1, vec![contact("sip:k3@x.invalid")]);
    brief.expires = Some(59);
    assert_eq!(r.register(brief, now), Err(RegisterError::TooBrief { min_expires_s: 60 }));
    assert_eq!(r.lookup("5001", now).len(), 0);
}

#[test]
fn the_contact_parameter_goes_before_the_header_field() {
    let (mut r, now) = registrar();
    let one = Contact { expires: Some(120), ..contact("sip:k3@x.invalid") };
    let done = r.register(register("a", 1, 1, vec![one]), now).unwrap();
    assert_eq!(done.bindings[0].expires_in(now), 120);
}

#[test]
fn an_expiry_of_centuries_is_cut_to_the_longest_granted() {
    let (mut r, now) = registrar();
    let one = Contact { expires: Some(u32::MAX), ..contact("sip:k3@x.invalid") };
    let done = r.register(register("a", 1, 1, vec![one]), now).unwrap();
    assert_eq!(done.bindings[0].expires_in(now), 3600);
}

#[test]
fn expires_zero_takes_one_contact_away_and_leaves_the_other() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![contact("sip:k3@x.invalid"), contact("sip:k4@x.invalid")]), now).unwrap();
    let mut off = register("a", 2, 1, vec![contact("sip:k3@X.INVALID")]);
    off.expires = Some(0);
    let done = r.register(off, now).unwrap();
    assert_eq!(done.bindings.iter().map(|b| b.contact.uri.as_str()).collect::<Vec<_>>(), ["sip:k4@x.invalid"]);
    assert_eq!(done.removed.len(), 1);
}

#[test]
fn a_wildcard_needs_expires_zero() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![contact("sip:k3@x.invalid")]), now).unwrap();
    let mut all = Register { contacts: Contacts::All, ..register("a", 2, 1, vec![]) };
    assert_eq!(r.register(all.clone(), now), Err(RegisterError::BadWildcard));
    all.expires = None;
    assert_eq!(r.register(all.clone(), now), Err(RegisterError::BadWildcard));
    all.expires = Some(0);
    let done = r.register(all, now).unwrap();
    assert_eq!((done.bindings.len(), done.removed.len()), (0, 1));
}

#[test]
fn an_older_cseq_of_the_same_call_id_changes_nothing() {
    let (mut r, now) = registrar();
    r.register(register("a", 5, 1, vec![contact("sip:k3@x.invalid")]), now).unwrap();
    let mut late = register("a", 5, 1, vec![contact("sip:k4@x.invalid"), contact("sip:k3@x.invalid")]);
    late.expires = Some(0);
    assert_eq!(r.register(late, now + MINUTE), Err(RegisterError::OutOfOrder));
    let kept = r.lookup("5001", now + MINUTE);
    assert_eq!((kept.len(), kept[0].cseq), (1, 5));
}

#[test]
fn a_new_call_id_may_begin_its_cseq_again() {
    let (mut r, now) = registrar();
    r.register(register("a", 5, 1, vec![contact("sip:k3@x.invalid")]), now).unwrap();
    assert!(r.register(register("b", 1, 1, vec![contact("sip:k3@x.invalid")]), now).is_ok());
}

#[test]
fn a_register_without_contact_lists_the_bindings_and_changes_nothing() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![contact("sip:k3@x.invalid")]), now).unwrap();
    let done = r.register(register("q", 1, 2, vec![]), now + MINUTE).unwrap();
    assert_eq!((done.bindings.len(), done.removed.len()), (1, 0));
    assert_eq!(done.bindings[0].expires_in(now + MINUTE), 540);
}

#[test]
fn a_lost_flow_takes_its_bindings_and_no_others() {
    let (mut r, now) = registrar();
    r.register(register("a", 1, 1, vec![contact("sip:k3@x.invalid")]), now).unwrap();
    r.register(register("b", 1, 2, vec![contact("sip:k4@x.invalid")]), now).unwrap();
    let gone = r.drop_flow(FlowId(1));
    assert_eq!(gone.iter().map(|(aor, b)| (aor.as_str(), b.path)).collect::<Vec<_>>(), [("5001", path(1))]);
    assert_eq!(r.lookup("5001", now).len(), 1);
    assert_eq!(r.drop_flow(FlowId(1)).len(), 0);
}

#[test]
fn jssip_finds_its_instance_and_its_user_in_the_200() {
    let (mut r, now) = registrar();
    let mut jssip = instance("sip:9k2l@d7f.invalid;transport=ws", "<urn:uuid:aa>");
    jssip.params = "+sip.ice".to_owned();
    let done = r.register(register("a", 1, 1, vec![jssip]), now).unwrap();
    assert_eq!(
        done.bindings[0].contact_value(now),
        "<sip:9k2l@d7f.invalid;transport=ws>;+sip.ice;+sip.instance=\"<urn:uuid:aa>\";reg-id=1;expires=600"
    );
}

#[test]
fn the_same_contact_twice_in_one_request_is_one_binding() {
    let (mut r, now) = registrar();
    let twice = vec![contact("sip:k3@x.invalid"), contact("sip:k3@x.invalid")];
    assert_eq!(r.register(register("a", 1, 1, twice), now).unwrap().bindings.len(), 1);
}
