#[derive(Default)]
struct Counter {
    total: i64,
}

struct Item;

#[skyring::service]
impl Counter {
    fn take(&mut self, number: i64) -> Option<Item> { //~ ERROR `Option<Item>` cannot be the answer of a service's method
        self.total -= number;
        None
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
