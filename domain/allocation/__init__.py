"""Which split groups a test gets: the port, and its first form."""
