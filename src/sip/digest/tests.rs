use std::time::{Duration, Instant};

use super::client::{Account, ha1};
use super::server::{Denial, MAX_NONCES, Verdict, Verifier};
use super::{Algorithm, Challenge, Credentials, DigestError, Secret};
use crate::sip::message::Method;

const URI: &str = "sip:192.0.2.54";
const BOTH: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Md5];

fn password() -> Secret {
    Secret::Password("wonder".into())
}

struct Bench {
    now: Instant,
    verifier: Verifier,
    account: Account,
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::now();
        let verifier = Verifier::new("crosspoint", [7; 32], Duration::from_secs(300), now);
        Bench { now, verifier, account: Account::new("5001", "crosspoint", password()) }
    }

    fn challenge(&mut self, algorithm: Algorithm) -> Challenge {
        self.verifier.challenge(algorithm, false, self.now)
    }

    fn answer(&mut self, challenge: &Challenge) -> String {
        let text = challenge.to_string();
        self.account.answer([text.as_bytes()], &Method::Register, URI, "cn", false).unwrap()
    }

    fn verify(&mut self, authorization: &str) -> Verdict {
        let secret = password();
        let lookup = |name: &str| (name == "5001").then_some(&secret);
        self.verifier.verify(authorization.as_bytes(), &Method::Register, URI, &BOTH, lookup, self.now)
    }
}

fn granted() -> Verdict {
    Verdict::Granted { username: "5001".into() }
}

#[test]
fn rfc_2617_example_has_its_response() {
    let text = br#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
        uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",
        opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let text = String::from_utf8_lossy(text).replace('\n', " ");
    let credentials = Credentials::parse(text.as_bytes()).unwrap();
    let expected = credentials.expected(&Secret::Password("Circle Of Life".into()), "GET");
    assert_eq!(expected, credentials.response);
}

#[test]
fn rfc_7616_example_has_its_sha_256_response() {
    let text = br#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm=SHA-256, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#;
    let credentials = Credentials::parse(text).unwrap();
    assert_eq!(credentials.algorithm, Algorithm::Sha256);
    assert_eq!(credentials.expected(&Secret::Password("Circle of Life".into()), "GET"), credentials.response);
}

#[test]
fn a_right_password_is_granted_with_either_algorithm() {
    for algorithm in BOTH {
        let mut bench = Bench::new();
        let challenge = bench.challenge(algorithm);
        let authorization = bench.answer(&challenge);
        assert_eq!(bench.verify(&authorization), granted());
    }
}

#[test]
fn an_ha1_is_as_good_as_its_password() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let authorization = bench.answer(&challenge);
    let secret = Secret::Ha1(ha1(Algorithm::Md5, "5001", "crosspoint", "wonder"));
    let verdict =
        bench.verifier.verify(authorization.as_bytes(), &Method::Register, URI, &BOTH, |_| Some(&secret), bench.now);
    assert_eq!(verdict, granted());
}

#[test]
fn an_md5_ha1_is_of_no_use_for_sha_256() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Sha256);
    let authorization = bench.answer(&challenge);
    let secret = Secret::Ha1(ha1(Algorithm::Md5, "5001", "crosspoint", "wonder"));
    let verdict =
        bench.verifier.verify(authorization.as_bytes(), &Method::Register, URI, &BOTH, |_| Some(&secret), bench.now);
    assert_eq!(verdict, Verdict::Denied(Denial::UnknownUser));
}

#[test]
fn an_unknown_user_and_a_wrong_password_are_denied() {
    let mut bench = Bench::new();
    for (username, secret, denial) in
        [("5002", password(), Denial::UnknownUser), ("5001", Secret::Password("blunder".into()), Denial::WrongPassword)]
    {
        bench.account = Account::new(username, "crosspoint", secret);
        let challenge = bench.challenge(Algorithm::Md5);
        let authorization = bench.answer(&challenge);
        assert_eq!(bench.verify(&authorization), Verdict::Denied(denial));
    }
}

#[test]
fn a_replayed_count_is_stale_and_the_next_one_is_granted() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let first = bench.answer(&challenge);
    let second = bench.answer(&challenge);
    assert_eq!(bench.verify(&second), granted());
    assert_eq!(bench.verify(&first), granted());
    assert_eq!(bench.verify(&first), Verdict::Stale);
    assert_eq!(bench.verify(&second), Verdict::Stale);
}

