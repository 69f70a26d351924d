"""Write use cases: load, decide, append; one module per noun."""
