//! What is known of Skynet's scripts: what they need, how long they take, and why their output differs.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What a script needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// A server on a port of this machine.
    Server(&'static str, u16),
    /// Something that no run here has.
    Absent(&'static str),
}

impl Need {
    /// Why the script is skipped, if the need is not met.
    pub(crate) fn missing(&self) -> Option<String> {
        match *self {
            Need::Absent(what) => Some(what.to_owned()),
            Need::Server(name, port) => {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
                connected
                    .is_err()
                    .then(|| format!("needs {name} on 127.0.0.1:{port}"))
            }
        }
    }
}

/// A script.
pub(crate) struct Script {
    pub(crate) name: String,
    pub(crate) needs: &'static [Need],
    /// After this time without output the script is taken to have ended.
    pub(crate) quiet: Duration,
    /// Its numbers are times, ports or counters that differ in each run.
    pub(crate) masks_numbers: bool,
    /// How often it repeats a line depends on the speed of the machine.
    pub(crate) repeats: bool,
    /// Why the output differs, or what is to be known.
    pub(crate) remark: Option<&'static str>,
}

/// The silence after which most scripts have ended. The longest wait in them is 2 s.
const QUIET: Duration = Duration::from_secs(3);

/// What is known of one script.
struct Known {
    name: &'static str,
    needs: &'static [Need],
    quiet: Option<Duration>,
    masks_numbers: bool,
    repeats: bool,
    remark: Option<&'static str>,
}

impl Known {
    const fn new(name: &'static str) -> Known {
        Known {
            name,
            needs: &[],
            quiet: None,
            masks_numbers: false,
            repeats: false,
            remark: None,
        }
    }

    const fn needs(mut self, needs: &'static [Need]) -> Known {
        self.needs = needs;
        self
    }

    const fn quiet(mut self, seconds: u64) -> Known {
        self.quiet = Some(Duration::from_secs(seconds));
        self
    }

    const fn masks_numbers(mut self) -> Known {
        self.masks_numbers = true;
        self
    }

    const fn repeats(mut self) -> Known {
        self.masks_numbers = true;
        self.repeats = true;
        self
    }

    const fn remark(mut self, remark: &'static str) -> Known {
        self.remark = Some(remark);
        self
    }
}

const REDIS: &[Need] = &[Need::Server("Redis", 6379)];

const KNOWN: &[Known] = &[
    Known::new("pingserver").needs(&[Need::Absent("a service that `testping` starts")]),
    Known::new("testmongodb").needs(&[Need::Server("MongoDB", 27017)]),
    Known::new("testmysql").needs(&[Need::Server("MySQL", 3306)]),
    Known::new("testpipeline").needs(REDIS),
    Known::new("testredis").needs(REDIS),
    Known::new("testredis2")
        .needs(REDIS)
        .remark("without a Redis cluster: the error of a refused connection says why"),
    Known::new("testrediscluster").needs(&[Need::Server("a Redis cluster", 7000)]),
    Known::new("testdns").masks_numbers(),
    Known::new("testdatacenter").remark("a failed call says why, where Skynet says `call failed`"),
    Known::new("testdatasheet").remark("a nested table is printed as `shared table`, which it is"),
    Known::new("testdeadcall").remark("a failed call says why, where Skynet says `call failed`"),
    Known::new("testdeadloop").quiet(8).repeats(),
    Known::new("testendless")
        .quiet(8)
        .repeats()
        .remark("master writes `error:` before the line about the loop, 1.8.0 and this host do not"),
    Known::new("testhandle").repeats(),
    Known::new("testharborlink").remark("there are no harbors: the request is refused with an error"),
    Known::new("testhttp")
        .remark("without the internet: the error of a name that is not found has other words"),
    Known::new("testmemlimit")
        .masks_numbers()
        .remark("the script stops just below the limit: a service that needs some bytes more passes it"),
    Known::new("testmulticast").masks_numbers(),
    Known::new("testmulticast2").masks_numbers(),
    Known::new("testoverload").repeats(),
    Known::new("testping")
        .remark("a failed call says why; the places in a trace are those of our library, and it has no line for `sleep`"),
    Known::new("testsharetable").remark("a shared table is printed as `shared table`, which it is"),
    Known::new("testresponse").masks_numbers(),
    Known::new("testtimeout").masks_numbers(),
    Known::new("testtimer").masks_numbers(),
    Known::new("testtobeclosed")
        .masks_numbers()
        .remark("a failed call says why, where Skynet says `call failed`"),
    Known::new("testudp").masks_numbers(),
    Known::new("time").masks_numbers(),
];

/// The script of this name.
pub(crate) fn find(name: &str) -> Script {
    let unknown = Known::new("");
    let known = KNOWN.iter().find(|known| known.name == name).unwrap_or(&unknown);
    Script {
        name: name.to_owned(),
        needs: known.needs,
        quiet: known.quiet.unwrap_or(QUIET),
        masks_numbers: known.masks_numbers,
        repeats: known.repeats,
        remark: known.remark,
    }
}