#[test]
fn the_count_is_hexadecimal() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    for count in 1..=40u32 {
        let authorization = bench.answer(&challenge);
        assert_eq!(Credentials::parse(authorization.as_bytes()).unwrap().protection.unwrap().nc, count);
        assert!(authorization.contains(&format!("nc={count:08x}")), "{authorization}");
        assert_eq!(bench.verify(&authorization), granted(), "{count}");
    }
}

#[test]
fn a_count_that_fell_out_of_the_window_is_stale() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let all: Vec<_> = (0..80).map(|_| bench.answer(&challenge)).collect();
    assert_eq!(bench.verify(&all[79]), granted());
    assert_eq!(bench.verify(&all[16]), granted());
    assert_eq!(bench.verify(&all[15]), Verdict::Stale);
}

#[test]
fn a_nonce_past_its_life_is_stale() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let authorization = bench.answer(&challenge);
    bench.now += Duration::from_millis(300_001);
    assert_eq!(bench.verify(&authorization), Verdict::Stale);
}

#[test]
fn a_stale_nonce_with_a_wrong_password_is_denied() {
    let mut bench = Bench::new();
    bench.account = Account::new("5001", "crosspoint", Secret::Password("blunder".into()));
    let challenge = bench.challenge(Algorithm::Md5);
    let authorization = bench.answer(&challenge);
    bench.now += Duration::from_secs(301);
    assert_eq!(bench.verify(&authorization), Verdict::Denied(Denial::WrongPassword));
}

#[test]
fn a_nonce_that_we_did_not_sign_is_denied() {
    let mut bench = Bench::new();
    let mut challenge = bench.challenge(Algorithm::Md5);
    for nonce in ["", "é", "abc", &"0".repeat(64), &challenge.nonce.replacen('0', "1", 1), &"é".repeat(32)] {
        challenge.nonce = nonce.to_owned();
        let authorization = bench.answer(&challenge);
        assert_eq!(bench.verify(&authorization), Verdict::Denied(Denial::Nonce), "{nonce}");
    }
}

#[test]
fn credentials_are_bound_to_their_method_and_uri() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let authorization = bench.answer(&challenge);
    let secret = password();
    let mut verify = |method: Method, uri: &str| {
        bench.verifier.verify(authorization.as_bytes(), &method, uri, &BOTH, |_| Some(&secret), bench.now)
    };
    assert_eq!(verify(Method::Invite, URI), Verdict::Denied(Denial::WrongPassword));
    assert_eq!(verify(Method::Register, "sip:198.51.100.1"), Verdict::Denied(Denial::Uri));
    assert_eq!(verify(Method::Register, "SIP:192.0.2.54"), granted());
}

#[test]
fn an_algorithm_that_was_not_offered_is_denied() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let authorization = bench.answer(&challenge);
    let secret = password();
    let only = [Algorithm::Sha256];
    let verdict =
        bench.verifier.verify(authorization.as_bytes(), &Method::Register, URI, &only, |_| Some(&secret), bench.now);
    assert_eq!(verdict, Verdict::Denied(Denial::Algorithm));
}

#[test]
fn without_qop_a_nonce_is_good_once() {
    let mut bench = Bench::new();
    let mut challenge = bench.challenge(Algorithm::Md5);
    challenge.qop_auth = false;
    let authorization = bench.answer(&challenge);
    assert!(!authorization.contains("qop") && !authorization.contains("cnonce"));
    assert_eq!(bench.verify(&authorization), granted());
    assert_eq!(bench.verify(&authorization), Verdict::Stale);
}

#[test]
fn memory_of_used_nonces_is_bounded_and_forgotten_ones_stay_unusable() {
    let mut bench = Bench::new();
    let challenge = bench.challenge(Algorithm::Md5);
    let first = bench.answer(&challenge);
    assert_eq!(bench.verify(&first), granted());
    for _ in 0..=MAX_NONCES {
        let challenge = bench.challenge(Algorithm::Md5);
        let authorization = bench.answer(&challenge);
        assert_eq!(bench.verify(&authorization), granted());
    }
    assert_eq!(bench.verify(&first), Verdict::Stale);
}

