#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }

    fn new() -> Counter { //~ ERROR a method takes `&self` or `&mut self`: move a function that is no command to another `impl` block
        Counter::default()
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
