"""A locustfile as one would write it without thinking of it: each user waits for its answer before it asks again."""

from locust import FastHttpUser, constant_throughput, task


class Waiting(FastHttpUser):
    """Asks 50 times a second, as long as it is answered."""

    wait_time = constant_throughput(50)

    @task
    def ask(self) -> None:
        """Ask once."""
        self.client.get("/", name="ask")
