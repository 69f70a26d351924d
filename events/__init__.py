"""The facts, their names and versions, their bytes, and the store that keeps them."""