#[test]
fn an_account_does_not_answer_a_foreign_realm() {
    let mut account = Account::new("gw", "trunk.example", password());
    let foreign = br#"Digest realm="evil.example", nonce="1""#.as_slice();
    let ours = br#"Digest realm="trunk.example", nonce="1""#.as_slice();
    let error = account.answer([foreign], &Method::Invite, URI, "c", false).unwrap_err();
    assert_eq!(error, DigestError::ForeignRealm);
    assert!(account.answer([foreign, ours], &Method::Invite, URI, "c", false).unwrap().contains("trunk.example"));
}

#[test]
fn an_account_takes_the_strongest_challenge_that_its_secret_suits() {
    let md5 = br#"Digest realm="r", nonce="1", algorithm=MD5"#.as_slice();
    let sha = br#"Digest realm="r", nonce="2", algorithm=SHA-256, qop="auth,auth-int""#.as_slice();
    let odd = br#"Digest realm="r", nonce="3", algorithm=SHA-512-256"#.as_slice();
    let mut account = Account::new("gw", "r", password());
    let answer = account.answer([odd, md5, sha], &Method::Invite, URI, "c", false).unwrap();
    assert!(answer.contains("algorithm=SHA-256") && answer.contains("qop=auth"), "{answer}");
    let mut account = Account::new("gw", "r", Secret::Ha1("0".repeat(32)));
    assert!(account.answer([sha, md5], &Method::Invite, URI, "c", false).unwrap().contains("algorithm=MD5"));
}

#[test]
fn a_second_challenge_is_answered_only_when_stale() {
    let mut account = Account::new("gw", "r", password());
    let plain = br#"Digest realm="r", nonce="1""#.as_slice();
    let stale = br#"Digest realm="r", nonce="2", stale=TRUE"#.as_slice();
    assert_eq!(account.answer([plain], &Method::Invite, URI, "c", true), Err(DigestError::Refused));
    assert!(account.answer([stale], &Method::Invite, URI, "c", true).is_ok());
}

#[test]
fn headers_that_are_not_sound_are_refused() {
    for (text, error) in [
        ("Basic abc", DigestError::OtherScheme),
        ("Digest", DigestError::Malformed),
        ("Digest realm=\"r\", realm=\"r\", nonce=\"1\"", DigestError::Malformed),
        ("Digest realm=\"r, nonce=\"1\"", DigestError::Malformed),
        ("Digest realm=\"r\"", DigestError::Missing("nonce")),
        ("Digest realm=\"r\", nonce=\"1\", algorithm=MD4", DigestError::UnknownAlgorithm),
        ("Digest realm=\"r\", nonce=\"1\", qop=\"auth-int\"", DigestError::UnknownQop),
        ("Digest =", DigestError::Malformed),
    ] {
        assert_eq!(Challenge::parse(text.as_bytes()), Err(error), "{text}");
    }
    let long = format!("Digest realm=\"{}\", nonce=\"1\"", "r".repeat(5000));
    assert_eq!(Challenge::parse(long.as_bytes()), Err(DigestError::Malformed));
    for nc in ["", "g", "123456789", "+1", "-1"] {
        let text = format!(
            "Digest username=\"u\", realm=\"r\", nonce=\"1\", uri=\"u\", response=\"x\", qop=auth, cnonce=\"c\", nc={nc}"
        );
        assert_eq!(Credentials::parse(text.as_bytes()), Err(DigestError::Malformed), "{nc}");
    }
}

#[test]
fn quotes_and_backslashes_survive_writing_and_reading() {
    let challenge = Challenge {
        realm: "a \"b\" \\ c, d".into(),
        nonce: "n".into(),
        opaque: Some("o=p".into()),
        algorithm: Algorithm::Sha256,
        qop_auth: true,
        stale: true,
    };
    assert_eq!(Challenge::parse(challenge.to_string().as_bytes()), Ok(challenge));
}

#[test]
fn a_secret_is_never_printed() {
    assert!(!format!("{:?} {:?}", password(), Secret::Ha1("abc".into())).contains("wonder"));
    assert!(!format!("{:?}", Account::new("u", "r", password())).contains("wonder"));
}
