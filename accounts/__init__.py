"""Who people are and what they may do: accounts, sessions, API tokens."""
