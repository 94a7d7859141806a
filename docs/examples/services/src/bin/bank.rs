//! A bank with three branches, each a node with its books in a file: `bank FOLDER [TRANSFERS]`. Run it again: the money is
//! still there.

use std::path::Path;
use std::time::Duration;

use skyring::{ClusterMap, Error, Node};
use skyring_examples::bank::disk::{Books, Disk};
use skyring_examples::bank::durable::{BranchClient, open};

const BRANCHES: [(&str, &str); 3] = [
    ("north", "127.0.0.1:7311"),
    ("south", "127.0.0.1:7312"),
    ("east", "127.0.0.1:7313"),
];

/// The account that each branch has, and what is in it at first.
const ACCOUNT: (&str, u64) = ("savings", 1_000);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: bank FOLDER [TRANSFERS]")?;
    let transfers: u64 = arguments.next().map_or(Ok(10), |count| count.parse())?;
    std::fs::create_dir_all(&folder)?;
    let mut map = ClusterMap::new();
    for (name, address) in BRANCHES {
        map = map.with(name, address)?;
    }
    let mut nodes = Vec::new();
    for (name, _) in BRANCHES {
        nodes.push(start(name, map.clone(), Path::new(&folder))?);
    }
    let total = nodes[0].block_on(move |caller| async move {
        for number in 0..transfers {
            let from = BRANCHES[(number % 3) as usize].0;
            let to = BRANCHES[((number + 1) % 3) as usize].0;
            let branch = BranchClient::at(caller.node(from), "@branch");
            if let Err(error) = branch.transfer(ACCOUNT.0, to, ACCOUNT.0, 1 + number % 7).await {
                println!("{from} to {to}: {error}");
            }
        }
        // What is on its way arrives within this.
        caller.sleep(Duration::from_millis(500)).await;
        let mut total = 0;
        for (name, _) in BRANCHES {
            let branch = BranchClient::at(caller.node(name), "@branch");
            let balance = branch.balance(ACCOUNT.0).await.map_err(Error::from)?;
            println!("{name}: {balance}");
            total += balance;
        }
        Ok::<u64, Error>(total)
    })??;
    println!("in all: {total}");
    nodes.into_iter().for_each(Node::stop);
    Ok(())
}

fn start(name: &'static str, map: ClusterMap, folder: &Path) -> Result<Node, Box<dyn std::error::Error>> {
    let disk = Disk::File(folder.join(format!("{name}.json")));
    let mut books: Books = disk.read()?;
    books.balances.entry(ACCOUNT.0.to_owned()).or_insert(ACCOUNT.1);
    disk.write(&books)?;
    let node = Node::builder().name(name).map(map).start()?;
    node.block_on(move |caller| async move {
        open(caller.clone(), name, disk).await?;
        caller.cluster().open(name, None).await
    })??;
    Ok(node)
}
