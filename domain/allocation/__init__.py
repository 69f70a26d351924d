"""Which split groups a test gets: the port, the balanced draw behind it, and the plain draw that it starts from."""
