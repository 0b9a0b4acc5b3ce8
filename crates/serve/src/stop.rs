use std::future::Future;
use tokio::sync::watch;

/// Ends a server from any thread, such as that of a signal handler.
#[derive(Debug, Clone)]
pub struct Stopper(watch::Sender<bool>);

impl Stopper {
    /// Lets the server answer what it was asked, and end.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// A stopper, and the future that waits for it: what [`run`](crate::run) and [`serve`](crate::serve) take. If all copies of the
/// stopper are dropped, nobody can stop the server any more, and it runs on.
pub fn stopper() -> (Stopper, impl Future<Output = ()> + Send + 'static) {
    let (sender, mut receiver) = watch::channel(false);
    let stopped = async move {
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    (Stopper(sender), stopped)
}
