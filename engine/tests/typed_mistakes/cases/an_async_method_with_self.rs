#[derive(Default)]
struct Counter {
    total: i64,
}

#[skyring::service]
impl Counter {
    async fn report(&self, to: String) -> usize { //~ ERROR an `async` method has no `self`, because other messages change the state between its awaits: take `context: &Context<Self>`, and read or change the state with `context.update(|state| …)`
        to.len() + self.total as usize
    }

    fn add(&mut self, number: i64) -> i64 {
        self.total += number;
        self.total
    }
}

fn main() {
    let node = skyring::Node::builder().start().unwrap();
    let _ = CounterClient::at(node.client(), "@counter");
}
