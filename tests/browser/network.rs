//! A network of its own for a test: Firefox refuses to send media to 127.0.0.1, so it gets another address to send to,
//! in a network namespace that nothing leaves.

use std::net::Ipv4Addr;
use std::process::Command;

/// The machine's address in such a network (RFC 5737).
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 54);

const INSIDE: &str = "CROSSPOINT_TEST_NETWORK";

/// Sets up loopback and one more interface with [`ADDRESS`], then goes on as the command given.
const SET_UP: &str = "ip link set lo up && ip link add xp0 type veth peer name xp1 && ip addr add 198.51.100.54/24 dev xp0 \
                      && ip link set xp0 up && ip link set xp1 up && ip route add default dev xp0 && exec \"$@\"";

/// Runs the test `name` again in a network namespace; there, runs `test`.
pub fn of_its_own<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        return runtime.block_on(test());
    }
    let program = std::env::current_exe().expect("a test binary");
    let status = Command::new("unshare")
        // Root of its own namespace, whoever runs the tests.
        .args(["--user", "--map-root-user", "--net", "--kill-child", "sh", "-c", SET_UP, "sh"])
        .arg(program)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .expect("unshare, of util-linux");
    assert!(status.success(), "{name} failed in its network: {status}");
}
