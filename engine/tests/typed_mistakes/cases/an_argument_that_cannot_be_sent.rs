#[derive(Default)]
struct Counter {
    total: i64,
}

struct Item;

#[skyring::service]
impl Counter {
    fn put(&mut self, number: i64, _item: Item) -> i64 { //~ ERROR `Item` cannot be an argument of a service's method
        self.total += number;
        self.total
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
