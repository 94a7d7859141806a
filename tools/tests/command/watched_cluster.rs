//! A cluster with load, whose gate can be watched.

use crate::common::{Folder, Running, free_port, run_command};

/// A name that would do harm if it became markup.
pub(crate) const HOSTILE: &str = "<img/src=x/onerror=document.title='harm'>";

/// Calls the other node all the time, and has a hostile name.
const LOAD: &str = r#"
local skynet = require "skynet"
require "skynet.manager"
local cluster = require "skynet.cluster"

skynet.start(function()
    skynet.register(".HOSTILE")
    for i = 1, 8 do
        skynet.fork(function()
            while true do
                if not pcall(cluster.call, "db_beijing", "@sdb", "GET", "name") then
                    skynet.sleep(20)
                end
                skynet.sleep(1)
            end
        end)
    end
end)
"#;

/// A cluster of three nodes, one of which never runs, and whose gate has the admin server and load.
pub(crate) struct Cluster {
    pub(crate) folder: Folder,
    /// The port of the admin server.
    pub(crate) admin: u16,
    /// The port of the gate for clients.
    pub(crate) clients: u16,
    /// The port of the gate for other nodes.
    pub(crate) gate: u16,
    /// The port of the database.
    pub(crate) db: u16,
    /// The port of the node that never runs.
    pub(crate) cache: u16,
}

impl Cluster {
    /// With these settings in the config of the gate, and a hostile name.
    pub(crate) fn new(settings: &str) -> Cluster {
        Cluster::with_load_name(HOSTILE, settings)
    }

    /// With this name of the service that makes the load.
    pub(crate) fn with_load_name(name: &str, settings: &str) -> Cluster {
        let folder = Folder::new();
        let [gate, db, cache, admin, clients] = [(); 5].map(|()| free_port());
        folder.write(
            "clustername.lua",
            format!(
                "gate_beijing = \"127.0.0.1:{gate}\"\ndb_beijing = \"127.0.0.1:{db}\"\n\
                 cache_shanghai = \"127.0.0.1:{cache}\"\nold = false\n\
                 __groups = {{ store = {{ \"db_beijing\", \"cache_shanghai\", policy = \"failover\" }} }}\n"
            ),
        );
        let load = folder.write("load.lua", LOAD.replace("HOSTILE", name));
        let lua = load.parent().expect("a folder").display().to_string();
        let common = "thread = 2\ncluster = \"./clustername.lua\"\ndown_after_ms = 1000\n";
        folder.write(
            "config_gate",
            format!(
                "{common}open = \"gate_beijing\"\nadmin = \"127.0.0.1:{admin}\"\n{settings}\nluaservice = \"{lua}/?.lua\"\n\
                 start = \"load\"\n\
                 services = {{ cache = \"simpledb\", front = \"gate 127.0.0.1:{clients} @cache 20 handshake_ms=60000\" }}\n"
            ),
        );
        folder.write(
            "config_db",
            format!("{common}open = \"db_beijing\"\nservices = {{ sdb = \"simpledb\" }}\n"),
        );
        Cluster {
            folder,
            admin,
            clients,
            gate,
            db,
            cache,
        }
    }

    /// Starts a node, `gate` or `db`.
    pub(crate) fn start(&self, node: &str) -> Running {
        Running::node_of(&mut run_command(&self.folder.path(&format!("config_{node}"))))
    }

    /// The address of the page.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.admin)
    }
}
